"""`runner workspace`: the commands about workspaces."""

from __future__ import annotations

from runner.cli.lazy import LazyGroup

workspace = LazyGroup(
    "workspace",
    {
        "create": ("runner.cli.workspace_make:create", "Make a workspace."),
        "ls": ("runner.cli.workspace_show:ls", "List the workspaces of the project."),
        "show": ("runner.cli.workspace_show:show", "Show a workspace and its snapshots."),
        "status": ("runner.cli.workspace_changes:status", "Say which files it has changed."),
        "diff": ("runner.cli.workspace_changes:diff", "Show what it has changed."),
        "exec": ("runner.cli.workspace_exec:exec_", "Run a program in it."),
        "commit": ("runner.cli.workspace_commit:commit", "Bring its changes to its base."),
        "merge": ("runner.cli.workspace_commit:merge", "Bring another's changes into it."),
        "export": ("runner.cli.workspace_commit:export", "Write it to a file: patch, tar, …"),
        "rename": ("runner.cli.workspace_make:rename", "Give it another name."),
        "unmount": ("runner.cli.workspace_make:unmount", "Unmount overlays until they are used."),
        "rm": ("runner.cli.workspace_make:rm", "Take workspaces away; a rescue snapshot stays."),
    },
    summary=(
        "Workspaces: copies of a directory to work in, each with a history.\n\n"
        "The project is the current directory, or the nearest one above it that has workspaces."
    ),
)
