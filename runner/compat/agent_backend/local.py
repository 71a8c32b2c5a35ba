"""agent-backend's local backend and its scopes."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping

from runner.compat.agent_backend.directory import Directory
from runner.compat.agent_backend.words import (
    BackendError,
    ErrorCode,
    LocalFilesystemBackendConfig,
    ScopeConfig,
)

# A backend and its scopes are one: they use each other's private names.
# ruff: noqa: SLF001


class LocalFilesystemBackend(Directory):
    """Files and programs in one directory of this machine; made outside of any event loop."""

    def __init__(self, config: LocalFilesystemBackendConfig) -> None:
        root = os.path.abspath(config.root_dir)
        super().__init__(root, config.operations_logger)
        self._config = config
        self._env = {}
        try:
            os.makedirs(root, exist_ok=True)
        except OSError as error:
            what = f"Failed to create directory: {config.root_dir}"
            raise BackendError(what, ErrorCode.INVALID_CONFIGURATION, error.strerror) from error
        self.lodge(root, None)

    def scope(self, scope_path: str, config: ScopeConfig | None = None) -> ScopedFilesystemBackend:
        """A scope in this backend; its directory is made at the first use that needs it."""
        made = ScopedFilesystemBackend(self, scope_path, config)
        self._scopes[made] = None
        return made


class ScopedFilesystemBackend(Directory):
    """A directory of a local backend; also for scopes of scopes, which belong to the backend."""

    def __init__(
        self,
        parent: LocalFilesystemBackend,
        scope_path: str,
        config: ScopeConfig | None = None,
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        inner = parent._inner(scope_path)
        used = config or ScopeConfig()
        super().__init__(
            posixpath.normpath(posixpath.join(parent.root_dir, inner)),
            used.operations_logger or parent._logger,
            parent._status,
            parent._closeables,
        )
        self._parent = parent
        self._scope_path = scope_path
        self._config = parent._config
        self._env = {**(env or {}), **used.env}
        self.lodge(self._root_dir, parent.root_dir)

    @property
    def parent(self) -> LocalFilesystemBackend:
        """The backend that it is in."""
        return self._parent

    @property
    def scope_path(self) -> str:
        """Its path in the backend."""
        return self._scope_path

    def scope(self, scope_path: str, config: ScopeConfig | None = None) -> ScopedFilesystemBackend:
        """A scope inside this one: with its variables and its logger, unless it has its own."""
        inner = self._inner(scope_path)
        used = config or ScopeConfig()
        logger = used.operations_logger or self._logger
        joined = posixpath.join(self._scope_path, inner)
        made = ScopedFilesystemBackend(
            self._parent, joined, ScopeConfig(used.env, logger), env=self._env
        )
        self._scopes[made] = None
        return made
