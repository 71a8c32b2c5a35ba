"""How figures and lists are written for people."""

from __future__ import annotations

import os
from collections.abc import Iterable

from runner.messages import InForce


def clock(seconds: float) -> str:
    """`0:07`, `12:34`, `3:00:07`."""
    minutes, second = divmod(int(max(0.0, seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def span(seconds: float) -> str:
    """`0.4 s`, `12 s`, `12:34`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 60 else clock(seconds)


def tokens(count: int) -> str:
    """`0`, `950`, `12.3k`, `4.5M`."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1_000_000:.1f}M"


def mebibytes(count: int | None) -> str:
    """`123 MiB`; nothing if it is not known."""
    return "" if count is None else f"{max(1, round(count / (1 << 20)))} MiB"


def size(count: int) -> str:
    """`0 B`, `950 B`, `12.3 KiB`, `4.5 GiB`."""
    if count < 1024:
        return f"{count} B"
    amount, units = float(count), iter(("KiB", "MiB", "GiB", "TiB"))
    unit = ""
    while amount >= 1024 and unit != "TiB":
        amount, unit = amount / 1024, next(units)
    return f"{amount:.1f} {unit}"


def dollars(cost: float | None) -> str:
    """`$0.0123`, `$12.34`; nothing if nobody says what it costs."""
    if cost is None:
        return ""
    return f"${cost:.4f}" if cost < 1 else f"${cost:,.2f}"


def some(names: Iterable[str], limit: int = 5) -> str:
    """The first of many names, and how many more there are."""
    names = list(names)
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def one_line(text: str, limit: int = 160) -> str:
    """A text on one line, cut if it is long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def plural(count: int, word: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def printable(text: str) -> str:
    r"""A text on one line; what could control a terminal, or is no text, is escaped.

    As in Python: `\x1b`, `\n`, and `\xff` for a byte that is not UTF-8.
    """
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def place(path: str) -> str:
    """A path as it is written from here: relative if it lies below the current directory."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def because(state: str, error: object, text: object) -> str:
    """Why something is not ok: the error's class, unless the state says it, and the text."""
    return str(text) if error in (None, state) else f"{error}: {text}"


def held(found: InForce) -> str:
    """What holds programs, and what was asked for and does not."""
    network = {"none": "no network", "full": "the machine's network", "proxy": "listed hosts only"}
    line = f"isolation: mode {found.mode}, {network[found.network]}"
    if found.limits:
        line += f", limits: {', '.join(f'{name} ({how})' for name, how in found.limits)}"
    return f"{line}; not in force: {'; '.join(found.lacking)}" if found.lacking else line
