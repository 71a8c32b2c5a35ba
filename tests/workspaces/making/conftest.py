"""What tests of live trees share: a base, a place, and somebody who is not root."""

from __future__ import annotations

import ctypes
import encodings.ascii  # what is loaded late cannot be, by somebody who may not read it
import encodings.idna
import json
import os
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from runner.processes import guardian
from runner.processes.guardian_link import GuardianLink
from runner.workspaces import attaching, mounts, probing
from runner.workspaces.attaching import attach
from runner.workspaces.making import make
from runner.workspaces.probing import probe

assert encodings.ascii, encodings.idna
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


Seen = dict[str, Any]
Work = Callable[[str, Seen, Callable[[], None]], Awaitable[None]]


@pytest.fixture
def top() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runner-namespace-") as path:
        os.chmod(path, 0o755)
        base = Path(path, "base")
        (base / "d" / "e").mkdir(parents=True)
        (base / "d" / "e" / "file").write_text("old")
        yield Path(path)
        assert not mounts.mounted_in(os.path.realpath(path))


@pytest.fixture
def as_somebody(top: Path, as_ordinary) -> Iterator[Callable[[Work], Seen]]:
    """Carries something out as an ordinary user; what it has seen."""
    with as_ordinary() as uid, pytest.MonkeyPatch.context() as patch:  # undone before the other
        patch.setattr(sys, "executable", PYTHON)
        words = [PYTHON, "-I", "-S", "-c", guardian.BOOT]
        patch.setattr(GuardianLink, "command", staticmethod(lambda: words))
        for path in (top, *top.rglob("*")):
            os.chown(path, uid, uid)

        def act(work: Work) -> Seen:
            near, far = os.pipe()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of threads that the child has not
                child = os.fork()
            if child == 0:  # pragma: no cover - somebody else, who writes no report
                seen: Seen = {}

                def tell() -> None:
                    os.write(far, json.dumps(seen).encode())
                    os.kill(os.getpid(), signal.SIGKILL)

                try:
                    if os.geteuid() == 0:
                        os.setgroups([])
                        os.setresgid(uid, uid, uid)
                        os.setresuid(uid, uid, uid)
                    trio.run(work, str(top), seen, tell)
                except BaseException:  # noqa: BLE001 - told, and then nothing goes on
                    seen["error"] = traceback.format_exc()
                finally:
                    tell()
            os.close(far)
            with open(near) as said:
                seen = json.load(said)
            os.waitpid(child, 0)
            assert "error" not in seen, seen["error"]
            if "skip" in seen:
                pytest.skip(seen["skip"])
            return seen

        yield act
