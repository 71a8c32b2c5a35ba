"""Google's Gemini API, as the Gemini CLI speaks it.

The model, and whether the answer is streamed, stand in the path: `/v1beta/models/MODEL:METHOD` with
`generateContent`, `streamGenerateContent` and `countTokens`.

It does not do: images, thought signatures, code execution, caching (figures come from `!usage`).
Source: the requests of the real program (0.61.0), and the public API reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

import attrs

from runner.agents.events import Usage
from runner.testing.model.codec import (
    Asked,
    Call,
    Writer,
    blocks,
    is_furniture,
    messages_of,
    new_id,
    pieces,
    tool_list,
)
from runner.testing.model.shell import write_command
from runner.testing.model.steps import Fail, Run, Tool, ToolStep

_PATH = re.compile(
    r"/v1(?:beta)?/models/([^/:]+):(generateContent|streamGenerateContent|countTokens)"
)
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    529: "UNAVAILABLE",
}
_STOPS = {"": "STOP", "max_tokens": "MAX_TOKENS", "refusal": "SAFETY"}


@attrs.frozen
class GoogleCodec:
    """`POST /v1beta/models/MODEL:METHOD`."""

    model: str
    stream: bool
    name: str = "google"

    @classmethod
    def of_path(cls, path: str) -> GoogleCodec | None:
        """Make the codec of a path; None if it is none of this API."""
        found = _PATH.fullmatch(path)
        return None if found is None else cls(found[1], found[2].startswith("stream"))

    def read(self, body: Mapping[str, object]) -> Asked:
        """Read a request: prompts are all texts of the user that the program did not put there."""
        prompts: list[str] = []
        done = 0
        for message in messages_of(body, "contents"):
            for part in blocks(message.get("parts", [])):
                text = str(part.get("text", ""))
                if "functionResponse" in part:
                    done += 1
                elif message.get("role") == "user" and not is_furniture(text):
                    prompts.append(text)
                    done = 0
        return Asked(
            prompts=tuple(prompts),
            done=done,
            tools={
                str(each.get("name")): ("function", "")
                for tool in tool_list(body.get("tools"))
                for each in tool_list(tool.get("functionDeclarations"))
            },
            stream=self.stream,
            model=self.model,
        )

    def call(self, asked: Asked, step: ToolStep) -> Call | None:
        """Carry the step out with write_file and run_shell_command."""
        if isinstance(step, Tool):
            call = Call(name=step.name, input=step.input)
        elif isinstance(step, Run):
            call = _shell(step.command)
        elif "write_file" in asked.tools:
            call = Call(name="write_file", input={"file_path": step.path, "content": step.content})
        else:
            call = _shell(write_command(step))
        return call if call.name in asked.tools else None

    def writer(self, asked: Asked, usage: Usage, stop: str) -> Writer:
        """Begin an answer."""
        return GoogleWriter(asked.model, usage, stop)

    def in_stream(self, fail: Fail) -> bool:
        """Nothing is known from the beginning and said later."""
        return False

    def error(self, fail: Fail) -> dict[str, object]:
        """The body of an error."""
        status = fail.type or _STATUS.get(fail.status, "INTERNAL")
        return {"error": {"code": fail.status, "message": fail.message, "status": status}}

    def headers(self, fail: Fail) -> dict[str, str]:
        """None: it says nothing there."""
        return {}


def _shell(command: str) -> Call:
    return Call(
        name="run_shell_command", input={"command": command, "description": "As the prompt says"}
    )


class GoogleWriter:
    """One answer: in a stream, each part is an answer of its own."""

    def __init__(self, model: str, usage: Usage, stop: str) -> None:
        self._parts: list[dict[str, object]] = []
        given = usage.input_tokens + usage.cached_tokens  # here the cached ones are among the input
        self._usage = {
            "promptTokenCount": given,
            "cachedContentTokenCount": usage.cached_tokens,
            "candidatesTokenCount": usage.output_tokens,
            "totalTokenCount": given + usage.output_tokens,
        }
        self._about = {"modelVersion": model, "responseId": new_id("response")}
        self._stop = stop

    def begin(self) -> bytes:
        """Make nothing: the first part begins it."""
        return b""

    def text(self, text: str) -> Iterable[bytes]:
        """Text parts."""
        for piece in pieces(text):
            yield self._add({"text": piece})

    def think(self, text: str) -> bytes:
        """A thought."""
        return self._add({"text": text, "thought": True})

    def call(self, call: Call) -> bytes:
        """A functionCall part."""
        return self._add({"functionCall": {"name": call.name, "args": call.input}})

    def fail(self, fail: Fail) -> bytes:
        """An error in the place of a part."""
        return _event(GoogleCodec("", stream=True).error(fail))

    def end(self) -> bytes:
        """The figures, and the reason for the end."""
        return _event(self._answer([], ended=True))

    def whole(self) -> dict[str, object]:
        """The answer."""
        return self._answer(self._parts, ended=True)

    def _add(self, part: dict[str, object]) -> bytes:
        self._parts.append(part)
        return _event(self._answer([part], ended=False))

    def _answer(self, parts: list[dict[str, object]], *, ended: bool) -> dict[str, object]:
        candidate: dict[str, object] = {"content": {"role": "model", "parts": parts}, "index": 0}
        if not ended:
            return {"candidates": [candidate], **self._about}
        candidate["finishReason"] = _STOPS.get(self._stop, self._stop.upper())
        return {"candidates": [candidate], "usageMetadata": self._usage, **self._about}


def _event(data: Mapping[str, object]) -> bytes:
    return f"data: {json.dumps(data)}\r\n\r\n".encode()
