"""What the model server needs of an API, whichever it is.

A codec reads a request into `Asked`, says how a step becomes a tool call that the client has
declared, and makes a writer for one answer. A writer turns text, reasoning and tool calls into
events of a stream and keeps them for the whole answer of a client that does not stream.
Sans-IO: bytes and values only.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Protocol

import attrs

from runner.agents.events import Usage
from runner.testing.model.steps import Fail, Say, Step, ToolStep

DEFAULT_USAGE = Usage(input_tokens=100, output_tokens=10)

# What the programs put into the user's role by themselves.
_FURNITURE = re.compile(
    r"\s*(<(?:system-reminder|environment_context|user_instructions|permissions|skills_instructions"
    r"|turn_aborted|user_shell_command|task-notification|command-name|command-message"
    r"|local-command-\w+|subagent_notification|collaboration_mode|recommended_plugins|session_context"
    r"|INSTRUCTIONS)\b"
    r"|# AGENTS\.md instructions\b|\[Request interrupted by user"
    r"|Continue from where you left off\.\s*$|Output token limit hit\. Resume directly)"
)
# In which words claude asks for a summary, to go on with that instead of all that was said.
_SUMMARY = "create a detailed summary of the conversation"


class NotUnderstood(ValueError):
    """The body is no request of this API."""


@attrs.frozen(kw_only=True)
class Call:
    """A tool call: `input` is an object for a function, a text for a free-form tool."""

    name: str
    input: Mapping[str, object] | str
    namespace: str = ""
    look: bool = False


@attrs.frozen(kw_only=True)
class Asked:
    """What a client asks of the model.

    Attributes:
        prompts: everything that the user has said, oldest first.
        done: how many tool calls of the last prompt have their result.
        follow: a call that has to come first, to bring the last one to its end.
        tools: name to (kind, namespace) of the tools that the client declares.
    """

    prompts: tuple[str, ...]
    done: int = 0
    follow: Call | None = None
    tools: Mapping[str, tuple[str, str]] = attrs.field(factory=dict)
    stream: bool = False
    model: str = "stub"

    @property
    def prompt(self) -> str:
        """The prompt that decides."""
        return self.prompts[-1] if self.prompts else ""


class Writer(Protocol):
    """One answer."""

    def begin(self) -> bytes:
        """The first events of the stream; may be none."""
        ...

    def text(self, text: str) -> Iterable[bytes]:
        """Add text: the events, piece by piece."""
        ...

    def think(self, text: str) -> bytes:
        """Add reasoning."""
        ...

    def call(self, call: Call) -> bytes:
        """Add a tool call."""
        ...

    def fail(self, fail: Fail) -> bytes:
        """The event of an error in the middle of the stream."""
        ...

    def end(self) -> bytes:
        """The last events of the stream."""
        ...

    def whole(self) -> dict[str, object]:
        """The answer for a client that does not stream."""
        ...


class Codec(Protocol):
    """One API."""

    @property
    def name(self) -> str:
        """How records call it."""
        ...

    def read(self, body: Mapping[str, object]) -> Asked:
        """Read a request.

        Raises:
            NotUnderstood: it is none of this API.
        """
        ...

    def call(self, asked: Asked, step: ToolStep) -> Call | None:
        """How this client carries the step out; None = it has declared no tool for it."""
        ...

    def writer(self, asked: Asked, usage: Usage, stop: str) -> Writer:
        """Begin an answer; `stop` is empty for the ordinary end."""
        ...

    def in_stream(self, fail: Fail) -> bool:
        """Whether the API reports this failure in a stream that has begun well."""
        ...

    def error(self, fail: Fail) -> dict[str, object]:
        """The body of an answer that is an error."""
        ...

    def headers(self, fail: Fail) -> dict[str, str]:
        """What the headers of that answer say of the account's limits."""
        ...


def is_furniture(text: str) -> bool:
    """Whether a text in the user's role comes from the program and not from the user."""
    return not text.strip() or _FURNITURE.match(text) is not None


def is_asking_for_summary(prompt: str) -> bool:
    """Whether a prompt is the program's own, which is about to make the conversation shorter."""
    return _SUMMARY in prompt


def summed_up(prompts: tuple[str, ...]) -> tuple[Step, ...]:
    """What a model says that is to sum up; the last of `prompts` is the one that asks."""
    quoted = "\n".join(f"> {line}" for each in prompts[:-1] for line in each.splitlines())
    return (Say(text=quoted or "Nothing has been said."),)


def event(kind: str, data: Mapping[str, object]) -> bytes:
    """Make a server-sent event; both APIs repeat its name in the data."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def pieces(text: str, size: int = 1 << 16) -> list[str]:
    """Cut a text for streaming: always two pieces at least, as real models never send one."""
    if len(text) < 2:
        return [text]
    size = min(size, (len(text) + 1) // 2)
    return [text[start : start + size] for start in range(0, len(text), size)]


def new_id(prefix: str) -> str:
    """Make an id that is new to every conversation, also to those begun with another server."""
    return f"{prefix}_{secrets.token_hex(12)}"


def blocks(content: object) -> list[Mapping[str, object]]:
    """Read the content of a message, which may be a text or a list of blocks."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise NotUnderstood("content is neither a text nor a list of blocks")
    return content


def text_of(content: object) -> str:
    """Read the text of a tool's result."""
    if isinstance(content, str):
        return content
    return "".join(str(block.get("text", "")) for block in blocks(content)) if content else ""


def messages_of(body: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    """Read the list of messages.

    Raises:
        NotUnderstood: it is no list of objects.
    """
    found = body.get(key)
    if isinstance(found, str):
        return [{"role": "user", "content": found}]
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise NotUnderstood(f"{key!r} is no list of objects")
    return found


def tool_list(found: object) -> list[Mapping[str, object]]:
    """Read a list of declared tools."""
    return [tool for tool in found if isinstance(tool, dict)] if isinstance(found, list) else []
