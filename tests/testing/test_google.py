"""The model server's Google API: what the Gemini CLI sends, without the program."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from runner.testing.model_server import Served

TOOLS = [{"functionDeclarations": [{"name": "write_file"}, {"name": "run_shell_command"}]}]


class Google:
    """Speaks it, streaming or not."""

    def __init__(self, url: str, *, stream: bool) -> None:
        self.url, self.stream = url, stream
        self.contents: list[dict[str, object]] = []

    def post(self, prompt: str | None = None, tools: object = TOOLS, method: str = "") -> Any:
        """Send the conversation so far; give the answers, one if it does not stream."""
        if prompt is not None:
            self.add("user", {"text": "<session_context>\nhere"}, {"text": prompt})
        method = method or ("streamGenerateContent?alt=sse" if self.stream else "generateContent")
        request = urllib.request.Request(
            f"{self.url}/v1beta/models/m:{method}",
            json.dumps({"contents": self.contents, "tools": tools}).encode(),
            {"x-goog-api-key": "dummy"},
        )
        with urllib.request.urlopen(request) as answer:
            body = answer.read().decode()
        if not self.stream or "count" in method:
            return [json.loads(body)]
        events = body.split("\r\n\r\n")[:-1]
        return [json.loads(event.removeprefix("data: ")) for event in events]

    def add(self, role: str, *parts: dict[str, object]) -> None:
        self.contents.append({"role": role, "parts": list(parts)})


def parts(answers: list[Any]) -> list[Any]:
    return [part for each in answers for part in each["candidates"][0]["content"]["parts"]]


@pytest.fixture(params=[True, False], ids=["stream", "whole"])
def google(request: pytest.FixtureRequest, model_server: Served) -> Google:
    return Google(model_server.url, stream=request.param)


def test_what_is_said_and_thought_and_counted(google: Google) -> None:
    got = google.post("!think deep\n!usage input=20 cached=7 output=5\n!say hello")

    assert parts(got)[0] == {"text": "deep", "thought": True}
    assert "".join(part["text"] for part in parts(got)[1:]) == "hello"
    assert got[-1]["candidates"][0]["finishReason"] == "STOP"
    usage = got[-1]["usageMetadata"]
    assert (usage["promptTokenCount"], usage["cachedContentTokenCount"]) == (27, 7)
    assert (usage["candidatesTokenCount"], usage["totalTokenCount"]) == (5, 32)


def test_tools_are_called_one_after_the_other(google: Google) -> None:
    prompt = '!write a: x\n!run ls\n!tool run_shell_command {"command": "w"}\n!say done'
    got = google.post(prompt)
    calls = []
    while "functionCall" in (part := parts(got)[-1]):
        calls.append((part["functionCall"]["name"], part["functionCall"]["args"]))
        google.add("model", part)
        response = {"name": calls[-1][0], "response": {"output": ""}}
        google.add("user", {"functionResponse": response})
        got = google.post()

    assert calls == [
        ("write_file", {"file_path": "a", "content": "x\n"}),
        ("run_shell_command", {"command": "ls", "description": "As the prompt says"}),
        ("run_shell_command", {"command": "w"}),
    ]
    assert "".join(part["text"] for part in parts(got)) == "done"


def test_without_a_tool_for_files_the_shell_writes_them(google: Google) -> None:
    shell = [{"functionDeclarations": [{"name": "run_shell_command"}]}]
    (part,) = parts(google.post("!write a: x", shell))

    assert part["functionCall"]["args"]["command"].startswith("mkdir -p")
    assert "No tool" in str(parts(google.post("!write b: x", [])))


def test_the_prompts_before_are_recalled_without_what_the_program_put_there(google: Google) -> None:
    google.post("!say one")

    assert "".join(part["text"] for part in parts(google.post("!recall"))) == "!say one"


def test_errors_have_its_form_and_the_log_no_key(google: Google, model_server: Served) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        google.post("!fail 429 slow down")
    body = json.loads(caught.value.read())
    caught.value.close()

    assert body["error"] == {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}
    record = model_server.requests[-1]
    assert (record.api, record.auth, record.model) == ("google", "x-goog-api-key", "m")


def test_an_error_in_the_middle_of_a_stream(model_server: Served) -> None:
    got = Google(model_server.url, stream=True).post("!say a\n!fail 500 boom")

    assert got[-1]["error"]["message"] == "boom"


def test_tokens_are_counted(google: Google) -> None:
    assert google.post("x", method="countTokens") == [{"totalTokens": 100}]
