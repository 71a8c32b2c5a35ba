"""Groups of commands that are imported when they are used.

The help of a group is written from its table, so that `runner --help` imports no command: trio,
attrs and rich cost more than all else together.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click


class LazyGroup(click.Group):
    """A group that knows its commands by (where they are, what they do in a line)."""

    def __init__(
        self, name: str, commands: Mapping[str, tuple[str, str]], *, summary: str, epilog: str = ""
    ) -> None:
        super().__init__(
            name, help=summary, no_args_is_help=True, context_settings=SETTINGS, epilog=epilog
        )
        self._table = dict(commands)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of this name."""
        if cmd_name not in self._table:
            return None
        module, _, name = self._table[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command), module
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which ones there are."""
        name = args[0]
        if name in self._table or name.startswith("-"):
            return super().resolve_command(ctx, args)
        raise click.UsageError(no_such_command(name, self._table), ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._table.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the epilog as it stands, without wrapping it anew."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}\n")


def no_such_command(name: str, known: Mapping[str, object]) -> str:
    """One sentence, with the nearest names."""
    import difflib  # noqa: PLC0415  # only for a mistake; it is slow to import

    near = difflib.get_close_matches(name.lower(), known, n=2, cutoff=0.5)
    if near:
        return f"no such command {name!r}; did you mean {' or '.join(map(repr, near))}?"
    return f"no such command {name!r}; there are {', '.join(known)}"


SETTINGS: dict[str, object] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
