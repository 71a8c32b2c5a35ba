"""Overlays that root has mounted."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import runner
from runner.backends.local import LocalBackend
from runner.errors import ExecFailed, WorkspaceError
from runner.messages import Isolation
from runner.workspaces import attaching, mounts, overlay
from runner.workspaces.attaching import attach, is_seen
from runner.workspaces.making import make
from runner.workspaces.removing import remove


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

    assert is_seen(f"{place}/tree", "overlay")
    assert len(mounts.mounted_in(place)) == 1
    assert os.listdir(again.root).count("added") == 1
    again.detach()
    mounted.detach()
    assert mounts.mounted_in(place) == []
    assert not is_seen(f"{place}/tree", "overlay")
    assert "added" in os.listdir(attach(place, "overlay", base).root)
    remove(place)


def test_what_somebody_else_has_mounted_there_is_left_alone(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    mounts.mount("other", mounted.tree, "tmpfs", "size=1m")
    Path(mounted.tree, "theirs").touch()
    assert not mounted.alive
    assert not is_seen(mounted.tree, "overlay")
    with pytest.raises(WorkspaceError, match=r"something else is mounted there \(tmpfs, other\)"):
        attach(place, "overlay", base)
    for act in (mounted.detach, lambda: remove(place)):
        with pytest.raises(WorkspaceError, match="something is mounted at .*tree'"):
            act()

    assert os.path.exists(f"{mounted.tree}/theirs")
    mounts.unmount(mounted.tree)
    assert mounted.alive
    attach(place, "overlay", base)
    assert len(mounts.mounted_in(place)) == 1
    remove(place)


def test_of_a_base_that_was_replaced_it_is_mounted_anew_when_nobody_uses_it(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    Path(mounted.tree, "added").touch()
    os.rename(base, f"{base}-old")
    os.mkdir(base)
    Path(base, "other").touch()
    with open(f"{mounted.tree}/gone"):
        what = f"another directory by now.* in use by process .*{os.getpid()}"
        with pytest.raises(WorkspaceError, match=what):
            attach(place, "overlay", base)
    assert mounted.alive
    again = attach(place, "overlay", base)

    assert sorted(os.listdir(again.root)) == ["added", "other"]
    assert len(mounts.mounted_in(place)) == 1
    again.detach()
    remove(place)


def test_one_that_was_mounted_in_another_namespace_since_is_mounted_anew(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    assert sorted(os.listdir(mounted.tree)) == ["d", "gone", "link"]  # the kernel keeps that
    attach(place, "overlay", base)
    assert mounted.alive
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare: apt-get install util-linux")
    script = (
        "import os, sys; from runner.workspaces.attaching import attach, detach\n"
        "place, base = sys.argv[1:]; detach(place)\n"
        "open(attach(place, 'overlay', base).tree + '/theirs', 'x').close()"
    )
    argv = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", script]
    subprocess.run([*argv, place, base], check=True)
    with (
        open(f"{mounted.tree}/gone"),
        pytest.raises(WorkspaceError, match="elsewhere since; .*in use by process"),
    ):
        attach(place, "overlay", base)
    again = attach(place, "overlay", base)

    assert sorted(os.listdir(again.tree)) == ["d", "gone", "link", "theirs"]
    assert len(mounts.mounted_in(place)) == 1
    os.unlink(f"{place}/mounted")  # as by who was killed when it had just been mounted
    attach(place, "overlay", base)
    assert again.alive
    remove(place)


def test_what_was_put_in_its_place_while_it_was_not_mounted_is_not_hidden(
    mounted: attaching.Attached, base: str, place: str
) -> None:
    mounted.detach()
    mounted.detach()
    assert not mounted.alive
    Path(place, "tree", "theirs").touch()
    with pytest.raises(WorkspaceError, match="there are files in its place.*: move them away"):
        attach(place, "overlay", base)
    os.unlink(f"{place}/tree/theirs")
    attach(place, "overlay", base)
    remove(place)


def test_one_that_is_in_use_goes_where_nothing_of_it_is_kept(
    mounted: attaching.Attached, place: str
) -> None:
    with open(f"{mounted.tree}/d/e/file") as file:
        mounted.detach(in_use=True)
        assert file.read() == "old"
        assert mounts.mounted_in(place) == []
        remove(place, in_use=True)
    assert not os.path.exists(place)


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
    mounted: attaching.Attached, base: str, place: str, room: Path
) -> None:
    Path(mounted.tree, "d", "added").write_text("a")
    os.link(f"{mounted.tree}/d/added", f"{mounted.tree}/d/e/second")
    os.mkfifo(f"{mounted.tree}/d/fifo", 0o640)
    for name in ("d/e/file", "d/e", "d"):
        os.utime(f"{mounted.tree}/{name}", ns=(10**18, 10**18 + 5))
    with pytest.raises(OSError, match="cross-device"):
        os.rename(f"{mounted.tree}/d", f"{mounted.tree}/other")
    async with runner.open_runner(state=room / "state") as r:
        scope = r.scope(mounted.root)
        await scope.move("d", "x/moved")
        found = {each: (await scope.stat(f"x/moved/{each}")).modified for each in ("e", "e/file")}
        await scope.move("x/moved/e/file", "file")

    assert {each.timestamp() for each in found.values()} == {10**9}  # as a rename leaves it
    assert sorted(os.listdir(f"{mounted.tree}/x/moved")) == ["added", "e", "fifo"]
    assert stat.S_IMODE(os.stat(f"{mounted.tree}/x/moved/fifo").st_mode) == 0o640
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
