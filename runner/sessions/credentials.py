"""Secrets by reference: looked up when a program starts, taken out of all that is kept of it.

A value goes from where it is into the program's environment, or for a server of tools into the
message that names the server, and nowhere else: no argument, no file, no record. What the program
says is looked through for the values before anybody gets to see it; shorter ones than `SHORTEST`
are left, as they are found everywhere. What the agent itself writes to its directory is its own.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import attrs
import msgspec
import trio

from runner.agents.events import Event
from runner.agents.recording import redactor
from runner.agents.secret import Secret, Value
from runner.agents.servers import McpServer
from runner.errors import AgentUnavailable, RunnerError
from runner.processes.host import ProcessHost

LONGEST = 64 << 10  # a private key has 3 KiB
PATIENCE = 60.0  # seconds for a command; it may ask somebody for leave


def plain_of(env: Mapping[str, Value]) -> dict[str, str]:
    """What is no reference among these."""
    return {name: value for name, value in env.items() if isinstance(value, str)}


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


# ---------------------------------------------------------------- putting them in


class Blanks:
    """Words in messages to a program that stand for secrets; filled in as a message is written.

    So nothing that makes messages, keeps or records them has a value. A word is a JSON text, made
    anew for each process: nobody else can have it in a prompt.
    """

    def __init__(self) -> None:
        self._secrets: dict[str, tuple[str, Secret]] = {}
        self._values: dict[bytes, bytes] = {}

    def leave(self, servers: Iterable[McpServer]) -> tuple[McpServer, ...]:
        """The servers with words for their secrets."""
        return tuple(
            attrs.evolve(
                each,
                env=self._words(each.env, f"env of the server {each.name!r}"),
                headers=self._words(each.headers, f"headers of the server {each.name!r}"),
            )
            for each in servers
        )

    def _words(self, values: Mapping[str, Value], where: str) -> dict[str, Value]:
        words: dict[str, Value] = {}
        for name, value in values.items():
            words[name] = value
            if isinstance(value, Secret):
                words[name] = word = f"blank-{uuid.uuid4().hex}"
                self._secrets[word] = (f"{name} in the {where}", value)
        return words

    async def look_up(self, host: ProcessHost) -> frozenset[str]:
        """Look up what belongs there; the values.

        Raises:
            AgentUnavailable: see `look_up`.
        """
        found = {}
        for word, (name, secret) in self._secrets.items():
            found[word] = (await look_up({name: secret}, host))[name]
        self._values = {
            word.encode(): msgspec.json.encode(value)[1:-1] for word, value in found.items()
        }
        return frozenset(found.values())

    def fill(self, data: bytes) -> bytes:
        """The messages with the values; whole ones, so that no word is cut."""
        for word, value in self._values.items():
            data = data.replace(word, value)
        return data


# ---------------------------------------------------------------- taking them out


class Veil:
    """Takes secret values out of what a program says."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        every = {each for each in values if each}
        self._redact: Callable[[str], str] | None = redactor(every) if every else None

    def event(self, event: Event) -> Event:
        """The event without them."""
        return event if self._redact is None else cast("Event", self._without(event, self._redact))

    def data(self, data: bytes) -> bytes:
        """The bytes without them."""
        if self._redact is None:
            return data
        return self._redact(data.decode("utf-8", "surrogateescape")).encode(
            "utf-8", "surrogateescape"
        )

    def _without(self, value: Any, redact: Callable[[str], str]) -> Any:
        match value:
            case str():
                return redact(value) if type(value) is str else value  # not an enum's
            case bytes():
                return self.data(value)
            case Mapping():
                return {key: self._without(each, redact) for key, each in value.items()}
            case tuple() | list():
                return type(value)(self._without(each, redact) for each in value)
            case _ if attrs.has(type(value)):
                fields = {
                    field.name: self._without(getattr(value, field.name), redact)
                    for field in attrs.fields(type(value))
                    if field.init
                }
                return attrs.evolve(value, **fields)
            case _:
                return value
