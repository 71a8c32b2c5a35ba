from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import attrs
import pytest

import runner
from runner.workspaces.listing import EMPTY, Entry, EntryType, decode, encode
from runner.workspaces.objects import (
    CHUNK,
    NO_ID,
    Kind,
    Object,
    ObjectId,
    chunk,
    chunks,
    content,
    decode_chunks,
)


@attrs.frozen
class Link:
    target: bytes


@attrs.frozen
class Fifo:
    mode: int = 0o644


@attrs.frozen
class File:
    data: bytes
    mode: int = 0o644
    group: int = 0


@attrs.frozen
class Directory:
    entries: Mapping[bytes, Node]
    mode: int = 0o755


Node: TypeAlias = "bytes | File | Link | Fifo | Directory | Mapping[bytes, Node]"


class Trees:
    """Trees in memory: what a store is to those who compare."""

    Link, Fifo, File, Directory = Link, Fifo, File, Directory

    def __init__(self) -> None:
        self.objects = {EMPTY.id: EMPTY}
        self.read = 0

    def root(self, entries: Mapping[bytes, Node]) -> ObjectId:
        return self.put(encode([self.entry(name, each) for name, each in entries.items()]))

    def put(self, made: Object) -> ObjectId:
        self.objects[made.id] = made
        return made.id

    def entry(self, name: bytes, node: Node) -> Entry:
        match node:
            case bytes():
                return self.entry(name, File(node))
            case File(data, mode, group):
                return Entry(name, EntryType.FILE, mode, self.file(data), len(data), group)
            case Link(target):
                return Entry(name, EntryType.LINK, 0, self.put(content(target)))
            case Fifo(mode):
                return Entry(name, EntryType.FIFO, mode, NO_ID)
            case Directory(entries, mode):
                return Entry(name, EntryType.DIRECTORY, mode, self.root(entries))
            case _:
                return self.entry(name, Directory(node))

    def file(self, data: bytes) -> ObjectId:
        if len(data) <= CHUNK:
            return self.put(content(data))
        parts = [chunk(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)]
        ids = [None if each is None else self.put(each) for each in parts]
        return self.put(chunks(len(data), ids))

    def listing(self, id_: ObjectId) -> tuple[Entry, ...]:
        return decode(self.objects[id_].data)

    def content(self, id_: ObjectId) -> Iterator[bytes | int]:
        self.read += 1
        found = self.objects[id_]
        if found.kind is Kind.CONTENT:
            yield found.data
            return
        listed = decode_chunks(found.data)
        for number, each in enumerate(listed.ids):
            yield listed.length(number) if each is None else self.objects[each].data

    def whole(self, id_: ObjectId) -> bytes:
        return b"".join(
            each if isinstance(each, bytes) else bytes(each) for each in self.content(id_)
        )

    def nodes(self, root: ObjectId) -> dict[bytes, Node]:
        """Back from a root to what it was made of."""
        return {each.name: self.node(each) for each in self.listing(root)}

    def node(self, entry: Entry) -> Node:
        match entry.type:
            case EntryType.FILE:
                return File(self.whole(entry.id), entry.mode, entry.group)
            case EntryType.LINK:
                return Link(self.whole(entry.id))
            case EntryType.FIFO:
                return Fifo(entry.mode)
            case EntryType.DIRECTORY:
                return Directory(self.nodes(entry.id), entry.mode)

    def write(self, root: ObjectId, directory: str) -> None:
        """Put a tree into a directory that is there."""
        for entry in self.listing(root):
            path = os.path.join(os.fsencode(directory), entry.name)
            match entry.type:
                case EntryType.FILE:
                    with open(path, "wb") as file:
                        file.write(self.whole(entry.id))
                    os.chmod(path, entry.mode)
                case EntryType.LINK:
                    os.symlink(self.whole(entry.id), path)
                case EntryType.FIFO:
                    os.mkfifo(path, entry.mode)
                case EntryType.DIRECTORY:
                    os.mkdir(path)
                    self.write(entry.id, os.fsdecode(path))
                    os.chmod(path, entry.mode)

    def take(self, directory: str) -> ObjectId:
        """The root of a directory as it is."""
        found = []
        with os.scandir(os.fsencode(directory)) as entries:
            for each in entries:
                mode = each.stat(follow_symlinks=False).st_mode & 0o7777
                node: Node
                if each.is_symlink():
                    node = Link(os.readlink(each.path))
                elif each.is_dir():
                    root = self.take(os.fsdecode(each.path))
                    found.append(Entry(each.name, EntryType.DIRECTORY, mode, root))
                    continue
                elif each.is_file():
                    with open(each.path, "rb") as file:
                        node = File(file.read(), mode)
                else:
                    node = Fifo(mode)
                found.append(self.entry(each.name, node))
        return self.put(encode(found))


@attrs.frozen
class Chance:
    """Small random trees, with few names and contents, so that they have much in common."""

    random: random.Random
    names: tuple[bytes, ...] = (b"a", b"b", b"c.txt", b"d")
    contents: tuple[bytes, ...] = (
        b"",
        b"one\n",
        b"one\ntwo\n",
        b"two",
        b"x\0y",
        b"1\n2\n3\n4\n5\n6\n",
    )
    modes: tuple[int, ...] = (0o644, 0o644, 0o755)
    is_git: bool = False  # only what git knows

    def tree(self, depth: int = 3) -> dict[bytes, Node]:
        names = [each for each in self.names if self.random.random() < 0.7]
        made = {each: self.node(depth) for each in names}
        return {name: each for name, each in made.items() if each != {} or not self.is_git}

    def node(self, depth: int) -> Node:
        kind = self.random.random()
        if kind < 0.4 and depth:
            below = self.tree(depth - 1)
            return below if self.is_git else Directory(below, self.random.choice((0o755, 0o700)))
        if kind < 0.5:
            return Link(self.random.choice((b"a", b"../b", b"/nowhere")))
        if kind < 0.55 and not self.is_git:
            return Fifo()
        return File(self.random.choice(self.contents), self.random.choice(self.modes))

    def changed(self, tree: Mapping[bytes, Node], depth: int = 3) -> dict[bytes, Node]:
        """The tree, with some of it in another way."""
        found: dict[bytes, Node] = {}
        for name, each in tree.items():
            match each:
                case Directory(entries, mode) if self.random.random() < 0.9:
                    found[name] = Directory(self.changed(entries, depth - 1), mode)
                case Mapping() if self.random.random() < 0.9:
                    found[name] = self.changed(each, depth - 1)
                case _:
                    fate = self.random.random()
                    if fate < 0.6:
                        found[name] = each
                    elif fate < 0.8:
                        found[name] = self.node(max(0, depth - 1))
        for name in self.names:
            if name not in tree and self.random.random() < 0.15:
                found[name] = self.node(max(0, depth - 1))
        return {name: each for name, each in found.items() if each != {} or not self.is_git}


@pytest.fixture
def trees() -> Trees:
    return Trees()


@pytest.fixture
def chance() -> type[Chance]:
    return Chance


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A project's directory with a few files."""
    path = tmp_path / "app"
    (path / "src").mkdir(parents=True)
    (path / "src/a.py").write_text("one\n")
    (path / "b.txt").write_text("b\n")
    return path


@pytest.fixture
async def r(tmp_path: Path) -> AsyncIterator[runner.Runner]:
    async with runner.open_runner(state=tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def project(r: runner.Runner, base: Path) -> runner.Project:
    return r.project(base)


@pytest.fixture(params=["overlay", "copy"])
def way(request: pytest.FixtureRequest) -> str:
    """How a workspace's live tree is made."""
    return request.param


@pytest.fixture
def said() -> Callable[[Iterable[object]], list[str]]:
    """Changes as texts."""
    return lambda changes: [str(each) for each in changes]
