"""agent-backend's memory backend: a flat store of keys.

Keys are texts: `a` and `a/b` may both be there, which is why this is no tree of files. Each
operation is one synchronous block, so it is atomic; it can be used from anywhere.
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import sniffio
import trio

from runner.compat.agent_backend.base import Common
from runner.compat.agent_backend.words import (
    BackendError,
    BackendType,
    ErrorCode,
    ExecOptions,
    FileStat,
    MemoryBackendConfig,
    NotImplementedBackendError,
    OperationType,
    PathEscapeError,
    ReadOptions,
    ScopeConfig,
)

T = TypeVar("T")

# A backend and its scopes are one: they use each other's private names.
# ruff: noqa: SLF001


class _Memory(Common):
    """What a memory backend and its scopes share: a store, and where in it they are."""

    type = BackendType.MEMORY
    _store: dict[str, tuple[bytes, float]]  # with the time of the last write
    _prefix = ""

    def _key(self, path: str) -> str:
        return path

    async def _logged(
        self, operation: OperationType, command: str, work: Coroutine[Any, Any, T]
    ) -> T:
        if sniffio.current_async_library() == "trio":
            await trio.lowlevel.checkpoint()  # as where there is something to wait for
        return await super()._logged(operation, command, work)

    def _get(self, path: str, operation: str) -> tuple[bytes, float]:
        try:
            return self._store[self._key(path)]
        except KeyError:
            raise _missing(path, operation) from None

    async def _do_exec(self, command: str, options: ExecOptions) -> str | bytes:
        raise NotImplementedBackendError("exec", "memory")

    async def _do_read(self, path: str, options: ReadOptions) -> str | bytes:
        data, _ = self._get(path, "read")
        if options.encoding == "buffer":
            return data
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            what = f"Failed to read file: {path}"
            raise BackendError(what, ErrorCode.READ_FAILED, str(error)) from error

    async def _do_write(self, path: str, content: str | bytes) -> None:
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        self._store[self._key(path)] = (bytes(data), time.time())

    async def _do_rename(self, old_path: str, new_path: str) -> None:
        found = self._get(old_path, "rename")
        del self._store[self._key(old_path)]
        self._store[self._key(new_path)] = found

    async def _do_rm(self, path: str, *, recursive: bool, force: bool) -> None:
        key = self._key(path)
        below = f"{key.rstrip('/')}/"
        found = [
            each for each in self._store if each == key or (recursive and each.startswith(below))
        ]
        if not found and not force:
            raise _missing(path, "rm")
        for each in found:
            del self._store[each]

    async def _do_readdir(self, path: str) -> list[str]:
        top = self._prefix if path in {"", ".", "/"} else f"{self._key(path).rstrip('/')}/"
        below = (key[len(top) :] for key in self._store if key.startswith(top))
        return sorted({rest.partition("/")[0] for rest in below} - {""})

    async def _do_mkdir(self, path: str, *, recursive: bool) -> None:
        """There are no directories: keys bring theirs."""

    async def _do_touch(self, path: str) -> None:
        self._store.setdefault(self._key(path), (b"", time.time()))

    async def _do_exists(self, path: str) -> bool:
        return self._key(path) in self._store

    async def _do_stat(self, path: str) -> FileStat:
        data, modified = self._get(path, "stat")
        return FileStat(is_file=True, is_directory=False, size=len(data), modified=modified)

    async def list_keys(self, prefix: str | None = None) -> list[str]:
        """The keys that begin with a text, sorted; from here."""
        top = self._prefix + (prefix or "")
        return sorted(key[len(self._prefix) :] for key in self._store if key.startswith(top))

    async def delete(self, key: str) -> None:
        """Remove a key, if it is there."""
        await self._logged("delete", key, self._do_rm(key, recursive=False, force=True))

    async def clear(self) -> None:
        """Remove all keys."""
        for key in [key for key in self._store if key.startswith(self._prefix)]:
            del self._store[key]


class MemoryBackend(_Memory):
    """Keys and contents in memory; programs cannot run here."""

    def __init__(self, config: MemoryBackendConfig | None = None) -> None:
        used = config or MemoryBackendConfig()
        super().__init__(used.root_dir, used.operations_logger)
        now = time.time()
        self._store = {
            key: (each.encode() if isinstance(each, str) else bytes(each), now)
            for key, each in (used.initial_data or {}).items()
        }

    def scope(self, scope_path: str, config: ScopeConfig | None = None) -> ScopedMemoryBackend:
        """The keys below one."""
        made = ScopedMemoryBackend(self, scope_path, config)
        self._scopes[made] = None
        return made

    async def _let_go(self) -> None:
        self._store.clear()


class ScopedMemoryBackend(_Memory):
    """The keys below one of a memory backend."""

    def __init__(
        self, parent: MemoryBackend, scope_path: str, config: ScopeConfig | None = None
    ) -> None:
        inner = _inside(scope_path)
        used = config or ScopeConfig()
        prefix = "" if inner == "." else f"{inner}/"
        super().__init__(
            posixpath.join(parent.root_dir, prefix),
            used.operations_logger or parent._logger,
            parent._status,
            parent._closeables,
        )
        self._parent = parent
        self._prefix = prefix
        self._store = parent._store

    @property
    def parent(self) -> MemoryBackend:
        """The backend that it is in."""
        return self._parent

    @property
    def scope_path(self) -> str:
        """Its place among the keys; ends with a slash."""
        return self._prefix

    def _key(self, path: str) -> str:
        return self._prefix + _inside(path.removeprefix(self._root_dir))

    def scope(self, scope_path: str, config: ScopeConfig | None = None) -> ScopedMemoryBackend:
        """The keys below one of these, with this one's logger unless there is another."""
        used = config or ScopeConfig()
        logger = used.operations_logger or self._logger
        made = ScopedMemoryBackend(
            self._parent, self._key(scope_path), ScopeConfig(used.env, logger)
        )
        self._scopes[made] = None
        return made

    async def _let_go(self) -> None:
        """The keys stay."""


def _inside(path: str) -> str:
    inner = posixpath.normpath(path.lstrip("/") or ".")
    if inner == ".." or inner.startswith("../"):
        raise PathEscapeError(path)
    return inner


def _missing(key: str, operation: str) -> BackendError:
    return BackendError(f"Key not found: {key}", ErrorCode.KEY_NOT_FOUND, operation)
