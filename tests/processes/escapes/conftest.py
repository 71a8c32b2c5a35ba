"""What stands outside, for programs that try to get at it; and who they are."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading

import attrs
import pytest

from runner.messages import Isolation


@attrs.frozen
class Mode:
    """How programs are run, and by whom."""

    isolation: Isolation
    user: str = "ordinary"


MODES = {
    "none": Mode(Isolation(mode="none")),
    "landlock": Mode(Isolation(mode="landlock", required=True)),
    "bwrap": Mode(Isolation(mode="bwrap", required=True)),
    "list": Mode(Isolation(mode="bwrap", required=True, network=("example.org",))),
    "program": Mode(Isolation(mode="bwrap", required=True), user="program"),
    "full": Mode(Isolation(mode="bwrap", required=True, network="full")),
}
if os.geteuid() == 0:
    MODES["root"] = Mode(Isolation(mode="bwrap", required=True), user="root")


@pytest.fixture(scope="session")
def modes() -> dict[str, Mode]:
    return MODES


class Outside:
    """A machine with things in it that nobody inside may reach."""

    def __init__(self, owner: int) -> None:
        """Make it: files, a process, sockets, shared memory."""
        self.token = str(random.randrange(10**14, 10**15))
        self._stack = contextlib.ExitStack()
        self.base = tempfile.mkdtemp(prefix="runner-escapes-")
        self._stack.callback(shutil.rmtree, self.base, ignore_errors=True)
        self.scope, self.sibling = self._path("scope"), self._path("sibling")
        self.secret = self._path("secret")
        for path in (self.scope, self.sibling):
            os.mkdir(path)
        for path in (self.secret, os.path.join(self.sibling, "file")):
            with open(path, "w") as file:
                file.write("nobody's business")
            os.chmod(path, 0o600)
        os.link(self.secret, os.path.join(self.scope, "old-link"))
        self.listeners = [
            self._listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            self._listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            self._listen(socket.AF_UNIX, socket.SOCK_STREAM, "\0escapes-" + self.token),
            self._listen(socket.AF_UNIX, socket.SOCK_STREAM, self._path("named")),
            self._listen(socket.AF_UNIX, socket.SOCK_STREAM, os.path.join(self.scope, "sock")),
        ]
        libc = ctypes.CDLL(None)
        self.shm = int(self.token) & 0x7FFFFFFF
        segment = libc.shmget(self.shm, 4096, 0o1666)
        self._stack.callback(libc.shmctl, segment, 0, None)
        for base, directories, files in os.walk(self.base):
            for name in (".", *directories, *files):
                os.chown(os.path.join(base, name), owner, owner)
        nap = f"exec 7<{self.secret}; exec sleep {self.token}"
        process = subprocess.Popen(
            ["sh", "-c", nap],
            cwd=self.base,
            env={"PATH": os.defpath, "TOKEN": self.token},
            user=owner,
            group=owner,
            extra_groups=[] if os.geteuid() == 0 else None,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        self.pid = process.pid

    def _path(self, name: str) -> str:
        return os.path.join(self.base, name)

    def _listen(self, family: int, kind: int, address: object) -> socket.socket:
        sock = socket.socket(family, kind)
        sock.bind(address)
        if family == socket.AF_UNIX and not str(address).startswith("\0"):
            os.chmod(str(address), 0o777)
        if kind == socket.SOCK_STREAM:
            sock.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while kind == socket.SOCK_STREAM:
                    sock.accept()[0].close()
                while True:
                    _, sender = sock.recvfrom(10)
                    if sender is None:  # it has been shut
                        return
                    sock.sendto(b"!", sender)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self._stack.callback(thread.join, 5)
        self._stack.callback(sock.close)
        self._stack.callback(_shut, sock)
        return sock

    def facts(self) -> dict[str, object]:
        """What an attempt is told."""
        return {
            "token": self.token,
            "scope": self.scope,
            "secret": self.secret,
            "sibling": self.sibling,
            "pid": self.pid,
            "fd": 7,
            "tcp": self.listeners[0].getsockname()[1],
            "udp": self.listeners[1].getsockname()[1],
            "abstract": "escapes-" + self.token,
            "named": self._path("named"),
            "shm": self.shm,
            "nap": str(int(self.token) + 1),
        }

    def close(self) -> None:
        """Take it all away."""
        self._stack.close()


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def make_outside() -> type[Outside]:
    return Outside
