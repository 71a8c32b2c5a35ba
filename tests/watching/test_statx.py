"""Looking at many names at once, beside looking at each."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.watching import statx
from runner.watching.columns import state_of
from runner.watching.statx import MOST, look


@pytest.fixture(params=["at once", "each"])
def directory(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    if request.param == "each":
        monkeypatch.setattr(statx, "_statx", None)
    elif statx._statx is None:
        pytest.skip("this system has no statx(2), so there is one way to look")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_it_sees_what_lstat_sees_of_everything_odd(directory: int, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "of 1901").touch()
    os.utime(tmp_path / "of 1901", ns=(0, -(2**31) * 10**9 + 5))
    with (tmp_path / "with a hole").open("wb") as file:
        file.truncate(10 << 30)
    (tmp_path / "caf\udce9\n").write_bytes(b"x")
    (tmp_path / ("n" * 255)).write_bytes(b"x")
    (tmp_path / "program").touch(0o4711)
    (tmp_path / "directory").mkdir(0o700)
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "another name").hardlink_to(tmp_path / "program")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    names = os.listdir(tmp_path)

    found = look(directory, names)

    assert names == list(found.names)
    assert [state_of((tmp_path / name).lstat()) for name in names] == list(found.states())
    assert not found.have_one_name()


def test_what_has_gone_is_left_out_of_many(directory: int, tmp_path: Path) -> None:
    names = [f"file {number}" for number in range(MOST)]
    for name in names[::3]:
        (tmp_path / name).touch()

    assert names[::3] == list(look(directory, names).names)
    assert [] == list(look(directory, []).names)


def test_what_cannot_be_looked_at_is_said(directory: int) -> None:
    with pytest.raises(NotADirectoryError):
        look(directory, [".", "/dev/null/file"])


def test_several_threads_look_each_for_itself(directory: int, tmp_path: Path) -> None:
    names = [str(number) for number in range(64)]
    for name in names:
        (tmp_path / name).write_bytes(b"x" * int(name))
    seen: set[tuple[bool, ...]] = set()

    def look_often(own: list[str]) -> None:
        for _ in range(200):
            sizes = [state[1] for state in look(directory, own).states()]
            seen.add(tuple(size == int(name) for name, size in zip(own, sizes, strict=True)))

    threads = [threading.Thread(target=look_often, args=(names[at::4],)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {(True,) * 16} == seen
