"""OpenAI's Responses API, as Codex speaks it.

Codex declares its tools in three ways, by the model's name: `exec_command` as a function (models
that it does not know), `exec` as a free-form tool that takes JavaScript and has the others inside
(the newer models), and `shell` or `shell_command` (older releases).

It does not do: `previous_response_id` (nothing is stored), images, WebSockets, built-in tools.
Source: the requests of the real program (0.169.0), and the public API reference.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping

from runner.agents.events import ErrorClass, Usage
from runner.testing.model.codec import (
    Asked,
    Call,
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
from runner.testing.model.steps import Fail, Run, Tool, ToolStep, Write

_CODES = {
    400: "invalid_request_error",
    401: "invalid_api_key",
    402: "insufficient_quota",
    403: "permission_denied",
    404: "not_found",
    429: "rate_limit_exceeded",
    503: "server_is_overloaded",
    529: "server_is_overloaded",
}
_OUTPUTS = {"function_call_output", "custom_tool_call_output", "local_shell_call_output"}
_RUNNING = re.compile(r"Process running with session ID (\d+)")
_YIELDED = re.compile(r"Script running with cell ID (\S+)")
_YIELD_MS = 30_000  # the longest that exec_command waits; then it answers that the command runs on

# A command that runs on is polled, so that one step is one call of ours.
_EXEC_RUN = """// @exec: {"yield_time_ms": %d}
let r = await tools.exec_command(%s);
let out = r.output;
while (r.exit_code === undefined && r.session_id !== undefined) {
  r = await tools.write_stdin({session_id: r.session_id, chars: "", yield_time_ms: %d});
  out += r.output;
}
text(out);
"""
_EXEC_PATCH = "text(await tools.apply_patch(%s));\n"


class OpenAICodec:
    """`POST /v1/responses`."""

    name = "openai"

    def read(self, body: Mapping[str, object]) -> Asked:
        """Read a request: prompts are all texts of the user that the program did not put there."""
        history = _History()
        tools = _declared(tool_list(body.get("tools")))
        for item in messages_of(body, "input"):
            if item.get("type") == "additional_tools":
                tools |= _declared(tool_list(item.get("tools")))
            else:
                history.add(item)
        follow = history.follow
        return Asked(
            prompts=tuple(history.prompts),
            done=history.done,
            follow=follow if follow is None or follow.name in tools else None,
            tools=tools,
            stream=body.get("stream") is True,
            model=str(body.get("model", "stub")),
        )

    def call(self, asked: Asked, step: ToolStep) -> Call | None:
        """Carry the step out with what is declared."""
        if isinstance(step, Tool):
            kind, namespace = asked.tools.get(step.name, ("", ""))
            given = step.input.get("input", "") if kind == "custom" else step.input
            call = Call(name=step.name, input=given, namespace=namespace)  # type: ignore[arg-type]
            return call if kind else None
        if asked.tools.get("exec", ("", ""))[0] == "custom":
            return Call(name="exec", input=_script(step))
        if isinstance(step, Write) and asked.tools.get("apply_patch", ("", ""))[0] == "custom":
            return Call(name="apply_patch", input=_patch(step))
        command = write_command(step) if isinstance(step, Write) else step.command
        for name, given in (
            ("exec_command", {"cmd": command, "yield_time_ms": _YIELD_MS}),
            ("shell_command", {"command": command}),
            ("shell", {"command": ["bash", "-lc", command]}),
        ):
            if name in asked.tools:
                return Call(name=name, input=given)
        return None

    def writer(self, asked: Asked, usage: Usage, stop: str) -> Writer:
        """Begin an answer."""
        return OpenAIWriter(asked.model, usage, stop)

    def in_stream(self, fail: Fail) -> bool:
        """A too long prompt is found out when the model begins to read it."""
        return fail.status == 400 and fail.error is ErrorClass.CONTEXT_OVERFLOW

    def error(self, fail: Fail) -> dict[str, object]:
        """The body of an error."""
        code = _code(fail)
        kind = "invalid_request_error" if fail.status < 500 else "server_error"
        error: dict[str, object] = {"message": fail.message, "type": fail.type or kind}
        error |= {"code": code, "param": None}
        if fail.resets is not None:  # of a plan
            until = {"resets_at": round(time.time() + fail.resets), "plan_type": "plus"}
            error |= {"type": "usage_limit_reached", **until}
        return {"error": error}

    def headers(self, fail: Fail) -> dict[str, str]:
        """The first window of a plan, which is spent."""
        if fail.resets is None:
            return {}
        window = {
            "used-percent": "100",
            "window-minutes": "300",
            "reset-at": str(round(time.time() + fail.resets)),
        }
        return {f"x-codex-primary-{name}": value for name, value in window.items()}


def _code(fail: Fail) -> str:
    if fail.type:
        return fail.type
    if fail.error is ErrorClass.CONTEXT_OVERFLOW:
        return "context_length_exceeded"
    return _CODES.get(fail.status, "server_error")


def _declared(tools: list[Mapping[str, object]]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for tool in tools:
        if tool.get("type") == "namespace":
            namespace = str(tool.get("name"))
            for name, (kind, _) in _declared(tool_list(tool.get("tools"))).items():
                found[name] = (kind, "" if namespace == "functions" else namespace)
        elif tool.get("type") in {"function", "custom"}:
            found[str(tool.get("name"))] = (str(tool["type"]), "")
    return found


def _patch(step: Write) -> str:
    lines = "".join(f"+{line}\n" for line in step.content.removesuffix("\n").split("\n"))
    return f"*** Begin Patch\n*** Add File: {step.path}\n{lines}*** End Patch\n"


def _script(step: Write | Run) -> str:
    if isinstance(step, Write):
        return _EXEC_PATCH % json.dumps(_patch(step))
    given = json.dumps({"cmd": step.command, "yield_time_ms": _YIELD_MS})
    return _EXEC_RUN % (3_600_000, given, _YIELD_MS)


class _History:
    """What counts of the items so far: the prompts, and how far the last one has come."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.done = 0
        self.follow: Call | None = None
        self._ended: set[object] = set()

    def add(self, item: Mapping[str, object]) -> None:
        if item.get("type") in _OUTPUTS:
            self._add_output(item.get("call_id"), text_of(item.get("output", "")))
        elif item.get("type", "message") == "message" and item.get("role") == "user":
            for block in blocks(item.get("content")):
                text = str(block.get("text", ""))
                if block.get("type") in {"input_text", "text"} and not is_furniture(text):
                    self.prompts.append(text)
                    self.done, self.follow = 0, None

    def _add_output(self, call: object, text: str) -> None:
        if running := _RUNNING.search(text):
            poll = {"session_id": int(running[1]), "chars": "", "yield_time_ms": _YIELD_MS}
            self.follow = Call(name="write_stdin", input=poll)
        elif yielded := _YIELDED.search(text):
            wait = {"cell_id": yielded[1], "yield_time_ms": _YIELD_MS}
            self.follow = Call(name="wait", input=wait)
        elif call not in self._ended:  # a free-form tool can give several outputs for one call
            self._ended.add(call)
            self.follow = None
            self.done += 1


class OpenAIWriter:
    """One response."""

    def __init__(self, model: str, usage: Usage, stop: str) -> None:
        self._output: list[dict[str, object]] = []
        self._model = model
        given = usage.input_tokens + usage.cached_tokens  # here the cached ones are among the input
        self._usage = {
            "input_tokens": given,
            "input_tokens_details": {"cached_tokens": usage.cached_tokens},
            "output_tokens": usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": given + usage.output_tokens,
        }
        self._id = new_id("resp")
        self._stop = stop

    def begin(self) -> bytes:
        """response.created."""
        response = {**self.whole(), "status": "in_progress", "output": [], "usage": None}
        return event("response.created", {"response": response})

    def text(self, text: str) -> Iterable[bytes]:
        """A message item, in pieces."""
        item: dict[str, object] = {
            "type": "message",
            "role": "assistant",
            "id": new_id("msg"),
            "content": [{"type": "output_text", "text": text, "annotations": []}],
        }
        index = self._add(item)
        yield _added(index, {**item, "status": "in_progress", "content": []})
        for piece in pieces(text):
            data = {"item_id": item["id"], "output_index": index, "content_index": 0}
            yield event("response.output_text.delta", {**data, "delta": piece})
        yield _done(index, item)

    def think(self, text: str) -> bytes:
        """A reasoning item."""
        item: dict[str, object] = {
            "type": "reasoning",
            "id": new_id("rs"),
            "summary": [{"type": "summary_text", "text": text}],
        }
        index = self._add(item)
        data = {"item_id": item["id"], "output_index": index, "summary_index": 0}
        return (
            _added(index, {**item, "summary": []})
            + event("response.reasoning_summary_part.added", data)
            + event("response.reasoning_summary_text.delta", {**data, "delta": text})
            + _done(index, item)
        )

    def call(self, call: Call) -> bytes:
        """A function_call or a custom_tool_call item."""
        item: dict[str, object] = {"id": new_id("fc"), "call_id": new_id("call")}
        item |= {"name": call.name, "status": "completed"}
        if call.namespace:
            item["namespace"] = call.namespace
        if isinstance(call.input, str):
            item |= {"type": "custom_tool_call", "input": call.input}
        else:
            item |= {"type": "function_call", "arguments": json.dumps(call.input)}
        index = self._add(item)
        return _added(index, item) + _done(index, item)

    def fail(self, fail: Fail) -> bytes:
        """response.failed."""
        error = {"code": _code(fail), "message": fail.message}
        response = {**self.whole(), "status": "failed", "error": error}
        return event("response.failed", {"response": response})

    def end(self) -> bytes:
        """response.completed, or response.incomplete."""
        return event(f"response.{self.whole()['status']}", {"response": self.whole()})

    def whole(self) -> dict[str, object]:
        """The response."""
        whole: dict[str, object] = {
            "id": self._id,
            "object": "response",
            "status": "incomplete" if self._stop else "completed",
            "model": self._model,
            "output": self._output,
            "usage": self._usage,
        }
        if self._stop:
            reason = {"max_tokens": "max_output_tokens", "refusal": "content_filter"}
            whole["incomplete_details"] = {"reason": reason.get(self._stop, self._stop)}
        return whole

    def _add(self, item: dict[str, object]) -> int:
        self._output.append(item)
        return len(self._output) - 1


def _added(index: int, item: Mapping[str, object]) -> bytes:
    return event("response.output_item.added", {"output_index": index, "item": item})


def _done(index: int, item: Mapping[str, object]) -> bytes:
    return event("response.output_item.done", {"output_index": index, "item": item})
