"""A walk through a tree, in order: one for every backend, every search and every drawing.

Model. A `Woods` can look into directories by their names from the top. `walk` goes through it depth
first and yields what it meets, in one of two orders:

    by name   names sorted; what a directory holds stands right after it
    by key    so that the paths of files come sorted as texts (`a-b` before `a/b`)

Left out are names that begin with a dot (unless `hidden`), what `.gitignore` files say (on request,
then also `.git`), and temporary files of ours. A directory that vanishes or may not be read is
empty; links are never entered.

What a caller wants of a directory's files is a function on their names, so that a name that is not
wanted costs next to nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import attrs

from runner.backends.beneath import Names
from runner.backends.files import is_temporary
from runner.backends.gitignore import Ignored, rules_of
from runner.backends.threads import breathe
from runner.messages import Drawing, Entry, FileType, Found, Tree

LONGEST_RULES = 1 << 20  # bytes of a .gitignore; a longer one holds no rules
IGNORE = ".gitignore"
_BREATH = 1000  # names that are held against rules, between two breaths


@attrs.define
class Inside:
    """The names in a directory, unsorted."""

    directories: list[str]
    files: list[str]
    others: list[str]  # links, pipes, sockets, devices


class Woods(Protocol):
    """A tree that can be looked into."""

    def inside(self, names: Names) -> Inside:
        """What is in a directory; nothing if it has vanished or may not be read."""

    def content(self, names: Names, longest: int) -> bytes:
        """The content of a small regular file; b"" if there is none, or a longer one."""


@attrs.frozen(kw_only=True)
class Way:
    """How a walk goes.

    Attributes:
        base: where it begins; what is yielded counts from the top all the same.
        depth: how many levels of names it goes down; None = all.
        hidden: whether names with a dot in front count.
        gitignore: whether what `.gitignore` files ignore is left out.
        above: the rules of the directories above the top.
        by_key: the second order.
        wants: which files (and other entries) of a directory are wanted: its path with a slash
            (or ""), and their names.
        enters: whether a directory is entered, by its path with a slash.
        left_out: is told the path of each directory that `.gitignore` files ignore.
    """

    base: Names = ()
    depth: int | None = None
    hidden: bool = False
    gitignore: bool = False
    above: Ignored | None = None
    by_key: bool = False
    wants: Callable[[str, list[str]], Iterable[str]] | None = None
    enters: Callable[[str], bool] | None = None
    left_out: Callable[[str], None] | None = None


def walk(woods: Woods, way: Way) -> Iterator[tuple[str, FileType]]:
    """What there is, in order: path from the top, and what it is (`other` for links, too)."""
    ignored = way.above
    if way.gitignore:
        for depth in range(len(way.base)):
            ignored = _with_rules(woods, way.base[:depth], ignored)
    frames = [(way.base, *_entries(woods, way, way.base, ignored))]
    while frames:
        names, prefix, ignored, rest = frames[-1]
        for name, kind in rest:
            path = prefix + name
            yield path, kind
            if kind == "directory" and (way.depth is None or len(frames) < way.depth):
                if way.enters is not None and not way.enters(path + "/"):
                    continue
                below = (*names, name)
                frames.append((below, *_entries(woods, way, below, ignored)))
                break
        else:
            frames.pop()


def _entries(
    woods: Woods, way: Way, names: Names, ignored: Ignored | None
) -> tuple[str, Ignored | None, Iterator[tuple[str, FileType]]]:
    """A directory's path with a slash, the rules in it, and what counts of it, in order."""
    prefix = "/".join(names) + "/" if names else ""
    found = woods.inside(names)
    if way.gitignore and IGNORE in found.files:
        ignored = _with_rules(woods, names, ignored)
    directories, files, others = found.directories, found.files, found.others
    if way.wants is not None:
        files = list(way.wants(prefix, files))
        others = list(way.wants(prefix, others)) if others else others
    if not way.hidden:
        directories = [each for each in directories if each[0] != "."]
        files = [each for each in files if each[0] != "."]
        others = [each for each in others if each[0] != "."]
    elif way.gitignore and ".git" in directories:
        directories = [each for each in directories if each != ".git"]
    if way.hidden:
        directories = [each for each in directories if not is_temporary(each)]
        files = [each for each in files if not is_temporary(each)]
    if not directories and not others and ignored is None:  # most directories, in large trees
        return prefix, ignored, zip(sorted(files), itertools.repeat("file"), strict=False)
    every: list[tuple[str, FileType]] = [
        *[(each, "directory") for each in directories],
        *[(each, "file") for each in files],
        *[(each, "other") for each in others],
    ]
    if ignored is not None:
        every = _not_ignored(every, ignored, prefix, way.left_out)
    every.sort(key=_key if way.by_key else None)
    return prefix, ignored, iter(every)


def _not_ignored(
    every: list[tuple[str, FileType]],
    ignored: Ignored,
    prefix: str,
    left_out: Callable[[str], None] | None,
) -> list[tuple[str, FileType]]:
    found: list[tuple[str, FileType]] = []
    for number, (name, kind) in enumerate(every):
        if number % _BREATH == _BREATH - 1:
            breathe()
        if not ignored.takes(prefix + name, is_directory=kind == "directory"):
            found.append((name, kind))
        elif kind == "directory" and left_out is not None:
            left_out(prefix + name)
    return found


def _key(entry: tuple[str, FileType]) -> str:
    return entry[0] + "/" if entry[1] == "directory" else entry[0]


def _with_rules(woods: Woods, names: Names, ignored: Ignored | None) -> Ignored | None:
    content = woods.content((*names, IGNORE), LONGEST_RULES)
    if not content:
        return ignored
    strip = len("/".join(names)) + 1 if names else 0
    return Ignored(rules_of(content), strip, "", ignored)


def rules_above(woods: Woods, names: Names) -> Ignored | None:
    """The rules of the directories above one, from the top down."""
    ignored: Ignored | None = None
    for depth in range(len(names)):
        content = woods.content((*names[:depth], IGNORE), LONGEST_RULES)
        if content:
            ignored = Ignored(rules_of(content), 0, "/".join(names[depth:]) + "/", ignored)
    return ignored


def keys(woods: Woods, prefix: str, *, limit: int) -> Found:
    """The paths of all files that begin with a text, sorted as texts."""
    base = tuple(prefix.split("/")[:-1])
    if any(each in {"", ".", ".."} or "\0" in each for each in base):
        return Found(paths=())
    way = Way(
        base=base,
        hidden=True,
        by_key=True,
        enters=lambda path: path.startswith(prefix) or prefix.startswith(path),
    )
    every = (path for path, kind in walk(woods, way) if kind == "file" and path.startswith(prefix))
    paths = tuple(itertools.islice(every, limit))
    return Found(paths=paths, omitted=sum(1 for _ in every))


def drawing(
    woods: Woods, message: Tree, above: Ignored | None, entry: Callable[[str], Entry | None]
) -> Drawing:
    """The answer to `Tree`; `entry` gives what stands at a path."""
    way = Way(depth=message.depth, hidden=message.hidden, gitignore=message.gitignore, above=above)
    every = (path for path, _ in walk(woods, way)) if message.depth != 0 else iter(())
    first = list(itertools.islice(every, message.limit))
    omitted = sum(1 for _ in every)
    entries = tuple([found for each in first if (found := entry(each)) is not None])
    return Drawing(path=message.path, entries=entries, omitted=omitted)


def is_ignored(woods: Woods, path: str, known: dict[str, Ignored | None]) -> bool:
    """Whether a file below the top is ignored, or any directory on the way to it.

    `known` has the rules above the top at "", and comes to have those of each directory.
    """
    prefix = ""
    ignored = known[""]
    for number, name in enumerate(names := path.split("/")):
        if prefix not in known or (not prefix and "/" not in known):
            ignored = known[prefix or "/"] = _with_rules(woods, tuple(names[:number]), ignored)
        ignored = known[prefix or "/"]
        last = number == len(names) - 1
        if ignored is not None and ignored.takes(prefix + name, is_directory=not last):
            return True
        prefix += name + "/"
    return False
