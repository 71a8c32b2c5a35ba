"""Servers of tools that an agent's program is handed (Model Context Protocol). Values only.

The program starts them or speaks to them; what it is not handed it does not get to know. Values of
`env` and `headers` may be secrets by reference: a driver is given a word in the place of each, and
what that stands for is put into what is written to the program, at the last moment (by the session,
which does both).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from runner.agents.secret import Secret, Value
from runner.errors import ConfigError
from runner.strict import kind_of

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def _texts(value: object) -> object:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


@attrs.frozen(kw_only=True)
class McpServer:
    """A server of tools, started or reached by the agent's program.

    Attributes:
        name: letters, digits, "_" and "-"; what its tools are called after.
        command: the program and its arguments, for one that is spoken to over its pipes. Others
            can see them: no secrets.
        url: for one that is spoken to over HTTP.
        env: variables for the program; a secret as `{ env = "NAME" }`, `{ file = "path" }` or
            `{ command = ["program", …] }`.
        headers: for each request; secrets likewise.

    Raises:
        ConfigError: the name is none, not exactly one of `command` and `url` is given, or a value
            is none.
    """

    name: str
    command: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    url: str = ""
    env: dict[str, Value] = attrs.field(factory=dict)
    headers: dict[str, Value] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"an MCP server's name is letters, digits, '_' and '-', not {self.name!r}"
            )
        what = f"the MCP server {self.name!r}"
        if not isinstance(self.command, tuple) or not all(map(_is_text, self.command)):
            raise ConfigError(f"{what}: its command must be a list of texts")
        if not isinstance(self.url, str):
            raise ConfigError(f"{what}: its url must be a text, not {kind_of(self.url)}")
        if bool(self.command) == bool(self.url):
            raise ConfigError(f"{what} needs either a command or a url")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"{what}: {self.url!r} is no http:// or https:// address")
        misplaced = "headers" if self.command else "env"
        if getattr(self, misplaced):
            of = "a command" if self.command else "a url"
            raise ConfigError(f"{what}: there are no {misplaced} for one with {of}")
        for name in ("env", "headers"):
            _check_values(f"{what}: {name}", getattr(self, name))


def check_servers(servers: Iterable[McpServer]) -> tuple[McpServer, ...]:
    """The servers, whose names differ.

    Raises:
        ConfigError: one is none, or two have the same name.
    """
    found: dict[str, McpServer] = {}
    if isinstance(servers, str | Mapping | McpServer) or not isinstance(servers, Iterable):
        raise ConfigError("`servers` must be a list of McpServer")
    for each in servers:
        if not isinstance(each, McpServer):
            raise ConfigError(
                f"`servers` must be a list of McpServer, not of {type(each).__name__}"
            )
        if each.name in found:
            raise ConfigError(f"there are two MCP servers of the name {each.name!r}")
        found[each.name] = each
    return tuple(found.values())


def _check_values(where: str, values: object) -> None:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a table of texts, not {kind_of(values)}")
    for name, value in values.items():
        if not _is_text(name) or not name:
            raise ConfigError(f"{where}: {name!r} can be no name")
        if not isinstance(value, Secret) and not _is_text(value):
            raise ConfigError(f"{where}.{name} must be a text or a Secret")  # and is not shown


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value
