"""Live trees: made by each way, attached, let go of, removed."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
import trio

from runner.errors import WorkspaceError
from runner.workspaces import attaching, making
from runner.workspaces.attaching import attach
from runner.workspaces.locking import Lock
from runner.workspaces.making import check_apart, make
from runner.workspaces.probing import probe
from runner.workspaces.removing import remove
from runner.workspaces.ways import Probe, Way

EACH = pytest.mark.parametrize("way", [*Way])


def made(base: str, place: str, way: Way) -> attaching.Attached:
    """Make and attach, or skip."""
    found = next(each for each in probe(base, os.path.dirname(place)) if each.way == way)
    if not found.works and way is Way.REFLINK:  # of the file system; the rest is tried as a copy
        make(base, place, way="copy")
    elif not found.works:
        pytest.skip(str(found))
    else:
        make(base, place, way=way)
    return attach(place, way, base)


@EACH
def test_a_live_tree_has_what_the_base_has_and_changes_nothing_there(
    base: str, place: str, way: Way
) -> None:
    attached = made(base, place, way)
    tree = Path(attached.root)

    assert (tree / "link" / "e" / "file").read_text() == "old"
    assert stat.S_IMODE(tree.stat().st_mode) == 0o750
    assert sorted(os.listdir(tree)) == ["d", "gone", "link"]

    (tree / "d" / "e" / "file").write_text("new")
    (tree / "gone").unlink()
    (tree / "added").touch()

    assert Path(base, "d", "e", "file").read_text() == "old"
    assert sorted(os.listdir(base)) == ["d", "gone", "link"]
    attached.detach()
    attached.detach()
    remove(place)
    assert os.listdir(os.path.dirname(place)) == []


def test_the_best_way_that_works_is_taken_and_said(base: str, place: str) -> None:
    probes = probe(base, os.path.dirname(place))
    found = make(base, place)

    best = next(each for each in probes if each.works)
    assert (found.way, found.tree) == (best.way, f"{place}/tree")
    assert found.why.endswith(f"{best.way}: {best.why}")
    assert [each.way for each in probes] == [*Way]
    assert all(each.why for each in probes)
    assert all(each.mend for each in probes if not each.works)


def test_an_empty_one_is_empty(place: str) -> None:
    found = make(None, place)

    assert (found.way, os.listdir(found.tree)) == ("copy", [])
    assert attach(place, found.way, None).tree == found.tree
    with pytest.raises(WorkspaceError, match="a live tree at .* already"):
        make(None, place)


def test_the_directory_may_be_there_with_its_lock(base: str, place: str) -> None:
    os.makedirs(place)
    lock = Lock.take(f"{place}/lock", "one")
    make(base, place, way="copy")
    lock.release()

    assert sorted(os.listdir(place)) == ["lock", "tree"]


def test_a_way_that_is_none_or_does_not_work_is_an_error_that_says_so(
    base: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkspaceError, match="no way 'hardlinks'.*'overlay', 'reflink', 'copy'"):
        make(base, place, way="hardlinks")  # type: ignore[arg-type]
    no = Probe(way=Way.REFLINK, works=False, why="no blocks", mend="use btrfs")
    monkeypatch.setattr(making, "probe", lambda *_, **__: (no,))
    with pytest.raises(WorkspaceError, match=r"by reflink: no blocks \(use btrfs\)"):
        make(base, place, way="reflink")

    assert not os.path.exists(place)


def test_another_workspaces_tree_is_copied_for_it_changes(base: str, place: str) -> None:
    first = make(base, place, way="copy")
    other = f"{place}-2"
    with pytest.raises(WorkspaceError, match="where workspaces are kept"):
        make(first.tree, other)
    found = make(first.tree, other, is_live=True)

    assert found.way != "overlay"
    assert "which changes" in found.why
    assert sorted(os.listdir(found.tree)) == sorted(os.listdir(base))


def test_base_and_workspace_never_lie_in_each_other(room: Path, base: str, place: str) -> None:
    (room / "alias").symlink_to(base)
    make(None, place)
    inner = f"{place}/tree/inner"
    os.mkdir(inner)
    for source, where, why in (
        (base, f"{base}/state/one", "would lie in its base"),
        (base, f"{room}/alias/one", "would lie in its base"),
        (f"{room}/alias", f"{base}/d/one", "would lie in its base"),
        (base, base, "would lie in its base"),
        ("/", f"{place}-2", "would lie in its base"),
        (inner, f"{place}-2", "where workspaces are kept"),
        (f"{base}/gone", f"{place}-2", "is no directory"),
        (f"{base}/none", f"{place}-2", "No such file"),
        (f"{base}/\0", f"{place}-2", "null"),
    ):
        with pytest.raises(WorkspaceError, match=why):
            make(source, where)
        if source != inner:
            with pytest.raises(WorkspaceError, match=why):
                make(source, where, is_live=True)
    with pytest.raises(WorkspaceError, match="lies in a workspace"):
        make(inner, os.path.dirname(place), is_live=True)

    check_apart(base, str(room / "store"))
    assert sorted(os.listdir(room)) == ["alias", "base", "workspaces"]
    assert os.listdir(room / "workspaces") == ["one"]
    assert sorted(os.listdir(base)) == ["d", "gone", "link"]


def test_an_error_leaves_nothing_and_says_what_and_where(
    base: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: str, **_: object) -> None:
        os.makedirs(f"{target}/some")
        raise OSError(errno.ENOSPC, "full", "d/e/file")

    monkeypatch.setattr(making, "copy_tree", full)
    with pytest.raises(WorkspaceError, match="cannot be made: 'd/e/file': full"):
        make(base, place, way="copy")
    with pytest.raises(WorkspaceError, match="cannot be made: .*Not a directory"):
        make(f"{base}/d", f"{base}/gone/one", way="copy")

    assert os.listdir(place) == []
    monkeypatch.undo()
    assert make(base, place, way="copy").way == "copy"


async def test_cancelled_while_it_is_made_nothing_is_left(base: str, place: str) -> None:
    token = trio.lowlevel.current_trio_token()
    gone = threading.Event()
    with trio.CancelScope() as scope:

        def leave(*_: object) -> bool:
            token.run_sync_soon(lambda: (scope.cancel(), gone.set()))
            gone.wait(10)
            return False

        await trio.to_thread.run_sync(
            lambda: make(base, place, way="copy", ignore=leave), abandon_on_cancel=False
        )

    assert scope.cancelled_caught
    assert os.listdir(place) == []
