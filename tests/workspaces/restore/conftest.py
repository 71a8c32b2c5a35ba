"""What the tests of restore and batch share: a store, and trees with everything odd in them."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from runner.workspaces.examining import content_id
from runner.workspaces.listing import Entry, EntryType, encode
from runner.workspaces.objects import CHUNK, NO_ID, Object, ObjectId, chunk, chunks, content
from runner.workspaces.store import Store

Capture: TypeAlias = Callable[[Store, str], ObjectId]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A real one."""
    with contextlib.closing(Store.open(str(tmp_path / "store.db"))) as store:
        yield store


@pytest.fixture
def live(tmp_path: Path) -> str:
    """A live tree that is empty, in the directory of a workspace."""
    tree = tmp_path / "workspace" / "tree"
    tree.mkdir(parents=True)
    return str(tree)


def objects_of(path: bytes) -> Iterator[Object]:
    """The content of a file; of a large one, its list of chunks last."""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) <= CHUNK:
        yield content(data)
        return
    found = [chunk(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)]
    yield from (each for each in found if each is not None)
    yield chunks(len(data), [None if each is None else each.id for each in found])


def captured(store: Store, path: bytes) -> Object:
    """The simplest capture there can be."""
    entries = []
    for each in os.scandir(path):
        status = each.stat(follow_symlinks=False)
        mode, size, group = status.st_mode & 0o1777, 0, 0
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            group = status.st_ino
        if stat.S_ISDIR(status.st_mode):
            kind, id_ = EntryType.DIRECTORY, captured(store, each.path).id
        elif stat.S_ISLNK(status.st_mode):
            found = content(os.readlink(each.path))
            store.put([found])
            kind, id_, mode = EntryType.LINK, found.id, 0
        elif stat.S_ISFIFO(status.st_mode):
            kind, id_ = EntryType.FIFO, NO_ID
        elif stat.S_ISREG(status.st_mode):
            if status.st_size > 64 * CHUNK:  # holes: nobody reads them
                raise AssertionError("make the entry of a huge file by hand")
            objects = list(objects_of(each.path))
            store.put(objects)
            kind, id_, size = EntryType.FILE, objects[-1].id, status.st_size
        else:
            continue
        entries.append(Entry(each.name, kind, mode, id_, size, group))
    found = encode(entries)
    store.put([found])
    return found


@pytest.fixture
def capture() -> Capture:
    """The root of a tree as it is now, put into the store."""

    def take(store: Store, path: str) -> ObjectId:
        return captured(store, os.fsencode(path)).id

    return take


@pytest.fixture
def seen() -> Callable[[str], dict[bytes, tuple[object, ...]]]:
    """All of a tree: type, mode, content, and which names are one file. Without the store."""

    def look(path: str) -> dict[bytes, tuple[object, ...]]:
        top = os.fsencode(path)
        found: dict[bytes, tuple[object, ...]] = {}
        files: dict[int, bytes] = {}
        for above, directories, names in os.walk(top):
            for name in sorted([*directories, *names]):
                whole = os.path.join(above, name)
                status = os.lstat(whole)
                kind = stat.S_IFMT(status.st_mode)
                mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode)
                what: object = None
                if kind == stat.S_IFREG:
                    fd = os.open(above, os.O_PATH)
                    what = (status.st_size, content_id(fd, os.fsdecode(name)))
                    os.close(fd)
                elif kind == stat.S_IFLNK:
                    what = os.readlink(whole)
                inner = os.path.relpath(whole, top)
                first = b"" if kind == stat.S_IFDIR else files.setdefault(status.st_ino, inner)
                found[inner] = (kind, mode, what, first if first != inner else b"")
        return found

    return look


LONG = b"n" * 255


def write(path: bytes, data: bytes, mode: int = 0o644) -> None:
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)


@pytest.fixture
def odd_before() -> Callable[[str], None]:
    """Make everything odd that a tree can have."""

    def make(path: str) -> None:
        top = os.fsencode(path) + b"/"
        for each in (b"a/b/c", b"empty", b"locked/inner", b"was-directory", b"links"):
            os.makedirs(top + each)
        write(top + b"a/kept.txt", b"kept")
        write(top + b"a/changed.txt", b"old")
        write(top + b"a/gone.txt", b"gone")
        write(top + b"a/b/c/deep.txt", b"deep")
        write(top + b"tool", b"#!/bin/sh\n", 0o755)
        write(top + b"secret", b"secret", 0o400)
        write(top + b"locked/file", b"locked")
        write(top + b"locked/inner/file", b"inner")
        write(top + b"was-directory/file", b"in it")
        write(top + b"was-file", b"a file")
        write(top + LONG, b"long")
        write(top + b"not utf-8 \xff\xfe", b"name")
        write(top + b"new\nline -", b"name")
        write(top + b"links/one", b"one file")
        os.link(top + b"links/one", top + b"links/two")
        os.link(top + b"links/one", top + b"a/three")
        write(top + b"links/alone", b"alone")
        os.symlink(b"/etc/passwd", top + b"absolute")
        os.symlink(b"nowhere", top + b"dangling")
        os.symlink(b"loop", top + b"loop")
        os.symlink(b"a", top + b"link-to-directory")
        os.mkfifo(top + b"fifo", 0o640)
        os.chmod(top + b"locked/inner", 0o500)
        os.chmod(top + b"locked", 0o555)

    return make


@pytest.fixture
def odd_change() -> Callable[[str], None]:
    """Change all of that in every way."""

    def change(path: str) -> None:
        top = os.fsencode(path) + b"/"
        write(top + b"a/changed.txt", b"a new content")
        os.unlink(top + b"a/gone.txt")
        write(top + b"a/added.txt", b"added")
        os.chmod(top + b"tool", 0o644)
        os.chmod(top + b"secret", 0o600)
        write(top + b"locked/file", b"changed all the same")
        write(top + b"locked/new", b"new")
        os.unlink(top + b"locked/inner/file")
        os.chmod(top + b"locked/inner", 0o700)
        os.unlink(top + b"was-directory/file")
        os.rmdir(top + b"was-directory")
        write(top + b"was-directory", b"a file now")
        os.unlink(top + b"was-file")
        os.makedirs(top + b"was-file/with/more")
        write(top + b"was-file/with/more/in-it", b"x", 0o600)
        os.chmod(top + b"was-file/with", 0o511)
        os.rmdir(top + b"empty")
        os.unlink(top + LONG)
        os.mkdir(top + LONG)
        write(top + LONG + b"/" + LONG, b"longer")
        write(top + b"not utf-8 \xff\xfe", b"changed")
        os.unlink(top + b"links/two")
        write(top + b"links/two", b"one file")
        os.unlink(top + b"links/alone")
        os.link(top + b"links/one", top + b"links/alone")
        os.unlink(top + b"link-to-directory")
        os.mkdir(top + b"link-to-directory")
        write(top + b"link-to-directory/kept.txt", b"its own")
        shutil.move(os.fsdecode(top + b"a/b"), os.fsdecode(top + b"moved"))
        os.symlink(b"/tmp", top + b"a/b")
        os.unlink(top + b"absolute")
        os.symlink(b"a", top + b"absolute")
        os.unlink(top + b"fifo")
        os.mkfifo(top + b"new-fifo", 0o600)

    return change
