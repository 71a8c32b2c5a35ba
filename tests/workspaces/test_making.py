"""Live trees: made by each way, attached, let go of, removed; and what a crash leaves of one."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from runner.backends.local import LocalBackend
from runner.errors import ExecFailed, WorkspaceError
from runner.messages import Isolation
from runner.workspaces import attaching, making, mounts, overlay, probing, removing
from runner.workspaces.attaching import attach, is_mounted
from runner.workspaces.locking import Lock
from runner.workspaces.making import check_apart, make
from runner.workspaces.probing import IN_NAMESPACE, probe
from runner.workspaces.removing import remove, tidy
from runner.workspaces.ways import Probe, Way

T = TypeVar("T")
SETGROUPS, SETRESUID, SETRESGID = 116, 117, 119  # on x86-64
PYTHON = "/usr/bin/python3"
EACH = pytest.mark.parametrize("way", [*Way])


@pytest.fixture
def room() -> Iterator[Path]:
    """A directory with a base and a place for workspaces, whose name needs care; nothing stays
    mounted in it.
    """
    with tempfile.TemporaryDirectory(prefix="runner, a:b\\c ") as top:
        base = Path(top, "base")
        (base / "d" / "e").mkdir(parents=True)
        (base / "d" / "e" / "file").write_text("old")
        (base / "gone").write_text("x")
        (base / "link").symlink_to("d")
        base.chmod(0o750)
        os.chmod(top, 0o755)
        try:
            yield Path(top)
            left = mounts.mounted_in(os.path.realpath(top))
        finally:
            for each in reversed(mounts.mounted_in(os.path.realpath(top))):  # of a failed test
                mounts._libc.umount2(os.fsencode(each.point), 2)  # in use or not
            for path in Path(top).rglob("work/work"):
                path.chmod(0o700)
        assert left == []


@pytest.fixture
def base(room: Path) -> str:
    return str(room / "base")


@pytest.fixture
def place(room: Path) -> str:
    return str(room / "workspaces" / "one")


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


# ------------------------------------------------------------ making


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


# ------------------------------------------------------------ overlays of root


def test_a_base_of_root_is_copied_if_programs_are_to_be_held_inside(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    mounted.detach()
    held = make(base, f"{place}-held", is_held=True)
    os.chown(base, 1234, 1234)
    other = make(base, f"{place}-other", is_held=True)

    assert held.way != "overlay"
    assert "cannot show root's files" in held.why
    assert other.way == "overlay"


async def test_what_cannot_be_held_inside_an_overlay_says_why(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    os.chown(base, 0, 0)
    isolation = Isolation(mode="bwrap", required=True)
    env = {"PATH": os.defpath}
    backend = LocalBackend(mounted.root, isolation=isolation, env=env)
    with pytest.raises(ExecFailed, match=r"root's files in .* cannot be shown .*way=\"copy\""):
        await backend.exec("true")
    await backend.aclose()
    mounted.detach()
    os.chown(f"{place}/upper", 1234, 1234)
    attached = attach(place, "overlay", base)
    backend = LocalBackend(attached.root, isolation=isolation, env=env)
    done = await backend.exec("id -u; echo x > made")
    await backend.aclose()

    assert done.stdout == "1234\n"
    assert os.stat(f"{place}/upper/made").st_uid == 1234
    attached.detach()
    remove(place)


@pytest.fixture
def mounted(base: str, place: str) -> attaching.Attached:
    """An overlay that root has mounted."""
    found = probe(base, os.path.dirname(place))[0]
    if found.why != probing.BY_ROOT:
        pytest.skip(f"needs root, who may mount: {found}")
    make(base, place, way="overlay")
    return attach(place, "overlay", base)


def test_what_was_changed_stands_in_the_upper_directory(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    tree = Path(mounted.tree)
    (tree / "d" / "e" / "file").write_text("new")
    (tree / "gone").unlink()
    upper = Path(place, "upper")
    status = (upper / "gone").lstat()

    assert (upper / "d" / "e" / "file").read_text() == "new"
    assert (stat.S_ISCHR(status.st_mode), status.st_rdev) == (True, 0)
    assert sorted(os.listdir(upper)) == ["d", "gone"]

    (tree / "d" / "e" / "file").unlink()
    (tree / "d" / "e").rmdir()
    (tree / "d" / "e").mkdir()

    assert os.getxattr(upper / "d" / "e", "user.overlay.opaque") == b"y"
    mounted.detach()
    remove(place)


def test_it_is_mounted_once_and_adopted_after_a_crash(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    Path(mounted.tree, "added").touch()
    with open(f"{mounted.tree}/added") as file:  # in use: so it cannot have been unmounted
        again = attach(place, "overlay", base)
        file.read()

    assert is_mounted(place)
    assert len(mounts.mounted_in(place)) == 1
    assert os.listdir(again.root).count("added") == 1
    again.detach()
    mounted.detach()
    assert mounts.mounted_in(place) == []
    assert not is_mounted(place)
    assert "added" in os.listdir(attach(place, "overlay", base).root)
    remove(place)


def test_what_else_is_mounted_there_makes_room(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    mounts.mount("other", mounted.tree, "tmpfs", "size=1m")
    assert not is_mounted(place)
    attach(place, "overlay", base)

    assert is_mounted(place)
    assert len(mounts.mounted_in(place)) == 1
    remove(place)


def test_an_open_file_is_use_of_it(mounted: attaching.Attached, place: str) -> None:
    with (
        open(f"{mounted.tree}/gone"),
        pytest.raises(WorkspaceError, match=f"in use by process .*{os.getpid()}"),
    ):
        mounted.detach()
    mounted.detach()
    remove(place)


def test_one_that_is_in_use_stays_and_says_by_whom(
    mounted: attaching.Attached, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(f"{mounted.tree}/d")
    for act in (mounted.detach, lambda: remove(place)):
        with pytest.raises(WorkspaceError, match=f"in use by process .*{os.getpid()}"):
            act()
    monkeypatch.undo()

    assert os.path.exists(f"{mounted.tree}/gone")
    remove(place)
    assert not os.path.exists(place)


def test_nothing_is_removed_through_a_mount(mounted: attaching.Attached, place: str) -> None:
    mounts.mount("other", f"{mounted.tree}/d", "tmpfs", "size=1m")
    Path(mounted.tree, "d", "theirs").touch()
    with pytest.raises(WorkspaceError, match="something is mounted at .*/d'"):
        remove(place)

    assert os.path.exists(f"{mounted.tree}/d/theirs")
    mounts.unmount(f"{mounted.tree}/d")
    remove(place)


async def test_a_directory_of_the_base_is_moved_with_all_in_it(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    Path(mounted.tree, "d", "added").write_text("a")
    os.link(f"{mounted.tree}/d/added", f"{mounted.tree}/d/e/second")
    backend = LocalBackend(mounted.root)
    with pytest.raises(OSError, match="cross-device"):
        os.rename(f"{mounted.tree}/d", f"{mounted.tree}/other")
    await backend.move("d", "x/moved")
    await backend.move("x/moved/e/file", "file")
    await backend.aclose()

    assert sorted(os.listdir(f"{mounted.tree}/x/moved")) == ["added", "e"]
    assert Path(mounted.tree, "file").read_text() == "old"
    assert sorted(os.listdir(mounted.tree)) == ["file", "gone", "link", "x"]
    assert sorted(os.listdir(base)) == ["d", "gone", "link"]
    mounted.detach()
    remove(place)


def test_the_base_may_change_below_what_was_not_changed_above(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    Path(mounted.tree, "gone").write_text("mine")
    Path(base, "gone").write_text("theirs")
    Path(base, "d", "e", "file").write_text("theirs")

    assert Path(mounted.tree, "gone").read_text() == "mine"
    assert Path(mounted.tree, "d", "e", "file").read_text() == "theirs"
    mounted.detach()
    remove(place)


def test_what_cannot_be_attached_says_why_and_where_the_changes_are(
    base: str, place: str, room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkspaceError, match="no live tree"):
        attach(place, "copy", base)
    make(base, place, way="copy")
    os.mkdir(f"{place}/upper")
    with pytest.raises(WorkspaceError, match=r"base '.*nowhere' of an overlay.*upper"):
        attach(place, "overlay", str(room / "nowhere"))
    with pytest.raises(WorkspaceError, match="cannot be mounted: .*; what was changed is in .*upp"):
        attach(place, "overlay", base)  # there is no work directory
    monkeypatch.setattr(overlay, "LONGEST", 10)
    with pytest.raises(WorkspaceError, match="are too long"):
        attach(place, "overlay", base)

    assert not mounts.mounted_in(place)


# ------------------------------------------------------------ overlays of somebody else


def become(uid: int) -> None:
    """Become somebody else, in this thread only."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        every = ((SETGROUPS, 0, 0), (SETRESGID, uid, uid, uid), (SETRESUID, uid, uid, uid))
        for number, *words in every:
            assert libc.syscall(number, *words) == 0


@pytest.fixture
def somebody(
    room: Path, as_ordinary, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Callable[[], T]], T]]:
    """Does something as an ordinary user, whose the room is: in a thread, for that it is enough."""
    if os.geteuid() == 0 and os.uname().machine != "x86_64":
        pytest.skip("the calls that change one thread's user have other numbers here")
    with as_ordinary() as uid:
        monkeypatch.setattr(sys, "executable", PYTHON)
        if os.geteuid() == 0:
            for path in (room, *room.rglob("*")):
                os.chown(path, uid, uid, follow_symlinks=False)

        def act(work: Callable[[], T]) -> T:
            answers: list[T] = []
            errors: list[BaseException] = []

            def carry_out() -> None:
                try:
                    become(uid)
                    answers.append(work())
                except BaseException as error:  # noqa: BLE001 - raised below
                    errors.append(error)

            thread = threading.Thread(target=carry_out)
            thread.start()
            thread.join()
            if errors:
                raise errors[0]
            return answers[0]

        yield act


def test_who_may_not_mount_has_an_overlay_in_a_namespace(somebody, base: str, place: str) -> None:
    first = somebody(lambda: probe(base, os.path.dirname(place)))[0]
    if not first.works:
        pytest.skip(str(first))
    found = somebody(lambda: make(base, place))
    attached = somebody(lambda: attach(place, found.way, base))
    tree = Path(attached.root)

    def work() -> None:
        (tree / "d" / "e" / "file").write_text("new")
        (tree / "gone").unlink()

    somebody(work)

    assert found.why == f"overlay: {IN_NAMESPACE}"
    assert (attached.alive, bool(attached.enter)) == (True, True)
    assert os.listdir(attached.tree) == []
    assert sorted(os.listdir(f"{place}/upper")) == ["d", "gone"]
    assert Path(base, "d", "e", "file").read_text() == "old"
    assert not mounts.mounted_in(place)
    attached.detach()
    assert not attached.alive
    again = somebody(lambda: attach(place, found.way, base))
    assert somebody(lambda: Path(again.root, "d", "e", "file").read_text()) == "new"
    again.detach()
    somebody(lambda: os.chmod(f"{place}/upper/d", 0o500))
    somebody(lambda: remove(place))
    assert os.listdir(os.path.dirname(place)) == []


def test_files_of_others_are_a_reason_for_the_next_way(somebody, base: str, place: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    if not somebody(lambda: probe(base, os.path.dirname(place)))[0].works:
        pytest.skip("needs user namespaces: see `runner doctor`")
    os.chown(f"{base}/d/e/file", -1, 4321)
    first = somebody(lambda: probe(base, os.path.dirname(place)))[0]
    found = somebody(lambda: make(base, place))

    assert not first.works
    assert "file' belongs to uid" in first.why
    assert ", gid 4321, which no user namespace of ours has" in found.why
    assert found.way == "copy"
    assert os.stat(f"{place}/tree/d/e/file").st_gid != 4321


def test_where_there_are_no_namespaces_it_is_said_how_to_get_them(
    somebody, base: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_known", {})
    if os.geteuid() == 0 and somebody(lambda: probe(base, place))[0].works:
        monkeypatch.setattr(probing, "_known", {})
        monkeypatch.setattr("runner.processes.holding.holder.BOOT", "print('1 no', end='')")
    first = somebody(lambda: probe(base, os.path.dirname(place)))[0]

    assert not first.works
    assert first.why == "only root may mount, and a user namespace cannot do it: no"
    assert "sysctl" in first.mend


# ------------------------------------------------------------ probes


def test_a_pair_of_file_systems_is_tried_once(
    base: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr(probing, "_known", {})
    once = probing._try_reflink
    monkeypatch.setattr(probing, "_try_reflink", lambda *each: tried.append(1) or once(*each))
    directory = os.path.dirname(place)
    first = probe(base, directory)

    assert probe(f"{base}/d", f"{directory}/more") == first
    assert len(tried) == 1
    assert sorted(os.listdir(directory)) == ["more"]


@pytest.mark.parametrize(
    ("code", "mend"),
    [(errno.ENODEV, "modprobe overlay"), (errno.EINVAL, "ext4"), (errno.EIO, "")],
)
def test_why_nothing_is_mounted_is_said_with_what_helps(
    base: str, place: str, monkeypatch: pytest.MonkeyPatch, code: int, mend: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(probing, "_known", {})
    monkeypatch.setattr(probing.mounts, "mount", refuse)
    first = probe(base, os.path.dirname(place))[0]

    assert first.why == f"it cannot be mounted here: {os.strerror(code)}"
    assert mend in first.mend


def test_blocks_of_a_file_are_shared_for_a_trial(
    room: Path, base: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = []
    monkeypatch.setattr(probing, "_known", {})
    monkeypatch.setattr(probing.fcntl, "ioctl", lambda *each: shared.append(each))
    found = probe(base, os.path.dirname(place))[1]
    monkeypatch.setattr(probing, "_known", {})
    (room / "bare").mkdir()
    bare = probe(str(room / "bare"), os.path.dirname(place))[1]

    assert (found.works, bare.works, len(shared)) == (True, True, 2)
    make(base, place, way="reflink")
    assert len(shared) == 4


def test_without_a_file_to_share_two_file_systems_are_two(place: str, room: Path) -> None:
    if not os.path.isdir("/dev/shm"):
        pytest.skip("needs a second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        found = probe(other, os.path.dirname(place))[1]

    assert found.why == "base and workspaces are on two file systems"


# ------------------------------------------------------------ removing


def test_only_what_a_crash_has_left_is_tidied_away(base: str, place: str, room: Path) -> None:
    directory = os.path.dirname(place)
    assert tidy(directory) == ()
    make(base, place, way="copy")
    for half in ("half", "locked", "spared", ".removing-x", ".removing-spared"):
        os.makedirs(f"{directory}/{half}/making/tree/d")
    os.makedirs(f"{directory}/no-workspace")
    Path(directory, "file").touch()
    Path(directory, ".removing-file").touch()
    Path(directory, "link").symlink_to(base)
    lock = Lock.take(f"{directory}/locked/lock", "locked")
    os.mkdir(f"{place}/making")  # killed between its last two steps: it is whole

    assert tidy(directory, spare=["spared", ".removing-spared"]) == (".removing-x", "half")
    lock.release()
    assert tidy(directory) == (".removing-spared", "locked", "spared")
    assert sorted(os.listdir(directory)) == [
        *(".removing-file", "file", "link", "no-workspace", "one")
    ]
    assert sorted(os.listdir(f"{place}/tree")) == sorted(os.listdir(base))


def test_one_that_is_completed_meanwhile_stays(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    os.makedirs(f"{place}/making")

    class Completed(Lock):
        @classmethod
        def take(cls, path: str, name: str) -> Lock:
            os.mkdir(f"{place}/tree")
            return Lock.take(path, name)

    monkeypatch.setattr(removing, "Lock", Completed)

    assert tidy(os.path.dirname(place)) == ()
    assert os.path.isdir(f"{place}/tree")


def test_what_is_no_directory_or_not_there_is_not_removed(room: Path, base: str) -> None:
    (room / "alias").symlink_to(base)
    remove(str(room / "nothing"))
    for path in (room / "alias", room / "base" / "gone"):
        with pytest.raises(WorkspaceError, match="is no directory, so no workspace"):
            remove(str(path))

    assert sorted(os.listdir(base)) == ["d", "gone", "link"]


def test_a_tree_of_closed_directories_is_removed(somebody, base: str, place: str) -> None:
    somebody(lambda: make(base, place, way="copy"))

    def close() -> None:
        for path in ("d/e", "d"):
            os.chmod(f"{place}/tree/{path}", 0)
        Path(place, "tree", "link-out").symlink_to(base)

    somebody(close)
    somebody(lambda: remove(place))

    assert os.listdir(os.path.dirname(place)) == []
    assert sorted(os.listdir(base)) == ["d", "gone", "link"]


def test_repairing_what_is_gone_or_a_link_does_nothing(room: Path, base: str) -> None:
    (room / "alias").symlink_to(base)
    mode = os.stat(base).st_mode
    above = os.open(room, os.O_PATH)
    try:
        removing.repair(above, "alias")
        removing.repair(above, "nothing")
    finally:
        os.close(above)
    removing.clear(str(room / "nowhere" / "x"))

    assert os.stat(base).st_mode == mode
