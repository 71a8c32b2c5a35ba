"""A store as a whole: what nothing names any more is dropped; all of it is checked, and measured.

What is kept: all that can be reached from a root (a tree of a workspace, snapshot, commit, ref, or
of an act that is not finished), what an act names by itself (`details["objects"]`, hexadecimal),
and whatever was put within the last `GRACE` seconds, or since the oldest lease (leasing.py):
somebody may be about to name it.

It is dropped in pieces, each a transaction of its own that looks for new roots first: nobody waits
long, and nothing that was named meanwhile is lost.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import attrs

from runner.database import Connection
from runner.errors import ObjectMissing, StoreDamaged, StoreError
from runner.workspaces import columns, statements
from runner.workspaces.leasing import oldest
from runner.workspaces.listing import Entry, EntryType, decode
from runner.workspaces.objects import CHUNK, NO_ID, Kind, ObjectId, decode_chunks
from runner.workspaces.retaining import Expired

if TYPE_CHECKING:
    from runner.workspaces.store import Store

GRACE = 3600.0  # seconds
PIECE = 250  # objects that one transaction drops
MOST_PROBLEMS = 100
DROPS = "drops"

# An object, and what it should be; None = nobody says.
Name: TypeAlias = tuple[ObjectId, Kind | None]


@attrs.frozen(kw_only=True)
class Collected:
    """What was dropped, or would be.

    Attributes:
        objects: how many.
        bytes: that they take in the store.
        snapshots: of ours that went before that, or would, each with the reason (retaining.py).
    """

    objects: int
    bytes: int
    snapshots: tuple[Expired, ...] = ()


@attrs.frozen(kw_only=True)
class Checked:
    """What is wrong with a store, if anything.

    Attributes:
        objects: how many were looked at.
        problems: a sentence each, `MOST_PROBLEMS` at most; empty = it is whole.
    """

    objects: int
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@attrs.frozen(kw_only=True)
class Sizes:
    """How large a store is, in bytes but for `objects`.

    Attributes:
        file: on the disk.
        objects: how many there are.
        content: of them, as they are outside.
        stored: of them, as they are kept.
        free: in the file, for what comes next; `collect` gives it back.
    """

    file: int
    objects: int
    content: int
    stored: int
    free: int


# ---------------------------------------------------------------- collecting


def collect(store: Store, *, dry_run: bool, without: Collection[str] = ()) -> Collected:
    """See `Store.collect`."""
    until = int(min(time.time() - GRACE, oldest(store.path)))
    reached: set[ObjectId] = set()
    with store.file.reading() as connection:
        named = _named(connection, store.path, without)
    _mark(store, named, reached)
    with store.file.reading() as connection:
        old = connection.execute(statements.OLD_OBJECTS, (until,))
        unnamed = [row for row in old if row[0] not in reached]
    objects = dropped = 0
    if dry_run:
        return Collected(objects=len(unnamed), bytes=sum(stored for _, _, stored in unnamed))
    for at in range(0, len(unnamed), PIECE):
        with store.file.writing() as connection:
            # what is not new costs a lookup
            _mark(store, _named(connection, store.path), reached)
            before = objects
            for id_, number, stored in unnamed[at : at + PIECE]:
                if id_ not in reached and _remove(connection, id_, number, until):
                    objects += 1
                    dropped += stored
            if objects > before:  # in the same transaction: nobody drops without saying so
                store.stats.clear_strangers()
                store.facts.set(DROPS, str(store.drops() + 1).encode())
        # At once: the more pages are free, the longer SQLite looks for each in the list of them.
        while store.file.give_back():
            pass
    store.file.settle()
    return Collected(objects=objects, bytes=dropped)


def _remove(connection: Connection, id_: ObjectId, number: int, until: int) -> bool:
    """Drop an object; whether it was there, and was not put again."""
    is_gone = connection.execute(statements.REMOVE_OBJECT, (id_, until)).rowcount == 1
    if is_gone:
        connection.execute(statements.REMOVE_CONTENT, (number,))
    return is_gone


def _named(connection: Connection, where: str, without: Collection[str] = ()) -> set[Name]:
    """What rows name, but for some snapshots."""
    named: set[Name] = {
        (ObjectId(root), Kind.LISTING) for (root,) in connection.execute(statements.ROOTS)
    }
    for id_, root in connection.execute(statements.SNAPSHOT_ROOTS):
        if id_ not in without:
            named.add((ObjectId(root), Kind.LISTING))
    for (details,) in connection.execute(statements.NAMED_BY_ACTS):
        try:
            objects = json.loads(details).get("objects", ())
            named.update((ObjectId(bytes.fromhex(each)), None) for each in objects)
        except (ValueError, TypeError, AttributeError) as exc:
            what = f"a row of journal does not say what it names: {details!r:.100}"
            raise StoreDamaged(what, where) from exc
    return named


def _mark(store: Store, named: Iterable[Name], reached: set[ObjectId]) -> None:
    """Add all that can be reached from what is named; contents are not read.

    Raises:
        ObjectMissing, StoreDamaged: a listing, or a list of chunks, is not there.
    """
    waiting = [each for each in named if each[0] not in reached]
    if not waiting:
        return
    with store.file.reading() as connection:
        kinds: dict[ObjectId, Kind] = {}
        for kind in (Kind.LISTING, Kind.CHUNKS):
            rows = connection.execute(statements.IDS_OF_KIND, (kind,))
            kinds.update((ObjectId(id_), kind) for (id_,) in rows)
    while waiting:
        id_, expected = waiting.pop()
        if id_ in reached:
            continue
        found = kinds.get(id_)
        if found is None and expected in {Kind.LISTING, Kind.CHUNKS}:
            raise ObjectMissing(id_, store.path)  # what it names cannot be known: keep everything
        reached.add(id_)
        if found is not None:
            waiting += (each for each in _names(store, id_) if each[0] not in reached)


def _names(store: Store, id_: ObjectId) -> Iterator[Name]:
    """What a listing or a list of chunks names."""
    found = store.get(id_)
    if found.kind is Kind.CHUNKS:
        for each in store.decoded(found, decode_chunks).ids:
            if each is not None:
                yield each, Kind.CONTENT
    elif found.kind is Kind.LISTING:
        for entry in store.decoded(found, decode):
            if entry.id != NO_ID:
                yield entry.id, _kind_of(entry)


def _kind_of(entry: Entry) -> Kind:
    if entry.type is EntryType.DIRECTORY:
        return Kind.LISTING
    return Kind.CHUNKS if entry.size > CHUNK else Kind.CONTENT


def require_whole(store: Store, root: ObjectId, since: int) -> None:
    """See `Store.require_whole`."""
    if store.drops() == since:
        return
    contents: set[ObjectId] = set()
    seen: set[ObjectId] = set()
    waiting: list[Name] = [(root, Kind.LISTING)]
    while waiting:
        id_, kind = waiting.pop()
        if kind is Kind.CONTENT:
            contents.add(id_)
        elif id_ not in seen:
            seen.add(id_)
            waiting += _names(store, id_)
    for each in store.missing(contents):
        raise ObjectMissing(each, store.path)


# ---------------------------------------------------------------- checking


def check(store: Store) -> Checked:
    """See `Store.check`."""
    problems: list[str] = []
    count = 0
    try:
        with store.file.reading() as connection:
            for (each,) in connection.execute("PRAGMA quick_check(10)").fetchall():
                problems += [] if each == "ok" else [f"the file is damaged: {each}"]
            kinds = {ObjectId(id_): kind for id_, kind in connection.execute(statements.KINDS)}
            (strays,) = connection.execute(statements.STRAYS).fetchone()
            named = _named(connection, store.path)
        count = len(kinds)
        problems += [f"{strays} contents belong to no object"] if strays else []
        problems += islice(_odd_rows(store), MOST_PROBLEMS)
        problems += islice(_odd_objects(store, kinds), MOST_PROBLEMS)
        problems += islice(_missing(store, kinds, named), MOST_PROBLEMS)
    except StoreError as exc:  # the file is so damaged that not even that can be read
        problems.append(str(exc))
    return Checked(objects=count, problems=tuple(problems[:MOST_PROBLEMS]))


def _odd_rows(store: Store) -> Iterator[str]:
    for table in columns.ALL:
        with store.file.reading() as connection:
            rows = connection.execute(statements.select(table.name, table.names)).fetchall()
        for row in rows:
            try:
                table.records([row], store.path)
            except StoreError as exc:
                yield str(exc)


def _odd_objects(store: Store, ids: Iterable[ObjectId]) -> Iterator[str]:
    for id_ in ids:
        try:
            for _ in _names(store, id_):
                pass
        except StoreError as exc:
            if not store.missing([id_]):  # else it was dropped meanwhile
                yield str(exc)


def _missing(store: Store, kinds: dict[ObjectId, int], named: Iterable[Name]) -> Iterator[str]:
    """What is named, by a row or by what a row names, and is not there."""
    waiting = [(id_, kind, "a row") for id_, kind in named]
    seen = set()
    while waiting:
        id_, expected, by = waiting.pop()
        found = kinds.get(id_)
        if found is None:
            yield f"the object {id_.hex()} is missing, which {by} names"
        elif expected is not None and found != expected:
            is_so = f"is of kind {found} and not {expected}, a {expected.name.lower()}"
            yield f"the object {id_.hex()} {is_so}, as {by} says"
        elif id_ not in seen and found != Kind.CONTENT:
            seen.add(id_)
            with suppress(StoreError):  # said already
                waiting += ((*each, f"the object {id_.hex()}") for each in _names(store, id_))


# ---------------------------------------------------------------- measuring


def sizes(store: Store) -> Sizes:
    """See `Store.sizes`."""
    with store.file.reading() as connection:
        objects, content, stored = connection.execute(statements.COUNT).fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
    return Sizes(
        file=store.file.size, objects=objects, content=content, stored=stored, free=free * page
    )
