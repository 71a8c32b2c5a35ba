"""Which rows of the audit a command is about, and rows for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypedDict, TypeVar

import click

from runner.cli import words
from runner.cli.colours import paint
from runner.cli.columns import when
from runner.cli.workspace_records import path_text
from runner.errors import ConfigError, Problem
from runner.strict import parse_seconds
from runner.workspaces.records import AuditRecord

CommandT = TypeVar("CommandT", bound=Callable[..., object])
WHO = ("session", "job", "agent")


class Filters(TypedDict):
    """What the options say (`filters`)."""

    operations: tuple[str, ...]
    since: str | None
    until: str | None
    path: str | None
    session: str | None
    job: str | None
    agent: str | None


class Which(TypedDict):
    """The same, as `Audit.logs` takes it."""

    operation: tuple[str, ...] | None
    from_time: datetime | None
    to_time: datetime | None
    path: str | None
    session: str | None
    job: str | None
    agent: str | None


def filters(command: CommandT) -> CommandT:
    """Which rows: `Filters`."""
    operation = click.option(
        "--operation",
        "operations",
        metavar="WORD",
        multiple=True,
        help="write, exec, start, …",
    )
    since = click.option("--since", metavar="TIME", help="Such as 2h (ago), or 2026-01-31T12:00.")
    until = click.option("--until", metavar="TIME", help="Before then.")
    path = click.option("--path", metavar="GLOB", help="Of files, such as 'src/**' or '*.py'.")
    session = click.option("--session", metavar="ID", help="Done in that session.")
    job = click.option("--job", metavar="ID", help="Done in that job.")
    agent = click.option("--agent", metavar="ID", help="Done by that agent.")
    return operation(since(until(path(session(job(agent(command)))))))


def which(given: Filters) -> Which:
    """The rows that are meant.

    Raises:
        ConfigError: a time is none.
    """
    return Which(
        operation=given["operations"] or None,
        from_time=_time("--since", given["since"]),
        to_time=_time("--until", given["until"]),
        path=given["path"],
        session=given["session"],
        job=given["job"],
        agent=given["agent"],
    )


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_seconds(text))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)  # without a zone it is local time
    except ValueError:
        what = f"{text!r} is no time: such as 2h (ago), or 2026-01-31T12:00"
        raise ConfigError(Problem(option, None, "", what)) from None


# ---------------------------------------------------------------- for people


def row_text(record: AuditRecord, names: Mapping[str, str], *, is_coloured: bool = False) -> str:
    """A line about a row."""
    workspace = names.get(record.workspace, record.workspace[:8])
    operation = f"{record.operation:<9}"
    parts = [when(record.time_ns), f"{workspace:<12}", _operation(record, operation, is_coloured)]
    parts += [path_text(record.path)] * bool(record.path)
    parts += [_sizes(record)] * (record.size_before is not None or record.size_after is not None)
    parts += [_details(record)] * bool(record.details)
    who = [f"{name} {value}" for name in WHO if (value := getattr(record, name))]
    parts += [words.printable(f"({', '.join(who)})")] * bool(who)
    return "  ".join(parts).rstrip()


def _operation(record: AuditRecord, text: str, is_coloured: bool) -> str:
    if record.ok:
        return text
    said = f"{text} {'failed' if record.ok is False else 'cut off'}"
    return paint(said, "red") if is_coloured else said


def _sizes(record: AuditRecord) -> str:
    before, after = record.size_before, record.size_after
    if before is None:
        return "" if after is None else words.size(after)
    return f"{words.size(before)} -> {'gone' if after is None else words.size(after)}"


def _details(record: AuditRecord) -> str:
    said = [f"{name}={each}" for name, each in record.details.items() if each not in ("", None)]
    return words.one_line(words.printable(" ".join(said)), 80)
