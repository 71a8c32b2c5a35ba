"""Trees of processes: what is read from /proc, and children that nobody can end."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from runner.processes import keeper, protocol, tree
from runner.processes.guardian import BOOT
from runner.processes.launch import Launch
from runner.processes.link import KeeperLink
from runner.processes.protocol import REQUEST, RUN, SIGNAL, SWEEP

NOBODY = 65534


@pytest.fixture
def child() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "100"], start_new_session=True)
    yield process.pid
    process.kill()
    process.wait()


def test_a_stat_line_is_read_whatever_the_name_is() -> None:
    line = b"12 (a) b ( c) S 7 8 9 0 -1"

    assert tree.parse_stat(line) == (7, 8, 9)


@pytest.mark.parametrize("attempt", range(30))
def test_a_killed_process_is_dying_from_the_moment_of_its_signal(child: int, attempt: int) -> None:
    if attempt % 3 == 0:
        os.kill(child, signal.SIGSTOP)
    assert not tree.is_dying(child)
    os.kill(child, signal.SIGKILL)

    assert tree.is_dying(child)


def test_what_has_ended_is_dying_and_what_gets_another_signal_is_not(child: int) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    os.kill(child, signal.SIGCONT)

    assert tree.is_dying(ended.pid)
    assert not tree.is_dying(child)


def test_children_are_found_by_the_kernels_list_and_without_it(
    child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert child in tree.own_children()
    monkeypatch.setattr(tree, "CHILDREN", "/proc/no-such-list")
    assert child in tree.own_children()
    assert tree.read_stat(child) == (os.getpid(), child, child)


def test_without_proc_there_is_nothing_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "CHILDREN", "/no-proc/children")
    monkeypatch.setattr(tree, "PROC", "/no-proc")

    assert tree.own_children() == []
    assert tree.read_stat(os.getpid()) is None


def test_a_python_without_ctypes_has_no_subreapers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)

    assert not tree.become_subreaper()


def forked(body: Callable[[], object]) -> int:
    """Run in a fork of this process, which then is gone; its pid."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads: it is short
        pid = os.fork()
    if pid == 0:
        code = 70
        try:
            body()
            code = 0
        finally:
            os._exit(code)
    return pid


def test_children_are_ended_and_known_ones_spared_in_a_process_of_its_own() -> None:
    def body() -> None:
        tree.become_subreaper()
        parent = tree.Parent()
        mine = os.posix_spawn("/bin/sleep", ["sleep", "100"], {}, setsid=True)
        os.posix_spawn(
            "/bin/sh", ["sh", "-c", "sleep 100 & (sleep 100 &) ; exec sleep 100"], {"PATH": "/bin"}
        )
        parent.known = {mine: None}
        while len(tree.own_children()) < 3:
            pass
        assert parent.end_children(spare=True) == (3, 0)
        assert parent.known == {mine: None}
        assert tree.own_children() == [mine]
        assert parent.end_children() == (0, 0)
        assert parent.known == {mine: -signal.SIGKILL}
        assert tree.own_children() == []

    assert os.waitpid(forked(body), 0)[1] == 0


def test_waiting_for_one_child_ends_with_it_with_a_request_or_in_time() -> None:
    def body() -> None:
        near, far = socket.socketpair()
        parent = tree.Parent()
        parent.watch(far)
        short = os.posix_spawn("/bin/sleep", ["sleep", "0"], {})
        assert not parent.wait_for(short, 20_000)
        assert os.waitid(os.P_PID, short, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
        parent.reap()
        long = os.posix_spawn("/bin/sleep", ["sleep", "100"], {})
        assert not parent.wait_for(long, 1)
        near.send(b"x")
        assert parent.wait_for(long, 20_000)
        assert parent.wait()  # whether or not it is told of the other one's death
        parent.known = {long: None}
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        assert not parent.wait_for(long, 20_000)  # no descriptor for it: `wait` has to do
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert parent.end_children() == (0, 0)
        assert parent.known == {long: -signal.SIGKILL}

    assert os.waitpid(forked(body), 0)[1] == 0


@pytest.fixture
def unkillable(tmp_path: Path) -> str:
    """A program that a process of `NOBODY` may start and not end."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a set-uid program and to be somebody else")
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv: install util-linux")
    program = str(tmp_path / "stubborn")
    shutil.copy(setpriv, program)
    os.chmod(program, 0o4755)
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        pytest.skip("needs a temporary directory that is not mounted nosuid: see --basetemp")
    for parent in Path(program).parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)
    return program


async def test_what_cannot_be_ended_is_said_so_and_not_waited_for(
    unkillable: str, monkeypatch: pytest.MonkeyPatch, until: Any, token: str, alive: Any
) -> None:
    monkeypatch.setattr(tree, "PATIENCE", 0.1)
    near, far = socket.socketpair()
    link = KeeperLink(near)

    def body() -> None:
        near.close()
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        keeper.keep(far)

    pid = forked(body)
    far.close()
    script = (
        f"{unkillable} --ruid 0 --euid 0 sleep {token} & "
        "until grep -q '^Uid:[^0-9]*0[^0-9]*0' /proc/$!/status; do :; done"
    )
    launch = Launch(
        ["sh", "-c", script],
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        stdin=True,
    )
    with trio.fail_after(20):
        command = await link.start(launch, want_started=False)
        launch.close()
        await link.wait_until(lambda: command.over)
        end = command.end
        assert end is not None
        assert (end.exit_code, end.remaining) == (0, 1)
        assert not link.reusable
        stubborn = next(each for each in alive() if each != pid)
        assert tree.read_stat(stubborn)[0] == pid  # type: ignore[index] # it keeps its keeper
        os.kill(stubborn, signal.SIGKILL)  # we may
        await until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)
    link.close()


def test_a_keeper_minds_orders_that_come_too_late_and_commands_without_descriptors() -> None:
    near, far = socket.socketpair()

    def body() -> None:
        near.close()
        keeper.keep(far)

    pid = forked(body)
    far.close()
    near.sendall(REQUEST.pack(SIGNAL, 9, 0, 0) + REQUEST.pack(SWEEP, 0, 0, 0))
    near.sendall(REQUEST.pack(RUN, 1, 0, 3) + b"x\0x" + REQUEST.pack(RUN, 0, 0, 10) + b"half")
    near.shutdown(socket.SHUT_WR)
    with near.makefile("rb") as file:
        data = file.read()
    near.close()

    kinds = [report[:2] for report in protocol.REPORT.iter_unpack(data)]
    assert kinds == [(protocol.HELLO, pid), (protocol.SWEPT, 0), (protocol.FAILED, 24)]
    assert os.waitpid(pid, 0)[1] == 0


def test_the_guardian_starts_without_the_rest_of_us() -> None:
    loading, _, _ = BOOT.rpartition("main(")
    script = f"import sys; sys.argv = ['', {str(Path(tree.__file__).parents[2])!r}]\n{loading}"
    show = "print(*[name for name in sys.modules if name.startswith(('runner', 'trio', 'attr'))])"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script + show],
        capture_output=True,
        check=True,
        text=True,
    )

    assert sorted(done.stdout.split()) == [
        "runner",
        "runner.processes",
        "runner.processes.guardian",
        "runner.processes.keeper",
        "runner.processes.protocol",
        "runner.processes.tree",
    ]
