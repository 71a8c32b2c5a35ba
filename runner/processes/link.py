"""Our end of the socket to a keeper.

A `KeeperLink` carries one command at a time: `start` sends it, `take` takes in what the keeper
has reported, and its `command` (command.py) says how far it is. Nothing here waits but to send and
in the methods that say so; whoever owns the command decides who reads.

A link is *lost* when its other end is gone: the process was killed, or has crashed. `Link` is what
this one and the guardian's (guardian_link.py) have in common.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

import trio

from runner.processes import protocol
from runner.processes.command import Command, End
from runner.processes.isolation.watching import outer_pid
from runner.processes.launch import Launch

SCM_RIGHTS = socket.SCM_RIGHTS


class LinkLost(Exception):
    """The process at the other end is gone."""


class Link:
    """A socket to one of our processes: requests out, reports in."""

    def __init__(self, sock: socket.socket) -> None:
        """Take the socket over."""
        sock.setblocking(False)
        self.sock = sock
        self.lost = False
        self._data = b""

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    def request(self, kind: int, a: int = 0, b: int = 0, *, fds: tuple[int, ...] = ()) -> None:
        """Send a short request at once.

        Raises:
            LinkLost: nobody is there to read it.
        """
        if self.sock.fileno() < 0:
            raise LinkLost
        rights = [(socket.SOL_SOCKET, SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
        try:
            self.sock.sendmsg([protocol.REQUEST.pack(kind, a, b, 0)], rights)
        except (ConnectionError, BlockingIOError) as error:
            self.lost = True  # a process that leaves so much unread does not run any more
            raise LinkLost from error

    def receive(self) -> list[tuple[int, int, int, int, float]]:
        """Take the reports that are there, without waiting; at the end of all, `lost` is set."""
        try:
            data = self.sock.recv(1 << 16)
            self.lost = self.lost or not data
        except BlockingIOError:
            data = b""
        except OSError:  # reset, or closed by us
            data, self.lost = b"", True
        self._data += data
        whole = len(self._data) // protocol.REPORT.size * protocol.REPORT.size
        reports = list(protocol.REPORT.iter_unpack(self._data[:whole]))
        self._data = self._data[whole:]
        return reports

    async def wait_readable(self) -> None:
        """Wait until there is something to `receive`, be it that the link is lost or closed."""
        if self.sock.fileno() < 0:
            await trio.lowlevel.checkpoint()
            return
        with suppress(trio.ClosedResourceError):
            await trio.lowlevel.wait_readable(self.sock)

    def shut(self) -> None:
        """Have the process read EOF, which it takes as its order to end, and us as well."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close our end, which the process takes as its order to end."""
        if self.sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self.sock)
            self.shut()  # a child that somebody here has forked may have a copy
            self.sock.close()


class KeeperLink(Link):
    """A keeper, and the command that it carries out.

    Attributes:
        pid: the keeper's, once it has said hello.
        command: the present command, or the last one.
        aside: what it says of its way inside, if it goes there: for that one command it is then.
    """

    def __init__(self, sock: socket.socket, wake: Callable[[], None] = lambda: None) -> None:
        """Begin before the keeper's hello.

        Args:
            sock: to the keeper.
            wake: wakes its guardian, if a command has stopped that, and so the keeper itself.
        """
        super().__init__(sock)
        self._wake = wake
        self.pid: int | None = None
        self.aside: socket.socket | None = None
        self.command = Command()
        self._watcher: select.epoll | None = None
        self._turn = trio.Lock()

    @property
    def reusable(self) -> bool:
        """Whether another command can be given to this keeper."""
        command = self.command
        if self.lost or command.sweeps or self.aside is not None:
            return False
        if command.end is not None:
            return not command.end.remaining and not command.end.kept
        return command.error is not None

    def request(self, kind: int, a: int = 0, b: int = 0, *, fds: tuple[int, ...] = ()) -> None:
        """Send a request, as any link does, and see to it that somebody can hear it."""
        super().request(kind, a, b, fds=fds)
        self._wake()

    def watcher(self) -> select.epoll:
        """One descriptor that is readable when the socket is, or others registered with it."""
        if self._watcher is None:
            self._watcher = select.epoll(4)
            self._watcher.register(self.sock, select.EPOLLIN)
        return self._watcher

    async def start(self, launch: Launch, *, want_started: bool, keep: bool = False) -> Command:
        """Send a command; the keeper has copies of its descriptors afterwards.

        Raises:
            LinkLost: nobody is there.
            OSError: the descriptors cannot be sent.

        If it raises or is cancelled, the command has not begun, and the link is to be closed.
        """
        kind = protocol.START if want_started else protocol.RUN
        words, env = launch.words, launch.env
        header = protocol.REQUEST.pack(kind, len(words), int(keep), len(words) + len(env))
        rights = struct.pack(f"{len(launch.far) + 1}i", launch.directory, *launch.far)
        message = memoryview(b"".join((header, words, env)))
        command = Command()  # before it is sent: it may be over before we come back from that
        try:
            sent = self.sock.sendmsg([message], [(socket.SOL_SOCKET, SCM_RIGHTS, rights)])
            while sent < len(message):
                await trio.lowlevel.wait_writable(self.sock)
                sent += self.sock.send(message[sent:])
        except (ConnectionError, BlockingIOError) as error:
            raise LinkLost from error
        self.command = command
        return command

    def take(self) -> None:
        """Take in the reports that are there, without waiting."""
        command = self.command
        for kind, a, b, c, when in self.receive():
            if kind == protocol.ENDED:
                command.end = End(exit_code=a, leftovers=abs(b), remaining=c, when=when, kept=b < 0)
            elif kind == protocol.FAILED:
                command.error, command.is_directory = a, bool(b)
            elif kind == protocol.STARTED:
                command.leader = a if self.aside is None else outer_pid(self.pid or 0, a)
            elif kind == protocol.HELLO:
                self.pid = a
            else:
                command.sweeps -= 1
                command.answered += 1
                command.swept += a
        command.lost = self.lost

    def hear_aside(self) -> tuple[str, list[int]]:
        """What the keeper has said of its way inside, and descriptors, which are the caller's."""
        if self.aside is None:
            return "", []
        said, found = b"", list[int]()
        flags = protocol.CLOEXEC | socket.MSG_DONTWAIT
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.aside, 1 << 13, 4, flags)
            except ConnectionResetError:  # told once, before what was said: a plan was not read
                continue
            except OSError:
                break
            if not data:
                break
            said, found = said + data, found + fds
        return said.decode(errors="replace").strip(), found

    def order_killed(self) -> None:
        """Have the keeper end its command, or what that has left running; if it is gone, it has.

        It is asked for, and not left to EOF: so its leaving says that all of it is gone.
        """
        if not self.lost and not self.command.gone:
            with suppress(LinkLost):
                self.request(protocol.KILL)

    def lose(self) -> None:
        """Give the keeper up."""
        self.lost = self.command.lost = True

    async def wait_until(self, done: Callable[[], bool]) -> None:
        """Wait until reports have made something true; any number of tasks may.

        One of them reads, the others wait for their turn to look.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while not done():
            async with self._turn:
                if not done():
                    await self.wait_readable()
                    self.take()

    def close(self) -> None:
        """End the keeper, and with it whatever it carries out."""
        super().close()
        self.lose()
        if self.aside is not None:
            self.aside.close()
        if self._watcher is not None:
            self._watcher.close()
