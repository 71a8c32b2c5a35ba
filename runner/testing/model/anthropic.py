"""Anthropic's Messages API, as Claude Code and OpenCode speak it.

It does not do: images, documents, caching (figures come from `!usage`), server tools, batches.
Source: the requests of the real programs (2.1.197; 1.18.33), and the public API reference.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping

from runner.agents.events import Usage
from runner.testing.model.codec import (
    Asked,
    Call,
    NotUnderstood,
    Writer,
    blocks,
    event,
    is_furniture,
    messages_of,
    new_id,
    pieces,
    text_of,
    tool_list,
)
from runner.testing.model.shell import write_command
from runner.testing.model.steps import Fail, Run, Tool, ToolStep

_UNREAD = "has not been read yet"
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicCodec:
    """`POST /v1/messages`."""

    name = "anthropic"

    def read(self, body: Mapping[str, object]) -> Asked:
        """Read a request: prompts are all texts of the user that the program did not put there."""
        history = _History()
        for message in messages_of(body, "messages"):
            role = message.get("role")
            if role not in {"user", "assistant", "system"}:
                raise NotUnderstood(f"what is the role {role!r}?")
            if role != "system":
                history.add(role, blocks(message.get("content")))
        tools = {str(tool.get("name")): ("function", "") for tool in tool_list(body.get("tools"))}
        return Asked(
            prompts=tuple(history.prompts),
            done=history.done,
            follow=history.follow if "Read" in tools else None,
            tools=tools,
            stream=body.get("stream") is True,
            model=str(body.get("model", "stub")),
        )

    def call(self, asked: Asked, step: ToolStep) -> Call | None:
        """Carry the step out with Write and Bash; OpenCode's are called write and bash."""
        bash = "bash" if "bash" in asked.tools else "Bash"
        if isinstance(step, Tool):
            call = Call(name=step.name, input=step.input)
        elif isinstance(step, Run):
            call = _bash(bash, step.command)
        elif "Write" in asked.tools:
            call = Call(name="Write", input={"file_path": step.path, "content": step.content})
        elif "write" in asked.tools:
            call = Call(name="write", input={"filePath": step.path, "content": step.content})
        else:
            call = _bash(bash, write_command(step))
        return call if call.name in asked.tools else None

    def writer(self, asked: Asked, usage: Usage, stop: str) -> Writer:
        """Begin an answer."""
        return AnthropicWriter(asked.model, usage, stop)

    def in_stream(self, fail: Fail) -> bool:
        """Nothing is known from the beginning and said later."""
        return False

    def error(self, fail: Fail) -> dict[str, object]:
        """The body of an error."""
        kind = fail.type or _ERROR_TYPES.get(fail.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": fail.message}}

    def headers(self, fail: Fail) -> dict[str, str]:
        """The unified limit of a subscription."""
        if fail.resets is None:
            return {}
        limit = {
            "status": "rejected",
            "reset": str(round(time.time() + fail.resets)),
            "representative-claim": "five_hour",
        }
        return {f"anthropic-ratelimit-unified-{name}": value for name, value in limit.items()}


def _bash(name: str, command: str) -> Call:
    # Its own limit is two minutes; the longest that it takes is ten.
    return Call(
        name=name,
        input={"command": command, "description": "As the prompt says", "timeout": 600_000},
    )


class _History:
    """What counts of the messages so far: the prompts, and how far the last one has come."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.done = 0
        self.follow: Call | None = None
        self._calls: dict[str, Mapping[str, object]] = {}
        self._looked = False

    def add(self, role: object, content: list[Mapping[str, object]]) -> None:
        for place, block in enumerate(content):
            match block.get("type"):
                case "tool_use":
                    self._calls[str(block.get("id"))] = block
                case "tool_result":
                    self._add_result(
                        str(block.get("tool_use_id")), text_of(block.get("content", ""))
                    )
                case "text" if role == "user" and not is_furniture(str(block.get("text", ""))):
                    text = str(block["text"])
                    # Claude Code joins two messages without an answer between, by a newline.
                    joined = place + 1 < len(content)
                    self.prompts.append(text.removesuffix("\n") if joined else text)
                    self.done, self.follow, self._looked = 0, None, False

    def _add_result(self, ident: str, text: str) -> None:
        if ident.startswith("toolu_look"):
            self.follow = None
            return
        call = self._calls.get(ident, {})
        given = call.get("input")
        # Claude Code overwrites only files that it has read: read this one, then write once more.
        if call.get("name") == "Write" and _UNREAD in text and isinstance(given, dict):
            look = Call(name="Read", input={"file_path": given.get("file_path", "")}, look=True)
            if not self._looked:
                self._looked, self.follow = True, look
                return
        self._looked, self.follow = False, None
        self.done += 1


class AnthropicWriter:
    """One message."""

    def __init__(self, model: str, usage: Usage, stop: str) -> None:
        self._content: list[dict[str, object]] = []
        self._model = model
        self._usage = {
            "input_tokens": usage.input_tokens,
            "cache_read_input_tokens": usage.cached_tokens,
            "cache_creation_input_tokens": usage.cache_write_tokens,
            "output_tokens": usage.output_tokens,
        }
        self._id = new_id("msg")
        self._stop = stop

    def begin(self) -> bytes:
        """message_start."""
        usage = {**self._usage, "output_tokens": 1}
        message = {**self.whole(), "content": [], "stop_reason": None, "usage": usage}
        return event("message_start", {"message": message})

    def text(self, text: str) -> Iterable[bytes]:
        """A text block, in pieces."""
        index = self._add({"type": "text", "text": text})
        yield _start(index, {"type": "text", "text": ""})
        for piece in pieces(text):
            yield _delta(index, {"type": "text_delta", "text": piece})
        yield event("content_block_stop", {"index": index})

    def think(self, text: str) -> bytes:
        """A thinking block."""
        signature = new_id("sig")
        index = self._add({"type": "thinking", "thinking": text, "signature": signature})
        return (
            _start(index, {"type": "thinking", "thinking": "", "signature": ""})
            + _delta(index, {"type": "thinking_delta", "thinking": text})
            + _delta(index, {"type": "signature_delta", "signature": signature})
            + event("content_block_stop", {"index": index})
        )

    def call(self, call: Call) -> bytes:
        """A tool_use block."""
        block: dict[str, object] = {
            "type": "tool_use",
            "id": new_id("toolu_look" if call.look else "toolu"),
            "name": call.name,
        }
        index = self._add({**block, "input": call.input})
        self._stop = self._stop or "tool_use"
        return (
            _start(index, {**block, "input": {}})
            + _delta(index, {"type": "input_json_delta", "partial_json": json.dumps(call.input)})
            + event("content_block_stop", {"index": index})
        )

    def fail(self, fail: Fail) -> bytes:
        """An error event."""
        return event("error", {"error": AnthropicCodec().error(fail)["error"]})

    def end(self) -> bytes:
        """message_delta and message_stop."""
        delta = {"stop_reason": self._stop or "end_turn", "stop_sequence": None}
        return event("message_delta", {"delta": delta, "usage": self._usage}) + event(
            "message_stop", {}
        )

    def whole(self) -> dict[str, object]:
        """The message."""
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": self._content,
            "stop_reason": self._stop or "end_turn",
            "stop_sequence": None,
            "usage": self._usage,
        }

    def _add(self, block: dict[str, object]) -> int:
        self._content.append(block)
        return len(self._content) - 1


def _start(index: int, block: Mapping[str, object]) -> bytes:
    return event("content_block_start", {"index": index, "content_block": block})


def _delta(index: int, delta: Mapping[str, object]) -> bytes:
    return event("content_block_delta", {"index": index, "delta": delta})
