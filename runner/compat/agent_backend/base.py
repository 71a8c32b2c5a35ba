"""What agent-backend's backends and scopes have in common: status, closeables, the operations log.

A subclass carries operations out in `_do_…` methods; `_logged` times them and tells the logger, and
refuses what comes after `destroy`. Scopes share the status and the closeables of their root.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar

from runner.compat.agent_backend.loggers import should_log_operation
from runner.compat.agent_backend.status import (
    Closeable,
    ConnectionStatusManager,
    StatusChangeCallback,
    Unsubscribe,
)
from runner.compat.agent_backend.words import (
    BackendError,
    BackendType,
    ConnectionStatus,
    ErrorCode,
    ExecOptions,
    FileStat,
    NotImplementedBackendError,
    OperationLogEntry,
    OperationsLogger,
    OperationType,
    ReadOptions,
    ScopeConfig,
)

T = TypeVar("T")


class Common(ABC):
    """A backend or a scope of agent-backend's.

    Attributes:
        type: what kind it is.
    """

    type: BackendType

    def __init__(
        self,
        root_dir: str,
        logger: OperationsLogger | None,
        status: ConnectionStatusManager | None = None,
        closeables: dict[Closeable, None] | None = None,
    ) -> None:
        self._root_dir = root_dir
        self._logger = logger
        self._status = status or ConnectionStatusManager(ConnectionStatus.CONNECTED)
        self._closeables: dict[Closeable, None] = {} if closeables is None else closeables
        self._scopes: dict[Any, None] = {}
        self._is_gone = False

    # ------------------------------------------------------------ status

    @property
    def status(self) -> ConnectionStatus:
        """Connected, until it or the backend that it is in is destroyed."""
        return ConnectionStatus.DESTROYED if self._is_gone else self._status.status

    @property
    def root_dir(self) -> str:
        """The directory, or the beginning of the keys."""
        return self._root_dir

    def on_status_change(self, cb: StatusChangeCallback) -> Unsubscribe:
        """Have someone told of changes of the status; returns how to end that."""
        return self._status.on_status_change(cb)

    def track_closeable(self, closeable: Closeable) -> None:
        """Have something closed when the backend is destroyed."""
        self._closeables[closeable] = None

    async def list_active_scopes(self) -> list[str]:
        """The paths of the scopes that were made here and not destroyed."""
        return [each.scope_path for each in self._scopes]

    async def on_child_destroyed(self, child: object) -> None:
        """Forget a scope."""
        self._scopes.pop(child, None)

    @abstractmethod
    def scope(self, scope_path: str, config: ScopeConfig | None = None) -> Self | Any:
        """A scope in this one."""

    async def get_mcp_transport(self, scope_path: str | None = None) -> Any:
        """Not here: it needs a server.

        Raises:
            NotImplementedBackendError: always.
        """
        raise NotImplementedBackendError("get_mcp_transport", self.type)

    async def get_mcp_client(self, scope_path: str | None = None) -> Any:
        """Not here: it needs a server.

        Raises:
            NotImplementedBackendError: always.
        """
        raise NotImplementedBackendError("get_mcp_client", self.type)

    async def destroy(self) -> None:
        """End what runs here and in the scopes in it, and refuse everything from now on.

        What is tracked is closed with the backend itself.
        """
        if self._is_gone:
            return
        self._is_gone = True
        parent = getattr(self, "parent", None)
        if parent is not None:
            await parent.on_child_destroyed(self)
        else:
            for each in list(self._closeables):
                with suppress(Exception):
                    await each.close()
            self._closeables.clear()
        for scope in list(self._scopes):
            await scope.destroy()
        await self._let_go()
        if parent is None:
            self._status.set_status(ConnectionStatus.DESTROYED)
            self._status.clear_listeners()

    @abstractmethod
    async def _let_go(self) -> None:
        """Free what is held."""

    # ------------------------------------------------------------ operations

    async def exec(self, command: str, options: ExecOptions | None = None) -> Any:
        """Run a command to its end, and give what it has written to standard output.

        Returns:
            Text without surrounding space, or bytes with `encoding="buffer"`.

        Raises:
            BackendError: it is blank, unsafe, or ended with another exit code than 0.
            DangerousOperationError: it was taken for dangerous.
        """
        return await self._logged("exec", command, self._do_exec(command, options or ExecOptions()))

    async def read(self, path: str, options: ReadOptions | None = None) -> Any:
        """A file's text, or its bytes with `encoding="buffer"`."""
        return await self._logged("read", path, self._do_read(path, options or ReadOptions()))

    async def write(self, path: str, content: str | bytes) -> None:
        """Replace a file's content whole; parents are made."""
        await self._logged("write", path, self._do_write(path, content))

    async def rename(self, old_path: str, new_path: str) -> None:
        """Move a file or a tree; parents are made, and a file that is there is replaced."""
        what = f"{old_path} -> {new_path}"
        await self._logged("rename", what, self._do_rename(old_path, new_path))

    async def rm(self, path: str, *, recursive: bool = False, force: bool = False) -> None:
        """Remove a file, an empty directory, or with `recursive` a tree."""
        await self._logged("rm", path, self._do_rm(path, recursive=recursive, force=force))

    async def readdir(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        return await self._logged("readdir", path, self._do_readdir(path))

    async def mkdir(self, path: str, *, recursive: bool = True) -> None:
        """Make a directory: with its parents, and it may be there; or exactly this one."""
        await self._logged("mkdir", path, self._do_mkdir(path, recursive=recursive))

    async def touch(self, path: str) -> None:
        """Make an empty file if there is none."""
        await self._logged("touch", path, self._do_touch(path))

    async def exists(self, path: str) -> bool:
        """Whether something stands there."""
        return await self._logged("exists", path, self._do_exists(path))

    async def stat(self, path: str) -> FileStat:
        """What stands there."""
        return await self._logged("stat", path, self._do_stat(path))

    @abstractmethod
    async def _do_exec(self, command: str, options: ExecOptions) -> str | bytes: ...
    @abstractmethod
    async def _do_read(self, path: str, options: ReadOptions) -> str | bytes: ...
    @abstractmethod
    async def _do_write(self, path: str, content: str | bytes) -> None: ...
    @abstractmethod
    async def _do_rename(self, old_path: str, new_path: str) -> None: ...
    @abstractmethod
    async def _do_rm(self, path: str, *, recursive: bool, force: bool) -> None: ...
    @abstractmethod
    async def _do_readdir(self, path: str) -> list[str]: ...
    @abstractmethod
    async def _do_mkdir(self, path: str, *, recursive: bool) -> None: ...
    @abstractmethod
    async def _do_touch(self, path: str) -> None: ...
    @abstractmethod
    async def _do_exists(self, path: str) -> bool: ...
    @abstractmethod
    async def _do_stat(self, path: str) -> FileStat: ...

    # ------------------------------------------------------------ the log

    async def _logged(
        self, operation: OperationType, command: str, work: Coroutine[Any, Any, T]
    ) -> T:
        logger = self._logger
        begin = time.monotonic()
        answer: object = None
        error: Exception | None = None
        try:
            if self.status == ConnectionStatus.DESTROYED:
                work.close()  # a coroutine that never runs
                what = "The backend has been destroyed"
                raise BackendError(what, ErrorCode.CONNECTION_CLOSED, operation)
            answer = await work
        except Exception as exc:
            error = exc
            raise
        else:
            return answer
        finally:
            if logger is not None and should_log_operation(operation, logger.mode):
                took = (time.monotonic() - begin) * 1000
                logger.log(self._entry(operation, command, answer, error, took))

    def _entry(
        self,
        operation: OperationType,
        command: str,
        answer: object,
        error: Exception | None,
        took: float,
    ) -> OperationLogEntry:
        entry = OperationLogEntry(
            timestamp=time.time(),
            operation=operation,
            user_id=_user(),
            workspace_name=self._root_dir.rstrip("/").rpartition("/")[2] or self._root_dir,
            workspace_path=self._root_dir,
            command=command,
            success=error is None,
            duration_ms=took,
            error=None if error is None else str(error),
        )
        if operation == "exec":
            entry.stdout = answer if isinstance(answer, str) else None
            entry.exit_code = 0 if error is None else getattr(error, "exit_code", None)
        return entry


def _user() -> str:
    import getpass  # noqa: PLC0415 - only where there is a log

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this uid
        return "unknown"
