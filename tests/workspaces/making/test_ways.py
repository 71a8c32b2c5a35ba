"""Which way is taken, and why not a better one."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from runner.backends.failures import translate
from runner.errors import PermissionDenied
from runner.workspaces import mounts, probing
from runner.workspaces.attaching import attach
from runner.workspaces.making import make
from runner.workspaces.probing import IN_NAMESPACE, probe
from runner.workspaces.removing import remove


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


def test_a_file_that_is_given_away_later_says_what_is_wrong(
    somebody, base: str, place: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    found = somebody(lambda: make(base, place))
    if found.way != "overlay":
        pytest.skip(found.why)
    attached = somebody(lambda: attach(place, found.way, base))
    os.chown(f"{base}/d/e/file", 4321, 4321)
    os.chmod(f"{base}/d/e/file", 0o666)
    with pytest.raises(OSError, match="too large") as refused:
        somebody(lambda: Path(attached.root, "d", "e", "file").write_text("new"))
    attached.detach()

    said = translate(refused.value, "write", "d/e/file", None)
    assert isinstance(said, PermissionDenied)
    assert "its owner or group has no name" in str(said)


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
