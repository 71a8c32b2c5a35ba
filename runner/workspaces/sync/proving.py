"""Whether what a remote gave is a tree: each object of the kind and the size that is said of it.

An object hashes to its id; that says nothing of what named it. A listing that gives a file another
size, or names a directory where a file should be, would be found out in the middle of changing the
live tree, where there is no way back. So it is found out before anything names the tree.

What is not here: what is asked for, and when (transfer.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.errors import ObjectMissing, RemoteDamaged, StoreDamaged
from runner.workspaces.listing import Entry, EntryType, decode
from runner.workspaces.objects import CHUNK, Chunks, Kind, Object, ObjectId, decode_chunks
from runner.workspaces.store import Store

LONGEST_LINK = 4095  # bytes of a link's target that the kernel takes
Lengths = set[tuple[ObjectId, int]]
"""Contents, and how many bytes each has."""


def entries_of(each: Object) -> tuple[Entry, ...]:
    """The entries of what is named as a directory.

    Raises:
        RemoteDamaged: it is none.
    """
    if each.kind is not Kind.LISTING:
        raise _damaged(each.id, "it is no directory, and is named as one")
    try:
        return decode(each.data)
    except StoreDamaged as exc:
        raise _damaged(each.id, exc.what) from None


def lengths_of(files: Iterable[Entry], lists: Sequence[Object]) -> Lengths:
    """The contents that files and links are made of.

    Args:
        files: no directories.
        lists: what is named by those that are larger than a chunk.

    Raises:
        RemoteDamaged: one of those is no list of chunks, or of another size.
    """
    known = {each.id: _chunks(each) for each in lists}
    found: Lengths = set()
    for entry in files:
        if not is_large(entry):
            found.add((entry.id, entry.size if entry.type is EntryType.FILE else -1))
            continue
        chunks = known[entry.id]
        if chunks.size != entry.size:
            raise _damaged(entry.id, f"a file has {entry.size} bytes of its {chunks.size}")
        ids = enumerate(chunks.ids)
        found.update((id_, chunks.length(number)) for number, id_ in ids if id_ is not None)
    return found


def is_large(entry: Entry) -> bool:
    """Whether it names a list of chunks."""
    return entry.type is EntryType.FILE and entry.size > CHUNK


def require(store: Store, lengths: Lengths) -> None:
    """See that contents are what they are said to be.

    Args:
        store: has all of them.
        lengths: what is said; -1 = it is the target of a link.

    Raises:
        RemoteDamaged: one is not.
        ObjectMissing: the store has one no more.
    """
    kinds = store.kinds({id_ for id_, _ in lengths})
    for id_, wanted in lengths:
        if id_ not in kinds:
            raise ObjectMissing(id_, store.path)
        kind, size = kinds[id_]
        if kind is not Kind.CONTENT:
            raise _damaged(id_, f"it is no content, but a {kind.name.lower()}")
        if wanted not in {size, -1}:
            raise _damaged(id_, f"it has {size} bytes, and not {wanted}")
        if wanted < 0 and not (0 < size <= LONGEST_LINK and b"\0" not in store.get(id_).data):
            raise _damaged(id_, "no link can lead there")


def _chunks(each: Object) -> Chunks:
    if each.kind is not Kind.CHUNKS:
        raise _damaged(each.id, "it is no list of chunks, and is named as one")
    try:
        return decode_chunks(each.data)
    except StoreDamaged as exc:
        raise _damaged(each.id, exc.what) from None


def _damaged(id_: ObjectId, why: str) -> RemoteDamaged:
    return RemoteDamaged(f"the remote has a tree that is none; of the object {id_.hex()}: {why}")
