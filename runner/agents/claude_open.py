"""What is asked of Claude Code before it gets a turn, and what its answers come to. Pure.

    initialize   its account, in newer versions its own version, and the schema of its answers
    version      its version, which older ones say only so
    servers      the servers that it is to have; a turn before it has them would not know them
    usage        what a conversation that goes on has cost so far

A turn can be sent when the first and the third are answered, and its version is known. What the
last is for is known to the conversation (claude_stream).
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from runner.agents.claude_read import Record, credential_of, of_servers, servers_of
from runner.agents.driver import Setting
from runner.agents.events import Event
from runner.agents.lines import mapping_of, text_of


@attrs.define(eq=False)
class ClaudeOpening:
    """The state of the opening.

    Attributes:
        version: of the program, once it is known; "unknown" of one that does not know it.
        credential: what it says it uses towards its provider.
    """

    setting: Setting
    version: str = attrs.field(default="", init=False)
    credential: str = attrs.field(default="", init=False)
    _missing: set[str] = attrs.field(factory=lambda: {"initialize"}, init=False)

    def requests(self) -> Iterator[tuple[str, Record]]:
        """What is to be asked, by names of ours."""
        setting = self.setting
        opening: dict[str, object] = {"subtype": "initialize", "hooks": None}
        if setting.options.schema is not None:
            opening["jsonSchema"] = setting.options.schema
        yield "initialize", opening
        yield "version", {"subtype": "get_binary_version"}
        if setting.servers:
            self._missing.add("servers")
            named = servers_of(setting.servers)
            yield "servers", {"subtype": "mcp_set_servers", "servers": named}
        if setting.resume or setting.origin is not None:
            yield "usage", {"subtype": "get_usage"}

    @property
    def is_done(self) -> bool:
        """Whether a turn can be sent."""
        return bool(self.version) and not self._missing

    def take(self, name: str, response: Record) -> list[Event]:
        """Take the answer to a request, by our name of it; any other is nothing."""
        answer = mapping_of(response, "response")
        self._missing.discard(name)
        match name:
            case "initialize":
                self.credential = credential_of(mapping_of(answer, "account"))
                self.version = text_of(answer, "claude_code_version") or self.version
            case "version":
                self.version = text_of(answer, "version") or self.version or "unknown"
            case "servers":
                return of_servers(self.setting.servers, response)
            case _:
                pass
        return []
