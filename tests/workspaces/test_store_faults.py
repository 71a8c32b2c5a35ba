"""Kills, full disks, other processes and odd files: a store is whole, or says what is wrong."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.database import transaction
from runner.errors import StoreDamaged, StoreError
from runner.workspaces.database import SCHEMA
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import CHUNK, content
from runner.workspaces.records import SnapshotRecord
from runner.workspaces.store import Store

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "project" / "store.db")


class Child:
    """A forked process that does something, and writes what becomes of it."""

    def __init__(self, work: Callable[[Callable[[str], None]], object]) -> None:
        self.reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.reading)
            try:
                work(lambda text: os.write(writing, f"{text}\n".encode()))
            except BaseException as exc:  # noqa: BLE001 - for the parent to see
                os.write(writing, f"{type(exc).__name__}: {exc}\n".encode())
            os._exit(0)
        os.close(writing)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def lines(self) -> list[str]:
        """All that it wrote, when it has ended."""
        with os.fdopen(self.reading) as file:
            found = file.read().splitlines()
        os.waitpid(self.pid, 0)
        return found


def save(store: Store, name: str, chance: random.Random) -> None:
    """Put a tree of some files, then name it."""
    files = [content(chance.randbytes(chance.randrange(20_000))) for _ in range(30)]
    listing = encode(
        Entry(b"%d" % number, EntryType.FILE, 0o644, each.id, len(each.data))
        for number, each in enumerate(files)
    )
    store.put([*files, listing])
    store.snapshots.add(
        SnapshotRecord(id=name, workspace="w", name=name, root=listing.id, created_ns=1)
    )


# ---------------------------------------------------------------- other processes


def test_a_store_is_whole_whenever_its_process_is_killed(path: str) -> None:
    chance = random.Random(5)
    known: list[str] = []
    for attempt in range(12):

        def work(say: Callable[[str], None], attempt: int = attempt) -> None:
            store = Store.open(path)
            mine = random.Random(attempt)
            for number in range(1000):
                save(store, f"{attempt} {number}", mine)
                say(f"{attempt} {number}")

        child = Child(work)
        os.read(child.reading, 1)
        until = time.monotonic() + chance.random() * 0.05
        while time.monotonic() < until:
            pass
        child.kill()
        known += child.lines()[1:-1]  # one byte of the first is gone; the last may be half

    with contextlib.closing(Store.open(path)) as store:
        names = {each.name for each in store.snapshots.list()}
        assert () == store.check().problems
    assert names >= set(known)
    assert len(names) > len(known)


def test_processes_that_share_a_store_wait_for_each_other_and_lose_nothing(path: str) -> None:
    def work(number: int) -> Callable[[Callable[[str], None]], None]:
        def run(say: Callable[[str], None]) -> None:
            store = Store.open(path, patience=30)
            mine = random.Random(number % 2)  # two of them put the same
            for turn in range(12):
                save(store, f"{number} {turn}", mine)
                store.collect()
            say("done")

        return run

    children = [Child(work(number)) for number in range(4)]

    assert [["done"]] * 4 == [each.lines() for each in children]
    with contextlib.closing(Store.open(path)) as store:
        assert 48 == len(store.snapshots.list())
        assert () == store.check().problems


def test_who_waits_too_long_for_another_process_is_told(path: str) -> None:
    store = Store.open(path, patience=0.05)
    store.put([EMPTY])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        with transaction(other):
            assert EMPTY == store.get(EMPTY.id)  # reading waits for nobody
            with pytest.raises(StoreError, match="database is locked") as caught:
                store.put([content(b"new")])
    assert (path, "another process is at work on it: try again") == (
        caught.value.where, caught.value.how
    )  # fmt: skip

    assert 3 == store.put([content(b"new")])
    store.close()


# ---------------------------------------------------------------- a full disk


def fill(store: Store) -> Iterator[None]:
    while True:
        store.put([content(os.urandom(100_000))])
        yield


def test_on_a_full_disk_nothing_is_lost_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(tmp_path)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small disk needs root: {mounted.stderr.decode()}")
    store = None
    try:
        filler = tmp_path / "filler"
        filler.write_bytes(bytes(3_000_000))
        store = Store.open(str(tmp_path / "store.db"))
        save(store, "before", random.Random(1))
        with pytest.raises(StoreError, match="full|disk I/O error") as caught:
            for _ in fill(store):
                pass
        with pytest.raises(StoreError):
            for number in range(100):
                save(store, f"while {number}", random.Random(number))
        filler.unlink()
        save(store, "after", random.Random(2))

        assert "make room on the disk" in caught.value.how
        assert {"before", "after"} <= {each.name for each in store.snapshots.list()}
        assert () == store.check().problems
    finally:
        if store is not None:
            store.close()
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_file_that_may_not_grow_is_an_error_and_stays_whole(path: str) -> None:
    def work(say: Callable[[str], None]) -> None:
        store = Store.open(path)
        save(store, "before", random.Random(1))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            store.put(content(os.urandom(CHUNK)) for _ in range(50))
        except StoreError as error:
            say(f"{error.where} {error.how}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        save(store, "after", random.Random(2))

    (said,) = Child(work).lines()

    assert path in said
    assert "make room on the disk" in said
    with contextlib.closing(Store.open(path)) as store:
        assert ["before", "after"] == [each.name for each in store.snapshots.list()]
        assert () == store.check().problems


# ---------------------------------------------------------------- odd files


def opened_by_nobody(path: str) -> list[str]:
    def work(say: Callable[[str], None]) -> None:
        if os.geteuid() == 0:
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
        try:
            Store.open(path).put([EMPTY])
        except StoreError as error:
            say(f"{type(error).__name__} {error.where} {error.how}")

    return Child(work).lines()


def test_a_store_that_may_not_be_written_is_refused() -> None:
    with tempfile.TemporaryDirectory() as place:  # one that others can see
        path = os.path.join(place, "store.db")
        Store.open(path).close()
        os.chmod(place, 0o555)
        os.chmod(path, 0o444)

        (said,) = opened_by_nobody(path)

    assert said == f"StoreError {path} it and its directory have to be writable for this user"


def test_where_no_store_can_be_made_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "directory.db").mkdir()
    for place in ("file/store.db", "directory.db"):
        with pytest.raises(StoreError, match="cannot be opened") as caught:
            Store.open(str(tmp_path / place))
        assert str(tmp_path / place) == caught.value.where


def test_a_store_of_a_newer_version_is_refused_and_left_alone(path: str) -> None:
    Store.open(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA.version + 1}")
    before = Path(path).read_bytes()

    with pytest.raises(StoreError, match="newer version of runner .* use that one") as caught:
        Store.open(path)
    assert path == caught.value.where
    assert before == Path(path).read_bytes()


def test_a_file_of_another_program_is_refused_and_left_alone(path: str) -> None:
    os.makedirs(os.path.dirname(path))
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.execute("PRAGMA user_version = 1")
    before = Path(path).read_bytes()

    with pytest.raises(StoreError, match="was made by another program"):
        Store.open(path)
    assert before == Path(path).read_bytes()


@pytest.mark.parametrize("length", [50, 5000])
def test_a_file_that_is_no_database_is_damaged_and_it_is_said_what_to_do(
    path: str, length: int
) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).write_bytes(b"x" * length)

    with pytest.raises(StoreDamaged, match="not a database") as caught:
        Store.open(path)
    assert (path, True) == (caught.value.where, "move it away" in caught.value.how)


def test_a_file_that_was_cut_off_is_an_error_by_name(path: str) -> None:
    with contextlib.closing(Store.open(path)) as store:
        objects = [content(os.urandom(3000)) for _ in range(100)]
        store.put(objects)
        store.file.settle()
    os.truncate(path, os.path.getsize(path) // 2)

    errors = []
    try:
        with contextlib.closing(Store.open(path)) as store:
            errors += store.check().problems
            for each in objects:
                store.get(each.id)
    except StoreError as error:
        errors.append(str(error))
    assert errors
    assert any(path in each for each in errors)
