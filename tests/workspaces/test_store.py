"""A project's store: what is put in comes out, once each; what is written together is whole."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import ObjectMissing, StoreDamaged, StoreError
from runner.workspaces import putting, remembering
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import CHUNK, Kind, Object, ObjectId, chunk, chunks, content
from runner.workspaces.records import SnapshotRecord
from runner.workspaces.remembering import Remembered
from runner.workspaces.store import Store


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "project" / "store.db")


@pytest.fixture
def store(path: str) -> Iterator[Store]:
    store = Store.open(path)
    yield store
    store.close()


def large(size: int) -> tuple[Object, list[Object], bytes]:
    """A file of some chunks, every second of them zeros: its list, its chunks, its bytes."""
    data = b"".join(
        (b"%d " % number * CHUNK)[:CHUNK] if number % 2 else bytes(CHUNK)
        for number in range(size // CHUNK + 1)
    )[:size]
    parts = [chunk(data[at : at + CHUNK]) for at in range(0, size, CHUNK)]
    found = chunks(size, [None if each is None else each.id for each in parts])
    return found, [each for each in parts if each is not None], data


def whole(store: Store, id_: ObjectId) -> bytes:
    return b"".join(
        bytes(piece) if isinstance(piece, int) else piece for piece in store.content(id_)
    )


# ---------------------------------------------------------------- objects


def test_what_is_put_comes_out_as_it_was_and_is_kept_once(store: Store) -> None:
    small, packed = content(b"x" * 10), content(b"some text " * 1000)
    listing = encode([Entry(b"f", EntryType.FILE, 0o644, packed.id, 10_000)])
    odd = content(os.urandom(5000))

    added = store.put([small, packed, listing, odd, small, EMPTY])

    assert [small, packed, listing, odd] == [
        store.get(each.id) for each in (small, packed, listing, odd)
    ]
    assert 0 == store.put([small, packed, listing, odd, EMPTY])
    found = store.sizes()
    assert (5, added) == (found.objects, found.stored)
    assert 10 + 10_000 + len(listing.data) + 5000 + len(EMPTY.data) == found.content
    assert 5000 + 10 < added < 5500  # the text takes next to nothing, the rest what it is
    assert found.file > added


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=3000), max_size=30))
def test_any_contents_come_out_as_they_were(store: Store, datas: list[bytes]) -> None:
    objects = [content(each * 3) for each in datas]
    store.put(objects)

    assert datas == [
        whole(store, each.id)[: len(data)] for each, data in zip(objects, datas, strict=True)
    ]
    assert set() == store.missing(each.id for each in objects)


def test_what_is_not_there_is_missing_by_its_id_and_the_stores_name(
    store: Store, path: str
) -> None:
    there, gone = content(b"there"), content(b"gone")
    many = [content(b"%d" % number).id for number in range(2000)]
    store.put([there])

    assert {gone.id, *many} == store.missing([gone.id, *many, there.id, there.id])
    assert set() == store.missing([])
    with pytest.raises(ObjectMissing, match=f"{gone.id.hex()} is missing") as caught:
        store.get(gone.id)
    assert (gone.id, path) == (caught.value.id, caught.value.where)


@pytest.mark.parametrize("size", [CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 77])
def test_a_large_file_is_its_chunks_and_its_zeros_are_nowhere(store: Store, size: int) -> None:
    found, parts, data = large(size)
    store.put([*parts, found])

    pieces = list(store.content(found.id))

    assert data == whole(store, found.id)
    assert CHUNK == pieces[0]
    for limit in (0, 1, CHUNK, CHUNK + 1, size, size + 5):
        assert data[:limit] == store.read(found.id, limit)
    assert len(parts) + 1 == store.sizes().objects


def test_an_empty_file_is_no_bytes(store: Store) -> None:
    empty = content(b"")
    store.put([empty])

    assert b"" == whole(store, empty.id) == store.read(empty.id, 5)


def test_a_directory_is_its_entries_and_no_content(store: Store) -> None:
    entry = Entry(b"d", EntryType.DIRECTORY, 0o755, EMPTY.id)
    listing = encode([entry])
    store.put([EMPTY, listing])

    assert ((entry,), ()) == (store.listing(listing.id), store.listing(EMPTY.id))
    assert store.listing(listing.id) is store.listing(listing.id)
    with pytest.raises(StoreDamaged, match="it is a directory where a file should be"):
        store.read(listing.id, 1)


def test_a_content_is_no_directory(store: Store) -> None:
    store.put([content(EMPTY.data)])

    with pytest.raises(StoreDamaged, match="a content where a listing should be"):
        store.listing(content(EMPTY.data).id)


def test_a_chunk_of_another_length_than_its_file_needs_is_damage(store: Store) -> None:
    short = content(b"short")
    found = chunks(2 * CHUNK, [None, short.id])
    store.put([short, found])

    with pytest.raises(StoreDamaged, match="another length than its file needs"):
        whole(store, found.id)


def test_the_listings_that_were_used_last_are_remembered_within_a_bound() -> None:
    values: Remembered[str, int] = Remembered(10)
    for key, weight in (("a", 4), ("b", 3), ("a", 4)):
        values.keep(key, 1, weight)
    assert 1 == values.get("a")
    values.keep("c", 3, 1)

    assert (None, 1, 3) == (values.get("b"), values.get("a"), values.get("c"))
    values.keep("huge", 4, 100)
    assert [None] * 4 == [values.get(each) for each in ("a", "b", "c", "huge")]
    assert remembering.MOST > 10_000


def test_many_objects_go_in_batches_each_of_which_is_durable(store: Store) -> None:
    def objects() -> Iterator[Object]:
        for number in range(3 * putting.COUNT):
            yield content(b"%d" % number)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.put(objects())

    # what came before is there, and is named by nothing
    assert 3 * putting.COUNT == store.sizes().objects


def test_large_objects_go_in_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(putting, "BYTES", 1000)
    objects = [content(bytes([number]) * 400) for number in range(7)]

    assert [3, 3, 1] == [len(batch) for batch in putting.batches(objects)]


def test_threads_that_put_the_same_at_once_keep_it_once(store: Store) -> None:
    objects = [content(b"%d " % number * 300) for number in range(1500)]
    added = []
    threads = [
        threading.Thread(target=lambda mine: added.append(store.put(mine)), args=(mine,))
        for mine in (objects, objects[::-1], objects[700:] + objects[:700])
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    found = store.sizes()
    assert (1500, sum(added)) == (found.objects, found.stored)
    assert () == store.check().problems


# ---------------------------------------------------------------- transactions


def snapshot(name: str, root: ObjectId = EMPTY.id, **values: object) -> SnapshotRecord:
    made = {"id": name, "workspace": "w", "name": name, "root": root, "created_ns": 1} | values
    return SnapshotRecord(**made)


def test_what_is_done_in_a_transaction_is_seen_inside_at_once_and_by_others_when_it_is_over(
    store: Store,
) -> None:
    seen = []

    def look() -> None:
        seen.append((len(store.snapshots.list()), store.missing([EMPTY.id])))

    def elsewhere() -> None:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    with store.transaction():
        store.put([EMPTY])
        store.snapshots.add(snapshot("one"))
        look()
        elsewhere()
    elsewhere()

    assert [(1, set()), (0, {EMPTY.id}), (1, set())] == seen


def test_an_exception_takes_all_of_a_transaction_back(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.put([EMPTY])
        with store.transaction():
            store.snapshots.add(snapshot("one"))
        raise ZeroDivisionError

    assert ([], {EMPTY.id}) == (store.snapshots.list(), store.missing([EMPTY.id]))


def test_a_part_that_failed_takes_all_of_it_back_also_if_somebody_goes_on(store: Store) -> None:
    with pytest.raises(StoreError, match="nothing of it was written") as caught:
        with store.transaction():
            store.snapshots.add(snapshot("one"))
            with pytest.raises(ZeroDivisionError), store.transaction():
                raise ZeroDivisionError
            store.snapshots.add(snapshot("two"))
    assert store.path == caught.value.where
    with store.transaction():
        store.snapshots.add(snapshot("three"))

    assert ["three"] == [each.name for each in store.snapshots.list()]


def test_transactions_of_threads_come_one_after_the_other(store: Store) -> None:
    def add(number: int) -> None:
        with store.transaction():
            last = store.facts.get("count") or b"0"
            store.facts.set("count", b"%d" % (int(last) + 1))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert b"20" == store.facts.get("count")


def test_a_store_that_is_closed_says_so(path: str) -> None:
    store = Store.open(path)
    store.put([EMPTY])
    assert path in repr(store)
    store.close()
    store.close()

    for use in (
        lambda: store.put([EMPTY]),
        lambda: store.get(EMPTY.id),
        store.collect,
        lambda: store.transaction().__enter__(),
    ):
        with pytest.raises(StoreError, match="the store is closed"):
            use()
    again = Store.open(path)
    assert EMPTY == again.get(EMPTY.id)
    again.close()


def test_a_reader_that_is_at_it_when_the_store_is_closed_gets_its_answer(store: Store) -> None:
    store.put([EMPTY])
    with store.file.reading() as connection:
        store.close()
        assert connection.execute("SELECT COUNT(*) FROM objects").fetchone() == (1,)
    assert [] == store.file._readers


def test_a_durable_store_waits_for_the_disk(path: str) -> None:
    store = Store.open(path, durable=True)
    with store.file.writing() as connection:
        assert (2,) == connection.execute("PRAGMA synchronous").fetchone()
    store.close()


def test_what_was_put_long_ago_and_is_put_again_is_as_good_as_new(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = [content(b"%d" % number) for number in range(3)]
    store.put(objects)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * putting.TOUCH)
    assert 0 == store.put(objects[:2])

    with store.file.reading() as connection:
        ages = connection.execute("SELECT id, put FROM objects").fetchall()
    assert {each.id for each in objects[:2]} == {id_ for id_, put in ages if put > now + 1}
    assert Kind.CONTENT == store.get(objects[2].id).kind
