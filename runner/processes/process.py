"""A program that runs beside us: its streams, its end, and what it leaves behind meanwhile.

`Process` is what `ProcessHost.open_process` gives; leaving that context ends the whole tree. Any
number of tasks may wait for its end, sweep and send signals at the same time.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from runner.messages import InForce, Limit, Outcome
from runner.processes import protocol
from runner.processes.isolation.inside import Inside
from runner.processes.launch import Launch, set_pipe_size
from runner.processes.link import KeeperLink, LinkLost
from runner.processes.tree import children_of, is_dying
from runner.processes.usage import TreeUsage, tree_usage


class Process:
    """A running program.

    Attributes:
        pid: of the leader, which is also the number of its session and process group.
        stdin: what is sent here is its standard input; None if that was given at the start.
        stdout: its standard output, which ends when nobody can write to it any more.
        stderr: its standard error, likewise. Both have to be read, or it will stop.
    """

    def __init__(
        self,
        link: KeeperLink,
        launch: Launch,
        put_down: Callable[[KeeperLink], Awaitable[None]],
        *,
        owns_stdin: bool,
        inside: Inside | None = None,
    ) -> None:
        """Take over a command that has started, and our ends of its streams."""
        self._link = link
        self._put_down = put_down  # what ends a command whose keeper is lost
        self._command = link.command
        self._inside = inside
        self.pid = link.command.leader or 0
        stdin, launch.stdin = launch.stdin, -1
        stdout, launch.stdout = launch.stdout, -1
        stderr, launch.stderr = launch.stderr, -1
        self._input = trio.lowlevel.FdStream(stdin)
        self.stdin: trio.abc.SendStream | None = self._input if owns_stdin else None
        self.stdout: trio.abc.ReceiveStream = trio.lowlevel.FdStream(stdout)
        self.stderr: trio.abc.ReceiveStream = trio.lowlevel.FdStream(stderr)
        set_pipe_size(stdout, 1 << 18)

    def __repr__(self) -> str:
        code = self.returncode
        return f"<Process {self.pid} {'running' if code is None else f'ended with {code}'}>"

    @property
    def returncode(self) -> int | None:
        """The exit code if it is known by now."""
        if not self._command.over:
            return None
        # A keeper is lost by SIGKILL, and then the guardian ends what it had, by SIGKILL.
        return -signals.SIGKILL if self._command.end is None else self._command.end.exit_code

    @property
    def is_dying(self) -> bool:
        """Whether its leader is dead or being killed, as the kernel says before its keeper does."""
        return self._command.over or is_dying(self.pid)

    @property
    def isolation(self) -> InForce | None:
        """What holds it inside its scope; None = nothing was asked for."""
        return None if self._inside is None else self._inside.in_force

    @property
    def limit_exceeded(self) -> Limit | None:
        """The limit that ended it, or one of its processes, as far as is known by now."""
        if self._inside is None:
            return None
        return self._inside.exceeded(self.returncode or 0, Outcome.EXITED, 0.0)

    @property
    def leftovers(self) -> int:
        """How many processes were left and ended when the leader had ended, and by sweeps."""
        end = self._command.end
        return self._command.swept + (end.leftovers if end else 0)

    def usage(self) -> TreeUsage | None:
        """What its whole tree has used so far, with what it left behind; None if not known."""
        keeper = self._link.pid
        if keeper is None or self._command.over:
            return None
        found = tree_usage(keeper)
        return found if found.processes else None

    async def wait(self) -> int:
        """Wait for the leader's end, with which the rest of its tree is ended.

        Returns:
            Its exit code: 0 to 255, or minus the number of the signal that ended it.
        """
        await self._link.wait_until(lambda: self._command.over)
        if self._command.lost:
            await self._put_down(self._link)
        code = self.returncode
        assert code is not None
        return code

    def send_signal(self, signal: int) -> None:
        """Send a signal to the leader's process group; nothing happens if it has ended."""
        self._request(protocol.SIGNAL, signal)

    async def sweep(self) -> int:
        """End what was orphaned: processes whose parent, below the leader, is dead.

        A turn's tools are children of the agent program while they work. What they leave behind
        has no parent left in the program's tree.

        Returns:
            How many were ended; 0 if the leader has ended.
        """
        await trio.lowlevel.checkpoint()
        command = self._command
        before = command.swept
        if self._has_no_orphan() or not self._request(protocol.SWEEP):
            return 0
        command.sweeps += 1
        mine = command.answered + command.sweeps
        await self._link.wait_until(lambda: command.over or command.answered >= mine)
        return command.swept - before

    def _has_no_orphan(self) -> bool:
        """Whether it can be seen from here: at the end of most turns, and then nobody is woken.

        Orphans are children of the keeper, which has no thread but one. Its list may miss a child
        only if another one of it ends meanwhile (proc(5)): none of these is the leader.
        """
        keeper = self._link.pid
        try:
            return keeper is not None and children_of(keeper, keeper) == [self.pid]
        except OSError:
            return False

    async def kill(self) -> int:
        """End the whole tree by SIGKILL; returns when it is gone.

        Returns:
            How many processes were ended beside the leader.
        """
        self._request(protocol.KILL)
        await self.wait()
        return self._command.end.leftovers if self._command.end else 0

    def _request(self, kind: int, number: int = 0) -> bool:
        if self._command.over:
            return False
        try:
            self._link.request(kind, number)
        except LinkLost:
            self._link.lose()
            return False
        return True

    async def feed(self, data: bytes, cancel_scope: trio.CancelScope) -> None:
        """Send the input that was given at the start, and then its end; it may not want all."""
        with cancel_scope, suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._input.send_all(data)
        self._input.close()

    def close(self) -> None:
        """Close our ends of its streams."""
        for stream in (self._input, self.stdout, self.stderr):
            assert isinstance(stream, trio.lowlevel.FdStream)
            stream.close()
