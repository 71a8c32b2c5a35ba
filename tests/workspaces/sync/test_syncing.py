"""Pushing, pulling and what becomes of changes of both sides: real stores, a directory between."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from runner.errors import (
    RemoteDamaged,
    RemoteUnreachable,
    SnapshotNotFound,
    SyncError,
    WorkspaceChanged,
)
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import CHUNK, Object, ObjectId, chunk, chunks, content
from runner.workspaces.records import SnapshotRecord, WorkspaceRecord
from runner.workspaces.store import Store
from runner.workspaces.sync.files import FileRemote
from runner.workspaces.sync.keeping import keep, read_settings, say
from runner.workspaces.sync.placing import place
from runner.workspaces.sync.settings import SENT, Settings
from runner.workspaces.sync.syncing import Syncing
from runner.workspaces.sync.versions import Version
from runner.workspaces.sync.versions import encode as encode_version

FILE = EntryType.FILE
Files = Mapping[str, bytes]


@attrs.define(eq=False)
class Place:
    """A place that has the workspace: a store, and a tree that is a root."""

    store: Store
    sync: Syncing
    tree: Path
    root: ObjectId = EMPTY.id
    saved: Settings | None = None
    meanwhile: Callable[[], None] | None = None

    def save(self, settings: Settings, refs: Mapping[str, ObjectId]) -> None:
        say(self.store, "id", settings)
        keep(self.store, "id", settings, refs)
        self.saved = settings

    async def look(self) -> ObjectId:
        await trio.lowlevel.checkpoint()
        return self.root

    async def apply(self, before: ObjectId, after: ObjectId) -> None:
        await trio.lowlevel.checkpoint()
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if self.root != before:
            raise WorkspaceChanged("it is another one by now")
        self.root = after

    def write(self, files: Mapping[str, bytes | None]) -> None:
        """Change files; None removes one."""
        entries: dict[str, Entry | None] = {}
        for path, data in files.items():
            name = os.fsencode(path).rpartition(b"/")[2]
            if data is None:
                entries[path] = None
            elif len(data) > CHUNK:
                parts = [chunk(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)]
                self.store.put(each for each in parts if each is not None)
                made = chunks(len(data), [None if each is None else each.id for each in parts])
                self.store.put([made])
                entries[path] = Entry(name, FILE, 0o644, made.id, len(data))
            else:
                made = content(data)
                self.store.put([made])
                entries[path] = Entry(name, FILE, 0o644, made.id, len(data))
        self.root, objects = place(self.store.listing, self.root, entries)
        self.store.put(objects)

    def files(self) -> dict[str, bytes]:
        """All that is there; read from the store."""
        found = {}

        def walk(prefix: str, root: ObjectId) -> None:
            for each in self.store.listing(root):
                path = prefix + os.fsdecode(each.name)
                if each.type is EntryType.DIRECTORY:
                    walk(path + "/", each.id)
                else:
                    found[path] = self.store.read(each.id, 1 << 30)

        walk("", self.root)
        return found

    def snapshot(self, name: str) -> None:
        self.store.snapshots.add(
            SnapshotRecord(id=name, workspace="id", name=name, root=self.root, created_ns=1)
        )


def make_place(top: Path, name: str, **settings: object) -> Place:
    store = Store.open(str(top / f"store {name}" / "store.db"))
    tree = top / f"tree {name}"
    tree.mkdir(exist_ok=True)
    sync = Syncing(
        store=store,
        record=WorkspaceRecord(id="id", name="w", tree=str(tree), created_ns=1),
        remote=FileRemote(str(top / "share")),
        settings=Settings(url="file:///share", under="w", device=f"place {name}", **settings),
        save=lambda settings, refs: made.save(settings, refs),  # noqa: PLW0108
        look=lambda: made.look(),  # noqa: PLW0108 - it is made below
        apply=lambda before, after: made.apply(before, after),  # noqa: PLW0108
        in_thread=trio.to_thread.run_sync,
    )
    made = Place(store, sync, tree)
    return made


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., Place]]:
    places: list[Place] = []

    def make(**settings: object) -> Place:
        places.append(make_place(tmp_path, str(len(places)), **settings))
        return places[-1]

    await FileRemote(str(tmp_path / "share")).open()
    yield make
    for each in places:
        each.store.close()


async def test_what_one_place_pushes_the_other_pulls_and_back(make) -> None:
    ours, theirs = make(), make()
    big = os.urandom(CHUNK) + bytes(CHUNK) + b"end"
    ours.write({"a": b"1", "dir/b": b"2", "dir/deep/c": b"3", "big": big})
    pushed = await ours.sync.push()
    assert ["a", "big", "dir/b", "dir/deep/c"] == [each.path for each in pushed.changes]
    assert (1, 0) == (pushed.version, await ours.sync.pending())

    assert 0 == await theirs.sync.pending()
    pulled = await theirs.sync.pull()
    assert ours.files() == theirs.files()
    assert [each.path for each in pushed.changes] == [each.path for each in pulled.changes]

    theirs.write({"a": b"more", "dir/b": None})
    assert 2 == await theirs.sync.pending()
    second = await theirs.sync.push()
    assert (2, 3) == (second.version, second.objects)  # the file and two listings, no more
    assert not (await theirs.sync.push()).changes
    await ours.sync.pull()
    assert {"a": b"more", "dir/deep/c": b"3", "big": big} == ours.files()
    assert not (await ours.sync.pull()).changes
    assert ours.root == theirs.root
    assert ours.saved == ours.sync.settings


async def test_changes_at_other_paths_become_one_also_by_a_push(make) -> None:
    ours, theirs = make(), make()
    ours.write({"a": b"1", "b": b"1"})
    await ours.sync.push()
    await theirs.sync.pull()

    ours.write({"a": b"2"})
    await ours.sync.push()
    theirs.write({"b": b"2", "c": b"new"})
    await theirs.sync.push()
    await ours.sync.pull()

    assert {"a": b"2", "b": b"2", "c": b"new"} == ours.files() == theirs.files()


async def test_of_a_conflict_nothing_is_applied_until_somebody_decides(make) -> None:
    ours, theirs = make(), make()
    ours.write({"a": b"1", "b": b"1"})
    await ours.sync.push()
    await theirs.sync.pull()
    ours.write({"a": b"ours", "b": b"ours"})
    await ours.sync.push()
    theirs.write({"a": b"theirs", "b": None, "c": b"c"})
    before = theirs.root

    for act in (theirs.sync.push, theirs.sync.pull):
        with pytest.raises(SyncError, match="both changed") as caught:
            await act()
        assert ["a", "b"] == [each.path for each in caught.value.conflicts]
    assert before == theirs.root
    assert ["a", "b"] == [path for path, _ in theirs.sync.settings.conflicts]
    assert 3 == await theirs.sync.pending()

    chosen = {"a": "local", "b": "remote"}
    theirs.sync.settings = attrs.evolve(theirs.sync.settings, choices=chosen)
    await theirs.sync.push()
    await ours.sync.pull()
    assert {"a": b"theirs", "b": b"ours", "c": b"c"} == ours.files() == theirs.files()
    assert () == theirs.sync.settings.conflicts
    assert {} == theirs.sync.settings.choices


async def test_a_choice_is_for_the_version_that_it_was_made_for(make) -> None:
    ours, theirs = make(), make()
    for each in (ours, theirs):
        each.write({"a": each.sync.settings.device.encode()})
    await ours.sync.push()
    with pytest.raises(SyncError):
        await theirs.sync.pull()
    theirs.sync.settings = attrs.evolve(theirs.sync.settings, choices={"a": "local"})
    ours.write({"a": b"another by now"})
    await ours.sync.push()

    with pytest.raises(SyncError):
        await theirs.sync.push()
    assert {} == theirs.sync.settings.choices
    assert {"a": b"place 1"} == theirs.files()


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("local", {"a": b"theirs", "gone": None, "kept": b"theirs"}),
        ("remote", {"a": b"ours", "gone": b"ours", "kept": None}),
        ("last-write-wins", {"a": b"theirs", "gone": b"ours", "kept": b"theirs"}),
    ],
)
async def test_a_strategy_decides_where_nobody_does(make, strategy, expected) -> None:
    ours, theirs = make(), make(strategy=strategy)
    ours.write({"a": b"1", "gone": b"1", "kept": b"1"})
    await ours.sync.push()
    await theirs.sync.pull()
    ours.write({"a": b"ours", "gone": b"ours", "kept": None})
    await ours.sync.push()
    theirs.write({"a": b"theirs", "gone": None, "kept": b"theirs"})
    later = time.time() + 60
    (theirs.tree / "a").touch()
    os.utime(theirs.tree / "a", (later, later))

    await theirs.sync.push()
    await ours.sync.pull()

    there = {path: data for path, data in expected.items() if data is not None}
    assert there == theirs.files() == ours.files()


async def test_the_last_write_may_be_theirs_or_not_be_known(make) -> None:
    ours, theirs = make(), make(strategy="last-write-wins")
    for each in (ours, theirs):
        each.write({"a": each.sync.settings.device.encode()})
    await ours.sync.push()
    with pytest.raises(SyncError):  # its file has just gone: nobody knows when it was written
        await theirs.sync.pull()
    (theirs.tree / "a").touch()
    os.utime(theirs.tree / "a", (1e9, 1e9))
    await theirs.sync.pull()

    assert {"a": b"place 0"} == theirs.files()


async def test_texts_are_merged_by_lines_if_that_is_wanted(make) -> None:
    ours, theirs = make(), make(strategy="merge")
    ours.write({"a": b"1\n2\n3\n4\n5\n"})
    await ours.sync.push()
    await theirs.sync.pull()
    ours.write({"a": b"one\n2\n3\n4\n5\n"})
    await ours.sync.push()
    theirs.write({"a": b"1\n2\n3\n4\nfive\n"})

    await theirs.sync.push()

    assert {"a": b"one\n2\n3\n4\nfive\n"} == theirs.files()


async def test_force_makes_ours_the_newest_and_theirs_an_older_one(make) -> None:
    ours, theirs = make(), make()
    ours.write({"a": b"ours"})
    await ours.sync.push()
    theirs.write({"b": b"theirs"})
    pushed = await theirs.sync.push(force=True)

    assert (2, {"b": b"theirs"}) == (pushed.version, theirs.files())
    assert ["b"] == [each.path for each in pushed.changes]  # of what it never had it knows nothing
    await ours.sync.pull()
    assert {"b": b"theirs"} == ours.files()


async def test_an_older_tree_is_had_by_its_time_or_by_a_snapshots_name(make) -> None:
    ours, theirs = make(), make()
    with pytest.raises(SyncError, match="has no workspace"):
        await theirs.sync.fetch()
    ours.write({"a": b"1"})
    ours.snapshot("first")
    await ours.sync.push()
    between = datetime.now(UTC)
    ours.write({"a": b"2"})
    await ours.sync.push()

    for wanted in ({"at": between}, {"snapshot": "first"}):
        theirs.root = await theirs.sync.fetch(**wanted)
        assert {"a": b"1"} == theirs.files()
    theirs.root = await theirs.sync.fetch()
    assert {"a": b"2"} == theirs.files()
    with pytest.raises(SyncError, match="no version as old"):
        await theirs.sync.fetch(at=between - timedelta(days=1))
    with pytest.raises(SnapshotNotFound, match="did you mean 'first'"):
        await theirs.sync.fetch(snapshot="frst")


async def test_a_snapshot_alone_is_pushed_too(make) -> None:
    ours = make()
    ours.write({"a": b"1"})
    await ours.sync.push()
    ours.snapshot("later")

    assert 2 == (await ours.sync.push()).version
    assert 2 == (await ours.sync.push()).version


async def test_what_is_written_while_it_is_merged_is_merged_as_well(make) -> None:
    ours, theirs = make(), make()
    ours.write({"a": b"1"})
    await ours.sync.push()
    theirs.write({"b": b"1"})
    theirs.meanwhile = lambda: theirs.write({"c": b"just now"})

    await theirs.sync.pull()

    assert {"a": b"1", "b": b"1", "c": b"just now"} == theirs.files()


async def test_a_tree_that_is_written_to_all_the_time_is_said_so(make) -> None:
    ours, theirs = make(), make()
    ours.write({"a": b"1"})
    await ours.sync.push()
    numbers = iter(range(100))

    def again() -> None:
        theirs.write({"b": b"%d" % next(numbers)})
        theirs.meanwhile = again

    theirs.meanwhile = again
    with pytest.raises(SyncError, match="written to all the time"):
        await theirs.sync.pull()
    assert "a" not in theirs.files()


class Quicker:
    """A remote at which another place is quicker, once."""

    def __init__(self, real: FileRemote, other: Callable[[], object]) -> None:
        self._real, self._other = real, other

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    async def swap_ref(self, name: str, before: ObjectId | None, after: ObjectId) -> bool:
        other, self._other = self._other, trio.lowlevel.checkpoint
        await other()
        return await self._real.swap_ref(name, before, after)


async def test_who_loses_the_race_to_push_takes_the_other_s_along(make) -> None:
    ours, theirs = make(), make()
    ours.write({"a": b"1"})
    theirs.write({"b": b"1"})
    theirs.sync.remote = Quicker(theirs.sync.remote, ours.sync.push)

    await theirs.sync.push()
    await ours.sync.pull()

    assert {"a": b"1", "b": b"1"} == ours.files() == theirs.files()


async def test_a_push_that_was_cut_off_goes_on_where_it_stopped(make, tmp_path: Path) -> None:
    ours, theirs = make(), make()
    ours.write({f"dir{n % 7}/file{n}": b"%d" % n for n in range(100)})
    remote = ours.sync.remote
    real, puts = remote.put, []

    class Cut(Exception):
        pass

    class Cutting:
        def __getattr__(self, name: str) -> object:
            return getattr(remote, name)

        async def put(self, objects: list[object]) -> None:
            if puts:
                raise Cut
            puts.append(len(objects))
            await real(objects)

    ours.sync.remote = Cutting()
    with pytest.raises(Cut):
        await ours.sync.push()
    with pytest.raises(SyncError, match="no workspace"):
        await theirs.sync.fetch()
    ours.sync.remote = remote
    pushed = await ours.sync.push()
    assert 100 + 8 == puts[0] + pushed.objects
    await theirs.sync.pull()
    assert ours.files() == theirs.files()


class Deaf:
    """A remote whose answer to a swap never arrives."""

    def __init__(self, remote: FileRemote) -> None:
        self.remote = remote

    def __getattr__(self, name: str) -> object:
        return getattr(self.remote, name)

    async def swap_ref(self, *what: object) -> bool:
        assert await self.remote.swap_ref(*what)  # type: ignore[arg-type]
        raise RemoteUnreachable("no answer")


async def test_a_push_whose_answer_was_lost_is_no_conflict_with_oneself(make) -> None:
    ours, theirs = make(), make()
    for number in range(3):  # the first of all, and later ones
        ours.write({"a": b"%d sent" % number})
        real, ours.sync.remote = ours.sync.remote, Deaf(ours.sync.remote)
        with pytest.raises(RemoteUnreachable):
            await ours.sync.push()
        ours.sync.remote = real
        ours.write({"a": b"%d and on" % number})
        await ours.sync.push()
        assert number * 2 + 2 == ours.sync.settings.number
    await theirs.sync.pull()
    assert {"a": b"2 and on"} == theirs.files()


async def test_others_may_have_built_on_a_push_whose_answer_was_lost(make) -> None:
    ours, theirs = make(), make()
    ours.write({"a": b"1", "b": b"1"})
    real, ours.sync.remote = ours.sync.remote, Deaf(ours.sync.remote)
    with pytest.raises(RemoteUnreachable):
        await ours.sync.push()
    ours.sync.remote = real
    for number in range(3):
        await theirs.sync.pull()
        theirs.write({"b": b"theirs %d" % number})
        await theirs.sync.push()
    ours.write({"a": b"2"})
    await ours.sync.pull()
    assert {"a": b"2", "b": b"theirs 2"} == ours.files()
    assert ours.sync.settings.sent is None


async def test_a_push_by_force_after_one_whose_answer_was_lost_is_the_next_version(make) -> None:
    ours = make()
    ours.write({"a": b"1"})
    real, ours.sync.remote = ours.sync.remote, Deaf(ours.sync.remote)
    with pytest.raises(RemoteUnreachable):
        await ours.sync.push()
    ours.sync.remote = real
    ours.write({"a": b"2"})
    assert 2 == (await ours.sync.push(force=True)).version


async def test_a_remote_that_was_set_back_changes_nothing_here(make, tmp_path: Path) -> None:
    ours, theirs = make(), make()
    ref = tmp_path / "share" / "refs" / "w"
    kept = []
    for number in range(4):
        ours.write({"a": b"%d" % number})
        await ours.sync.push()
        kept.append(ref.read_bytes())
    ref.write_bytes(kept[1])
    theirs.write({"b": b"theirs"})
    await theirs.sync.push()
    for newest in (kept[1], ref.read_bytes()):  # the older one, and one that was built on that
        ref.write_bytes(newest)
        for act in (ours.sync.pull, ours.sync.push):
            with pytest.raises(RemoteDamaged, match="does not come of number 4.*was set back"):
                await act()
        assert {"a": b"3"} == ours.files()
    await ours.sync.push(force=True)
    assert 4 == ours.sync.settings.number
    await ours.sync.pull()
    assert {"a": b"3"} == ours.files()


async def test_a_remote_without_end_is_not_looked_through_for_ever(make, monkeypatch) -> None:
    monkeypatch.setattr("runner.workspaces.sync.lineage.FAR", 3)
    ours, theirs = make(), make()
    ours.write({"a": b"1"})
    await ours.sync.push()
    await theirs.sync.pull()
    for number in range(5):
        theirs.write({"a": b"theirs %d" % number})
        await theirs.sync.push()
    with pytest.raises(SyncError, match="more than 3 versions.*enable it again"):
        await ours.sync.pull()
    assert {"a": b"1"} == ours.files()


ONE = content(b"x" * 10)
FULL = content(b"y" * CHUNK)
SHORT = content(b"short")
TWICE = chunks(2 * CHUNK, [FULL.id, FULL.id])


def file(id_: ObjectId, size: int, type_: EntryType = FILE) -> Object:
    return encode([Entry(b"f", type_, 0o644 if type_ is FILE else 0, id_, size)])


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([ONE], "no directory"),
        ([ONE, encode([Entry(b"d", EntryType.DIRECTORY, 0o755, ONE.id)])], "no directory"),
        ([ONE, file(ONE.id, 7)], "it has 10 bytes, and not 7"),
        ([ONE, file(ONE.id, 5 * CHUNK)], "no list of chunks"),
        ([FULL, TWICE, file(TWICE.id, 10)], "it is no content, but a chunks"),
        ([FULL, TWICE, file(TWICE.id, 3 * CHUNK)], "a file has 3145728 bytes of its 2097152"),
        ([FULL, TWICE, ONE, file(TWICE.id, CHUNK + 1)], "a file has"),
        (
            [
                FULL,
                SHORT,
                (odd := chunks(2 * CHUNK, [FULL.id, SHORT.id])),
                file(odd.id, 2 * CHUNK),
            ],
            "it has 5 bytes, and not 1048576",
        ),
        ([EMPTY, file(EMPTY.id, 7)], "it is no content, but a listing"),
        ([EMPTY, file(EMPTY.id, 0, EntryType.LINK)], "it is no content, but a listing"),
        ([FULL, file(FULL.id, 0, EntryType.LINK)], "no link can lead there"),
        (
            [(nul := content(b"x\0y")), file(nul.id, 0, EntryType.LINK)],
            "no link can lead there",
        ),
        ([FULL, TWICE, EMPTY, file(TWICE.id, 0, EntryType.LINK)], "it is no content"),
    ],
)
async def test_a_tree_that_is_none_is_not_taken_over(make, objects: list[Object], said) -> None:
    ours = make()
    ours.write({"a": b"mine", "b": b"x" * 10})
    version = encode_version(Version(workspace="w", root=objects[-1].id, number=1, created_ns=1))
    await ours.sync.remote.put([*objects, version])
    await ours.sync.remote.swap_ref("w", None, version.id)
    for act in (ours.sync.pull, ours.sync.push, ours.sync.fetch):
        with pytest.raises(RemoteDamaged, match=said):
            await act()
    assert {"a": b"mine", "b": b"x" * 10} == ours.files()
    assert not ours.store.check().problems


async def test_a_tree_that_is_too_deep_is_not_taken_over(make, monkeypatch) -> None:
    monkeypatch.setattr("runner.workspaces.sync.transfer.DEEPEST", 8)
    ours = make()
    objects = [encode([])]
    for _ in range(10):
        directory = Entry(b"d", EntryType.DIRECTORY, 0o755, objects[-1].id)
        objects.append(encode([directory]))
    version = encode_version(Version(workspace="w", root=objects[-1].id, number=1, created_ns=1))
    await ours.sync.remote.put([*objects, version])
    await ours.sync.remote.swap_ref("w", None, version.id)
    with pytest.raises(RemoteDamaged, match="8 directories deep"):
        await ours.sync.pull()


async def test_three_places_that_do_anything_have_the_same_in_the_end(make) -> None:
    chosen = random.Random(5)
    places = [make(strategy="remote"), make(strategy="remote"), make(strategy="remote")]
    for step in range(60):
        each = chosen.choice(places)
        path = chosen.choice(["a", "b", "d/c", "d/e/f", "g"])
        data = None if chosen.random() < 0.2 else b"%d" % step
        if data is not None or path in each.files():
            each.write({path: data})
        act = chosen.choice([each.sync.push, each.sync.pull, None])
        if act is not None:
            await act()
    for _ in range(2):
        for each in places:
            await each.sync.push()
    for each in places:
        await each.sync.pull()
        assert 0 == await each.sync.pending()

    assert 1 == len({each.root for each in places})


def fork(work: Callable[[], object], kill_at: int) -> bool:
    """Carry something out in a process that is killed at a call on the remote's files; if it was."""
    pid = os.fork()
    if pid == 0:
        left = kill_at

        def count(event: str, args: tuple[object, ...]) -> None:
            nonlocal left
            if event in {"open", "os.rename", "os.mkdir"} and "/share" in str(args[0]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_after_a_push_that_is_killed_at_any_call_nothing_is_a_conflict(tmp_path: Path) -> None:
    async def push(value: bytes) -> None:
        ours = make_place(tmp_path, "ours")
        ours.sync.settings = read_settings(ours.store, "id") or ours.sync.settings
        sent = ours.store.refs.get(SENT, "id")
        ours.root = EMPTY.id if sent is None else sent.root
        ours.write({"a": value})
        await ours.sync.remote.open()
        await ours.sync.push()
        ours.store.close()

    trio.run(push, b"0")
    kills = 0
    for point in range(2, 24, 2):
        kills += fork(partial(trio.run, push, b"%d killed" % point), point)
        trio.run(push, b"%d" % point)  # another one here than what may have arrived there
    assert kills > 5


def test_a_push_that_is_killed_at_any_call_leaves_the_old_version_or_the_new(tmp_path) -> None:
    async def push(value: bytes) -> None:
        ours = make_place(tmp_path, "ours")
        ours.write({f"{n}/file": b"%d of %s" % (n, value) for n in range(3)})
        await ours.sync.remote.open()
        await ours.sync.push(force=True)
        ours.store.close()

    async def pull() -> dict[str, bytes]:
        theirs = make_place(tmp_path, "theirs")
        await theirs.sync.remote.open()
        theirs.root = await theirs.sync.fetch()
        found = theirs.files()
        assert not theirs.store.check().problems
        theirs.store.close()
        return found

    trio.run(push, b"0")
    before, kills = trio.run(pull), 0
    for point in range(1, 40, 2):
        value = b"%d" % point
        kills += (was_killed := fork(partial(trio.run, push, value), point))
        got = trio.run(pull)
        after = {f"{n}/file": b"%d of %s" % (n, value) for n in range(3)}
        assert got in (before, after)
        assert was_killed or got == after
        before = got
    assert kills > 10
