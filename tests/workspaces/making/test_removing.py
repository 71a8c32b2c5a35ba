"""What is taken away, and what never is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.errors import WorkspaceError
from runner.workspaces import mounts, overlay, removing
from runner.workspaces.locking import Lock
from runner.workspaces.making import make
from runner.workspaces.removing import remove, tidy
from runner.workspaces.ways import Place


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


def test_what_a_trial_has_mounted_goes_with_it_unless_it_is_on(base: str, place: str) -> None:
    directory = os.path.dirname(place)
    trial = Place(path=f"{directory}/.removing-probe-x")
    for path in (trial.tree, trial.upper, trial.work):
        os.makedirs(path)
    try:
        mounts.mount("runner-trial", trial.tree, overlay.KIND, overlay.options(base, trial))
    except PermissionError as error:
        pytest.skip(f"needs root, who may mount: {error}")
    lock = Lock.take(f"{trial.path}/lock", "probe")

    assert tidy(directory) == ()
    assert os.listdir(trial.tree) == os.listdir(base)
    lock.release()
    assert tidy(directory) == (".removing-probe-x",)
    assert os.listdir(directory) == []
    assert sorted(os.listdir(base)) == ["d", "gone", "link"]


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
