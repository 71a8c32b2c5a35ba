"""Which of a workspace's changes are taken, by globs: a part of what was changed, as a tree.

    *.md         a glob without a slash is one for names, at any depth
    docs/**      all that is in a directory; so is `docs`, or `docs/`
    /setup.py    one that begins with a slash is one for the top only

A path is taken if a glob of `include` matches it, or a directory that it is in (or there are none),
and no glob of `exclude` does. What was renamed is a deletion and an addition here, each taken or
not by its own path.

Pure. Recursive as the tree is deep, as merging.py is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

import attrs
from wcmatch import glob

from runner.errors import ConfigError
from runner.workspaces.comparing import Listing, is_same
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import Object, ObjectId

Wanted: TypeAlias = Callable[[str], bool]
_FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.BRACE | glob.FORCEUNIX


def everything(_path: str) -> bool:
    """Take all there is."""
    return True


def make_wanted(include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Wanted:
    """What globs want.

    Raises:
        ConfigError: one of them cannot be meant, or they are not several.
    """
    taken, left = _regex("include", include), _regex("exclude", exclude)
    if taken is None and left is None:
        return everything

    def wanted(path: str) -> bool:
        ways = list(_ways(path))
        if left is not None and any(map(left.fullmatch, ways)):
            return False
        return taken is None or any(map(taken.fullmatch, ways))

    return wanted


def _ways(path: str) -> Iterable[str]:
    """The path, and the directories above it."""
    yield path
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _regex(what: str, given: Iterable[str]) -> re.Pattern[str] | None:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(f"{what}={given!r}: it is a list of globs")
    parts = [part for each in given for part in _translated(what, each)]
    return re.compile("|".join(f"(?:{each})" for each in parts)) if parts else None


def _translated(what: str, given: object) -> list[str]:
    if not isinstance(given, str) or not given.strip("/") or "\0" in given:
        raise ConfigError(f"{what}: {given!r} is no glob of paths")
    is_top = given.startswith("/")
    plain = given.removeprefix("./").strip("/")
    if {"", ".", ".."} & set(plain.split("/")):
        raise ConfigError(f"{what}: {given!r}: globs are relative to the workspace")
    at_any_depth = 0 if is_top else glob.MATCHBASE
    try:
        return glob.translate(plain, flags=_FLAGS | at_any_depth)[0]
    except Exception as exc:  # noqa: BLE001 - what it raises has no public name
        raise ConfigError(f"{what}: {given!r} cannot be used: {exc}") from None


def select(
    listing: Listing, before: ObjectId, after: ObjectId, wanted: Wanted
) -> tuple[ObjectId, tuple[Object, ...]]:
    """The tree that only those changes have made that are wanted.

    Args:
        listing: the entries of a directory.
        before: the tree without any of the changes.
        after: the tree with all of them.
        wanted: says which, by their paths.

    Returns:
        Its root, and the objects that may be new to the store.
    """
    if wanted is everything:
        return after, ()
    selecting = _Selecting(listing, wanted)
    root = selecting.directory("", before, after)
    return root, (EMPTY, *selecting.objects.values())


@attrs.frozen
class _Selecting:
    listing: Listing
    wanted: Wanted
    objects: dict[ObjectId, Object] = attrs.field(factory=dict)

    def directory(self, path: str, before: ObjectId, after: ObjectId) -> ObjectId:
        if before == after:
            return before
        olds, news = self._entries(before), self._entries(after)
        entries = []
        for name in olds.keys() | news.keys():
            below = f"{path}/{os.fsdecode(name)}" if path else os.fsdecode(name)
            entry = self._entry(below, olds.get(name), news.get(name))
            if entry is not None:
                entries.append(entry)
        made = encode(entries)
        self.objects[made.id] = made
        return made.id

    def _entries(self, id_: ObjectId) -> dict[bytes, Entry]:
        return {} if id_ == EMPTY.id else {each.name: each for each in self.listing(id_)}

    def _entry(self, path: str, old: Entry | None, new: Entry | None) -> Entry | None:
        if is_same(old, new):
            return old
        if _is_directory(old) or _is_directory(new):
            return self._with_directory(path, old, new)
        return new if self.wanted(path) else old

    def _with_directory(self, path: str, old: Entry | None, new: Entry | None) -> Entry | None:
        """A directory comes, goes, stays, or takes the place of something else."""
        others = [each for each in (old, new) if each is not None and not _is_directory(each)]
        if others:  # its path decides: there is only one of them at a time
            if not self.wanted(path):
                return old
            old = old if _is_directory(old) else None
            if new in others:
                inside = self.directory(path, _id(old), EMPTY.id)
                return new if inside == EMPTY.id else old and attrs.evolve(old, id=inside)
        inside = self.directory(path, _id(old), _id(new))
        shown = new if new is not None and (old is None or self.wanted(path)) else old
        assert shown is not None
        if inside == EMPTY.id and not others and (old is None or new is None):
            is_all = _id(old) == _id(new)  # nothing was in it: then its own path decides
            is_there = is_all and self.wanted(path) is (old is None)
            return shown if is_there else None
        return attrs.evolve(shown, id=inside)


def _is_directory(entry: Entry | None) -> bool:
    return entry is not None and entry.type is EntryType.DIRECTORY


def _id(entry: Entry | None) -> ObjectId:
    return EMPTY.id if entry is None else entry.id
