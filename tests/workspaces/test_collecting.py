"""What nothing names is dropped from a store and nothing else; and what is damaged is found."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.errors import ObjectMissing, StoreDamaged, StoreError
from runner.workspaces import collecting, leasing, putting
from runner.workspaces.collecting import GRACE, Collected
from runner.workspaces.leasing import Lease, oldest
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import (
    CHUNK,
    NO_ID,
    Kind,
    Object,
    ObjectId,
    chunks,
    content,
    make,
)
from runner.workspaces.records import Act, CommitRecord, Ref, SnapshotRecord, WorkspaceRecord
from runner.workspaces.store import Store

Later = Callable[[float], None]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(str(tmp_path / "store.db"))
    yield store
    store.close()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Let it be that many seconds later."""

    def go(seconds: float) -> None:
        now = time.time() + seconds
        monkeypatch.setattr(time, "time", lambda: now)

    return go


def tree(store: Store, text: str) -> tuple[ObjectId, set[ObjectId]]:
    """Put a tree with one of each in it: its root, and all its objects."""
    file = content(f"{text} file".encode() * 500)
    target = content(f"{text} target".encode())
    part = content((f"{text} part".encode() * CHUNK)[:CHUNK])
    large = chunks(CHUNK + 9, [part.id, None])
    sub = encode([Entry(b"large", EntryType.FILE, 0o600, large.id, CHUNK + 9)])
    root = encode(
        [
            Entry(b"fifo", EntryType.FIFO, 0o600, NO_ID),
            Entry(b"file", EntryType.FILE, 0o644, file.id, len(file.data)),
            Entry(b"link", EntryType.LINK, 0, target.id),
            Entry(b"sub", EntryType.DIRECTORY, 0o755, sub.id),
        ]
    )
    objects = [file, target, part, large, sub, root]
    store.put(objects)
    return root.id, {each.id for each in objects}


def ids(store: Store) -> set[ObjectId]:
    with store.file.reading() as connection:
        return {id_ for (id_,) in connection.execute("SELECT id FROM objects")}


def workspace(name: str, **roots: ObjectId) -> WorkspaceRecord:
    return WorkspaceRecord(id=f"id-{name}", name=name, tree="/w", created_ns=1, **roots)


def snapshot(name: str, root: ObjectId) -> SnapshotRecord:
    return SnapshotRecord(id=name, workspace="w", name=name, root=root, created_ns=1)


def commit(name: str, before: ObjectId, after: ObjectId) -> CommitRecord:
    return CommitRecord(
        id=name, workspace="w", message="m", base_before=before, base_after=after, created_ns=1
    )


NAMED: dict[str, Callable[[Store, ObjectId], object]] = {
    "a workspace's base": lambda store, root: store.workspaces.add(workspace("a", base_root=root)),
    "a workspace": lambda store, root: store.workspaces.add(workspace("a", root=root)),
    "a snapshot": lambda store, root: store.snapshots.add(snapshot("a", root)),
    "before a commit": lambda store, root: store.commits.add(commit("a", root, EMPTY.id)),
    "after a commit": lambda store, root: store.commits.add(commit("a", EMPTY.id, root)),
    "before an act": lambda store, root: store.begin(
        Act(workspace="w", kind="restore", tree="/", before=root)
    ),
    "after an act": lambda store, root: store.begin(
        Act(workspace="w", kind="restore", tree="/", after=root)
    ),
    "an act itself": lambda store, root: store.begin(
        Act(workspace="w", kind="batch", tree="/", details={"objects": [root.hex()]})
    ),
    "a ref": lambda store, root: store.refs.set(Ref(name="a", root=root)),
}


@pytest.mark.parametrize("by", NAMED)
def test_what_is_named_is_kept_and_the_rest_is_dropped(store: Store, later: Later, by: str) -> None:
    store.put([EMPTY])
    root, kept = tree(store, "kept")
    _, dropped = tree(store, "dropped")
    NAMED[by](store, root)
    later(GRACE + 10)

    would = store.collect(dry_run=True)
    assert {EMPTY.id, *kept, *dropped} == ids(store)
    found = store.collect()

    assert found == would
    is_empty_named = "commit" in by
    assert {*kept, *([EMPTY.id] if is_empty_named else [])} == ids(store)
    assert found.objects == len(dropped) + (not is_empty_named)
    assert () == store.check().problems
    assert Collected(objects=0, bytes=0) == store.collect()


def test_what_was_put_within_the_last_hour_is_kept(store: Store, later: Later) -> None:
    _, old = tree(store, "old")
    later(GRACE - 10)
    assert 0 == store.collect().objects
    _, new = tree(store, "new")
    later(20)

    assert len(old) == store.collect().objects
    assert new == ids(store)


def test_what_is_put_under_a_lease_is_kept_however_long_that_takes(
    store: Store, later: Later
) -> None:
    before, _ = tree(store, "before")
    later(60)
    with store.lease():
        root, objects = tree(store, "under it")
        later(9 * GRACE)
        store.collect()

        assert set() == store.missing(objects)
        assert {before} == store.missing([before])
        store.require_whole(root, -1)
    store.collect()

    assert objects == store.missing(objects)
    assert [] == [each for each in os.listdir(os.path.dirname(store.path)) if "lease" in each]


def test_a_lease_ends_with_its_process(store: Store, later: Later) -> None:
    _, objects = tree(store, "a")
    pid = os.fork()
    if pid == 0:  # pragma: no cover - a child that is killed
        store.lease().take()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert 1 == sum("lease" in each for each in os.listdir(os.path.dirname(store.path)))
    later(GRACE + 60)
    store.collect()

    assert objects == store.missing(objects)
    assert [] == [each for each in os.listdir(os.path.dirname(store.path)) if "lease" in each]


def test_a_lease_is_only_taken_for_what_takes_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = store.lease()
    lease.take_if_long()
    assert oldest(store.path) == float("inf")
    monkeypatch.setattr(leasing, "LONG", -1)
    lease.take_if_long()
    lease.take_if_long()
    assert oldest(store.path) == int(lease.since)
    lease.end()
    lease.end()
    assert oldest(store.path) == float("inf")


def test_where_no_lease_can_be_made_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing can be made beside it"):
        Lease(str(tmp_path / "gone/store.db"), 0).take()


def test_whoever_names_a_tree_is_told_if_something_of_it_was_dropped(
    store: Store, later: Later
) -> None:
    whole, _ = tree(store, "whole")
    root, objects = tree(store, "a")
    since = store.drops()
    store.require_whole(root, since)
    NAMED["a ref"](store, whole)
    later(GRACE + 1)
    store.collect()

    store.require_whole(whole, since)
    for gone in (objects, [each for each in objects if store.missing([each])][:1]):
        with pytest.raises(ObjectMissing):
            store.require_whole(root, since)
        assert gone
    file = content(b"a file" * 500)
    tree(store, "a")
    store.require_whole(root, since)
    with store.file.writing() as connection:
        connection.execute("DELETE FROM objects WHERE id = ?", (file.id,))
    with pytest.raises(ObjectMissing):
        store.require_whole(root, since)


def test_what_is_put_again_is_kept_though_it_was_there_for_long(store: Store, later: Later) -> None:
    _, objects = tree(store, "one")
    later(GRACE + 10)
    tree(store, "one")
    assert 0 == store.collect().objects

    later(GRACE + 10)
    assert len(objects) == store.collect().objects


def test_what_was_named_while_it_was_dropping_is_kept(
    store: Store, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "PIECE", 1)
    trees = [tree(store, f"tree {number}") for number in range(3)]
    later(GRACE + 10)
    other = Store.open(store.path)
    seen = []
    execute = store.file.writing

    @contextlib.contextmanager
    def writing() -> Iterator[sqlite3.Connection]:
        """Between its pieces, another process names what is there in full yet."""
        if not seen:
            there = ids(other)
            for root, objects in trees:
                if objects <= there:
                    other.snapshots.add(snapshot(root.hex(), root))
                    seen.append(objects)
                    break
        with execute() as connection:
            yield connection

    monkeypatch.setattr(store.file, "writing", writing)
    store.collect()
    monkeypatch.undo()
    other.close()

    assert seen == [ids(store)]
    assert () == store.check().problems


def test_what_is_put_again_while_it_is_dropped_is_there_afterwards(
    store: Store, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process drops what we have just found to be there."""
    some = content(b"some text" * 100)
    store.put([some, EMPTY])
    later(GRACE + 10)
    other = Store.open(store.path)
    known = putting._known

    def dropped_after(connection: sqlite3.Connection, wanted: list[ObjectId]) -> dict:
        found = known(connection, wanted)
        monkeypatch.setattr(putting, "_known", known)
        assert 2 == other.collect().objects
        return found

    monkeypatch.setattr(putting, "_known", dropped_after)
    assert 0 < store.put([some, EMPTY])
    other.close()

    assert some == store.get(some.id)
    assert () == store.check().problems


def test_who_remembers_ids_can_see_that_something_was_dropped(store: Store, later: Later) -> None:
    store.workspaces.add(workspace("a"))
    store.save_stats("id-a", {b"": b"1"})
    store.save_stats("the base", {b"": b"2"})
    assert 0 == store.drops()
    tree(store, "one")
    store.collect()
    assert 0 == store.drops()
    later(GRACE + 10)
    store.collect()

    assert 1 == store.drops()
    assert ({b"": b"1"}, {}) == (store.load_stats("id-a"), store.load_stats("the base"))


def test_what_was_dropped_before_it_was_cut_off_is_known_as_dropped(
    store: Store, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "PIECE", 4)
    tree(store, "one")
    later(GRACE + 10)
    remove, removed = collecting._remove, []

    def cut_off(*args: object) -> bool:
        if len(removed) == 5:
            raise KeyboardInterrupt
        removed.append(args)
        return remove(*args)

    monkeypatch.setattr(collecting, "_remove", cut_off)
    with pytest.raises(KeyboardInterrupt):
        store.collect()

    assert (2, 1) == (len(ids(store)), store.drops())
    assert () == store.check().problems


def test_its_room_is_given_back_to_the_disk(store: Store, later: Later) -> None:
    store.put(content(os.urandom(2000)) for _ in range(3000))
    store.file.settle()
    large = os.path.getsize(store.path)
    later(GRACE + 10)

    found = store.collect()

    assert (3000, 6_000_000) == (found.objects, found.bytes)
    assert os.path.getsize(store.path) < large / 20
    assert 0 == store.sizes().free


def test_a_store_in_which_something_is_missing_drops_nothing(store: Store, later: Later) -> None:
    root, objects = tree(store, "one")
    store.snapshots.add(snapshot("a", root))
    tree(store, "two")
    later(GRACE + 10)
    before = ids(store)
    (sub,) = (each.id for each in store.listing(root) if each.name == b"sub")
    (large,) = (each.id for each in store.listing(sub))
    for gone, use in ((sub, store.collect), (large, lambda: store.collect(dry_run=True))):
        with store.file.writing() as connection:
            row = connection.execute("SELECT * FROM objects WHERE id = ?", (gone,)).fetchone()
            connection.execute("DELETE FROM objects WHERE id = ?", (gone,))
        with pytest.raises(ObjectMissing, match=gone.hex()):
            use()
        with store.file.writing() as connection:
            connection.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)", row)

    assert before == ids(store)
    assert len(objects) == store.collect().objects  # those of the second


# ---------------------------------------------------------------- what is wrong


def spoil(store: Store, sql: str, *values: object) -> None:
    with store.file.writing() as connection:
        assert 1 == connection.execute(sql, values).rowcount


def test_a_whole_store_has_no_problems(store: Store) -> None:
    root, objects = tree(store, "one")
    store.snapshots.add(snapshot("a", root))

    found = store.check()

    assert (len(objects), (), True) == (found.objects, found.problems, found.ok)


NUMBER = "(SELECT number FROM objects WHERE id = ?)"
DAMAGE: dict[str, tuple[str, str]] = {
    "a truncated object": (
        f"UPDATE contents SET data = substr(data, 1, length(data) / 2) WHERE number = {NUMBER}",
        "cannot be decompressed",
    ),
    "no bytes": (
        f"UPDATE contents SET data = x'' WHERE number = {NUMBER}",
        "cannot be decompressed",
    ),
    "other bytes": (
        f"UPDATE contents SET packed = 0, data = zeroblob(4000) WHERE number = {NUMBER}",
        "not those that were put",
    ),
    "another size": ("UPDATE objects SET size = 5 WHERE id = ?", "cannot be decompressed"),
    "too large a size": ("UPDATE objects SET size = 5000 WHERE id = ?", "bytes of 5000"),
    "a huge size": ("UPDATE objects SET size = 1 << 62 WHERE id = ?", "more than any object"),
    "no such kind": ("UPDATE objects SET kind = 9 WHERE id = ?", "9 is not a valid Kind"),
    "another kind": ("UPDATE objects SET kind = 2 WHERE id = ?", "not those that were put"),
    "a text": (
        f"UPDATE contents SET data = 'text', packed = 0 WHERE number = {NUMBER}",
        "no bytes",
    ),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_object_is_an_error_when_it_is_read_and_a_problem_when_all_is_checked(
    store: Store, how: str
) -> None:
    root, _ = tree(store, "one")
    store.snapshots.add(snapshot("a", root))
    file = content(b"one file" * 500)
    spoil(store, DAMAGE[how][0], file.id)

    with pytest.raises(StoreDamaged, match=DAMAGE[how][1]) as caught:
        store.read(file.id, 5)
    problems = store.check().problems

    assert file.id.hex() in str(caught.value)
    assert store.path in str(caught.value)
    assert str(caught.value) == problems[0]


def test_what_is_missing_is_said_with_what_names_it(store: Store) -> None:
    root, objects = tree(store, "one")
    store.snapshots.add(snapshot("a", root))
    store.snapshots.add(snapshot("b", ObjectId(b"x" * 32)))
    file, target = content(b"one file" * 500), content(b"one target")
    for each in (file, target):
        spoil(store, f"DELETE FROM contents WHERE number = {NUMBER}", each.id)
        spoil(store, "DELETE FROM objects WHERE id = ?", each.id)
    spoil(store, "INSERT INTO contents (packed, data) VALUES (0, x'00')")

    found = store.check()

    assert len(objects) - 2 == found.objects
    assert not found.ok
    assert {
        "1 contents belong to no object",
        f"the object {(b'x' * 32).hex()} is missing, which a row names",
        f"the object {file.id.hex()} is missing, which the object {root.hex()} names",
        f"the object {target.id.hex()} is missing, which the object {root.hex()} names",
    } == set(found.problems)


def test_an_object_of_another_kind_than_a_listing_says_is_a_problem(store: Store) -> None:
    some = content(b"some")
    root = encode([Entry(b"d", EntryType.DIRECTORY, 0o755, some.id)])
    store.put([some, root])
    store.snapshots.add(snapshot("a", root.id))

    (problem,) = store.check().problems

    assert f"{some.id.hex()} is of kind 1 and not 2, a listing" in problem
    with pytest.raises(StoreDamaged):
        store.listing(some.id)


def test_a_listing_that_is_none_is_a_problem(store: Store) -> None:
    odd = [make(Kind.LISTING, b"no listing"), make(Kind.CHUNKS, b"no chunks")]
    store.put(odd)
    store.snapshots.add(snapshot("a", odd[0].id))

    problems = store.check().problems

    assert ["does not begin like one" in each for each in problems] == [True, True]
    for each, use in zip(odd, (store.listing, lambda id_: store.read(id_, 1)), strict=True):
        with pytest.raises(StoreDamaged, match=each.id.hex()) as caught:
            use(each.id)
        assert store.path == caught.value.where


def test_a_row_that_is_none_is_a_problem(store: Store) -> None:
    tree(store, "one")
    store.snapshots.add(snapshot("a", EMPTY.id))
    store.put([EMPTY])
    spoil(store, "UPDATE snapshots SET unstable = 'x'")
    spoil(store, "INSERT INTO facts VALUES ('a', x'00')")

    (problem,) = store.check().problems

    assert "a row of snapshots" in problem
    assert store.path in problem


@pytest.mark.parametrize("details", ["no json", '{"objects": ["no id"]}', '{"objects": 5}', "[]"])
def test_an_act_that_names_what_cannot_be_is_damage_and_drops_nothing(
    store: Store, later: Later, details: str
) -> None:
    tree(store, "one")
    store.begin(Act(workspace="w", kind="batch", tree="/"))
    spoil(store, "UPDATE journal SET details = ?", details)
    later(GRACE + 10)

    with pytest.raises(StoreDamaged, match="a row of journal"):
        store.collect()
    assert any("a row of journal" in each for each in store.check().problems)
    assert 6 == len(ids(store))


def test_a_file_that_is_damaged_in_the_middle_is_a_problem(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    store = Store.open(path)
    objects = [content(os.urandom(3000)) for _ in range(200)]
    store.put(objects)
    store.file.settle()
    store.close()
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(size // 2)
        file.write(b"\xa5" * 20_000)

    with contextlib.closing(Store.open(path)) as again:
        problems = again.check().problems
        damaged = 0
        for each in objects:
            with contextlib.suppress(StoreDamaged, ObjectMissing):
                assert each == again.get(each.id)
                continue
            damaged += 1

    assert problems
    assert 0 < damaged < 200


def test_only_so_many_problems_are_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MOST_PROBLEMS", 5)
    objects: list[Object] = [content(b"%d" % number) for number in range(20)]
    store.put(objects)
    with store.file.writing() as connection:
        connection.execute("UPDATE objects SET size = 99")

    assert 5 == len(store.check().problems)
