"""The real command in a real process, with a HOME and a state directory of its own.

Where its end is waited for it is forked from a process that has everything imported.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@attrs.frozen
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str


def _all_of(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


@attrs.define
class CommandLine:
    """Runs `runner` in processes of its own, and ends what is left of them."""

    home: Path
    cwd: Path
    template: Any  # of tests/conftest.py
    started: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    def environ(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "TMPDIR") or name.startswith(("COVERAGE", "COV_CORE"))
        }
        own = {
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "LANG": "C.UTF-8",
        }
        return {**kept, **own, **(env or {})}

    def start(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        program: Sequence[str] = ("-m", "runner"),
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, *program, *args],
            cwd=self.cwd,
            env=self.environ(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def __call__(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        input: bytes | None = None,  # noqa: A002
        program: Sequence[str] = ("-m", "runner"),
        timeout: float = 60.0,
    ) -> Ended:
        if program[0] == "-c" or tuple(program) == ("-m", "runner"):
            code = program[1] if program[0] == "-c" else None
            return self._fork(args, code, env, input or b"", timeout)
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        process = self.start(*args, env=env, stdin=stdin, program=program)
        out, err = process.communicate(input, timeout=timeout)
        return Ended(process.returncode, out.decode(), err.decode())

    def _fork(
        self,
        args: Sequence[str],
        code: str | None,
        env: Mapping[str, str] | None,
        given: bytes,
        timeout: float,
    ) -> Ended:
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        with tempfile.TemporaryFile() as file, ThreadPoolExecutor(2) as pool:
            file.write(given)
            file.seek(0)
            streams = file.fileno(), out_end, err_end
            process = self.template.fork(args, code, self.cwd, self.environ(env), streams)
            os.close(out_end)
            os.close(err_end)
            told = pool.map(_all_of, (out, err))
            try:
                process.wait(timeout)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
            return Ended(process.returncode, *(each.decode() for each in told))

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(10)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture
def runner(tmp_path: Path, template: Any) -> Iterator[CommandLine]:
    home = tmp_path / "home"
    cwd = tmp_path / "cwd"
    home.mkdir()
    cwd.mkdir()
    line = CommandLine(home, cwd, template)
    yield line
    line.close()


@pytest.fixture
def repository() -> Path:
    return REPOSITORY


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait until a fact holds; bounded."""

    def wait(fact: Callable[[], object], what: str = "", timeout: float = 30.0) -> None:
        end = time.monotonic() + timeout
        while not fact():
            assert time.monotonic() < end, f"never came to pass: {what}"
            time.sleep(0.01)

    return wait


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    """Whether a process lives; a zombie does not."""

    def look(pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # gone, also in mid-read
            return False
        return stat.rpartition(")")[2].split()[0] not in "ZX"

    return look
