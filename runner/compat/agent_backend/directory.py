"""The operations of agent-backend's local backend and its scopes, on `LocalBackend`.

Compared with the peer call by call in the tests. What differs:

    paths      contained by descriptor and not by name; what the peer lets OSError or ValueError out
               for is a BackendError; errors in a scope name the path as the caller has written it
    write      atomic; rm also removes links that lead nowhere; mkdir(recursive=False) makes one
    read       the ends of lines are as they are (the peer makes CRLF to LF)
    exec       isolation is probed and not assumed; programs leave nothing behind, get an allow-list
               of variables, and are ended when their caller is cancelled; a relative `cwd` is
               relative to the scope, and used
    stat       the size of a directory is 0
    arguments  are best given by position: of memory backends they are paths, too, not keys
"""

from __future__ import annotations

import os
import posixpath
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeAlias, TypeVar

from runner.backends.local import LocalBackend
from runner.compat.agent_backend.base import Common
from runner.compat.agent_backend.safety import SafetyConfig, is_command_safe, is_dangerous
from runner.compat.agent_backend.words import (
    BackendError,
    BackendType,
    DangerousOperationError,
    ErrorCode,
    ExecOptions,
    FileStat,
    IsolationMode,
    LocalFilesystemBackendConfig,
    PathEscapeError,
    ReadOptions,
    ShellPreference,
)
from runner.compat.lodging import Lodging
from runner.errors import AlreadyExists, InvalidPath, OperationError, PathEscapes, WrongType
from runner.messages import Isolation
from runner.operations import Done

T = TypeVar("T")
On: TypeAlias = Callable[[LocalBackend, str], Awaitable[T]]  # a path from the directory on
ALL = 1 << 40  # entries of a directory: the peer knows no limit
MAX_OUTPUT = 256 << 20  # bytes of a command's output that are kept
CUT = 50  # what the peer keeps free of `max_output_length` for the note


def _isolation(mode: IsolationMode) -> Isolation | None:
    """What is to hold programs. What is found by the PATH or Python's own can be read inside."""
    if mode in {IsolationMode.NONE, IsolationMode.SOFTWARE}:
        return None
    places = [*os.environ.get("PATH", "").split(":"), sys.prefix, sys.base_prefix]
    real = [os.path.realpath(place) for place in places if place.startswith("/")]
    readable = tuple(dict.fromkeys(p for p in real if os.path.isdir(p) and not _is_system(p)))
    asked = mode is IsolationMode.BWRAP
    return Isolation(
        mode="bwrap" if asked else "auto", required=asked, network="full", readable=readable
    )


def _is_system(path: str) -> bool:
    """Whether it is there inside in any case, or would show everything."""
    return path == "/" or path.split("/")[1] in {"usr", "bin", "sbin", "lib", "lib64"}


class Directory(Common):
    """What a local backend and its scopes share: a directory, and how programs run in it."""

    type = BackendType.LOCAL_FILESYSTEM
    _config: LocalFilesystemBackendConfig
    _env: Mapping[str, str]

    def lodge(self, root: str, beneath: str | None) -> None:
        """Say where it is; nothing happens yet."""
        config = self._config

        def make() -> LocalBackend:
            return LocalBackend(root, beneath=beneath, isolation=_isolation(config.isolation))

        self.lodging = Lodging(make)

    def _inner(self, path: str) -> str:
        """A path from here: what is absolute and not inside is taken from here as well."""
        root = self._root_dir.rstrip("/")
        if path == root or path.startswith(root + "/"):
            path = path[len(root) :]
        inner = posixpath.normpath(path.lstrip("/") or ".")
        if inner == ".." or inner.startswith("../"):
            raise PathEscapeError(path)
        return inner

    async def _carry(self, path: str, work: On[T], text: str, code: str) -> T:
        """Have work done on a path; on where its links lead, if those are absolute but inside."""
        inner = self._inner(path)
        try:
            try:
                return await self.lodging.carry(lambda backend: work(backend, inner))
            except PathEscapes:
                real = self._leads(inner)
                if real is None:
                    raise
                return await self.lodging.carry(lambda backend: work(backend, real))
        except PathEscapes:
            raise PathEscapeError(path) from None
        except OperationError as error:
            raise BackendError(text, code, error.reason) from error

    def _leads(self, inner: str) -> str | None:
        """Where a path leads, from here; None if it leads out. The backend looks at it again."""
        top = os.path.realpath(self._root_dir)
        real = os.path.realpath(posixpath.join(top, inner))
        is_inside = real == top or real.startswith(f"{top.rstrip('/')}/")
        return posixpath.relpath(real, top) if is_inside else None

    async def _let_go(self) -> None:
        await self.lodging.aclose()

    # ------------------------------------------------------------ commands

    async def _do_exec(self, command: str, options: ExecOptions) -> str | bytes:
        if not command.strip():
            raise BackendError("Command cannot be empty", ErrorCode.EMPTY_COMMAND)
        if self._config.prevent_dangerous and not self._is_let_pass(command):
            return "" if options.encoding == "utf8" else b""
        cwd = "." if options.cwd is None else self._inner(options.cwd)
        done = await self._run(command, cwd, options)
        if done.exit_code != 0:
            raise self._failed(command, done)
        if options.encoding == "buffer":
            if done.omitted:
                what = f"Command output is longer than {MAX_OUTPUT} bytes"
                raise BackendError(what, ErrorCode.EXEC_FAILED, command)
            return done.stdout
        return self._cut(_text(done.stdout))

    def _is_let_pass(self, command: str) -> bool:
        """Whether the filter lets a command run; if not and somebody is told, that is all."""
        safety = SafetyConfig(policy=self._config.policy)
        if is_dangerous(command, safety):
            if self._config.on_dangerous_operation is None:
                raise DangerousOperationError(command)
            self._config.on_dangerous_operation(command)
            return False
        found = is_command_safe(command, safety)
        if not found.safe:
            raise BackendError(found.reason, ErrorCode.UNSAFE_COMMAND, command)
        return True

    async def _run(self, command: str, cwd: str, options: ExecOptions) -> Done[bytes]:
        home = posixpath.normpath(posixpath.join(self._root_dir, cwd))
        env = {"HOME": home, **self._env, **(options.env or {})}
        argv = [_shell(self._config.shell), "-c", command]

        def run(backend: LocalBackend) -> Awaitable[Done[bytes]]:
            return backend.exec(argv, cwd=cwd, env=env, max_output=MAX_OUTPUT, encoding=None)

        try:
            if cwd == ".":
                await self.lodging.carry(lambda backend: backend.mkdir("."))
            return await self.lodging.carry(run)
        except PathEscapes:
            raise PathEscapeError(options.cwd or ".") from None
        except OperationError as error:
            if self._config.isolation is IsolationMode.BWRAP:
                what = f"bwrap isolation requested but it cannot be had: {error.reason}"
                raise BackendError(what, ErrorCode.MISSING_UTILITIES, command) from error
            what = f"Command execution failed: {error.reason}"
            raise BackendError(what, ErrorCode.EXEC_FAILED, command) from error

    def _failed(self, command: str, done: Done[bytes]) -> BackendError:
        said = _text(done.stderr) or _text(done.stdout)
        what = f"Command execution failed with exit code {done.exit_code}: {said}"
        error = BackendError(what, ErrorCode.EXEC_FAILED, command)
        error.exit_code = done.exit_code  # type: ignore[attr-defined]  # for the operations log
        return error

    def _cut(self, text: str) -> str:
        longest = self._config.max_output_length
        if longest is None or len(text) <= longest:
            return text
        kept = max(longest - CUT, 0)
        note = f"Full output was {len(text)} characters, showing first {kept}"
        return f"{text[:kept]}\n\n... [Output truncated. {note}]"

    # ------------------------------------------------------------ files

    async def _do_read(self, path: str, options: ReadOptions) -> str | bytes:
        text = f"Failed to read file: {path}"

        async def read(backend: LocalBackend, inner: str) -> str | bytes:
            if options.encoding == "buffer":
                return await backend.read(inner, encoding=None)
            return await backend.read(inner)

        return await self._carry(path, read, text, ErrorCode.READ_FAILED)

    async def _do_write(self, path: str, content: str | bytes) -> None:
        text = f"Failed to write file: {path}"
        await self._carry(path, lambda b, at: b.write(at, content), text, ErrorCode.WRITE_FAILED)

    async def _do_rename(self, old_path: str, new_path: str) -> None:
        new = self._inner(new_path)
        text = f"Failed to rename {old_path} to {new_path}"

        async def rename(backend: LocalBackend, old: str) -> None:
            with suppress(AlreadyExists):
                await backend.mkdir(posixpath.dirname(new) or ".")
            await backend.move(old, new, overwrite=True)

        await self._carry(old_path, rename, text, ErrorCode.WRITE_FAILED)

    async def _do_rm(self, path: str, *, recursive: bool, force: bool) -> None:
        async def remove(backend: LocalBackend, inner: str) -> None:
            with suppress(*((WrongType, InvalidPath) if force else ())):  # then nothing is there
                await backend.remove(inner, recursive=recursive, missing_ok=force)

        await self._carry(path, remove, f"Failed to delete: {path}", ErrorCode.WRITE_FAILED)

    async def _do_readdir(self, path: str) -> list[str]:
        async def names(backend: LocalBackend, inner: str) -> list[str]:
            if inner == ".":
                await backend.mkdir(".")
            return [entry.name for entry in (await backend.ls(inner, limit=ALL)).entries]

        return await self._carry(
            path, names, f"Failed to read directory: {path}", ErrorCode.LS_FAILED
        )

    async def _do_mkdir(self, path: str, *, recursive: bool) -> None:
        async def mkdir(backend: LocalBackend, inner: str) -> None:
            if not recursive and posixpath.dirname(inner):
                await backend.stat(posixpath.dirname(inner))
            await backend.mkdir(inner, exist_ok=recursive)

        await self._carry(
            path, mkdir, f"Failed to create directory: {path}", ErrorCode.WRITE_FAILED
        )

    async def _do_touch(self, path: str) -> None:
        async def touch(backend: LocalBackend, inner: str) -> None:
            with suppress(AlreadyExists):
                if not await backend.exists(inner):
                    await backend.touch(inner, exist_ok=False)

        await self._carry(path, touch, f"Failed to touch file: {path}", ErrorCode.WRITE_FAILED)

    async def _do_exists(self, path: str) -> bool:
        async def exists(backend: LocalBackend, inner: str) -> bool:
            with suppress(InvalidPath):  # no such name can be
                return await backend.exists(inner)
            return False

        text = f"Failed to look for: {path}"
        return await self._carry(path, exists, text, ErrorCode.READ_FAILED)

    async def _do_stat(self, path: str) -> FileStat:
        text = f"Failed to stat path: {path}"
        found = await self._carry(path, lambda b, at: b.stat(at), text, ErrorCode.READ_FAILED)
        return FileStat(
            is_file=found.type == "file",
            is_directory=found.type == "directory",
            size=found.size,
            modified=found.modified.timestamp(),
        )


def _shell(preference: ShellPreference) -> str:
    if preference is ShellPreference.AUTO:
        return "bash" if shutil.which("bash") else "sh"
    return preference.value


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape").strip()
