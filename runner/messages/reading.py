"""What is answered about the lines, trees and contents of files. Values only: no I/O, no trio."""

from __future__ import annotations

import attrs

from runner.messages.answers import Entry, Failure


@attrs.frozen(kw_only=True)
class Lines:
    r"""Some lines of a text file, one after the other.

    Lines end in LF, which is no part of them; a CR before it is kept, so `text` is what the file
    holds. Bytes that are not UTF-8 are surrogate escapes.

    Attributes:
        lines: the lines, without LF.
        first: the number of the first, from 1; where the lines before it were not counted, it is
            negative and counts from the file's end (-1 is the last line).
        total: how many lines the file has; None if that was not asked for and is not known.
        before: how many lines were left out before them; None as above.
        after: how many lines were left out after them; None as above.
        cut: the numbers (as `first` counts) of lines that were too long and end early here.
        ended: whether the last one here ends in LF; only the last line of a file may lack it.
    """

    lines: tuple[str, ...]
    first: int
    total: int | None
    before: int | None
    after: int | None
    cut: tuple[int, ...] = ()
    ended: bool = True

    @property
    def text(self) -> str:
        """The lines as they stand in the file."""
        end = "\n" if self.ended and self.lines else ""
        return "\n".join(self.lines) + end

    def numbered(self) -> str:
        """The lines with their numbers in front, for a reader; `…` stands where one was cut."""
        width = max(len(str(self.first)), len(str(self.first + len(self.lines))), 4)
        cut = frozenset(self.cut)
        return "".join(
            f"{number:>{width}}\t{line}{'…' if number in cut else ''}\n"
            for number, line in enumerate(self.lines, self.first)
        )


@attrs.frozen(kw_only=True)
class Drawing:
    """What stands below a directory; `omitted` more entries were left out.

    Attributes:
        path: the directory, as it was asked for.
        entries: in the order of the drawing: sorted by name, what a directory holds right after
            it; their names are paths from the directory. Links are not followed.
    """

    path: str
    entries: tuple[Entry, ...]
    omitted: int = 0

    @property
    def text(self) -> str:
        """The tree, drawn."""
        drawn = [self.path]
        # From the end, an entry is the last of its directory if none of that directory was seen.
        seen: set[str] = set()
        lines: list[str] = []
        for each in reversed(self.entries):
            above, _, name = each.name.rpartition("/")
            bars = _ways(above, seen)
            corner = "├── " if above in seen else "└── "
            seen.add(above)
            lines.append(bars + corner + name + _suffix(each))
        drawn += reversed(lines)
        if self.omitted:
            drawn.append(f"… {self.omitted} more")
        return "\n".join(drawn) + "\n"


def _ways(above: str, seen: set[str]) -> str:
    """The bars of the directories on the way: one goes on if it has entries further down."""
    names = above.split("/") if above else []
    places = ["/".join(names[:depth]) for depth in range(len(names))]
    return "".join("│   " if each in seen else "    " for each in places)


def _suffix(entry: Entry) -> str:
    if entry.type == "directory":
        return "/"
    return f" -> {entry.target}" if entry.target is not None else ""


@attrs.frozen(kw_only=True)
class Downloaded:
    """What came of one path of a download: its content, or why there is none."""

    path: str
    content: bytes | None = None
    error: Failure | None = None
