"""What a capture has of a live tree, and what it takes to have it again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import StoreError
from runner.watching import inotify, stamps, walking
from runner.watching.allowance import Allowance
from runner.watching.stamps import FileSystem
from runner.watching.walking import Walk
from runner.workspaces import capturing, collecting, handing, rounds
from runner.workspaces.capturing import Capture, Captured
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.objects import ObjectId, content
from runner.workspaces.records import Ref
from runner.workspaces.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store.open(str(tmp_path / "store" / "store.db"))
    yield found
    found.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for name in ("old", "other", "sub/inner", "sub/below/deep", "far/away"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(f"was {name}")
    return tree


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every tree be one that is worth to be watched."""
    if not inotify.limit("max_user_watches"):
        pytest.skip("needs inotify: Linux, and /proc")
    monkeypatch.setattr(walking, "INLINE_ENTRIES", 1)


@pytest.fixture(params=["scan", "hints"])
def capture(
    request: pytest.FixtureRequest, tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Capture]:
    if request.param == "hints":
        request.getfixturevalue("large")
    found = Capture(str(tree), store, "w", watch=request.param == "hints")
    yield found
    found.close()


def paths(store: Store, root: ObjectId, prefix: bytes = b"") -> dict[bytes, Entry]:
    """All entries of a tree by path."""
    found = {}
    for each in store.listing(root):
        found[prefix + each.name] = each
        if each.type is EntryType.DIRECTORY:
            found |= paths(store, each.id, prefix + each.name + b"/")
    return found


def afresh(tree: Path) -> ObjectId:
    """The root as one has it who knows nothing."""
    with tempfile.TemporaryDirectory() as place:
        store = Store.open(f"{place}/store")
        try:
            return Capture(str(tree), store, None, watch=False).take().root
        finally:
            store.close()


def test_a_tree_is_captured_with_everything_that_is_in_it(
    capture: Capture, tree: Path, store: Store
) -> None:
    (tree / "empty").mkdir(mode=0o700)
    (tree / "link").symlink_to("nowhere/at all")
    (tree / "old").chmod(0o755)

    found = capture.take()
    entries = paths(store, found.root)

    assert Captured(found.root, 6, 60 + 0, 5 + 1, (), (), found.how) == attrs.evolve(
        found, bytes=60
    )
    assert {
        b"old", b"other", b"sub", b"sub/inner", b"sub/below", b"sub/below/deep", b"far",
        b"far/away", b"empty", b"link",
    } == entries.keys()  # fmt: skip
    assert (0o755, content(b"was old").id, 7) == attrs.astuple(entries[b"old"])[2:5]
    assert Entry(b"empty", EntryType.DIRECTORY, 0o700, EMPTY.id) == entries[b"empty"]
    assert b"nowhere/at all" == store.read(entries[b"link"].id, 100)
    assert store.check().ok


def test_an_empty_tree_has_the_empty_root(tmp_path: Path, store: Store) -> None:
    (tmp_path / "empty").mkdir()

    assert EMPTY.id == Capture(str(tmp_path / "empty"), store, "w").take().root


def test_a_tree_that_is_not_there_is_an_error(tmp_path: Path, store: Store) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FileNotFoundError):
        Capture(str(tmp_path / "gone"), store, "w").take()
    with pytest.raises(NotADirectoryError):
        Capture(str(tmp_path / "file"), store, "w").take()


def test_only_what_has_changed_is_read(capture: Capture, tree: Path, store: Store) -> None:
    before = capture.take()
    again = capture.take()
    (tree / "sub" / "below" / "deep").write_text("now")
    after = capture.take()
    changed = {
        path
        for path, entry in paths(store, after.root).items()
        if entry != paths(store, before.root)[path]
    }

    assert (before.root, 0) == (again.root, again.hashed)
    assert 1 == after.hashed
    assert {b"sub", b"sub/below", b"sub/below/deep"} == changed
    assert b"now" == store.read(paths(store, after.root)[b"sub/below/deep"].id, 9)


@pytest.mark.parametrize("again", ["afresh", "continued"])
def test_what_is_known_is_kept_from_one_to_the_next(
    capture: Capture, tree: Path, store: Store, again: str
) -> None:
    before = capture.take()
    capture.close()
    (tree / "sub" / "inner").unlink()
    shutil.rmtree(tree / "far")
    (tree / "new").write_text("new")
    following = Capture(str(tree), store, "w") if again == "afresh" else capture
    after = following.take()
    following.close()
    last = Capture(str(tree), store, "w").take()

    assert (5, 1, 0) == (before.hashed, after.hashed, last.hashed)
    assert afresh(tree) == after.root == last.root
    assert {b"\0", b"", b"sub/", b"sub/below/"} == store.load_stats("w").keys()


def test_what_was_saved_otherwise_is_as_good_as_nothing(tree: Path, store: Store) -> None:
    capture = Capture(str(tree), store, "w")
    root = capture.take().root
    capture.close()
    saved = store.load_stats("w")
    store.save_stats("w", {b"": b"", b"sub/": saved[b"sub/"][:-9], b"far/": b"i\1\0\0\0"})

    found = Capture(str(tree), store, "w").take()

    assert (root, 5) == (found.root, found.hashed)


def test_many_files_are_saved_before_the_end(
    tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capturing, "WORTH_SAVING", 5)
    Capture(str(tree), store, "w").take()

    assert 0 == Capture(str(tree), store, "w").take().hashed


@pytest.mark.parametrize("again", ["afresh", "continued"])
def test_objects_that_were_dropped_from_the_store_are_put_again(
    capture: Capture, tree: Path, store: Store, again: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "large").write_bytes(b"large" * 300_000)
    root = capture.take().root
    capture.close()
    (tree / "old").write_text("now")
    now = capture.take()
    capture.close()
    with monkeypatch.context() as patch:
        patch.setattr(collecting, "GRACE", -10.0)
        store.refs.set(Ref(workspace="other", name="kept", root=root))
        store.collect()
        kept = Capture(str(tree), store, "w").take()
        store.refs.remove("kept", "other")
        store.collect()
    assert store.missing([root, now.root])
    following = Capture(str(tree), store, "w") if again == "afresh" else capture
    found = following.take()

    assert (now.root, 6) == (kept.root, kept.hashed)
    assert (now.root, 6) == (found.root, found.hashed)
    assert not store.missing(each.id for each in paths(store, found.root).values())


def test_a_listing_that_was_dropped_is_put_again_though_it_is_remembered_and_its_files_are_there(
    capture: Capture, tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "old").rename(tree / "new")
    other = capture.take().root
    (tree / "new").rename(tree / "old")
    root = capture.take().root
    paths(store, root)
    store.refs.set(Ref(workspace="other", name="kept", root=other))
    with monkeypatch.context() as patch:
        patch.setattr(collecting, "GRACE", -10.0)
        store.collect()
    missed = store.missing([root])

    assert ({root}, root) == (missed, capture.take().root)
    assert set() == store.missing([root])


def test_what_is_still_in_the_store_is_not_read_again_after_a_drop(
    tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "large").write_bytes(b"large" * 300_000)
    capture = Capture(str(tree), store, "w")
    root = capture.take().root
    store.refs.set(Ref(workspace="other", name="kept", root=root))
    store.put([content(b"nobody's")])
    monkeypatch.setattr(collecting, "GRACE", -10.0)
    dropped = store.collect()

    assert (1, root, 0) == (dropped.objects, root, capture.take().hashed)


def test_verifying_looks_at_all_and_rereading_reads_all(capture: Capture, tree: Path) -> None:
    root = capture.take().root
    verified, reread = capture.take(verify=True), capture.take(reread=True)

    assert (root, 0, "scan") == (verified.root, verified.hashed, verified.how)
    assert (root, 5, "scan") == (reread.root, reread.hashed, reread.how)
    assert 0 == capture.take().hashed


def test_own_writes_are_read_again_whatever_they_look_like(capture: Capture, tree: Path) -> None:
    capture.take()
    capture.note(["sub/inner", "far/gone", "gone/x"])

    assert 1 == capture.take().hashed
    assert 0 == capture.take().hashed


def test_the_mode_of_a_directory_counts_but_not_that_of_the_top(
    capture: Capture, tree: Path, store: Store
) -> None:
    before = capture.take()
    tree.chmod(0o700)
    same = capture.take()
    (tree / "sub" / "below").chmod(0o750)
    after = capture.take()

    assert before.root == same.root
    assert 0o750 == paths(store, after.root)[b"sub/below"].mode
    assert (0, afresh(tree)) == (after.hashed, after.root)


def test_patterns_leave_out_files_and_directories(tree: Path, store: Store) -> None:
    found = Capture(str(tree), store, "w", ignore=("sub/below/**", "o*")).take()

    assert {b"sub", b"sub/inner", b"far", b"far/away"} == paths(store, found.root).keys()


@pytest.mark.usefixtures("large")
def test_where_no_watch_is_to_be_had_the_tree_is_scanned(tree: Path, store: Store) -> None:
    allowance = Allowance(watches=2, instances=1)
    capture = Capture(str(tree), store, "w", allowance=allowance)
    found = [capture.take() for _ in range(3)]

    assert ["scan"] * 3 == [each.how for each in found]
    assert (2, 1) == (allowance.watches, allowance.instances)


@pytest.mark.usefixtures("large")
def test_an_allowance_is_shared_and_given_back(tree: Path, store: Store) -> None:
    allowance = Allowance(watches=100, instances=1)
    captures = [Capture(str(tree), store, None, allowance=allowance) for _ in range(2)]
    for each in captures:
        each.take()
    hows = [each.take().how for each in captures]
    taken = allowance.watches, allowance.instances
    for each in captures:
        each.close()

    assert ["hints", "scan"] == hows
    assert (96, 0) == taken
    assert (100, 1) == (allowance.watches, allowance.instances)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("lost", [inotify.OVERFLOW, inotify.UNMOUNT], ids=["overflow", "unmount"])
def test_hints_that_were_lost_are_made_up_for_by_a_scan(
    tree: Path, store: Store, lost: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = Capture(str(tree), store, "w")
    capture.take()
    (tree / "old").write_text("now")
    with monkeypatch.context() as patch:
        patch.setattr(inotify.Inotify, "read", lambda self: iter([inotify.Notice(-1, lost, "")]))
        found = capture.take()
    (tree / "other").write_text("now")
    after = capture.take()
    capture.close()

    assert (1, "scan") == (found.hashed, found.how)
    assert (1, "hints", afresh(tree)) == (after.hashed, after.how, after.root)


@pytest.mark.usefixtures("large")
def test_a_tree_that_is_replaced_is_looked_at_anew(tree: Path, store: Store) -> None:
    capture = Capture(str(tree), store, "w")
    capture.take()
    tree.rename(tree.parent / "moved")
    tree.mkdir()
    (tree / "new").write_text("new")
    found = capture.take()
    capture.close()

    assert {b"new"} == paths(store, found.root).keys()
    assert "scan" == found.how


def test_files_whose_next_change_may_look_the_same_are_read_again(
    tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "file_system", lambda path: FileSystem(local=True, fine=False))
    changed = [os.stat(path).st_ctime_ns for path in tree.rglob("*") if path.is_file()]
    newest, late = max(changed), changed.count(max(changed))  # within one tick, perhaps

    def captured_at(tick: int) -> Captured:
        monkeypatch.setattr(capturing, "Walk", partial(Walk, tick=tick))
        return capture.take()

    capture = Capture(str(tree), store, "w", watch=False)  # which has walks of its own
    found = [captured_at(tick) for tick in (newest, newest, newest + 1, newest + 1)]

    assert [5, late, late, 0] == [each.hashed for each in found]


def test_where_another_machine_stamps_files_the_newest_are_read_again(
    tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "file_system", lambda path: FileSystem(local=False, fine=False))
    newest = max(os.stat(path).st_ctime_ns for path in tree.rglob("*") if path.is_file())
    capture = Capture(str(tree), store, "w")
    first, second = capture.take(), capture.take()
    monkeypatch.setattr(rounds, "FOREIGN_TICK", 0)
    monkeypatch.setattr(stamps, "coarse", lambda: newest + 10**12)
    third, fourth = capture.take(), capture.take()

    assert [5, 5, 5] == [each.hashed for each in (first, second, third)]
    assert 1 <= fourth.hashed <= 5
    assert {"scan"} == {each.how for each in (first, second, third, fourth)}


def test_a_store_that_fails_leaves_nothing_half_known(
    capture: Capture, tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = capture.take()
    (tree / "old").write_text("now")

    def fail(objects: object) -> int:
        raise StoreError("no space left", store.path)

    with monkeypatch.context() as patch:
        patch.setattr(store, "put", fail)
        with pytest.raises(StoreError, match="no space left"):
            capture.take()
    after = capture.take()

    assert before.root != after.root
    assert afresh(tree) == after.root
    assert store.check().ok


def test_many_objects_are_handed_over_by_a_second_thread_in_their_order(
    tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "COUNT", 2)
    monkeypatch.setattr(handing, "WAITING", 1)
    order: list[ObjectId] = []
    real = store.put

    def put(objects: list[object]) -> int:
        order.extend(each.id for each in objects)
        return real(objects)

    monkeypatch.setattr(store, "put", put)
    found = Capture(str(tree), store, "w").take()

    assert found.root == order[-1]
    assert 5 + 4 == len(order)
    for path, entry in paths(store, found.root).items():
        if entry.type is EntryType.DIRECTORY:
            below = [each.id for each in store.listing(entry.id)]
            assert all(order.index(each) < order.index(entry.id) for each in below), path


def test_what_fails_in_the_second_thread_is_raised(
    tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "COUNT", 2)

    def fail(objects: object) -> int:
        raise StoreError("no space left", store.path)

    monkeypatch.setattr(store, "put", fail)
    with pytest.raises(StoreError, match="no space left"):
        Capture(str(tree), store, "w").take()


def test_a_capture_can_be_ended_and_the_next_one_is_right(
    capture: Capture, tree: Path, store: Store
) -> None:
    class Ended(Exception):
        pass

    def end() -> None:
        raise Ended

    with pytest.raises(Ended):
        capture.take(check=end)

    assert afresh(tree) == capture.take().root
    assert afresh(tree) == capture.take().root


@pytest.mark.usefixtures("large")
def test_a_large_directory_that_has_come_is_walked_through_and_that_can_be_ended(
    tree: Path, store: Store
) -> None:
    capture, asked = Capture(str(tree), store, "w"), []
    capture.take()
    (tree.parent / "come" / "deep").mkdir(parents=True)
    for number in range(20):
        (tree.parent / "come" / "deep" / f"f{number}").touch()
    (tree.parent / "come").rename(tree / "come")
    found = capture.take(check=lambda: asked.append(1))
    capture.close()

    assert (20, "hints", afresh(tree)) == (found.hashed, found.how, found.root)
    assert len(asked) > 3  # more often than once for each directory that has a new listing


# ---------------------------------------------------------------- whatever happens


def do(tree: Path, what: str, one: int, two: int) -> None:  # noqa: C901 - a table
    """Something, if it can be done."""
    names = [f"d{number}" for number in range(3)] + [f"n{number}" for number in range(5)]
    place = [tree, tree / "d0", tree / "d1", tree / "d0" / "d1"][one % 4]
    path, other = place / names[two % 8], tree / names[(one + two) % 8]
    if what in {"write", "append"} and path.is_fifo():
        return  # nobody reads from it
    match what:
        case "write":
            path.write_bytes(b"%d" % (one * two))
        case "append":
            with path.open("ab") as file:
                file.write(b"x")
        case "mkdir":
            path.mkdir()
        case "remove":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        case "rename":
            path.rename(other)
        case "chmod":
            path.chmod(0o700 + one % 8)
        case "link":
            os.link(path, other)
        case "symlink":
            path.symlink_to(names[one % 8])
        case "fifo":
            os.mkfifo(path)


_steps = st.tuples(
    st.sampled_from(
        [
            "write",
            "append",
            "mkdir",
            "mkdir",
            "remove",
            "rename",
            "chmod",
            "link",
            "symlink",
            "fifo",
        ]
    ),
    st.integers(0, 40),
    st.integers(0, 40),
)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(_steps, max_size=12), min_size=1, max_size=4))
def test_whatever_happens_the_next_capture_is_what_one_has_who_knows_nothing(
    rounds: list[list[tuple[str, int, int]]],
) -> None:
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(walking, "INLINE_ENTRIES", 1)
        tree = Path(place, "tree")
        (tree / "d0" / "d1").mkdir(parents=True)
        (tree / "n0").write_text("one")
        store = Store.open(f"{place}/store")
        hinted, scanned = (
            Capture(str(tree), store, "h"),
            Capture(str(tree), store, "s", watch=False),
        )
        for each in rounds:
            for step in each:
                with suppress(OSError, shutil.Error):
                    do(tree, *step)
            by_hints, by_scan = hinted.take(), scanned.take()
            again = Capture(str(tree), store, None, watch=False).take()

            assert again.root == by_hints.root == by_scan.root
            assert (again.files, again.bytes) == (by_hints.files, by_hints.bytes)
            assert (again.files, again.bytes) == (by_scan.files, by_scan.bytes)
        hinted.close()
        store.close()
