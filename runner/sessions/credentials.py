"""Secrets by reference: looked up when a program starts, taken out of all that is kept of it.

A value goes from where it is into the program's environment, or for a server of tools into the
message that names the server, and nowhere else: no argument, no file, no record. What the program
says is looked through for the values before anybody gets to see it; shorter ones than `SHORTEST`
are left, as they are found everywhere. What the agent itself writes to its directory is its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import attrs
import msgspec

from runner.agents.events import Event
from runner.agents.recording import redactor
from runner.agents.secret import Secret, Value
from runner.agents.servers import McpServer
from runner.credentials import look_up
from runner.processes.host import ProcessHost


def plain_of(env: Mapping[str, Value]) -> dict[str, str]:
    """What is no reference among these."""
    return {name: value for name, value in env.items() if isinstance(value, str)}


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
