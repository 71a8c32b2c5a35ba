"""A holder as our child: started, found dead, ended; and how programs enter its namespaces."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

from runner.processes import guardian_link, holder
from runner.processes.sweep import KEEPER_TAG, check_run_id

PATIENCE = 20.0  # for it to begin, on a machine that is very busy
LEAVING = 5.0


class Holder:
    """A process that holds a mount in namespaces of its own; see `runner.processes.holder`.

    It is synchronous, and may be used from any thread. It carries the tag of a run's own processes,
    so that a sweep makes it go on if it was stopped, and then it ends by itself.

    Attributes:
        target: where it has mounted something, an absolute path.
    """

    def __init__(self, kind: str, source: str, target: str, options: str, *, run_id: str) -> None:
        """Start it, and wait until it has mounted; some 40 ms.

        Args:
            kind: of file system.
            source: what the mount is called.
            target: where it is mounted, a directory.
            options: of the file system.
            run_id: whose it is, for a sweep.

        Raises:
            OSError: it cannot be mounted, or not started.
        """
        self.target = target
        self._turn = threading.Lock()
        with ExitStack() as stack:
            us = os.pidfd_open(os.getpid())
            stack.callback(os.close, us)
            self._process = subprocess.Popen(
                [*_python(), "hold", str(us), kind, source, target, options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(us,),
                start_new_session=True,
                cwd="/",
                env={**_passed(), KEEPER_TAG: check_run_id(run_id)},
            )
        try:
            self._check(self._hear())
        except BaseException:
            self.close()
            raise

    def _hear(self) -> bytes:
        """What it says before it falls silent."""
        out = self._process.stdout
        assert out is not None
        said, until = b"", time.monotonic() + PATIENCE
        with out:
            while select.select([out], [], [], max(0.0, until - time.monotonic()))[0]:
                piece = os.read(out.fileno(), 4096)
                if not piece:
                    return said
                said += piece
        return b"110 no answer"

    @staticmethod
    def _check(said: bytes) -> None:
        if said == holder.READY:
            return
        number, _, text = said.decode(errors="replace").partition(" ")
        if not number.isdigit():
            raise OSError(0, "it ended before it had mounted anything")
        raise OSError(int(number), text)

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it is there."""
        return self._process.poll() is None

    @property
    def enter(self) -> tuple[str, ...]:
        """What has a program enter, put before its own arguments; it is found by its PATH."""
        return (*_python(), "enter", str(self.pid))

    @property
    def root(self) -> str:
        """What leads us to the root inside."""
        return f"/proc/{self.pid}/root"

    def outside(self, path: str) -> str:
        """The path by which we reach what stands at an absolute path inside."""
        return self.root + path

    def close(self) -> None:
        """End it, and wait for that. The mount goes with the last process that has entered."""
        with self._turn:
            stdin = self._process.stdin
            assert stdin is not None
            stdin.close()
            try:
                self._process.wait(LEAVING)
            except subprocess.TimeoutExpired:  # somebody has stopped it
                self._process.kill()
                self._process.wait()


def _python() -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-B", "-c", holder.BOOT, guardian_link.HERE)


def _passed() -> dict[str, str]:
    return {name: os.environ[name] for name in guardian_link.PASSED if name in os.environ}
