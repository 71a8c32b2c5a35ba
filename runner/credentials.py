"""Secrets by reference, looked up: where a value is, is said in records; here it is had.

Nothing here keeps a value, and no error says one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import trio

from runner.agents.secret import Secret, Value
from runner.errors import AgentUnavailable, RunnerError
from runner.processes.host import ProcessHost

LONGEST = 64 << 10  # a private key has 3 KiB
PATIENCE = 60.0  # seconds for a command; it may ask somebody for leave


async def look_up(env: Mapping[str, Value], host: ProcessHost) -> dict[str, str]:
    """The values that the references among these stand for, by name.

    Raises:
        AgentUnavailable: one cannot be had; it says which, and never what was found.
    """
    found: dict[str, str] = {}
    for name, value in env.items():
        if isinstance(value, Secret):
            try:
                text = (await _read(value, host)).rstrip("\r\n")
            except (OSError, ValueError, RunnerError) as exc:
                raise AgentUnavailable(f"the value of {name}: {_reason(exc)}") from None
            if not text or "\0" in text:
                what = "has a NUL character" if text else "is empty"
                raise AgentUnavailable(f"the value of {name}: {_where(value)} {what}")
            found[name] = text
    return found


async def _read(secret: Secret, host: ProcessHost) -> str:
    if secret.env:
        if secret.env not in os.environ:
            raise ValueError(f"the variable {secret.env} is not set")
        return os.environ[secret.env]
    if secret.file:
        return await trio.to_thread.run_sync(_read_file, secret.file, abandon_on_cancel=True)
    done = await host.run(
        secret.command, cwd="/", env=dict(os.environ), timeout=PATIENCE, max_output=LONGEST
    )
    if done.exit_code != 0:
        raise ValueError(f"{_where(secret)} gave none: exit code {done.exit_code}")
    return done.out.data().decode()


def _read_file(path: str) -> str:
    with open(os.path.expanduser(path), "rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise ValueError(f"the file {path} has more than {LONGEST} bytes")
    return data.decode()


def _reason(exc: Exception) -> str:
    if isinstance(exc, OSError):
        return f"{exc.filename}: {exc.strerror}"
    return "it is not UTF-8 text" if isinstance(exc, UnicodeDecodeError) else str(exc)


def _where(secret: Secret) -> str:
    if secret.env:
        return f"the variable {secret.env}"
    return f"the file {secret.file}" if secret.file else f"the command {secret.command[0]}"
