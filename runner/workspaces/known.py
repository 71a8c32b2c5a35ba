"""What is known of a directory of a live tree from one capture to the next: also as bytes.

So an actor that was reaped, or a process that has ended, need not hash again what has not changed
since. The bytes are our own and stay on this machine, so marshal does; compressed they take a
quarter. Whatever else is found in their place is as good as nothing.

What is known names objects that no row names, so a `collect` may drop them: with what is saved goes
how many of these there were, and where there was one since, all of them have to be there still.
"""

from __future__ import annotations

import marshal
import os
from typing import Any

import attrs
import zstandard

from runner.errors import ObjectMissing
from runner.watching.files import Folder, parent
from runner.workspaces.listing import EMPTY, EntryType
from runner.workspaces.objects import CHUNK, NO_ID, ObjectId, decode_chunks
from runner.workspaces.store import Store

_VERSION = 2
_FORMAT = 2  # of marshal: the one in which equal values give equal bytes
_DROPS = b"\0"  # beside directories; none has that name
_WITH_CONTENT = (EntryType.FILE, EntryType.LINK)


@attrs.define(eq=False)
class Known:
    """What is known of a directory.

    Attributes:
        folder: its files when they were last looked at; an equal one may come in its place.
        id: of its listing.
        files: how many files are in it and below.
        bytes: of these.
        doubts: names of files that are read again.
        skipped: names of what is left out, each with the reason.
    """

    folder: Folder
    id: ObjectId
    files: int
    bytes: int
    doubts: frozenset[str] = frozenset()
    skipped: tuple[tuple[str, str], ...] = ()


@attrs.define(eq=False)
class Memory:
    """What is known of all directories of a live tree, and was saved in a store.

    Attributes:
        store: where.
        workspace: under which; None = nothing is saved.
        base: what the listings are laid over, if they are.
        known: by path, "" or with a slash at the end. One that is known is in one that is.
        changed: directories of which something else is known than was saved.
        drops: how often anything had been dropped from the store when that was known to be there.
    """

    store: Store
    workspace: str | None
    base: bytes = b""
    known: dict[str, Known] = attrs.field(factory=dict)
    changed: set[str] = attrs.field(factory=set)
    drops: int = -1
    _is_loaded: bool = False

    def recall(self) -> None:
        """Know what was known, as far as its objects are still in the store."""
        drops = self.store.drops()
        if not self._is_loaded:
            self._is_loaded = True
            self._load()
        if drops != self.drops and not self._is_whole():
            self.forget()
        self.drops = drops

    def forget(self) -> None:
        """Know nothing."""
        self._is_loaded = True
        self.drops = self.store.drops()
        self.changed |= self.known.keys()
        self.known.clear()

    def lose(self) -> None:
        """Know only what was saved: of the rest it is not sure that the store has it."""
        self.known.clear()
        self.changed.clear()
        self._is_loaded = False

    def save(self) -> None:
        """Save what has changed."""
        if self.workspace is None or not self.changed:
            return
        stats: dict[bytes, bytes | None] = {_DROPS: b"%d" % self.drops}
        tool = zstandard.ZstdCompressor(level=1)
        for path in self.changed:
            known = self.known.get(path)
            saved = None if known is None else _encode(tool, known, self.base)
            stats[os.fsencode(path)] = saved
        self.store.save_stats(self.workspace, stats)
        self.changed.clear()

    def _load(self) -> None:
        if self.workspace is None:
            return
        saved = self.store.load_stats(self.workspace)
        drops = saved.pop(_DROPS, b"")
        tool = zstandard.ZstdDecompressor()
        found = {os.fsdecode(path): _decode(tool, data, self.base) for path, data in saved.items()}
        self.known.update((path, each) for path, each in found.items() if each is not None)
        self.drops = int(drops) if drops.isdigit() else -1
        if len(self.known) < len(saved) or any(parent(path) not in self.known for path in found):
            self.changed |= found.keys()
            self.known.clear()

    def _is_whole(self) -> bool:
        """Whether the store has all that is named here, listings that it remembers too."""
        ids = {known.id for known in self.known.values()} - {EMPTY.id}
        try:
            for known in self.known.values():
                for each in self.store.listing(known.id):
                    if each.size > CHUNK:
                        chunks = decode_chunks(self.store.get(each.id).data)
                        ids.update(id_ for id_ in chunks.ids if id_ is not None)
                    elif each.type in _WITH_CONTENT:
                        ids.add(each.id)
        except ObjectMissing:
            return False
        return not self.store.missing(ids)


def _encode(tool: zstandard.ZstdCompressor, known: Known, base: bytes) -> bytes:
    folder = known.folder
    kept: tuple[Any, ...] = (
        (_VERSION, base),
        (folder.identity, folder.changed, folder.count, folder.parts, folder.by_hash, folder.mode),
        known.id,
        known.files,
        known.bytes,
        sorted(known.doubts),
        known.skipped,
    )
    return tool.compress(marshal.dumps(kept, _FORMAT))


def _decode(tool: zstandard.ZstdDecompressor, data: bytes, base: bytes) -> Known | None:
    """None if it is something else, of another version, or laid over another base."""
    try:
        kept = marshal.loads(tool.decompress(data))  # noqa: S302
        kind, folder, id_, files, size, doubts, skipped = kept
        if kind != (_VERSION, base) or len(id_) != len(NO_ID):
            return None
        return Known(Folder(*folder), ObjectId(id_), files, size, frozenset(doubts), skipped)
    except (zstandard.ZstdError, EOFError, TypeError, ValueError):
        return None
