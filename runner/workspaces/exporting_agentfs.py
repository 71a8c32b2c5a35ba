"""A tree as a single-file database of AgentFS (its SPEC, schema 0.4).

    fs_config   chunk size, schema version           fs_inode    mode, size, times, links
    fs_dentry   names: parent, name, inode           fs_data     contents in chunks of 4,096 bytes
    fs_symlink  targets                              kv_store, tool_calls   empty, as they are made

Names and targets are text there: what is not UTF-8 is left out, and said. Contents are dense: a
hole becomes zeros. Names of one inode stay names of one inode.

The way back is importing_agentfs.py; these two have the only SQL of the exports.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator

from runner.errors import StoreError
from runner.workspaces.comparing import Source
from runner.workspaces.exporting import Exported, exported, target, target_of, walk
from runner.workspaces.listing import Entry, EntryType
from runner.workspaces.objects import ObjectId
from runner.workspaces.patching import pieces

SCHEMA = "0.4"
PIECE = 4096
ROOT = 1
KINDS = {
    EntryType.FILE: stat.S_IFREG,
    EntryType.DIRECTORY: stat.S_IFDIR,
    EntryType.LINK: stat.S_IFLNK,
    EntryType.FIFO: stat.S_IFIFO,
}

_TABLES = """
CREATE TABLE fs_config (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE fs_inode (
    ino INTEGER PRIMARY KEY AUTOINCREMENT, mode INTEGER NOT NULL,
    nlink INTEGER NOT NULL DEFAULT 0, uid INTEGER NOT NULL DEFAULT 0,
    gid INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0,
    atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
    rdev INTEGER NOT NULL DEFAULT 0, atime_nsec INTEGER NOT NULL DEFAULT 0,
    mtime_nsec INTEGER NOT NULL DEFAULT 0, ctime_nsec INTEGER NOT NULL DEFAULT 0);
CREATE TABLE fs_dentry (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, parent_ino INTEGER NOT NULL,
    ino INTEGER NOT NULL, UNIQUE(parent_ino, name));
CREATE INDEX idx_fs_dentry_parent ON fs_dentry(parent_ino, name);
CREATE TABLE fs_data (
    ino INTEGER NOT NULL, chunk_index INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (ino, chunk_index));
CREATE TABLE fs_symlink (ino INTEGER PRIMARY KEY, target TEXT NOT NULL);
CREATE TABLE kv_store (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, created_at INTEGER DEFAULT (unixepoch()),
    updated_at INTEGER DEFAULT (unixepoch()));
CREATE INDEX idx_kv_store_created_at ON kv_store(created_at);
CREATE TABLE tool_calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, parameters TEXT, result TEXT,
    error TEXT, status TEXT NOT NULL DEFAULT 'pending', started_at INTEGER NOT NULL,
    completed_at INTEGER, duration_ms INTEGER);
CREATE INDEX idx_tool_calls_name ON tool_calls(name);
CREATE INDEX idx_tool_calls_started_at ON tool_calls(started_at);
"""
_INODE = "INSERT INTO fs_inode (mode, nlink, size, atime, mtime, ctime) VALUES (?, ?, ?, ?, ?, ?)"


def export_agentfs(
    source: Source,
    root: ObjectId,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    mtime: int = 0,
) -> Exported:
    """Write a tree as an AgentFS database.

    Args:
        source: where it is.
        root: which.
        path: of the file.
        overwrite: whether a file that is there may be replaced.
        mtime: the time of everything in it, in seconds since 1970.

    Raises:
        OperationError: it exists already, or cannot be written there.
    """
    with target(path, "export", overwrite=overwrite) as part:
        database = sqlite3.connect(part, isolation_level=None)
        with contextlib.closing(database), errors(os.fspath(path)):
            database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
            database.execute("BEGIN")
            settings = [("chunk_size", str(PIECE)), ("schema_version", SCHEMA)]
            database.executemany("INSERT INTO fs_config VALUES (?, ?)", settings)
            left_out = _fill(database, source, root, mtime)
            database.execute("COMMIT")
    return exported(path, left_out)


@contextlib.contextmanager
def errors(where: str) -> Iterator[None]:
    """The border where SQLite's errors end."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:  # a damaged file's text is in the messages
        what = f"no AgentFS database can be read or written there: {error}"
        raise StoreError(what, where, "name another file") from error


def _fill(
    database: sqlite3.Connection, source: Source, root: ObjectId, mtime: int
) -> list[tuple[str, str]]:
    times = (mtime, mtime, mtime)
    database.execute(_INODE, (stat.S_IFDIR | 0o755, 1, 0, *times))
    numbers = {"": ROOT}  # of directories
    groups: dict[tuple[int, ObjectId], int] = {}
    left_out = []
    for at, entry in walk(source, root):
        parent, _, name = at.rpartition("/")
        if parent not in numbers:
            continue  # below one that was left out
        link = os.fsdecode(target_of(source, entry)) if entry.type is EntryType.LINK else ""
        if not _is_text(name) or not _is_text(link):
            left_out.append((at, "AgentFS keeps names and the targets of links as UTF-8"))
            continue
        known = groups.get((entry.group, entry.id)) if entry.group else None
        if known is None:
            size = entry.size or len(link.encode())
            row = (KINDS[entry.type] | (entry.mode or 0o777), 0, size, *times)
            number = database.execute(_INODE, row).lastrowid or 0
            _fill_content(database, source, entry, number, link)
            if entry.group:
                groups[entry.group, entry.id] = number
        else:
            number = known
        database.execute("UPDATE fs_inode SET nlink = nlink + 1 WHERE ino = ?", (number,))
        names = (name, numbers[parent], number)
        database.execute("INSERT INTO fs_dentry (name, parent_ino, ino) VALUES (?, ?, ?)", names)
        if entry.type is EntryType.DIRECTORY:
            numbers[at] = number
    return left_out


def _fill_content(
    database: sqlite3.Connection, source: Source, entry: Entry, number: int, link: str
) -> None:
    if entry.type is EntryType.LINK:
        database.execute("INSERT INTO fs_symlink VALUES (?, ?)", (number, link))
    elif entry.type is EntryType.FILE:
        rows = ((number, at, each) for at, each in enumerate(cut(pieces(source, entry), PIECE)))
        database.executemany("INSERT INTO fs_data VALUES (?, ?, ?)", rows)


def cut(content: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Pieces of one size, whatever size they come in; the last may be shorter."""
    rest = b""
    for each in content:
        rest += each
        usable = len(rest) - len(rest) % size
        for at in range(0, usable, size):
            yield rest[at : at + size]
        rest = rest[usable:]
    if rest:
        yield rest


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
