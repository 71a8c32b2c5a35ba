"""Objects on their way into a store: what is there is found, the rest is compressed and written.

Of each batch: which are there is asked without a lock, what is new is compressed without one; then
one transaction asks once more, for another thread or process may have put, or dropped, some of them
meanwhile, and writes what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from runner.database import Connection
from runner.workspaces import statements
from runner.workspaces.database import File
from runner.workspaces.objects import Kind, Object, ObjectId
from runner.workspaces.packing import pack

# Of one batch, and so of one transaction: whichever comes first.
COUNT = 512
BYTES = 8 << 20
# One that was put before is put again, for `collect`, if that was so many seconds ago.
TOUCH = 600


def batches(objects: Iterable[Object]) -> Iterator[list[Object]]:
    """What is to be put, in parts that one transaction may take."""
    batch: list[Object] = []
    size = 0
    for each in objects:
        batch.append(each)
        size += len(each.data)
        if size >= BYTES or len(batch) >= COUNT:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def put(file: File, batch: Sequence[Object]) -> int:
    """Keep these objects; how many bytes there are more."""
    now = int(time.time())
    wanted = {each.id: each for each in batch}
    with file.reading() as connection:
        there = _known(connection, list(wanted))
    if len(there) == len(wanted) and all(now - put < TOUCH for put in there.values()):
        return 0
    packed = {id_: pack(each.data) for id_, each in wanted.items() if id_ not in there}
    with file.writing() as connection:
        there = _known(connection, list(wanted))
        old = [(now, id_) for id_, put in there.items() if now - put >= TOUCH]
        connection.executemany(statements.TOUCH, old)
        new = [each for id_, each in wanted.items() if id_ not in there]
        return _add(connection, new, packed, now)


def missing(file: File, ids: Iterable[ObjectId]) -> set[ObjectId]:
    """Those of the ids that there is no object of."""
    wanted = list(set(ids))
    found: set[ObjectId] = set()
    with file.reading() as connection:
        for at in range(0, len(wanted), COUNT):
            found.update(_known(connection, wanted[at : at + COUNT]))
    return set(wanted) - found


def kinds(file: File, ids: Iterable[ObjectId]) -> dict[ObjectId, tuple[Kind, int]]:
    """What those of the ids are that there are, and how many bytes each has."""
    wanted = list(set(ids))
    found: dict[ObjectId, tuple[Kind, int]] = {}
    with file.reading() as connection:
        for at in range(0, len(wanted), COUNT):
            some = wanted[at : at + COUNT]
            for id_, kind, size in connection.execute(statements.kinds(len(some)), some):
                found[ObjectId(id_)] = (Kind(kind), size)
    return found


def _known(connection: Connection, ids: Sequence[ObjectId]) -> dict[ObjectId, int]:
    """Of those that there are, when each was last put."""
    return dict(connection.execute(statements.known(len(ids)), ids).fetchall())


def _add(
    connection: Connection,
    objects: Sequence[Object],
    packed: Mapping[ObjectId, tuple[bool, bytes]],
    now: int,
) -> int:
    (last,) = connection.execute(statements.LAST_NUMBER).fetchone()
    contents, rows, added = [], [], 0
    for number, each in enumerate(objects, last + 1):
        # one that was there before the transaction, and was dropped since, is not packed yet
        is_packed, data = packed.get(each.id) or pack(each.data)
        contents.append((number, is_packed, data))
        rows.append((each.id, number, each.kind, len(each.data), len(data), now))
        added += len(data)
    connection.executemany(statements.ADD_CONTENT, contents)
    connection.executemany(statements.ADD_OBJECT, rows)
    return added
