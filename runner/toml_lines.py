"""On which line each key of a TOML text stands: what `tomllib` does not say.

`key_lines` walks a text that `tomllib` has accepted, follows its keys (tables, arrays of tables,
inline tables, dotted keys) and steps over its values. A key is the way from the root: names of
tables, and numbers (from 0) of array items, such as `("jobs", 2, "prompt")`.

It decides nothing about what is valid TOML; only give it what `tomllib` has taken. It holds values
only: no I/O.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# What a string is, by how it opens; up to two more quotes may stand before the closing three.
_STRINGS = (
    ('"""', re.compile(r'"""(?:\\.|(?!""")[^\\])*"""{1,3}', re.DOTALL)),
    ("'''", re.compile(r"'''(?:(?!''').)*'''{1,3}", re.DOTALL)),
    ('"', re.compile(r'"(?:\\.|[^"\\])*"')),
    ("'", re.compile(r"'[^']*'")),
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line (from 1) on which each table, key and array item begins; the root is line 1."""
    return _Scanner(text).scan()


class _Scanner:
    """One pass over one text; `_at` is where it is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {(): 1}
        self._counts: dict[KeyPath, int] = {}  # arrays of tables: how many items so far

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return self._lines
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    # -------------------------------------------------------- structure

    def _header(self) -> KeyPath:
        """Step over `[a.b]` or `[[a.b]]`; the table that the following keys belong to."""
        line = self._line()
        array = self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        *parents, name = self._key()
        self._at += 2 if array else 1
        path: KeyPath = ()
        for parent in parents:
            path = (*path, parent)
            self._lines.setdefault(path, line)
            if path in self._counts:  # a name of an array of tables means its last item
                path = (*path, self._counts[path] - 1)
        path = (*path, name)
        self._lines.setdefault(path, line)
        if array:
            number = self._counts.get(path, 0)
            self._counts[path] = number + 1
            path = (*path, number)
            self._lines[path] = line
        return path

    def _pair(self, table: KeyPath) -> None:
        """Step over `a.b = value`."""
        line = self._line()
        path = table
        for name in self._key():
            path = (*path, name)
            self._lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> list[str]:
        """Step over a dotted key and the space on both sides of it."""
        names: list[str] = []
        while True:
            self._skip(_SPACE)
            if self._text[self._at] in "\"'":
                quoted = self._string()
                names.append(next(iter(tomllib.loads(f"{quoted} = 0"))))
            else:
                names.append(self._skip(_BARE_KEY))
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return names
            self._at += 1

    # -------------------------------------------------------- values

    def _value(self, path: KeyPath) -> None:
        opening = self._text[self._at]
        if opening in "\"'":
            self._string()
        elif opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._at += 1
        number = 0
        while self._next_item("]"):
            self._lines[*path, number] = self._line()
            self._value((*path, number))
            number += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        while self._next_item("}"):
            self._pair(path)

    def _next_item(self, closing: str) -> bool:
        """Whether another item follows; if not, step over the closing bracket."""
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK)
        if self._text[self._at] != closing:
            return True
        self._at += 1
        return False

    def _string(self) -> str:
        """Step over a string of any of the four kinds."""
        return self._skip(
            next(
                pattern
                for opening, pattern in _STRINGS
                if self._text.startswith(opening, self._at)  # one does: callers have seen a quote
            )
        )

    # -------------------------------------------------------- the cursor

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError("not a TOML text that tomllib has taken")
        self._at = found.end()
        return found.group()

    def _line(self) -> int:
        return bisect.bisect_left(self._ends, self._at) + 1
