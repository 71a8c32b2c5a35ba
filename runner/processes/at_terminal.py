"""A program that has our terminal: for people, such as a shell in a workspace.

    ours ──fork──► program ─┐
      └── waits ────────────┴── one process group, in front of one terminal

It gets our three standard streams as they are, so nothing of its output is kept, and no keeper is
between: a keeper has a session of its own, in which no terminal can be controlled. What is typed
(Ctrl-C, say) is for the program; Ctrl-Z stops us with it, and `fg` lets both go on. When it has
ended, the terminal is ours again, and all that it has left running is ended, by a tag of its own in
the environment: a shell's background jobs have groups of their own. If we die, it is killed.

What clears its environment and leaves the terminal is lost to us, until the run is swept.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import signal
import subprocess
import termios
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import attrs
import trio

from runner.errors import ExecFailed
from runner.messages import Completed, Outcome, Output
from runner.processes.launch import exec_failed, find_program
from runner.processes.sweep import TAG, sweep_run

ENDING = 2.0  # seconds between a kind and an unkind signal
MINE = "RUNNER_TERMINAL"
TYPED = (signal.SIGINT, signal.SIGQUIT)
OF_A_GROUP = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_limiter = trio.CapacityLimiter(8)


def is_at_terminal() -> bool:
    """Whether all our standard streams are a terminal, which we control."""
    if not all(os.isatty(fd) for fd in range(3)):
        return False
    try:
        os.tcgetpgrp(0)
    except OSError:  # it is somebody else's
        return False
    return True


async def run_at_terminal(
    argv: Sequence[str],
    *,
    cwd: int,
    env: Mapping[str, str],
    enter: Sequence[str] = (),
    timeout: float | None = None,
) -> Completed:
    """Run a program that has our terminal, and wait for its end.

    Args:
        argv: the program, looked up in the PATH of `env`, and its arguments.
        cwd: a directory.
        env: its whole environment, with the tag of the run.
        enter: what it is started by, so that it is in the namespaces of a holder.
        timeout: seconds until it is ended: SIGHUP, and SIGKILL after a while.

    Raises:
        ExecFailed: there is no terminal, or it could not be started.

    Cancellation: it is ended likewise.
    """
    if threading.current_thread() is not threading.main_thread() or not is_at_terminal():
        reason = "there is no terminal that it could have"
        raise ExecFailed("exec", argv[0], reason, hint="run it without one: `exec` or `start`")
    program = find_program(argv[0], env.get("PATH", ""), cwd)
    tag = uuid.uuid4().hex
    begun = time.monotonic()
    with _terminal() as terminal:
        command = [*enter, program, *argv[1:]] if enter else list(argv)
        child = _start(command, None if enter else program, cwd, {**env, MINE: tag})
        terminal.begin()
        outcome, left = Outcome.EXITED, 0
        try:
            with trio.move_on_after(float("inf") if timeout is None else timeout) as scope:
                await _ended(terminal, child)
            outcome = Outcome.TIMEOUT if scope.cancelled_caught else outcome
        finally:
            with trio.CancelScope(shield=True):  # bounded: it is killed
                await _end(terminal, child)
                work = functools.partial(sweep_run, env[TAG], tags={MINE: tag})
                left = await trio.to_thread.run_sync(work, limiter=_limiter)
        terminal.is_spoiled = child.returncode < 0
    return Completed(
        exit_code=child.returncode,
        outcome=outcome,
        out=Output(head=b""),
        err=Output(head=b""),
        duration=time.monotonic() - begun,
        leftovers=left,
    )


def _start(
    argv: list[str], program: str | None, cwd: int, env: dict[str, str]
) -> subprocess.Popen[bytes]:
    us = os.getpid()

    def end_with_us() -> None:  # pragma: no cover - in the child, before it becomes the program
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != us:
            os._exit(1)

    try:
        return subprocess.Popen(
            argv,
            executable=program,
            cwd=f"/proc/self/fd/{cwd}",
            env=env,
            preexec_fn=end_with_us,  # noqa: PLW1509 - two system calls, and no lock
        )
    except OSError as error:
        raise exec_failed(argv[0], error.errno or errno.EIO) from error


@attrs.define(eq=False)
class _Terminal:
    """The terminal on standard input, while somebody else has it.

    Attributes:
        modes: what they were.
        is_spoiled: whether who had it could not put the modes back.
    """

    modes: list[object]
    is_spoiled: bool = False
    _handlers: dict[signal.Signals, object] = attrs.field(factory=dict)

    def begin(self) -> None:
        """From here on what is typed is not for us."""
        for number in TYPED:
            self._handlers[number] = signal.signal(number, signal.SIG_IGN)

    def end(self) -> None:
        """It is ours again."""
        self.give(os.getpgrp())
        if self.is_spoiled:
            termios.tcsetattr(0, termios.TCSADRAIN, self.modes)  # type: ignore[arg-type]
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def give(self, group: int) -> None:
        """Have a process group in front, also if we are in the background."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
        try:
            with suppress(OSError):  # it hung up, or the group is gone
                if os.tcgetpgrp(0) != group:
                    os.tcsetpgrp(0, group)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _terminal() -> Iterator[_Terminal]:
    terminal = _Terminal(termios.tcgetattr(0))
    try:
        yield terminal
    finally:
        terminal.end()


async def _ended(terminal: _Terminal, child: subprocess.Popen[bytes]) -> None:
    """Wait for a child's end."""
    fd = os.pidfd_open(child.pid)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_follow_stops, terminal, child.pid)
            await trio.lowlevel.wait_readable(fd)
            nursery.cancel_scope.cancel(reason="it has ended")
    finally:
        os.close(fd)
    child.wait()  # it has ended


async def _follow_stops(terminal: _Terminal, pid: int) -> None:
    with trio.open_signal_receiver(signal.SIGCHLD) as arrived:
        while True:
            with suppress(ChildProcessError, ProcessLookupError):
                _look_for_stop(terminal, pid)
            await anext(arrived)


def _look_for_stop(terminal: _Terminal, pid: int) -> None:
    seen = os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)
    if seen is None:
        return
    group = os.getpgid(pid)
    if group != os.getpgrp() or seen.si_status not in OF_A_GROUP:
        _stop_with(terminal, group)  # else we were stopped as well, and continued with it


def _stop_with(terminal: _Terminal, group: int) -> None:
    """Who had the terminal has stopped itself: so do we, for the shell that we were started by."""
    terminal.give(os.getpgrp())
    os.kill(os.getpid(), signal.SIGSTOP)
    terminal.give(group)
    os.killpg(group, signal.SIGCONT)


async def _end(terminal: _Terminal, child: subprocess.Popen[bytes]) -> None:
    """End a child, unless it has ended."""
    if child.returncode is None:
        for number in (signal.SIGHUP, signal.SIGCONT):
            _send(child, number)
        with trio.move_on_after(ENDING):
            await _ended(terminal, child)
    if child.returncode is None:
        _send(child, signal.SIGKILL)
        await _ended(terminal, child)


def _send(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(child.pid, number)  # it is not waited for yet, so nobody else has the number
