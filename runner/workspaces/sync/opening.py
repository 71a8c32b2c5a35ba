"""Which kind of remote a URL means."""

from __future__ import annotations

import hashlib
import os
from urllib.parse import unquote

from runner.errors import ConfigError
from runner.processes.host import ProcessHost
from runner.workspaces.sync.files import FileRemote
from runner.workspaces.sync.git import GitRemote
from runner.workspaces.sync.remote import Remote, scheme_of


def make_remote(url: str, *, token: str, host: ProcessHost, caches: str) -> Remote:
    """The remote of a URL; nothing happens before it is opened.

    Args:
        url: checked (`check_settings`).
        token: empty = none.
        host: runs git.
        caches: a directory of the workspace for what may be fetched again.

    Raises:
        ConfigError: what it takes is not installed, or the URL cannot be one.
    """
    scheme, rest = scheme_of(url)
    if scheme == "file":
        return FileRemote(os.path.normpath(unquote(rest)))
    if scheme.startswith("git+"):
        digest = hashlib.sha256(url.encode()).hexdigest()[:16]
        real = rest if scheme == "git+file" else f"{scheme.removeprefix('git+')}://{rest}"
        return GitRemote(real, os.path.join(caches, f"git-{digest}"), host, token)
    if scheme == "s3":
        return _s3(url)
    try:
        from runner.workspaces.sync.hrana import HranaRemote  # noqa: PLC0415 - httpx is large
    except ImportError:
        raise ConfigError(_missing(url, "httpx", "turso")) from None
    real = f"https://{rest}" if scheme == "libsql" else url
    return HranaRemote(real, token)


def _s3(url: str) -> Remote:
    try:
        from runner.workspaces.sync.s3 import S3Remote  # noqa: PLC0415 - obstore is large
    except ImportError:
        raise ConfigError(_missing(url, "obstore", "s3")) from None
    try:
        return S3Remote(url)
    except ValueError as exc:
        raise ConfigError(f"sync: {exc}") from None


def _missing(url: str, package: str, extra: str) -> str:
    return f"sync: {url} needs the package {package}: pip install 'trio-runner[{extra}]'"
