"""The objects of a tree on their way to a remote, or from one: only those that are missing there.

Up: what a listing names is put before the listing. So a push that was cut off has left nothing that
looks whole and is not, and the next one goes on where it stopped. Down: the same, into the store.

What both sides have had in common before is not walked through again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

import attrs

from runner.errors import RemoteDamaged
from runner.workspaces.listing import Entry, EntryType
from runner.workspaces.objects import CHUNK, Kind, Object, ObjectId, decode_chunks
from runner.workspaces.store import Store
from runner.workspaces.sync.proving import entries_of, is_large, lengths_of, require
from runner.workspaces.sync.remote import GROUP, Remote

GROUP_BYTES = 8 << 20
DEEPEST = 2048  # directories: a path of the kernel's has 4096 bytes
_ASKED = 1000  # ids of one question

T = TypeVar("T")


class InThread(Protocol):
    """Carries out what takes long."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Carry it out; leaves when it has ended."""
        ...


async def upload(
    store: Store, remote: Remote, root: ObjectId, common: Iterable[ObjectId], in_thread: InThread
) -> int:
    """Put a tree on a remote.

    Args:
        store: has the tree.
        remote: gets it.
        root: of the tree.
        common: roots that the remote has whole.
        in_thread: for the store.

    Returns:
        How many objects it did not have.
    """
    ids = await in_thread(partial(_needed, store, root, common))
    sent = 0
    for at in range(0, len(ids), _ASKED):
        some = ids[at : at + _ASKED]
        missing = await remote.missing(some)
        wanted = [each for each in some if each in missing]
        while wanted:
            group = await in_thread(partial(_group, store, wanted))
            await remote.put(group)
            sent += len(group)
            del wanted[: len(group)]
    return sent


async def download(
    store: Store, remote: Remote, root: ObjectId, common: Iterable[ObjectId], in_thread: InThread
) -> int:
    """Get a tree from a remote.

    Args:
        store: gets it.
        remote: has the tree.
        root: of the tree.
        common: roots that the store has whole.
        in_thread: for the store.

    Returns:
        How many objects the store did not have.

    Raises:
        RemoteDamaged: the remote does not have it whole, or it is no tree: nothing names it here.
    """
    known = await in_thread(partial(_directories, store, common))
    listings: list[Object] = []
    files: set[Entry] = set()
    level, got, depth = {root} - known, 0, 0
    while level:
        if depth > DEEPEST:
            raise RemoteDamaged(f"the remote has a tree of more than {DEEPEST} directories deep")
        found, fetched = await _have(store, remote, level, in_thread)
        got += fetched
        depth += 1
        listings += found
        known |= level
        level = set()
        for entry in (entry for each in found for entry in entries_of(each)):
            if entry.type is EntryType.DIRECTORY:
                level.add(entry.id)
            elif entry.type is not EntryType.FIFO:
                files.add(attrs.evolve(entry, name=b"", mode=0, group=0))
        level -= known
    got += await _get_files(store, remote, files, in_thread)
    await in_thread(lambda: store.put(reversed(listings)))
    return got


async def _get_files(store: Store, remote: Remote, files: set[Entry], in_thread: InThread) -> int:
    """The contents of files; of a large one its chunks, and then the list of them."""
    large = {each.id for each in files if is_large(each)}
    lists, got = await _have(store, remote, large, in_thread)
    lengths = lengths_of(files, lists)
    missing = list(await in_thread(partial(store.missing, {id_ for id_, _ in lengths})))
    for at in range(0, len(missing), GROUP):
        group = await remote.get(missing[at : at + GROUP])
        await in_thread(partial(store.put, group))
    await in_thread(partial(require, store, lengths))
    await in_thread(partial(store.put, lists))
    return got + len(missing)


async def _have(
    store: Store, remote: Remote, ids: set[ObjectId], in_thread: InThread
) -> tuple[list[Object], int]:
    """Objects, from the store where it has them; and how many it does not have."""
    missing = await in_thread(partial(store.missing, ids))
    found = await in_thread(lambda: [store.get(each) for each in ids - missing])
    for at in range(0, len(wanted := list(missing)), GROUP):
        found += await remote.get(wanted[at : at + GROUP])
    return found, len(missing)


def _group(store: Store, ids: Sequence[ObjectId]) -> list[Object]:
    """The first of them, as many as go together."""
    found: list[Object] = []
    size = 0
    for each in ids[:GROUP]:
        if found and size > GROUP_BYTES:
            break
        found.append(store.get(each))
        size += len(found[-1].data)
    return found


def _needed(store: Store, root: ObjectId, common: Iterable[ObjectId]) -> list[ObjectId]:
    """What a tree consists of and the common ones do not; what is named before who names it."""
    known = set(_all(store, common))
    return list(_walk(store, root, known))


def _all(store: Store, roots: Iterable[ObjectId]) -> Iterator[ObjectId]:
    known: set[ObjectId] = set()
    for root in roots:
        yield from _walk(store, root, known)


def _directories(store: Store, roots: Iterable[ObjectId]) -> set[ObjectId]:
    known: set[ObjectId] = set()
    todo = [*roots]
    while todo:
        if (id_ := todo.pop()) not in known:
            known.add(id_)
            entries = store.listing(id_)
            todo += (each.id for each in entries if each.type is EntryType.DIRECTORY)
    return known


def _walk(store: Store, root: ObjectId, known: set[ObjectId]) -> Iterator[ObjectId]:
    """All objects of a tree but the known ones, children first; without recursion."""
    todo: list[tuple[ObjectId, bool]] = [(root, False)]
    while todo:
        id_, is_left = todo.pop()
        if is_left:
            yield id_
            continue
        if id_ in known:
            continue
        known.add(id_)
        todo.append((id_, True))
        for entry in store.listing(id_):
            if entry.type is EntryType.DIRECTORY:
                todo.append((entry.id, False))
            elif entry.type is not EntryType.FIFO and entry.id not in known:
                known.add(entry.id)
                yield from _file(store, entry, known)


def _file(store: Store, entry: Entry, known: set[ObjectId]) -> Iterator[ObjectId]:
    if entry.size > CHUNK:
        found = store.get(entry.id)
        if found.kind is Kind.CHUNKS:
            for each in decode_chunks(found.data).ids:
                if each is not None and each not in known:
                    known.add(each)
                    yield each
    yield entry.id
