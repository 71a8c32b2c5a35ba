"""A client for the model server: what the programs send, without the programs."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from runner.testing.model_server import Served

TOOLS = {
    "anthropic": [{"name": "Write"}, {"name": "Bash"}, {"name": "Read"}],
    "openai": [{"type": "function", "name": "exec_command"}],
}
PATHS = {"anthropic": "/v1/messages", "openai": "/v1/responses"}


@attrs.frozen(kw_only=True)
class Got:
    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[tuple[str, Any]]:
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            kind, data = block.split("\n")
            assert data.startswith("data: ")
            found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
        return found


@attrs.define(eq=False)
class Client:
    """Speaks one of the two APIs; keeps its connection."""

    api: str
    stream: bool
    connection: http.client.HTTPConnection
    tools: list[dict[str, object]]
    history: list[dict[str, object]] = attrs.field(factory=list)

    def raw(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Got:
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        cut = False
        try:
            data = response.read()
        except http.client.IncompleteRead as error:
            data, cut = error.partial, True
            self.connection.close()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Got(status=response.status, headers=found, body=data, cut=cut)

    def post(self, prompt: str | None = None) -> Got:
        """Send the conversation so far, and one prompt more."""
        if prompt is not None:
            self.history.append({"role": "user", "content": prompt})
        key = "messages" if self.api == "anthropic" else "input"
        body = {"model": "m", "stream": self.stream, "tools": self.tools, key: self.history}
        return self.raw("POST", PATHS[self.api], json.dumps(body).encode())

    def whole(self, got: Got) -> Any:
        """The answer as a whole, also when it was streamed."""
        assert got.status == 200, got
        if not self.stream:
            return got.json
        if self.api == "openai":
            return got.events[-1][1]["response"]
        return rebuild(got.events)

    def text(self, got: Got) -> str:
        whole = self.whole(got)
        if self.api == "anthropic":
            blocks = [block for block in whole["content"] if block["type"] == "text"]
        else:
            blocks = [part for item in whole["output"] for part in item.get("content", [])]
        return "|".join(block["text"] for block in blocks)

    def call(self, got: Got) -> tuple[str, Any]:
        """The tool call that an answer ends with: its name and input."""
        whole = self.whole(got)
        if self.api == "anthropic":
            block = whole["content"][-1]
            assert (block["type"], whole["stop_reason"]) == ("tool_use", "tool_use")
            return block["name"], block["input"]
        item = whole["output"][-1]
        if item["type"] == "custom_tool_call":
            return item["name"], item["input"]
        assert item["type"] == "function_call"
        return item["name"], json.loads(item["arguments"])

    def answer_call(self, got: Got, output: str) -> Got:
        """Send the result of the tool call that an answer ends with."""
        whole = self.whole(got)
        if self.api == "anthropic":
            self.history.append({"role": "assistant", "content": whole["content"]})
            ident = whole["content"][-1]["id"]
            result = {"type": "tool_result", "tool_use_id": ident, "content": output}
            self.history.append({"role": "user", "content": [result]})
        else:
            self.history += whole["output"]
            item = whole["output"][-1]
            kind = item["type"] + "_output"
            self.history.append({"type": kind, "call_id": item["call_id"], "output": output})
        return self.post()

    def usage(self, got: Got) -> tuple[int, int]:
        usage = self.whole(got)["usage"]
        return usage["input_tokens"], usage["output_tokens"]


def rebuild(events: list[tuple[str, Any]]) -> Any:
    """Put a streamed message of Anthropic's together, as their SDK does."""
    message: dict[str, Any] = {}
    partial = ""
    for kind, data in events:
        assert data["type"] == kind
        if kind == "message_start":
            message = data["message"]
            assert message["content"] == []
        elif kind == "content_block_start":
            assert data["index"] == len(message["content"])
            message["content"].append(data["content_block"])
            partial = ""
        elif kind == "content_block_delta":
            delta, block = data["delta"], message["content"][data["index"]]
            if delta["type"] == "input_json_delta":
                partial += delta["partial_json"]
                block["input"] = json.loads(partial)
            else:
                name = delta["type"].removesuffix("_delta")
                block[name] += delta[name]
        elif kind == "message_delta":
            message["usage"] = data["usage"]
            message |= data["delta"]
    assert events[-1][0] == "message_stop"
    return message


@pytest.fixture
def connect(model_server: Served) -> Iterator[Callable[..., Client]]:
    """Make a client: `connect("anthropic", stream=True)`."""
    opened: list[http.client.HTTPConnection] = []

    def make(api: str, *, stream: bool = True, tools: list[Any] | None = None) -> Client:
        address = model_server.url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=20)
        opened.append(connection)
        return Client(api=api, stream=stream, connection=connection, tools=tools or TOOLS[api])

    yield make
    for connection in opened:
        connection.close()


@pytest.fixture(params=["anthropic", "openai"])
def api(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[True, False], ids=["stream", "whole"])
def stream(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def client(connect: Callable[..., Client], api: str, stream: bool) -> Client:
    """A client of each API, streaming and not."""
    return connect(api, stream=stream)
