"""What is left of a glob below a directory. Pure.

Model. A glob means all of its alternatives (braces). Each is eaten name by name along the way down;
what is left of all of them is put together to one glob again. That glob, asked for from down there,
matches exactly what the whole one matches there from up here (`backends.search` has the rules).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import bracex

from runner.backends.beneath import Names
from runner.backends.search import compile_glob

MOST = 1000  # alternatives of one pattern: as many as wcmatch takes

_TO_QUOTE = re.compile(r"\\.|[{},]", re.DOTALL)
_MAGIC = re.compile(r"([\\*?\[\]{},!^-])")


def residual(pattern: str, names: Names, *, hidden: bool) -> str | None:
    """What is left of a usable glob below `names`; None if nothing there can match."""
    directories = pattern.endswith("/")
    found: dict[Names, None] = {}
    for each in bracex.iexpand(pattern, keep_escapes=True, limit=MOST):
        if each.startswith("/") or (each.endswith("/") and not directories):
            continue  # such an alternative matches nothing (unless every one ends so)
        parts = tuple([name for name in each.split("/") if name not in {"", "."}])
        found.update(dict.fromkeys(_left(parts, names, hidden=hidden)))
    texts = ["/".join(rest) for rest in found if rest]
    if not texts:
        return None
    end = "/" if directories else ""
    if len(texts) == 1:
        return _joined(texts[0]) + end
    return "{" + ",".join(_joined(each) for each in texts) + "}" + end


def quoted(name: str) -> str:
    """A glob that matches one name and nothing else."""
    return _MAGIC.sub(r"\\\1", name)


def _joined(text: str) -> str:
    """An alternative, so that its commas and braces mean themselves among others."""
    return _TO_QUOTE.sub(lambda found: found[0] if found[0][0] == "\\" else "\\" + found[0], text)


def _left(pattern: Names, names: Names, *, hidden: bool) -> Iterator[Names]:
    if not names:
        yield pattern
    elif pattern and pattern[0] == "**":
        yield from _left(pattern[1:], names, hidden=hidden)
        if hidden or names[0][0] != ".":
            yield from _left(pattern, names[1:], hidden=hidden)
    elif pattern and compile_glob(pattern[0], hidden=hidden).matches(names[0]):
        yield from _left(pattern[1:], names[1:], hidden=hidden)
