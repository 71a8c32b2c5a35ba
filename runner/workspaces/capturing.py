"""From a live tree to the id of its root: every object of it is in the store by then.

    hints   a large tree is watched: only what the kernel hints at is looked at, and only what was
            written to is read. In doubt (hints were lost, the tree was replaced, our share of the
            system's watches is used up) it is
    scan    walked through, and what is not as it was is read. A small tree always is
    upper   of an overlay, only its upper directory is walked through (uppers.py)

A tree is never still for sure: each file is what it was at one moment, all of them between the
beginning and the end of `take`. What is written later shows in the next one.

A file counts as it was if inode, size, mtime, ctime, mode and links are as they were, unless its
last change came too shortly before it was looked at for the next one to look different (stamps.py;
git's "racily clean"). Where files are stamped by another machine, that is two seconds before the
newest stamp in the tree. What no state tells is a write through a shared mapping (reading.py): a
hint does when the mapping ends; `reread=True` reads everything.

Left out, and said: sockets, devices, what cannot be read, files of more than a TiB. Left out, not
said: what the patterns leave out, and our own temporary files. No part of it: owners, times,
extended attributes, setuid, setgid, the top directory's mode.

What is known is saved per directory, so that the next one begins with one walk and reads nothing
that has not changed. Everything here is synchronous, for a thread, one call at a time.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import attrs

from runner.watching import stamps, walking
from runner.watching.allowance import Allowance
from runner.watching.columns import State
from runner.watching.files import Tree, parent
from runner.watching.patterns import Rules, make_rules
from runner.watching.walking import Walk, advance_inline
from runner.watching.watch import Watch
from runner.workspaces.assembling import Assembly, Below
from runner.workspaces.handing import Handing
from runner.workspaces.hinting import begin_watch
from runner.workspaces.known import Memory
from runner.workspaces.listing import Entry
from runner.workspaces.objects import ObjectId
from runner.workspaces.reading import Reader
from runner.workspaces.rounds import Round, fresh_of_others
from runner.workspaces.store import Store

# From the top of a tree, as the file system has it.
Path: TypeAlias = bytes
How: TypeAlias = Literal["hints", "scan", "upper"]

# What is known is saved before the end if so many files were read for it.
WORTH_SAVING = 256


@attrs.frozen
class Skipped:
    """Something that is left out.

    Attributes:
        path: of it.
        why: for people.
    """

    path: Path
    why: str


@attrs.frozen
class Captured:
    """A live tree as it was.

    Attributes:
        root: of it; all objects are in the store.
        files: how many it has, links and fifos too.
        bytes: of these files.
        hashed: how many of them were read for it.
        unstable: files that were written to all the while: they are as they were read.
        skipped: what is left out.
        how: it was looked at.
        since: how often anything had been dropped from the store when it began; -1 = who knows.
    """

    root: ObjectId
    files: int
    bytes: int
    hashed: int
    unstable: tuple[Path, ...]
    skipped: tuple[Skipped, ...]
    how: How
    since: int = attrs.field(default=-1, eq=False)


def go_on() -> None:
    """Nobody wants it to end."""


class Capture:
    """What is known of one live tree, and what it takes to know it again.

    Owned by one; what it holds of the system (watches) is given back by `close`.
    """

    def __init__(
        self,
        tree: str,
        store: Store,
        workspace: str | None,
        *,
        ignore: Rules | Sequence[str] = (),
        watch: bool = True,
        allowance: Allowance | None = None,
        below: Below | None = None,
    ) -> None:
        """Nothing is looked at yet.

        Args:
            tree: the directory, absolute.
            store: where its objects go.
            workspace: under which what is known of the tree is saved; None = it is not.
            ignore: what is left out; patterns, or what `make_rules` made of them.
            watch: whether a large tree may be watched.
            allowance: how many watches there may be, shared by all that have the same; None = as
                many as the system lets one of us have.
            below: what is below the tree, if that is the upper directory of an overlay.
        """
        self._tree = tree
        self._store = store
        self._rules = ignore if isinstance(ignore, Rules) else make_rules(ignore)
        self._may_watch = watch and below is None
        self._allowance = Allowance() if allowance is None else allowance
        self._watch: Watch | None = None
        self._written: set[str] = set()
        self._unsaved = 0
        self._lock = threading.Lock()
        self._memory = Memory(store, workspace, b"" if below is None else below.root)
        self._assembly = Assembly(tree, self._memory, self._rules.omits_file, below)

    def take(
        self,
        *,
        verify: bool = False,
        reread: bool = False,
        check: Callable[[], object] = go_on,
    ) -> Captured:
        """The tree as it is now. Not within a transaction: a second thread may write as well.

        Args:
            verify: trust no hints: look at everything.
            reread: trust no state of a file either: read everything.
            check: is called now and then, in this thread; what it raises ends the capture.

        Raises:
            StoreError: the store cannot keep it.
            OSError: the top directory cannot be read.
        """
        with self._lock:
            if verify or reread:
                self._unwatch()
            if reread:
                self._memory.forget()
            else:
                self._memory.recall()
            tree, how = self._look(check)
            if "" not in tree.folders:
                self._unwatch()
                os.close(os.open(self._tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                raise OSError(errno.EIO, "the directory cannot be read to its end", self._tree)
            return self._assemble(tree, how, check)

    def glance(self) -> Tree | None:
        """The files of the tree as hints have them; None where there are none just now.

        It may be called beside `take`, and so may `known`.
        """
        if self._watch is None or not self._lock.acquire(blocking=False):
            return None
        try:
            if self._watch is None or not self._watch.is_true:
                return None
            for _ in self._watch.look():
                pass
            return self._watch.tree.copy() if self._watch.is_true else None
        finally:
            self._lock.release()

    def watch(self, most: int) -> bool:
        """Have hints from now on, if it has no more entries than that; whether there are some."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._watch is None:
                self._watch = begin_watch(self._make_watch(), most)
            return self._watch is not None
        finally:
            self._lock.release()

    def known(self, states: Mapping[str, State | None]) -> dict[str, Entry]:
        """What was captured of these files, of which each is still in the state that it had."""
        if not self._lock.acquire(blocking=False):
            return {}
        try:
            self._memory.recall()
            return self._known(states)
        finally:
            self._lock.release()

    def _known(self, states: Mapping[str, State | None]) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for prefix in {parent(path) for path in states}:
            known = self._memory.known.get(prefix)
            if known is None:
                continue
            files = known.folder.files()
            for each in self._store.listing(known.id):
                name = os.fsdecode(each.name)
                state = states.get(prefix + name)
                if state is not None and files.get(name) == state and name not in known.doubts:
                    found[prefix + name] = each
        return found

    def note(self, paths: Iterable[str]) -> None:
        """These files are written to: read them again, whatever they look like."""
        self._written.update(paths)

    def close(self) -> None:
        """Save what is known, and hold nothing any more. It may be used again."""
        with self._lock:
            self._unwatch()
            self._memory.save()

    # ------------------------------------------------------------ looking

    def _look(self, check: Callable[[], object]) -> tuple[Tree, How]:
        if self._watch is not None:
            for _ in self._watch.look():
                check()
            if self._watch.is_true:
                return self._watch.tree, "hints"
            self._unwatch()
        return self._walk(check), "scan" if self._assembly.below is None else "upper"

    def _walk(self, check: Callable[[], object]) -> Tree:
        walk = Walk(self._tree, self._rules)
        try:
            if advance_inline(walk):
                return walk.tree
        finally:
            walk.close()
        watch = self._make_watch()
        begun = None if watch is None else watch.start()
        walk = begun or Walk(self._tree, self._rules)
        try:
            while not walk.advance(walking.CHUNK, float("inf")):
                check()
            if watch is not None and begun is not None and watch.started():
                self._watch, watch = watch, None
        finally:
            walk.close()
            if watch is not None:
                watch.close()
        return walk.tree

    def _make_watch(self) -> Watch | None:
        if not self._may_watch or not stamps.file_system(self._tree).local:
            return None
        return Watch(self._tree, self._rules, self._allowance, self._written)

    def _unwatch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    # ------------------------------------------------------------ assembling

    def _assemble(self, tree: Tree, how: How, check: Callable[[], object]) -> Captured:
        tree.fresh |= fresh_of_others(tree)
        written = frozenset(self._written)
        try:
            with Handing(self._store) as handing:
                round_ = self._assembly.assemble(tree, written, Reader(handing.keep, check))
        except BaseException:
            self._memory.lose()
            raise
        self._written -= written
        tree.fresh = set()
        self._unsaved += round_.hashed
        if self._unsaved >= WORTH_SAVING:
            self._unsaved = 0
            self._memory.save()
        return self._captured(tree, round_, how)

    def _captured(self, tree: Tree, round_: Round, how: How) -> Captured:
        top = self._memory.known[""]
        skipped = [*self._assembly.skipped(), *((each, self._why(each)) for each in tree.closed)]
        return Captured(
            root=top.id,
            files=top.files,
            bytes=top.bytes,
            hashed=round_.hashed,
            unstable=tuple(map(os.fsencode, sorted(round_.unstable))),
            skipped=tuple(Skipped(os.fsencode(path), why) for path, why in sorted(skipped)),
            how=how,
            since=self._memory.drops,
        )

    def _why(self, closed: str) -> str:
        try:
            os.close(os.open(f"{self._tree}/{closed}", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as exc:
            return f"a directory that cannot be read: {exc.strerror}"
        return "a directory that could not be read to its end"
