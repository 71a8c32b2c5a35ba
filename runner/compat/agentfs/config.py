"""AgentFS's configuration: nested keys by attribute or item, from TOML, a dict, the environment.

What has an effect here: `audit_enabled` (or `core.audit_enabled`), `core.default_base`,
`core.max_workspaces`, `storage.database_path` (the directory of the store), `sync.default_mode`,
`sync.interval`, `sync.conflict_resolution`, `sync.auto_sync_on_commit`; `sync.turso_db` (or `url`)
with `token` ("env:NAME") or `token_file`, which a push or pull enables where no other sync is; and
`security.sandbox_execution`, for workspaces that are made by then. What only makes AgentFS faster,
or is about its own program, says nothing here: there is no cache to be sized. What would promise
something that is not so is warned of, and so are unknown keys; a database that is to be encrypted
is an error.

Without a configuration: the user's `~/.agentfs/config.toml`, over it the project's, over that the
file that AGENTFS_CONFIG names, a profile of them by AGENTFS_PROFILE, AGENTFS_CACHE_SIZE and
AGENTFS_LOG_LEVEL. AGENTFS_BASE is the project, AGENTFS_WORKSPACE the workspace of `afs.fs`.
A project's own file comes with what it contains, perhaps from strangers: where files are sent and
kept, with which token, and that nothing is audited, is not taken from it.
"""

from __future__ import annotations

import difflib
import os
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from runner.errors import ConfigError

FILE = ".agentfs/config.toml"
_NOT_FROM_A_PROJECT = {
    "": {"audit_enabled", "profile"},
    "core": {"audit_enabled", "default_base"},
    "storage": {"database_path"},
    "sync": {"turso_db", "url", "token", "token_file"},
}
_TABLES: dict[str, str] = {
    "core": "default_base max_workspaces audit_enabled audit_retention_days",
    "storage": "cache_size_mb backend database_path compression compression_level",
    "sync": "default_mode interval conflict_resolution batch_size include exclude compression"
    " timeout auto_sync_on_commit turso_db url token token_file",
    "performance": "worker_threads max_concurrent_ops parallel_processing mmap_threshold_mb"
    " fd_cache_size page_cache_size_kb",
    "security": "encrypt_local_db confirm_destructive allow_workspace_binaries allow_symlinks"
    " allow_hardlinks sandbox_execution sandbox_profile audit_all_reads",
    "logging": "level file format max_size_mb max_files",
    "ui": "color pager editor output_format",
    "network": "timeout retry_attempts",
}
KNOWN: dict[str, frozenset[str]] = {
    "": frozenset({"cache_size", "audit_enabled", "profile", *_TABLES}),
    **{table: frozenset(keys.split()) for table, keys in _TABLES.items()},
}
_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "audit_enabled": (bool, "true or false"),
    "core.audit_enabled": (bool, "true or false"),
    "core.max_workspaces": (int, "a whole number"),
    "core.default_base": (str, "a path"),
    "storage.database_path": (str, "a path"),
    "sync.interval": ((int, float), "seconds"),
    "sync.default_mode": (str, 'such as "manual"'),
    "sync.conflict_resolution": (str, 'such as "manual"'),
    "sync.auto_sync_on_commit": (bool, "true or false"),
    "security.sandbox_execution": (bool, "true or false"),
    "security.encrypt_local_db": (bool, "true or false"),
}


# What would promise something, by the values that do; and what there is instead.
_NOT_HERE: dict[str, tuple[Any, str]] = {
    "core.audit_retention_days": (
        object,
        "`audit.retain` of runner's own workspace drops old rows",
    ),
    "storage.backend": ("memory", "everything is kept on the disk; `temp()` removes it at the end"),
    "sync.include": (object, "a workspace is synced as a whole"),
    "sync.exclude": (object, "a workspace is synced as a whole; `ignore` of runner.toml holds"),
    "security.allow_symlinks": (False, "links are kept, and never followed out of a workspace"),
    "security.allow_hardlinks": (False, "they are kept"),
    "security.allow_workspace_binaries": (False, "whatever is in a workspace can be run in it"),
    "security.confirm_destructive": (True, "nobody is asked; what was there stays in a snapshot"),
    "security.sandbox_profile": (object, "`sandbox`, `network` and `max_…` of `config` say it"),
    "security.audit_all_reads": (True, "reads are not written down"),
}
_REFUSED = {"security.encrypt_local_db": "the store is not encrypted: use an encrypted file system"}


class ConfigWarning(UserWarning):
    """A key of a configuration that nobody knows, or that has no effect here."""


class Config(Mapping[str, Any]):
    """A configuration, or a table of one. What is not set is None; it cannot be changed."""

    def __init__(self, values: Mapping[str, Any] | None = None, *, table: str = "") -> None:
        """Take values, and warn of keys that nobody knows.

        Raises:
            ConfigError: a value cannot be used.
        """
        if values is not None and not isinstance(values, Mapping):
            raise ConfigError(f"the configuration is {values!r}: it must be a dict")
        self._table = table
        self._values: dict[str, Any] = dict(values or {})
        for key in self._values:
            self._check(str(key))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, profile: str | None = None) -> Self:
        """A file.

        Args:
            path: of a TOML file.
            profile: one of its tables `[profile.NAME]`, whose keys are laid over the others.

        Raises:
            ConfigError: it cannot be read, or has no such profile.
        """
        return cls(_with_profile(_read(Path(path)), profile, str(path)))

    @classmethod
    def found(cls, base: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> Self:
        """What holds for a project, if nobody says otherwise: see this module."""
        values: dict[str, Any] = {}
        named = environ.get("AGENTFS_CONFIG")
        user, own = Path.home() / FILE, Path(base) / FILE
        if user.is_file():
            values = _read(user)
        if own.is_file() and own.resolve() != user.resolve():
            values = _laid_over(values, _without_what_it_may_not(_read(own), own))
        if named:
            values = _laid_over(values, _read(Path(named)))
        values = _with_profile(values, environ.get("AGENTFS_PROFILE"), "AGENTFS_PROFILE")
        if environ.get("AGENTFS_CACHE_SIZE"):
            values["cache_size"] = _number(environ["AGENTFS_CACHE_SIZE"], "AGENTFS_CACHE_SIZE")
        if environ.get("AGENTFS_LOG_LEVEL"):
            values = _laid_over(values, {"logging": {"level": environ["AGENTFS_LOG_LEVEL"]}})
        return cls(values)

    def _check(self, key: str) -> None:
        known, value = KNOWN.get(self._table), self._values.get(key)
        full = f"{self._table}.{key}" if self._table else key
        if known is not None and key not in known:
            near = difflib.get_close_matches(key, known, 3)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            text = f"AgentFS's configuration has no key {full!r}{hint}"
            warnings.warn(text, ConfigWarning, stacklevel=4)
        if full in _REFUSED and value:
            raise ConfigError(f"{full} is {value!r}: {_REFUSED[full]}")
        wanted, instead = _NOT_HERE.get(full, (None, ""))
        if instead and value is not None and (wanted is object or value == wanted):
            warnings.warn(f"{full} has no effect: {instead}", ConfigWarning, stacklevel=4)
        if not self._table and key in _TABLES:
            self._values[key] = Config(value, table=key)
        types, words = _TYPES.get(full, (object, ""))
        if not isinstance(value, types) or (
            isinstance(value, bool) and types is not bool and words
        ):
            raise ConfigError(f"{full} is {value!r}: it must be {words}")

    def setting(self, *keys: str) -> Any:
        """The first of those dotted keys that is set; None if none is."""
        for key in keys:
            value: Any = self
            for part in key.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is not None:
                return value
        return None

    def to_dict(self) -> dict[str, Any]:
        """All of it, as it was given."""
        return {
            key: value.to_dict() if isinstance(value, Config) else value
            for key, value in self._values.items()
        }

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._values:
            return self._values[name]
        if not self._table and name in _TABLES:
            return Config(table=name)
        if name in KNOWN.get(self._table, ()):
            return None
        raise AttributeError(f"AgentFS's configuration has no key {name!r}")

    def __repr__(self) -> str:
        return f"Config({self.to_dict()!r})"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise ConfigError(f"the configuration {str(path)!r} cannot be read: {reason}") from exc


def _without_what_it_may_not(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """What a project's own file may say."""
    kept = dict(values)
    for table, keys in _NOT_FROM_A_PROJECT.items():
        here = kept.get(table) if table else kept
        refused = sorted(keys.intersection(here)) if isinstance(here, Mapping) else []
        for key in refused:
            full = f"{table}.{key}" if table else key
            text = f"{full} is not taken from a project's own {path}: say it in ~/{FILE}"
            warnings.warn(text, ConfigWarning, stacklevel=4)
        rest = {key: value for key, value in (here or {}).items() if key not in refused}
        kept = rest if not table else {**kept, table: rest} if table in kept else kept
    return kept


def _with_profile(values: dict[str, Any], profile: str | None, where: str) -> dict[str, Any]:
    if not profile:
        return values
    profiles = values.get("profile", {})
    if profile not in profiles:
        raise ConfigError(f"{where}: there is no profile {profile!r} in it")
    return _laid_over(values, _nested(profiles[profile]))


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as tables."""
    made: dict[str, Any] = {}
    for key, value in values.items():
        first, _, rest = key.partition(".")
        made = _laid_over(made, {first: _nested({rest: value}) if rest else value})
    return made


def _laid_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(under)
    for key, value in over.items():
        old = made.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        made[key] = _laid_over(old, value) if both and old is not None else value
    return made


def _number(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r}: it must be a number") from None
