"""A watched directory says what a scanned one says, and both say what has happened."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.sessions.changes import Changes, Scanner
from runner.sessions.trees import Trees
from runner.watching import inotify, stamps, walking

pytestmark = pytest.mark.skipif(
    not inotify.limit("max_user_watches"), reason="needs inotify: Linux, and /proc"
)


async def next_tick() -> None:
    """Until what changes is stamped later than all before, as sharply as that is told."""
    before = time.time_ns()
    while stamps.now().stamp <= before:
        await trio.sleep(0.0005)


# ---------------------------------------------------------------- the model


@attrs.define(eq=False)
class Inode:
    size: int
    modified: int
    changed: int
    links: int = 1
    was_linked: bool = False

    def state(self) -> tuple[int, int, int, int]:
        return id(self), self.size, self.modified, self.changed


@attrs.define(eq=False)
class Model:
    """Files of a real directory, and what is known to have been done to them."""

    top: Path
    aside: Path
    files: dict[str, Inode] = attrs.field(factory=dict)
    directories: list[str] = attrs.field(factory=lambda: [""])
    kept: list[Inode] = attrs.field(factory=list)  # so that no id is used again
    clock: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    def carry_out(self, operation: str, one: int, two: int) -> None:
        getattr(self, operation)(one, two)

    def new_name(self, one: int, two: int) -> str:
        return f"{self.directories[one % len(self.directories)]}n{two % 5}"

    def some_file(self, number: int) -> str | None:
        names = sorted(self.files)
        return names[number % len(names)] if names else None

    def touched(self, inode: Inode, *, modified: bool = False) -> None:
        inode.changed = next(self.clock)
        if modified:
            inode.modified = inode.changed

    def is_directory(self, path: str) -> bool:
        return path + "/" in self.directories

    def create(self, one: int, two: int) -> None:
        path = self.new_name(one, two)
        if self.is_directory(path) or path in self.files:
            return
        (self.top / path).write_bytes(b"x" * (two % 3))
        now = next(self.clock)
        self.files[path] = inode = Inode(two % 3, now, now)
        self.kept.append(inode)

    def link_symbolically(self, one: int, two: int) -> None:
        path = self.new_name(one, two)
        if self.is_directory(path) or path in self.files:
            return
        (self.top / path).symlink_to("/")
        now = next(self.clock)
        self.files[path] = inode = Inode(1, now, now)
        self.kept.append(inode)

    def edit(self, one: int, two: int) -> None:
        path = self.some_file(one)
        if path is None or (self.top / path).is_symlink():
            return
        inode = self.files[path]
        inode.size += 1 + two % 3
        with (self.top / path).open("ab") as file:
            file.write(b"y" * (1 + two % 3))
        self.touched(inode, modified=True)

    def edit_keeping_size(self, one: int, two: int) -> None:
        path = self.some_file(one)
        if path is None or (self.top / path).is_symlink() or not self.files[path].size:
            return
        with (self.top / path).open("r+b") as file:
            file.write(b"z")
        self.touched(self.files[path], modified=True)

    def edit_and_restore_mtime(self, one: int, two: int) -> None:
        path = self.some_file(one)
        if path is None or (self.top / path).is_symlink() or not self.files[path].size:
            return
        stat = (self.top / path).stat()
        with (self.top / path).open("r+b") as file:
            file.write(b"w")
        os.utime(self.top / path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        self.touched(self.files[path])

    def chmod(self, one: int, two: int) -> None:
        path = self.some_file(one)
        if path is None or (self.top / path).is_symlink():
            return
        (self.top / path).chmod(0o600 + two % 64)
        self.touched(self.files[path])

    def unlink(self, one: int, two: int) -> None:
        path = self.some_file(one)
        if path is not None:
            (self.top / path).unlink()
            self.drop(path)

    def drop(self, path: str) -> None:
        inode = self.files.pop(path)
        inode.links -= 1
        self.touched(inode)

    def make_anew(self, one: int, two: int) -> None:
        path = self.some_file(one)
        if path is None:
            return
        (self.top / path).unlink()
        self.drop(path)
        (self.top / path).write_bytes(b"v")
        now = next(self.clock)
        self.files[path] = inode = Inode(1, now, now)
        self.kept.append(inode)

    def link(self, one: int, two: int) -> None:
        path, new = self.some_file(one), self.new_name(two, one)
        if path is None or new in self.files or self.is_directory(new):
            return
        os.link(self.top / path, self.top / new, follow_symlinks=False)
        self.files[new] = inode = self.files[path]
        inode.links += 1
        inode.was_linked = True
        self.touched(inode)

    def rename(self, one: int, two: int) -> None:
        """To a new name, or over a file."""
        path, new = self.some_file(one), self.new_name(two, one)
        if path is None or self.is_directory(new):
            return
        self.move(path, new)

    def move(self, path: str, new: str) -> None:
        inode, other = self.files[path], self.files.get(new)
        (self.top / path).rename(self.top / new)
        if other is inode:
            return  # two names of one file: nothing happens
        if other is not None:
            self.drop(new)
        self.files[new] = self.files.pop(path)
        self.touched(inode)

    def swap(self, one: int, two: int) -> None:
        path, other = self.some_file(one), self.some_file(two)
        if path is None or other is None or self.files[path] is self.files[other]:
            return
        self.move(path, "swap")
        self.move(other, path)
        self.move("swap", other)

    def mkdir(self, one: int, two: int) -> None:
        path = self.new_name(one, two)
        if path not in self.files and not self.is_directory(path) and path.count("/") < 4:
            (self.top / path).mkdir()
            self.directories.append(path + "/")

    def some_directory(self, number: int) -> str | None:
        return (
            self.directories[1:][number % (len(self.directories) - 1)]
            if number and len(self.directories) > 1
            else None
        )

    def rename_directory(self, one: int, two: int) -> None:
        path, new = self.some_directory(one), self.new_name(two, one)
        if path is None or new in self.files or self.is_directory(new) or new.startswith(path):
            return
        (self.top / path).rename(self.top / new)
        self.moved(path, new + "/")

    def moved(self, path: str, new: str) -> None:
        self.directories = [
            new + each[len(path) :] if each.startswith(path) else each for each in self.directories
        ]
        self.files = {
            new + each[len(path) :] if each.startswith(path) else each: inode
            for each, inode in self.files.items()
        }

    def rmtree(self, one: int, two: int) -> None:
        path = self.some_directory(one)
        if path is None:
            return
        shutil.rmtree(self.top / path)
        self.forget(path)

    def forget(self, path: str) -> None:
        self.directories = [each for each in self.directories if not each.startswith(path)]
        for each in [each for each in self.files if each.startswith(path)]:
            self.drop(each)

    def move_out_and_back(self, one: int, two: int) -> None:
        """And change something in it while nobody looks at it by its path."""
        path, new = self.some_directory(one), self.new_name(two, one)
        if path is None or new in self.files or self.is_directory(new) or new.startswith(path):
            return
        (self.top / path).rename(self.aside / "moved")
        inner = next((each for each in sorted(self.files) if each.startswith(path)), None)
        if inner is not None:
            (self.aside / "moved" / inner[len(path) :]).unlink()
            self.drop(inner)
        (self.aside / "moved").rename(self.top / new)
        self.moved(path, new + "/")

    def replace_directory(self, one: int, two: int) -> None:
        path = self.some_directory(one)
        if path is None:
            return
        self.rmtree(one, two)
        (self.top / path).mkdir()
        self.directories.append(path)
        (self.top / path / "n0").write_bytes(b"u")
        now = next(self.clock)
        self.files[path + "n0"] = inode = Inode(1, now, now)
        self.kept.append(inode)

    def begin_turn(self) -> dict[str, tuple[int, int, int, int]]:
        for inode in self.kept:
            inode.was_linked = False
        return self.states()

    def has_hidden_links(self) -> bool:
        """Whether a file had another name for a while, of which the kernel told nothing for it."""
        return any(inode.was_linked and inode.links == 1 for inode in self.files.values())

    def states(self) -> dict[str, tuple[int, int, int, int]]:
        return {path: inode.state() for path, inode in self.files.items()}


def expected_changes(
    old: dict[str, tuple[int, int, int, int]], new: dict[str, tuple[int, int, int, int]]
) -> Changes:
    created, deleted = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    renamed: list[tuple[str, str]] = []
    for to in list(created):
        source = next((each for each in deleted if old[each][:3] == new[to][:3]), None)
        # of several links to one file, the first stands for it, and is renamed once
        if source is not None and old[source][:3] not in [old[each][:3] for each, _ in renamed]:
            renamed.append((source, to))
            created.remove(to)
    for source, _ in renamed:
        deleted.remove(source)
    return Changes(
        created=tuple(map(PurePosixPath, created)),
        modified=tuple(
            PurePosixPath(each) for each in sorted(new) if each in old and old[each] != new[each]
        ),
        deleted=tuple(map(PurePosixPath, deleted)),
        renamed=tuple((PurePosixPath(one), PurePosixPath(two)) for one, two in sorted(renamed)),
    )


OPERATIONS = sorted(
    name
    for name, value in vars(Model).items()
    if callable(value) and getattr(value, "__code__", None) is not None
    and value.__code__.co_varnames[1:3] == ("one", "two") and name != "new_name"
)  # fmt: skip
operations = st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 40), st.integers(0, 40))


@contextmanager
def trees_of(directory: Path, *, watch: bool) -> Iterator[Trees]:
    trees = Trees(Scanner(str(directory), trio.CapacityLimiter(1), watch=watch))
    trees_scanner_watches_at_once = walking.INLINE_ENTRIES
    walking.INLINE_ENTRIES = 1
    try:
        yield trees
    finally:
        walking.INLINE_ENTRIES = trees_scanner_watches_at_once
        trees.forget()


@settings(deadline=None)
@given(st.lists(st.lists(operations, max_size=12), min_size=1, max_size=4))
def test_whatever_happens_is_told_the_same_by_a_scan_and_by_a_watch(
    turns: list[list[tuple[str, int, int]]],
) -> None:
    async def main(top: Path, aside: Path) -> None:
        model = Model(top, aside)
        for number in range(6):
            model.create(0, number)
            model.mkdir(number, number + 1)
            model.create(number, number)
        with trees_of(top, watch=False) as scanned, trees_of(top, watch=True) as watched:
            for turn in turns:
                await next_tick()
                before = await scanned.before(), await watched.before()
                assert watched.is_watching
                states = model.begin_turn()
                for operation in turn:
                    model.carry_out(*operation)
                by_scan = await scanned.compare(before[0])
                by_watch = await watched.compare(before[1])
                assert expected_changes(states, model.states()) == by_scan
                hidden = by_scan.modified if model.has_hidden_links() else by_watch.modified
                assert by_scan == attrs.evolve(by_watch, modified=hidden)
                assert set(by_watch.modified) <= set(by_scan.modified)

    with tempfile.TemporaryDirectory() as top, tempfile.TemporaryDirectory() as aside:
        trio.run(main, Path(top), Path(aside))
