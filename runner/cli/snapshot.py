"""`runner snapshot`: the commands about snapshots."""

from __future__ import annotations

from runner.cli.lazy import LazyGroup

snapshot = LazyGroup(
    "snapshot",
    {
        "create": ("runner.cli.snapshot_make:create", "Take a snapshot of a workspace."),
        "ls": ("runner.cli.snapshot_show:ls", "List snapshots, the oldest first."),
        "show": ("runner.cli.snapshot_show:show", "Show a snapshot."),
        "diff": ("runner.cli.snapshot_show:diff", "Show what differs between two."),
        "restore": ("runner.cli.snapshot_make:restore", "Make a workspace what it was."),
        "rm": ("runner.cli.snapshot_make:rm", "Remove snapshots for good."),
    },
    summary=(
        "Snapshots: states of a workspace, kept for good.\n\n"
        "One is named WORKSPACE/SNAPSHOT, or by its name alone if only one workspace has it."
    ),
)
