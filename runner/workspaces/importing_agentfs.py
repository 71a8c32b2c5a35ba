"""The tree of a single-file database of AgentFS (its SPEC, schema 0.4), read into a store.

What is imported is not trusted: names that no file can have, directories in a circle, inodes that
are not there and chunks that do not fit are a `StoreDamaged`. The layer of an overlay (whiteouts
over a base that is not in the file) is refused. Chunks that are not there are holes. Sockets and
devices are no part of a tree. Key-values and tool calls are read for who wants them (`read_rows`).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from runner.errors import StoreDamaged, StoreError
from runner.workspaces.exporting_agentfs import KINDS, PIECE, ROOT, cut, errors
from runner.workspaces.listing import MODES, Entry, EntryType, encode
from runner.workspaces.objects import CHUNK, NO_ID, Object, ObjectId, chunk, chunks, content

LARGEST = 1 << 40  # bytes that a file may say it has: holes cost the database nothing
_AT_ONCE = 512  # objects in one transaction
_CALL = ["name", "parameters", "result", "error", "started_at", "completed_at", "duration_ms"]
_TYPES = {kind: type_ for type_, kind in KINDS.items()}
_LEFT_AS_IT_IS = frozenset(
    b"/._-" + bytes(range(48, 58)) + bytes(range(65, 91)) + bytes(range(97, 123))
)


def import_agentfs(
    path: str | os.PathLike[str], put: Callable[[Iterable[Object]], object]
) -> ObjectId:
    """Read the tree of an AgentFS database.

    Args:
        path: of the file; it is only read.
        put: takes objects, some at a time; the root's own listing is the last of all.

    Returns:
        The root.

    Raises:
        StoreError: it is no such database, or one of an overlay.
        StoreDamaged: what is in it does not fit together.
    """
    with _opened(path) as (database, where):
        return _Reading(database, put, where).root()


def read_rows(
    path: str | os.PathLike[str],
) -> tuple[list[tuple[str, str, int]], list[dict[str, Any]]]:
    """The values of an AgentFS database (key, JSON, when), and its calls of tools, in their order.

    Raises:
        StoreError: it is no such database.
    """
    with _opened(path) as (database, _):
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        values, calls = [], []
        if "kv_store" in tables:
            sql = "SELECT key, value, created_at FROM kv_store ORDER BY created_at, rowid"
            values = database.execute(sql).fetchall()
        if "tool_calls" in tables:
            sql = f"SELECT {', '.join(_CALL)} FROM tool_calls ORDER BY id"  # noqa: S608 - constants
            calls = [dict(zip(_CALL, row, strict=True)) for row in database.execute(sql)]
        return values, calls


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[sqlite3.Connection, str]]:
    """A database that is only read: one state of it, whoever writes meanwhile."""
    where = os.path.abspath(os.fspath(path))
    with errors(where):
        # As a URI, so that nothing is made where nothing is; only these stand for themselves.
        name = "".join(
            chr(each) if each in _LEFT_AS_IT_IS else f"%{each:02x}" for each in os.fsencode(where)
        )
        database = sqlite3.connect(f"file:{name}?mode=ro", uri=True, isolation_level=None)
        with contextlib.closing(database):
            database.execute("BEGIN")
            yield database, where


class _Reading:
    """One import."""

    def __init__(
        self,
        database: sqlite3.Connection,
        put: Callable[[Iterable[Object]], object],
        where: str,
    ) -> None:
        self._database = database
        self._put = put
        self._where = where
        self._seen = {ROOT}
        self._piece = PIECE
        # What is to be put: one transaction for each file would be most of the time.
        self._waiting: list[Object] = []
        self._size = 0

    def root(self) -> ObjectId:
        self._look()
        # Directories are finished from the bottom up: an entry names a listing that is there.
        below: dict[int, list[Entry]] = {ROOT: []}
        todo: list[tuple[int, bool, bytes, int, int]] = [(ROOT, False, b"", 0, 0)]
        while todo:
            number, is_done, name, mode, parent = todo.pop()
            if not is_done:
                todo.append((number, True, name, mode, parent))
                todo += self._open(number, below)
                continue
            made = self._listing(below.pop(number))
            if number == ROOT:
                self._put(self._waiting)
                return made
            below[parent].append(Entry(name, EntryType.DIRECTORY, mode & MODES, made))
        raise AssertionError("the root is the last")  # pragma: no cover - it is

    def _look(self) -> None:
        tables = {name for (name,) in self._rows("SELECT name FROM sqlite_master")}
        if not {"fs_config", "fs_inode", "fs_dentry", "fs_data", "fs_symlink"} <= tables:
            what = "it is no AgentFS database: the tables of one are not in it"
            raise StoreError(what, self._where, "name a file that AgentFS made")
        if [*self._rows("PRAGMA encoding")] != [("UTF-8",)]:
            raise StoreError("its text is not UTF-8", self._where, "name a file that AgentFS made")
        if "fs_whiteout" in tables and list(self._rows("SELECT 1 FROM fs_whiteout LIMIT 1")):
            what = "it is what changed over a base that is not in the file"
            raise StoreError(what, self._where, "import a database without a base")
        for (value,) in self._rows("SELECT value FROM fs_config WHERE key = 'chunk_size'"):
            if not str(value).isdecimal() or not int(value):
                raise self._damaged(f"the size of chunks is {value!r}")
            self._piece = int(value)

    def _rows(self, query: str, *values: int) -> sqlite3.Cursor:
        return self._database.execute(query, values)

    def _damaged(self, what: str) -> StoreDamaged:
        return StoreDamaged(what, self._where)

    def _open(
        self, parent: int, below: dict[int, list[Entry]]
    ) -> Iterator[tuple[int, bool, bytes, int, int]]:
        """What is in a directory: other directories come back, the rest is read."""
        query = (
            "SELECT CAST(d.name AS BLOB), d.ino, i.mode, i.nlink, i.size FROM fs_dentry d "
            "LEFT JOIN fs_inode i ON i.ino = d.ino WHERE d.parent_ino = ? ORDER BY d.name"
        )
        for name, number, mode, links, size in self._rows(query, parent).fetchall():
            if mode is None:
                raise self._damaged(f"the name {name!r} has no inode")
            if not all(isinstance(each, int) for each in (number, mode, links, size)):
                raise self._damaged(f"the inode of {name!r} has something else for a number")
            if not 0 <= size <= LARGEST:
                raise self._damaged(f"the size of {name!r} is {size}")
            type_ = _TYPES.get(stat.S_IFMT(mode))
            if type_ is EntryType.DIRECTORY:
                if number in self._seen:
                    raise self._damaged(f"the directory {name!r} has two names, or is in itself")
                self._seen.add(number)
                below[number] = []
                yield number, False, name, mode, parent
            elif type_ is not None:  # sockets and devices are no part of a tree
                entry = self._entry(name, type_, number, size)
                below[parent].append(
                    attrs.evolve(
                        entry,
                        mode=0 if type_ is EntryType.LINK else mode & MODES,
                        group=number if links > 1 else 0,
                    )
                )

    def _entry(self, name: bytes, type_: EntryType, number: int, size: int) -> Entry:
        """Of a file, link or fifo; its mode and group are to come."""
        if type_ is EntryType.FIFO:
            return Entry(name, type_, 0, NO_ID)
        if type_ is EntryType.FILE:
            return Entry(name, type_, 0, self._file(number, size), size)
        query = "SELECT CAST(target AS BLOB) FROM fs_symlink WHERE ino = ?"
        found = self._rows(query, number).fetchone()
        if found is None or len(found[0]) > CHUNK:
            raise self._damaged(f"the link {name!r} leads nowhere")
        return Entry(name, type_, 0, self._put_one(content(found[0])))

    def _file(self, number: int, size: int) -> ObjectId:
        parts = cut(self._dense(number, size), CHUNK)
        if size <= CHUNK:
            return self._put_one(content(b"".join(parts)))
        ids = []
        for each in parts:
            made = chunk(each)
            ids.append(None if made is None else self._put_one(made))
        return self._put_one(chunks(size, ids))

    def _dense(self, number: int, size: int) -> Iterator[bytes]:
        """A file's bytes; what has no row is zeros."""
        query = "SELECT chunk_index, data FROM fs_data WHERE ino = ? ORDER BY chunk_index"
        at = 0
        for index, data in self._rows(query, number):
            if not isinstance(index, int) or not isinstance(data, bytes):
                raise self._damaged(f"a chunk of inode {number} is none")
            start = index * self._piece
            if not at <= start <= start + len(data) <= size:
                raise self._damaged(f"the chunks of inode {number} do not fit its size, {size}")
            yield from _zeros(start - at)
            yield data
            at = start + len(data)
        yield from _zeros(size - at)

    def _listing(self, entries: list[Entry]) -> ObjectId:
        try:
            return self._put_one(encode(entries))
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _put_one(self, made: Object) -> ObjectId:
        self._waiting.append(made)
        self._size += len(made.data)
        if len(self._waiting) >= _AT_ONCE or self._size >= 8 * CHUNK:
            self._put(self._waiting)
            self._waiting, self._size = [], 0
        return made.id


def _zeros(count: int) -> Iterator[bytes]:
    for at in range(0, count, CHUNK):
        yield bytes(min(CHUNK, count - at))
