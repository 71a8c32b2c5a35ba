"""How much each file changed, for people: the table of `git diff --stat`, column for column.

Sizes of bars and names follow git's rules (diff.c, show_stats), so the same counts give the same
lines at the same width. Counts may be smaller than git's, which does not look for the shortest diff
where lines occur often. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runner.workspaces.comparing import Change
from runner.workspaces.quoting import shown

WIDTH = 80
_NARROWEST = 16 + 6  # a name of 10 and a bar of 6 at least


@attrs.frozen(kw_only=True)
class FileStat:
    """A line of the table.

    Attributes:
        name: of the file, quoted where needed; of a renamed one both.
        added: lines; of a binary file, bytes that it has now.
        deleted: lines; of a binary file, bytes that it had.
        is_binary: whether they are bytes.
    """

    name: str
    added: int
    deleted: int
    is_binary: bool = False


def table(files: Sequence[FileStat], width: int = WIDTH) -> str:
    """The table with its last line; nothing if there are no files."""
    if not files:
        return ""
    lines = [] if width < 1 else _lines(files, width)
    return "".join(f" {each}\n" for each in (*lines, summary(files)))


def summary(files: Sequence[FileStat]) -> str:
    """How many files and lines, in one line."""
    texts = [each for each in files if not each.is_binary]
    added = sum(each.added for each in texts)
    deleted = sum(each.deleted for each in texts)
    parts = [f"{len(files)} file{_s(len(files))} changed"]
    if added or not deleted:
        parts.append(f"{added} insertion{_s(added)}(+)")
    if deleted or not added:
        parts.append(f"{deleted} deletion{_s(deleted)}(-)")
    return ", ".join(parts)


def name_of(change: Change) -> str:
    """The name in the table; of a renamed file what is the same in both stands once."""
    new = _encoded(change.path)
    if change.old_path is None:
        return shown(new)
    old = _encoded(change.old_path)
    if shown(old).startswith('"') or shown(new).startswith('"'):
        return f"{shown(old)} => {shown(new)}"
    return _renamed(change.old_path, change.path)


def _encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _renamed(old: str, new: str) -> str:
    """`lib/{old.py => new.py}`: directories at both ends that are the same stand outside."""
    start = 0
    for at, (one, other) in enumerate(zip(old, new, strict=False), 1):
        if one != other:
            break
        if one == "/":
            start = at
    end = 0
    # The slash that ends what is common at the beginning may begin what is common at the end.
    most = min(len(old), len(new)) - max(0, start - 1)
    for at in range(1, most + 1):
        if old[-at] != new[-at]:
            break
        if old[-at] == "/":
            end = at
    head, tail = old[:start], old[len(old) - end :]
    middles = f"{_between(old, start, end)} => {_between(new, start, end)}"
    return f"{head}{{{middles}}}{tail}" if head or tail else middles


def _between(path: str, start: int, end: int) -> str:
    return path[start : max(start, len(path) - end)]


def _lines(files: Sequence[FileStat], width: int) -> list[str]:
    texts = [each.added + each.deleted for each in files if not each.is_binary]
    most = max(texts, default=0)
    number = max(len(str(most)), 3 if len(texts) < len(files) else 0)
    longest = max(len(each.name) for each in files)
    bytes_ = max((len(_bytes(each)) + 4 for each in files if each.is_binary), default=0)
    names, bars = _widths(max(width, _NARROWEST + number), number, longest, max(most, bytes_ - 4))
    found = []
    for each in files:
        if each.is_binary:
            middle, end = "Bin", _bytes(each)
        else:
            middle, end = str(each.added + each.deleted), _bar(each, bars, most)
        line = f"{_short(each.name, names):<{names}} | {middle:>{number}}"
        found.append(f"{line} {end}" if end else line)
    return found


def _widths(width: int, number: int, names: int, bars: int) -> tuple[int, int]:
    """How wide names and bars may be: first what they want, then what there is."""
    if names + number + 6 + bars > width:
        bars = min(bars, max(6, width * 3 // 8 - number - 6))
        if names > width - number - 6 - bars:
            names = width - number - 6 - bars
        else:
            bars = width - number - 6 - names
    return names, bars


def _short(name: str, width: int) -> str:
    if len(name) <= width:
        return name
    end = name[len(name) - (width - 3) :]
    slash = end.find("/")
    return "..." + (end[slash:] if slash >= 0 else end)


def _bytes(file: FileStat) -> str:
    if not file.added and not file.deleted:
        return ""
    return f"{file.deleted} -> {file.added} bytes"


def _bar(file: FileStat, width: int, most: int) -> str:
    added, deleted = file.added, file.deleted
    if width <= most:
        total = _scaled(added + deleted, width, most)
        if total < 2 and added and deleted:
            total = 2
        if added < deleted:
            added = _scaled(added, width, most)
            deleted = total - added
        else:
            deleted = _scaled(deleted, width, most)
            added = total - deleted
    return "+" * added + "-" * deleted


def _scaled(lines: int, width: int, most: int) -> int:
    """Never nothing where there is something."""
    return 1 + lines * (width - 1) // most if lines else 0


def _s(count: int) -> str:
    return "" if count == 1 else "s"
