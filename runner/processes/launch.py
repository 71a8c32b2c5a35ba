"""What is needed to start a program: found, checked and opened before anything runs.

A `Launch` is made in one synchronous stretch, so that it is all there or nothing of it: the program
looked up in the PATH of *its* environment, the message to the keeper, the directory and the pipes.
Whatever is wrong is an `ExecFailed` that says what, why, and what would help.

Everything that opens a descriptor for a program lives here; `close` closes what is still ours.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from runner.errors import ExecFailed

MOST_BYTES = 6 << 20  # of arguments and environment: Linux takes at most 3/4 of 8 MiB (execve(2))
LARGE_PIPE = 1 << 20  # what a user may ask for without privileges (pipe(7))
O_PATH = getattr(os, "O_PATH", os.O_RDONLY)
SHELL = "sh"  # what every line is for: looked up once for each PATH, which may have many entries
SHELLS = 16
_shells: dict[str, str] = {}

_FULL = "end other programs, or raise the limit on open files (ulimit -n)"
_REASONS = {
    errno.ENOENT: (
        "it or the interpreter that it names is not there",
        "look at its first line (#!) and at where that points",
    ),
    errno.ENOEXEC: (
        "it is neither a program for this machine nor a script with a #! line",
        "let it begin with a line such as #!/bin/sh, or name its interpreter",
    ),
    errno.E2BIG: (
        "its arguments and environment are too long",
        "give long texts by standard input or in a file",
    ),
    errno.EMFILE: ("too many files are open", _FULL),
    errno.ENFILE: ("too many files are open on this machine", _FULL),
    errno.ETOOMANYREFS: ("too many files are on their way to other processes", _FULL),
    errno.EAGAIN: (
        "there are too many processes",
        "run fewer at a time, or raise the limit: ulimit -u; pids.max of a container",
    ),
    errno.ENOMEM: ("there is not enough memory", "run fewer programs at a time"),
    errno.ETXTBSY: ("it is being written", "try again when its writer has closed it"),
}


def exec_failed(name: str, number: int, *, what: str = "") -> ExecFailed:
    """Say why a program could not be started, from an errno."""
    reason, hint = _REASONS.get(number, (os.strerror(number), ""))
    return ExecFailed("exec", name, what + reason, hint=hint)


def _exists(path: str, directory: int) -> bool:
    try:
        os.stat(path, dir_fd=directory)
    except (OSError, ValueError):
        return False
    return True


def _keep_shell(program: str, path: str) -> None:
    """Keep where the shell is, unless that depends on the directory."""
    if all(entry.startswith("/") for entry in path.split(":")):
        if len(_shells) >= SHELLS:
            _shells.clear()
        _shells[path] = program


def find_program(name: str, path: str, directory: int) -> str:
    """Look a program up as a shell does; relative names are relative to `directory`.

    Raises:
        ExecFailed: there is none, or what is there cannot be executed.
    """
    if name == SHELL and path in _shells and os.access(_shells[path], os.X_OK):
        return _shells[path]
    refused = ""
    for entry in ("",) if "/" in name else path.split(":"):
        candidate = f"{entry}/{name}" if entry else name
        try:
            if os.access(candidate, os.X_OK, dir_fd=directory):  # no is quick, and raises nothing
                if stat.S_ISREG(os.stat(candidate, dir_fd=directory).st_mode):
                    if name == SHELL:
                        _keep_shell(candidate, path)
                    return candidate if "/" in candidate else f"./{candidate}"
                refused = refused or candidate
        except (OSError, ValueError):
            continue
    if not refused and "/" in name and _exists(name, directory):
        refused = name
    if refused:
        raise ExecFailed("exec", name, f"{refused} cannot be executed", hint="chmod +x helps files")
    if "/" in name:
        raise ExecFailed("exec", name, "there is no such file", hint="paths start at the directory")
    hint = f"install it, or give its path; PATH is {path}"
    raise ExecFailed("exec", name, "there is no program of that name", hint=hint)


def encode(parts: Iterable[str], count: int) -> bytes:
    """Put texts together, with NUL between them.

    Raises:
        ValueError: they cannot be, and why.
    """
    try:
        text = os.fsencode("\0".join(parts))
    except UnicodeEncodeError as error:
        msg = f"it cannot be encoded: {error}"
        raise ValueError(msg) from error
    if text.count(0) != count - 1:
        msg = "an argument or a variable contains a NUL character"
        raise ValueError(msg)
    return text


@functools.lru_cache(maxsize=4)
def encode_environment(variables: tuple[tuple[str, str], ...]) -> bytes:
    """Make the second part of a RUN message, each variable with a NUL before it.

    One program after the other gets the same environment, so the last ones are kept.

    Raises:
        ValueError: as `encode`; or a name that no variable can have.
    """
    names = [name for name, _ in variables]
    if not all(names) or "=" in "".join(names):
        msg = "a variable has an empty name, or one that contains '='"
        raise ValueError(msg)
    return encode(("", *map("=".join, variables)), len(variables) + 1)


def not_entered(name: str, why: str, *, what: str = "") -> ExecFailed:
    """Say that the directory of a program cannot be entered."""
    reason = f"its working directory{what} cannot be entered: {why}"
    return ExecFailed("exec", name, reason, hint="make it first, or name another")


def open_directory(name: str, path: str) -> int:
    """Open the directory that a program is to run in.

    Raises:
        ExecFailed: it is not there, is none, or may not be entered.
    """
    try:
        return os.open(path, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.EMFILE, errno.ENFILE):
            raise
        why = os.strerror(number) if number else str(error)
        raise not_entered(name, why, what=f" {path!r}") from error


def check_directory(name: str, directory: int) -> None:
    """See to it that it is one, and is there; whether it may be entered, the keeper finds out.

    Raises:
        ExecFailed: it is none, or it is not there any more.
    """
    try:
        status = os.fstat(directory)
    except OSError as error:
        raise not_entered(name, os.strerror(error.errno or 0)) from error
    if not stat.S_ISDIR(status.st_mode):
        raise not_entered(name, os.strerror(errno.ENOTDIR))
    if status.st_nlink == 0:
        raise ExecFailed(
            "exec", name, "its working directory has been removed", hint="make it anew"
        )


def set_pipe_size(fd: int, size: int = LARGE_PIPE) -> None:
    """Ask for a larger pipe, which costs a busy stream fewer wake-ups; it may be refused."""
    with suppress(OSError, AttributeError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)


class Launch:
    """A program that is ready to be started.

    Attributes:
        name: the program, as the caller wrote it.
        words: the path and the arguments, for the keeper.
        env: the environment, likewise.
        directory: where it runs; the caller's descriptor, if that is what was given.
        far: more descriptors for the keeper: stdout, stderr, and stdin if it has one.
        stdout, stderr, stdin: our ends, which do not block; -1 once somebody else has them.
    """

    __slots__ = (
        "_opened",
        "directory",
        "env",
        "far",
        "name",
        "stderr",
        "stdin",
        "stdout",
        "words",
    )

    def __init__(
        self, argv: Sequence[str], *, cwd: int | str, env: Mapping[str, str], stdin: bool
    ) -> None:
        """Find, check and open it all, or nothing."""
        if isinstance(argv, str) or not argv or not argv[0]:
            raise ExecFailed("exec", None, "there is no program", hint="give at least its name")
        self.name = argv[0]
        self.stdout = self.stderr = self.stdin = self._opened = -1
        self.far: list[int] = []
        try:
            if isinstance(cwd, str):
                cwd = self._opened = open_directory(self.name, cwd)
            self.directory = cwd
            check_directory(self.name, cwd)
            program = find_program(self.name, env.get("PATH", os.defpath), cwd)
            self.words = encode((program, *argv), 1 + len(argv))
            self.env = encode_environment(tuple(env.items()))
            if len(self.words) + len(self.env) > MOST_BYTES:
                raise OSError(errno.E2BIG, "")
            self.stdout = self._pipe()
            self.stderr = self._pipe()
            if stdin:
                far, self.stdin = os.pipe()
                self.far.append(far)
                os.set_blocking(self.stdin, False)
        except OSError as error:
            self.close()
            raise exec_failed(self.name, error.errno or 0) from error
        except ValueError as error:
            self.close()
            raise ExecFailed("exec", self.name, str(error)) from error
        except BaseException:
            self.close()
            raise

    def _pipe(self) -> int:
        near, far = os.pipe()
        self.far.append(far)
        os.set_blocking(near, False)
        return near

    def refused(self, number: int, *, is_directory: bool) -> ExecFailed:
        """Say why the keeper could not start it, from an errno."""
        if is_directory:
            return not_entered(self.name, os.strerror(number))
        return exec_failed(self.name, number)

    def close_far(self) -> None:
        """Close the ends that the keeper has got by now."""
        while self.far:
            os.close(self.far.pop())
        if self._opened >= 0:
            os.close(self._opened)
            self._opened = -1

    def close_stdin(self) -> None:
        """Let the program read the end of its input."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        """Close all that is still ours."""
        self.close_far()
        self.close_stdin()
        for fd in (self.stdout, self.stderr):
            if fd >= 0:
                os.close(fd)
        self.stdout = self.stderr = -1
