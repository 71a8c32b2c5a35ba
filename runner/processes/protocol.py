"""What host, guardian and keepers say to each other, and their side of the socket.

Requests go out from the host: a header, `size` bytes more, and descriptors (SCM_RIGHTS). Reports
come back to it in one fixed form. All are streams between two processes on one machine, so byte
order and sizes are native.

It is loaded by the guardian: the standard library only.
"""

from __future__ import annotations

import select
import socket
import struct
from contextlib import suppress

REQUEST = struct.Struct("<4I")  # kind, a, b, size
REPORT = struct.Struct("<4id")  # kind, a, b, c, time

# host to guardian
FORK = 1  # the descriptor that comes with it is the socket of a new keeper
FORK_INSIDE = 8  # as FORK, for a keeper that goes inside (isolation/enter.py): a = the namespaces,
# b = who owns there what root owns; the second descriptor is for its plan
END = 2  # kill the keeper with pid a, if a is one, and whatever dead keepers left; answered: SWEPT

# host to keeper
RUN = 3  # STARTED is reported if it takes longer. What follows: path and argv, which are the first
# a bytes, and the environment, NUL between all; its descriptors: directory, stdout, stderr, stdin;
# b = 1 if what it leaves behind is to be kept
START = 7  # as RUN, but STARTED is reported at once
SIGNAL = 4  # a = the signal, for the leader's process group
KILL = 5  # end the leader, and with it everything
HOLD = 9  # of a keeper that has kept something: its descriptors are to be read, and that discarded
SWEEP = 6  # end what the leader's dead children left; answered: SWEPT

# to the host
HELLO = 10  # a = pid of the keeper; its first report
STARTED = 11  # a = pid of the leader
FAILED = 12  # a = errno, b = 1 if it was the directory
# a = exit code, b = leftovers ended, or minus those kept, c = leftovers that cannot be ended, and
# the time of the end
ENDED = 13
SWEPT = 14  # a = processes ended

CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Channel:
    """Our end of a socket to the host: requests with descriptors come in, reports go out."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over the socket, which blocks."""
        self.sock = sock
        self._data = b""
        self._fds: list[int] = []

    @property
    def pending(self) -> bool:
        """Whether there is something that poll(2) does not see any more."""
        return len(self._data) > 0

    def is_readable(self) -> bool:
        """Whether `receive` has something to begin with."""
        return bool(select.select([self.sock], [], [], 0)[0])

    def receive(self) -> tuple[int, int, int, bytes] | None:
        """Take the next request: kind, a, b, and what follows; None when the host is gone."""
        if not self._fill(REQUEST.size):
            return None
        kind, a, b, size = REQUEST.unpack_from(self._data)
        if not self._fill(REQUEST.size + size):
            return None
        payload = self._data[REQUEST.size : REQUEST.size + size]
        self._data = self._data[REQUEST.size + size :]
        return kind, a, b, payload

    def take_fds(self) -> list[int]:
        """Take the descriptors that came with the last request; closing them is the taker's."""
        fds, self._fds = self._fds, []
        return fds

    def _fill(self, size: int) -> bool:
        while len(self._data) < size:
            try:
                data, ancillary, _, _ = self.sock.recvmsg(1 << 16, socket.CMSG_SPACE(16), CLOEXEC)
            except ConnectionError:
                return False
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._fds += struct.unpack(f"{len(content) // 4}i", content)
            if not data:
                return False
            self._data += data
        return True

    def report(self, kind: int, a: int = 0, b: int = 0, c: int = 0, when: float = 0.0) -> None:
        """Tell the host; if it is gone, the next `receive` says so."""
        with suppress(OSError):
            self.sock.sendall(REPORT.pack(kind, a, b, c, when))
