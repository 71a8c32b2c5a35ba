"""`runner sync`: the commands about a workspace that is elsewhere as well."""

from __future__ import annotations

from runner.cli.lazy import LazyGroup

sync = LazyGroup(
    "sync",
    {
        "enable": ("runner.cli.sync_set:enable", "Sync a workspace with a remote from now on."),
        "config": ("runner.cli.sync_set:config", "Sync it in another way."),
        "push": ("runner.cli.sync_move:push", "Send what was changed here."),
        "pull": ("runner.cli.sync_move:pull", "Take over what was changed elsewhere."),
        "status": ("runner.cli.sync_show:status", "Say how it is."),
        "conflicts": ("runner.cli.sync_show:conflicts", "List what both sides have changed."),
        "resolve": ("runner.cli.sync_set:resolve", "Decide conflicts."),
        "disable": ("runner.cli.sync_set:disable", "Sync no more."),
    },
    summary="Sync: a workspace in a directory, a git repository, a database or a bucket elsewhere.",
)
