"""What tests of live trees share: a base, a place, and somebody who is not root."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from runner.workspaces import attaching, mounts, probing
from runner.workspaces.attaching import attach
from runner.workspaces.making import make
from runner.workspaces.probing import probe

T = TypeVar("T")
SETGROUPS, SETRESUID, SETRESGID = 116, 117, 119  # on x86-64
PYTHON = "/usr/bin/python3"


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


@pytest.fixture
def mounted(base: str, place: str) -> attaching.Attached:
    """An overlay that root has mounted."""
    found = probe(base, os.path.dirname(place))[0]
    if found.why != probing.BY_ROOT:
        pytest.skip(f"needs root, who may mount: {found}")
    make(base, place, way="overlay")
    return attach(place, "overlay", base)


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
