"""Lists for people: a line for each, columns as wide as they have to be; and facts, one a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime


def columns(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows under their names, without columns that would be empty; each row has the same keys."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    table = [{name: name for name in names}, *rows]
    lines = ["  ".join(row[name].ljust(widths[name]) for name in names) for row in table]
    return "\n".join(line.rstrip() for line in lines)


def facts(known: Mapping[str, str]) -> str:
    """What is known, one a line; what is not known is left out."""
    return "\n".join(f"{name + ':':<14}{value}" for name, value in known.items() if value)


def when(time_ns: int) -> str:
    """A time, as the local clock has it."""
    return datetime.fromtimestamp(time_ns // 10**9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
