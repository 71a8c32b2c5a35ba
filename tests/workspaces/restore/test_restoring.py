"""A live tree is made exactly what it was, whatever it has become."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import attrs
import pytest
import trio

from runner.backends.files import temporary_name
from runner.errors import NoSpace, ObjectMissing, OperationError, PermissionDenied, StoreDamaged
from runner.workspaces.capturing import Capture
from runner.workspaces.comparing import compare
from runner.workspaces.examining import unlike
from runner.workspaces.filling import fill
from runner.workspaces.journal import roll_forward
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import CHUNK, chunks, content
from runner.workspaces.planning import walk
from runner.workspaces.restoring import restore
from runner.workspaces.staging import opened, place_beside
from runner.workspaces.store import Store

ORDINARY = 1_800_000_001


def differing(store, root, tree):
    with opened(tree) as top:
        return list(unlike(store.listing, root, top))


def entry_of(store, root, name):
    return {each.name: each for each in store.listing(root)}[name]


@contextlib.contextmanager
def mounted(*arguments):
    """A mount, for a while."""
    if os.geteuid() != 0:
        pytest.skip("mounts as root: run the tests as root, or in `unshare -Urm`")
    subprocess.run(["mount", *arguments], check=True)
    try:
        yield arguments[-1]
    finally:
        subprocess.run(["umount", "-l", arguments[-1]], check=True)


@pytest.mark.parametrize("durable", [False, True])
def test_a_tree_with_everything_odd_is_restored_exactly_and_back(
    store, live, capture, seen, odd_before, odd_change, durable
):
    odd_before(live)
    first, first_seen = capture(store, live), seen(live)
    odd_change(live)
    second, second_seen = capture(store, live), seen(live)

    done = restore(store, "w", live, second, first, durable=durable)

    assert (done.left, done.mended, done.disturbed) == ((), (), ())
    assert seen(live) == first_seen
    assert differing(store, first, live) == []
    assert differing(store, second, live) != []
    restore(store, "w", live, first, second, durable=durable)
    assert seen(live) == second_seen
    assert store.journal.list() == []
    assert os.listdir(place_beside(live)) == []


def test_nothing_is_done_where_nothing_differs_but_what_else_is_written_is(store, live, capture):
    root = capture(store, live)

    told = []

    done = restore(store, "w", live, root, root, also=lambda: told.append(store.journal.list()))

    assert done.act is None
    assert told == [[]]


def test_what_else_is_written_and_fails_leaves_all_as_it_was(store, live, capture, seen):
    Path(live, "a").write_bytes(b"a")
    root, before = capture(store, live), seen(live)

    def fail():
        (act,) = store.journal.list()  # of the same transaction
        store.journal.begin(act)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        restore(store, "w", live, root, EMPTY.id, also=fail)

    assert seen(live) == before
    assert store.journal.list() == []
    assert os.listdir(place_beside(live)) == []


def test_a_new_directory_is_filled_with_everything_odd_whatever_the_umask(
    store, live, capture, seen, odd_before, tmp_path
):
    odd_before(live)
    root = capture(store, live)
    (tmp_path / "new").mkdir()
    umask = os.umask(0o077)
    try:
        fill(store, root, str(tmp_path / "new"))
        fill(store, EMPTY.id, str(tmp_path / "new"))
    finally:
        os.umask(umask)

    assert seen(str(tmp_path / "new")) == seen(live)
    with pytest.raises(FileExistsError):
        fill(store, root, str(tmp_path / "new"))


def test_a_parent_that_became_a_link_is_a_directory_again_and_nothing_is_written_through(
    store, live, capture, seen, tmp_path
):
    for path in ("a/b/one", "a/b/two", "a/other"):
        Path(live, path).parent.mkdir(parents=True, exist_ok=True)
        Path(live, path).write_text(path)
    first, first_seen = capture(store, live), seen(live)
    Path(live, "a/b/one").write_text("changed")
    os.unlink(live + "/a/other")
    second = capture(store, live)
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "b/one").write_text("outside")
    os.rename(live + "/a", tmp_path / "was")
    os.symlink(outside, live + "/a")  # by a program that is at work meanwhile

    done = restore(store, "w", live, second, first)

    assert done.mended == (("a",),)
    assert seen(live) == first_seen
    assert (outside / "b/one").read_text() == "outside"
    assert os.listdir(outside) == ["b"]


def test_what_is_in_the_way_is_replaced(store, live, capture, seen):
    Path(live, "file").write_bytes(b"file")
    Path(live, "directory").mkdir()
    root, wanted = capture(store, live), seen(live)
    os.unlink(live + "/file")
    os.rmdir(live + "/directory")
    os.makedirs(live + "/file/with/something")  # which the capture did not see
    Path(live, "directory").write_bytes(b"a file")

    restore(store, "w", live, EMPTY.id, root)

    assert seen(live) == wanted


def test_what_no_capture_knows_of_stays_with_its_directory_and_is_said(store, live, capture):
    os.makedirs(live + "/a/b")
    Path(live, "a/b/file").write_bytes(b"x")
    root = capture(store, live)
    Path(live, "a/b/unknown").write_bytes(b"nobody has this")

    done = restore(store, "w", live, root, EMPTY.id)

    assert done.left == (("a", "b"), ("a",))
    assert os.listdir(live + "/a/b") == ["unknown"]


def test_a_socket_goes_with_its_directory(store, live, capture):
    os.mkdir(live + "/a")
    root = capture(store, live)
    with socket.socket(socket.AF_UNIX) as one:
        with contextlib.chdir(live):
            one.bind("a/socket")

    done = restore(store, "w", live, root, EMPTY.id)

    assert done.left == ()
    assert os.listdir(live) == []


def test_who_has_a_file_open_keeps_what_it_was_and_other_names_outside_are_not_written_to(
    store, live, capture, tmp_path
):
    Path(live, "a").write_bytes(b"first")
    first = capture(store, live)
    Path(live, "a").write_bytes(b"second")
    second = capture(store, live)
    os.link(live + "/a", tmp_path / "outside")

    with open(live + "/a", "rb") as file:
        restore(store, "w", live, second, first)
        assert file.read() == b"second"

    assert Path(live, "a").read_bytes() == b"first"
    assert (tmp_path / "outside").read_bytes() == b"second"


def test_a_file_of_ten_gib_that_is_a_hole_stays_one(store, live):
    size, data = 10 << 30, b"in the middle".ljust(CHUNK, b"\0")
    ids = [None] * (size // CHUNK)
    ids[5000] = content(data).id
    large = chunks(size, ids)
    top = encode([Entry(b"sparse", EntryType.FILE, 0o600, large.id, size)])
    store.put([content(data), large, top])

    restore(store, "w", live, EMPTY.id, top.id)

    status = os.stat(live + "/sparse")
    assert status.st_size == size
    assert status.st_blocks * 512 <= 2 * CHUNK
    assert differing(store, top.id, live) == []


@pytest.mark.parametrize("last", [b"x", None])
def test_a_hole_at_the_end_has_its_length(store, live, last):
    size = CHUNK + 5
    tail = last and content(last * 5)
    large = chunks(size, [content(bytes(CHUNK - 1) + b"1").id, tail and tail.id])
    top = encode([Entry(b"file", EntryType.FILE, 0o644, large.id, size)])
    store.put([content(bytes(CHUNK - 1) + b"1"), large, top, *([tail] if tail else [])])

    restore(store, "w", live, EMPTY.id, top.id)

    assert differing(store, top.id, live) == []


def test_a_store_that_lacks_something_leaves_the_tree_as_it_was(store, live, capture, seen):
    Path(live, "a").write_bytes(b"a")
    before, was = capture(store, live), seen(live)
    lost = encode([Entry(b"a", EntryType.FILE, 0o644, content(b"lost").id, 4)])
    wrong = encode([Entry(b"a", EntryType.FILE, 0o644, content(b"a").id, 4)])
    store.put([lost, wrong])

    with pytest.raises(ObjectMissing):
        restore(store, "w", live, before, lost.id)
    with pytest.raises(StoreDamaged, match="has 1 bytes, and should have 4"):
        restore(store, "w", live, before, wrong.id)

    assert seen(live) == was
    assert store.journal.list() == []


def test_a_full_disk_is_said_and_leaves_the_tree_as_it_was(store, tmp_path, capture, seen):
    (tmp_path / "small").mkdir()
    with mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path / "small")) as small:
        live = small + "/tree"
        os.mkdir(live)
        Path(live, "a").write_bytes(b"a")
        before, was = capture(store, live), seen(live)
        large = [content(os.urandom(300_000)) for _ in range(5)]
        top = encode(
            Entry(b"%d" % number, EntryType.FILE, 0o644, each.id, 300_000)
            for number, each in enumerate(large)
        )
        fits = encode([Entry(b"0", EntryType.FILE, 0o644, large[0].id, 300_000)])
        store.put([*large, top, fits])

        with pytest.raises(NoSpace, match="restore '.'"):
            restore(store, "w", live, before, top.id)

        assert seen(live) == was
        assert store.journal.list() == []
        restore(store, "w", live, before, fits.id)  # it can be gone on with
        assert differing(store, fits.id, live) == []


def test_on_an_overlay_all_of_it_is_staged_in_the_tree_itself(
    store, tmp_path, live, capture, seen, odd_before, odd_change
):
    for name in ("lower", "upper", "work"):
        (tmp_path / "workspace" / name).mkdir()
    place = str(tmp_path / "workspace")
    odd_before(place + "/lower")
    options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
    with mounted("-t", "overlay", "-o", options, "overlay", live):
        first, first_seen = capture(store, live), seen(live)
        odd_change(live)
        second, second_seen = capture(store, live), seen(live)
        restore(store, "w", live, second, first)
        assert seen(live) == first_seen
        restore(store, "w", live, first, second)
        assert seen(live) == second_seen


def test_contents_are_copied_to_a_mount_in_the_tree(store, live, capture, seen):
    os.mkdir(live + "/mount")
    with mounted("-t", "tmpfs", "tmpfs", live + "/mount") as inner:
        os.mkfifo(inner + "/fifo", 0o640)
        Path(inner, "file").write_bytes(b"first")
        os.symlink("file", inner + "/link")
        first, first_seen = capture(store, live), seen(live)
        for name in ("file", "link", "fifo"):
            os.unlink(f"{inner}/{name}")
        Path(inner, "file").write_bytes(b"second")

        restore(store, "w", live, capture(store, live), first)

        assert seen(live) == first_seen


@contextlib.contextmanager
def as_somebody():
    """As a user to whom modes mean something, with a place of that user's."""
    with tempfile.TemporaryDirectory() as place:
        if os.geteuid() != 0:
            yield place
            return
        os.chown(place, ORDINARY, ORDINARY)
        os.setegid(ORDINARY)
        os.seteuid(ORDINARY)
        try:
            yield place
        finally:
            os.seteuid(0)
            os.setegid(0)


def test_read_only_directories_are_no_obstacle_to_an_ordinary_user(
    capture, seen, odd_before, odd_change
):
    with as_somebody() as place:
        store = Store.open(place + "/store.db")
        live = place + "/tree"
        os.mkdir(live)
        odd_before(live)
        os.mkdir(live + "/shut")
        Path(live, "shut/file").write_bytes(b"x")
        first, first_seen = capture(store, live), seen(live)
        shut = attrs.evolve(entry_of(store, first, b"shut"), mode=0)
        others = [each for each in store.listing(first) if each.name != b"shut"]
        closed = encode([*others, shut])
        empty = encode([*others, attrs.evolve(shut, id=EMPTY.id)])
        store.put([closed, empty, EMPTY])

        restore(store, "w", live, first, closed.id)
        assert stat.S_IMODE(os.stat(live + "/shut").st_mode) == 0
        restore(store, "w", live, closed.id, empty.id)
        restore(store, "w", live, empty.id, closed.id)
        restore(store, "w", live, closed.id, EMPTY.id)
        assert os.listdir(live) == []
        restore(store, "w", live, EMPTY.id, first)
        assert seen(live) == first_seen
        fill(store, closed.id, place + "/staging")
        os.chmod(place + "/staging/shut", 0o700)
        store.close()


def test_what_was_decided_and_cannot_go_on_now_is_finished_later(capture, seen):
    with as_somebody() as place:
        store = Store.open(place + "/store.db")
        live = place + "/tree"
        os.makedirs(live + "/a/b")
        root = capture(store, live)
        file = content(b"x")
        inner = encode([Entry(b"file", EntryType.FILE, 0o644, file.id, 1)])
        middle = encode([Entry(b"b", EntryType.DIRECTORY, 0o755, inner.id)])
        top = encode([Entry(b"a", EntryType.DIRECTORY, 0o755, middle.id)])
        store.put([file, inner, middle, top])

        def meanwhile():
            os.chmod(live + "/a/b", 0o555)

        with pytest.raises(PermissionDenied, match="is finished when the workspace is opened"):
            restore(store, "w", live, root, top.id, also=meanwhile)

        assert [act.kind for act in store.journal.list("w")] == ["restore"]
        os.chmod(live + "/a/b", 0o755)
        with pytest.raises(OperationError, match="restore '.'"):
            roll_forward(store, "w", place + "/nowhere", place_beside(live))
        done = roll_forward(store, "w", live, place_beside(live))
        assert [act.kind for act in done] == ["restore"]
        assert differing(store, top.id, live) == []
        assert store.journal.list() == []
        store.close()


def test_staging_that_somebody_removed_is_made_again_from_the_store(store, live, capture):
    Path(live, "a").write_bytes(b"a")
    root = capture(store, live)
    os.unlink(live + "/a")

    class Cut(BaseException):
        pass

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Cut):
        patch.setattr("runner.workspaces.carrying.Carrier.carry_out", lambda *_: raise_(Cut))
        restore(store, "w", live, EMPTY.id, root)
    (left,) = os.listdir(place_beside(live))
    os.unlink(f"{place_beside(live)}/{left}/0")
    os.rmdir(f"{place_beside(live)}/{left}")

    roll_forward(store, "w", live, place_beside(live))

    assert Path(live, "a").read_bytes() == b"a"


def raise_(what):
    raise what


def test_owners_of_files_survive(store, live, capture):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    Path(live, "a").write_bytes(b"first")
    first = capture(store, live)
    Path(live, "a").write_bytes(b"second")
    os.chown(live + "/a", ORDINARY, ORDINARY)

    restore(store, "w", live, capture(store, live), first)

    assert os.stat(live + "/a").st_uid == ORDINARY


@pytest.mark.parametrize("what", ["new", "mode", "loosen"])
def test_what_could_not_be_finished_is_not_decided(capture, seen, what):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    with as_somebody() as place:
        store = Store.open(place + "/store.db")
        live = place + "/tree"
        os.makedirs(live + "/a/b")
        root = capture(store, live)
        if what == "new":
            Path(live, "a/b/file").write_bytes(b"x")
        elif what == "mode":
            os.chmod(live + "/a/b", 0o700)
        else:
            os.chmod(live + "/a", 0o555)
        wanted = capture(store, live)
        os.chmod(live + "/a", 0o755)
        if what == "new":
            os.unlink(live + "/a/b/file")
        os.seteuid(0)
        for each in ("/a", "/a/b"):
            os.chown(live + each, 0, 0)
            os.chmod(live + each, 0o755)
        os.seteuid(ORDINARY)
        was = seen(live)

        with pytest.raises(PermissionDenied) as raised:
            restore(store, "w", live, root, wanted)

        assert "has been decided" not in str(raised.value)
        assert seen(live) == was
        assert store.journal.list() == []
        assert os.listdir(place_beside(live)) == []
        store.close()


def test_a_mount_for_reading_only_in_the_tree_is_said_before_anything_is_decided(
    store, live, capture
):
    os.mkdir(live + "/mount")
    Path(live, "mount/file").write_bytes(b"x")
    root = capture(store, live)
    with mounted("-t", "tmpfs", "-o", "ro", "tmpfs", live + "/mount"):
        with pytest.raises(PermissionDenied, match="read-only"):
            restore(store, "w", live, capture(store, live), root)
    assert store.journal.list() == []


def test_directories_that_are_shut_one_in_the_other_are_no_obstacle(capture, seen):
    with as_somebody() as place:
        store = Store.open(place + "/store.db")
        live = place + "/tree"
        os.makedirs(live + "/a/b/c")
        Path(live, "a/b/c/file").write_bytes(b"x")
        root = capture(store, live)
        entries = dict(walk(store.listing, root))
        inner = entries["a", "b", "c"].id
        for names in (("a", "b", "c"), ("a", "b"), ("a",)):
            shut = encode([attrs.evolve(entries[names], id=inner, mode=0)])
            store.put([shut])
            inner = shut.id

        restore(store, "w", live, root, inner)
        assert stat.S_IMODE(os.stat(live + "/a").st_mode) == 0
        restore(store, "w", live, inner, EMPTY.id)
        assert os.listdir(live) == []
        store.close()


def test_directories_keep_whose_group_new_files_get(store, live, capture):
    os.mkdir(live + "/a")
    first = capture(store, live)
    os.chmod(live + "/a", 0o2700)

    restore(store, "w", live, capture(store, live), first)

    assert stat.S_IMODE(os.stat(live + "/a").st_mode) == 0o2755


def test_a_cancelled_caller_stops_it_before_it_is_decided_and_never_afterwards(
    store, live, capture, seen
):
    os.mkdir(live + "/mount")
    large = bytes(range(256)) * (CHUNK // 128)
    Path(live, "large").write_bytes(large)
    with mounted("-t", "tmpfs", "tmpfs", live + "/mount") as inner:
        Path(inner, "file").write_bytes(large)
        wanted = capture(store, live), seen(live)
        for each in ("large", "mount/file"):
            os.unlink(f"{live}/{each}")
        empty, was = capture(store, live), seen(live)

        def work(cancel, also):
            if cancel:
                trio.from_thread.run_sync(cancel)
            restore(store, "w", live, empty, wanted[0], also=also)

        async def cancelled_before():
            with trio.CancelScope() as scope:
                await trio.to_thread.run_sync(work, scope.cancel, lambda: None)
            return scope.cancelled_caught

        async def cancelled_after():
            with trio.CancelScope() as scope:
                await trio.to_thread.run_sync(
                    work, None, lambda: trio.from_thread.run_sync(scope.cancel)
                )

        assert trio.run(cancelled_before)
        assert seen(live) == was
        assert os.listdir(place_beside(live)) == []
        trio.run(cancelled_after)
        assert seen(live) == wanted[1]
        assert store.journal.list() == []


def test_what_killed_processes_left_is_removed_and_nothing_of_those_at_work(store, live):
    with subprocess.Popen(["true"]) as process:
        pass
    living = temporary_name()
    dead = living.replace(f"-{os.getpid():x}-", f"-{process.pid:x}-")
    place = place_beside(live)
    for path in (f"{live}/{dead}/0", f"{live}/{living}/0", f"{place}/{living}/0", f"{place}/mine"):
        os.makedirs(path)

    roll_forward(store, "w", live, place)

    assert os.listdir(live) == [living]
    assert os.listdir(place) == ["mine"]  # all others there are left: who calls has the lock


def test_an_overlay_whose_act_lost_its_staging_is_finished_from_the_store(store, live, capture):
    with mounted("-t", "tmpfs", "tmpfs", live):
        Path(live, "a").write_bytes(b"a")
        root = capture(store, live)
        os.unlink(live + "/a")
        with pytest.MonkeyPatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(
                "runner.workspaces.carrying.Carrier.carry_out", lambda *_: raise_(ZeroDivisionError)
            )
            restore(store, "w", live, EMPTY.id, root)
        shutil.rmtree(f"{live}/{os.listdir(live)[0]}")

        roll_forward(store, "w", live, place_beside(live))

        assert os.listdir(live) == ["a"]


def test_what_became_a_directory_or_a_file_meanwhile_is_no_obstacle_to_a_mode(store, live, capture):
    Path(live, "a").write_bytes(b"a")
    os.mkdir(live + "/d")
    first = capture(store, live)
    os.chmod(live + "/a", 0o600)
    os.chmod(live + "/d", 0o700)
    second = capture(store, live)
    os.unlink(live + "/a")
    os.rmdir(live + "/d")
    os.symlink("/etc/passwd", live + "/d")

    done = restore(store, "w", live, second, first)

    assert done.disturbed == (("a",), ("d",))
    assert stat.S_IMODE(os.stat("/etc/passwd").st_mode) == 0o644
    assert os.readlink(live + "/d") == "/etc/passwd"


def test_a_look_at_a_tree_says_all_that_differs(store, live, capture):
    for each in ("same", "changed", "gone", "mode"):
        Path(live, each).write_bytes(b"x")
    os.makedirs(live + "/d/e")
    root = capture(store, live)
    Path(live, "changed").write_bytes(b"y")
    os.unlink(live + "/gone")
    os.chmod(live + "/mode", 0o600)
    os.symlink("x", live + "/d/new")
    Path(live, temporary_name()).write_bytes(b"ours")
    with socket.socket(socket.AF_UNIX) as one, contextlib.chdir(live):
        one.bind("socket")

    assert sorted(differing(store, root, live)) == [
        ("changed",),
        ("d", "new"),
        ("gone",),
        ("mode",),
    ]
    assert min(differing(store, EMPTY.id, live)) == ("changed",)


def test_what_is_captured_after_a_restore_is_no_change_to_what_was_restored(
    store, live, odd_before, odd_change
):
    odd_before(live)
    capture = Capture(live, store, "w")
    first = capture.take().root
    odd_change(live)

    restore(store, "w", live, capture.take().root, first)

    # Another root: files that have several names are other files, of another number.
    assert compare(store.listing, first, capture.take().root) == []
    capture.close()
