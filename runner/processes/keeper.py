"""A keeper: carries out one command at a time, and leaves nothing of it.

It is forked by the guardian and is a subreaper: whatever a command starts, with setsid, nohup, a
double fork or an empty environment, is a descendant of this one process. So when the leader has
ended, everything that is still below the keeper is what this command left behind.

Its lifeline is its socket: EOF means that the host has closed it or is dead, SIGKILL or not. Then
it ends all that it has and leaves. A child that the host has forked may have a copy of the other
end, and no EOF comes while that lives: so the guardian, which watches the host itself, tells us.

It is loaded by the guardian: the standard library only.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from contextlib import suppress

from runner.processes.protocol import (
    ENDED,
    FAILED,
    HELLO,
    KILL,
    RUN,
    SIGNAL,
    START,
    STARTED,
    SWEEP,
    SWEPT,
    Channel,
)
from runner.processes.tree import Parent, become_subreaper, descendants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# What the guardian ignores, and what Python does: a program starts with the defaults.
RESET = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGCHLD,
    signal.SIGPIPE,
    signal.SIGXFSZ,
)

ALONE = signal.SIGUSR1  # from the guardian: the host is dead

# A command that ends within so many milliseconds is one report and one wake-up; what it writes is
# in its pipes until then.
HUSH = 4


def spawn(words: list[bytes], env: dict[bytes, bytes], streams: list[int]) -> int:
    """Start a program, which is the first word, in a session of its own, with default signals.

    Nothing but the streams is passed on: every descriptor here is close-on-exec.
    """
    return os.posix_spawn(
        words[0],
        words[1:],
        env,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, fd, number)
            for fd, number in zip(streams, (1, 2, 0), strict=False)
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=RESET,
    )


def discard(fd: int) -> bool:
    """Read what is there, to a bound, without waiting; whether more can come."""
    try:
        return bool(os.read(fd, 1 << 20))
    except BlockingIOError:
        return True


class Keeper:
    """Carries out one command after the other for the host, and leaves nothing of any."""

    def __init__(self, sock: socket.socket, pid: int = 0, directory: str = "") -> None:
        """Begin in a process that has no children yet; `keep` says what the arguments are."""
        self._pid = pid or os.getpid()
        self._directory = directory
        self._channel = Channel(sock)
        self._parent = Parent()
        self._parent.watch(sock)
        self._connected = True
        signal.signal(ALONE, self._let_go)
        self._env = b"", dict[bytes, bytes]()  # the last one, as text as well

    def _let_go(self, *_: object) -> None:
        """Read EOF from here on."""
        with suppress(OSError):
            self._channel.sock.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Serve until the host closes the socket or is dead."""
        try:
            self._channel.report(HELLO, self._pid)
            while self._connected and (request := self._channel.receive()) is not None:
                kind, a, b, payload = request
                if kind in {RUN, START}:
                    self._carry_out(payload[:a], payload[a:], tell=kind == START, keep=b > 0)
                elif kind == SWEEP:
                    self._channel.report(SWEPT)
        finally:
            while self._parent.end_children()[1]:  # cannot be ended: we stay, they are our children
                self._parent.nap(1000)

    def _carry_out(self, words: bytes, env: bytes, *, tell: bool, keep: bool) -> None:
        fds = self._channel.take_fds()
        entering = False
        try:
            if len(fds) < 3:  # the kernel drops those that we have no room for
                raise OSError(errno.EMFILE, "")
            if env != self._env[0]:
                self._env = env, dict(each.split(b"=", 1) for each in env.split(b"\0")[1:])
            entering = True
            if self._directory:
                os.chdir(self._directory)
            else:
                os.fchdir(fds[0])
            entering = False
            leader = spawn(words.split(b"\0"), self._env[1], fds[1:])
        except (OSError, ValueError, NotImplementedError) as error:
            number = getattr(error, "errno", 0) or errno.EINVAL
            self._channel.report(FAILED, number, int(entering))
            return
        finally:
            os.chdir("/")  # a file system with somebody's working directory cannot be unmounted
            for fd in fds:
                os.close(fd)
        self._parent.known = {leader: None}
        requested = not tell and self._parent.wait_for(leader, HUSH)
        self._parent.reap()
        if tell or self._parent.known[leader] is None:
            self._channel.report(STARTED, leader)
        going_on = True
        while going_on and self._parent.known[leader] is None:
            if requested or self._channel.pending or self._parent.wait():
                going_on = self._obey(leader)
                requested = False
            self._parent.reap()
        when = time.monotonic()
        if keep and going_on and self._parent.has_children:
            kept = max(1, descendants())
            self._channel.report(ENDED, self._parent.known.pop(leader) or 0, -kept, 0, when)
            self._hold()
            return
        killed, left = self._parent.end_children()
        code = self._parent.known.pop(leader)
        self._connected = self._connected and not left
        self._channel.report(ENDED, -signal.SIGKILL if code is None else code, killed, left, when)

    def _hold(self) -> None:
        """Look after what a command has left until the last of it has ended, and then leave.

        Somebody has to read what it still writes, and to throw that away.
        """
        streams: list[int] = []
        going_on = True
        while going_on and self._parent.has_children:
            said = self._channel.pending or self._parent.wait()
            for fd in streams.copy():
                if not discard(fd):
                    self._parent.forget(fd)
                    streams.remove(fd)
            if said and (self._channel.pending or self._channel.is_readable()):
                request = self._channel.receive()
                going_on = request is not None and request[0] != KILL
                for fd in self._channel.take_fds():
                    streams.append(fd)
                    self._parent.watch(fd)
            self._parent.reap()
        self._connected = False

    def _obey(self, leader: int) -> bool:
        request = self._channel.receive()
        if request is None or request[0] == KILL:
            self._connected = request is not None
            return False
        # Not waited for yet, so the number is still the leader's and its group's.
        if request[0] == SIGNAL and self._parent.known[leader] is None:
            with suppress(OSError):
                os.killpg(leader, request[1])
        elif request[0] == SWEEP:
            killed, _ = self._parent.end_children(spare=True, groups=False)
            self._channel.report(SWEPT, killed)
        return True


def keep(sock: socket.socket, pid: int = 0, directory: str = "") -> NoReturn:
    """Be a keeper from here on, in a process that has just been forked.

    Args:
        sock: the host's.
        pid: ours, as the guardian sees it; 0 = as we do.
        directory: where programs run, whatever directory comes with them: one of outside must not
            be entered from within namespaces, for it would lead out. "" = the one that comes.
    """
    status = 1
    try:
        become_subreaper()  # not inherited
        Keeper(sock, pid, directory).serve()
        status = 0
    finally:
        os._exit(status)
