"""The real programs against the model server: they take it for their provider."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from runner.testing.model_server import Served

pytestmark = pytest.mark.real_agents

WORK = """
!write a/b.txt: hello
!run cat a/b.txt > c.txt
!write c.txt <<END
line 1
  line 2
END
!say it is done
"""


def check_work(work: Path) -> None:
    assert (work / "a/b.txt").read_text() == "hello\n"
    assert (work / "c.txt").read_text() == "line 1\n  line 2\n"


@attrs.define(eq=False)
class Program:
    """A program that speaks lines of JSON; ended with everything that it started."""

    process: subprocess.Popen[bytes]

    def say(self, **message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            if wanted(message):
                return message
        raise AssertionError("the program has ended")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@attrs.frozen(kw_only=True)
class Place:
    """An environment of its own for a program."""

    work: Path
    env: dict[str, str]

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            cwd=self.work,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *argv: str) -> Program:
        return Program(
            subprocess.Popen(
                argv,
                cwd=self.work,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )


@pytest.fixture
def place(tmp_path: Path, model_server: Served) -> Place:
    work = tmp_path / "work"
    work.mkdir()
    home = tmp_path / "home"
    (home / ".codex").mkdir(parents=True)
    (home / ".codex/config.toml").write_text(model_server.codex_config())
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": "/var/tmp"}
    env |= model_server.claude_env() | model_server.codex_env()
    return Place(work=work, env=env | {"CLAUDE_CODE_MAX_RETRIES": "1"})


# ---------------------------------------------------------------- claude

CLAUDE = ("-p", "--dangerously-skip-permissions", "--output-format")


def claude_turn(program: Program, prompt: str) -> dict[str, Any]:
    program.say(type="user", message={"role": "user", "content": prompt})
    return program.hear(lambda message: message["type"] == "result")


def wait_written(place: Place, session: str, prompt: str) -> None:
    """Wait until a prompt is in the transcript: it comes there some time after the result.

    First it is there as a queue operation, which a resumed conversation does not know.
    """
    (path,) = place.work.parent.glob(f"home/.claude/projects/*/{session}.jsonl")
    deadline = time.monotonic() + 20
    while not any(
        line.endswith("\n") and '"type":"user"' in line and json.dumps(prompt) in line
        for line in path.read_text().splitlines(keepends=True)
    ):
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.001)


def test_a_claude_that_lives_on_works_is_killed_and_remembers(
    place: Place, claude_program: str, model_server: Served
) -> None:
    session = str(uuid.uuid4())
    argv = (claude_program, *CLAUDE, "stream-json", "--input-format", "stream-json", "--verbose")
    program = place.start(*argv, f"--session-id={session}")
    try:
        done = claude_turn(program, WORK)
        before = len(model_server.requests)
        said = claude_turn(program, "!usage input=7 cached=5 cache-write=3 output=2\n!say a\\nb")
        program.say(type="user", message={"role": "user", "content": "!stall"})
        while not any(record.prompt == "!stall" for record in model_server.requests):
            assert program.process.poll() is None
        program.say(type="control_request", request_id="i", request={"subtype": "interrupt"})
        interrupted = program.hear(lambda message: message["type"] == "result")
        recalled = claude_turn(program, "!recall 2")
        wait_written(place, session, "!recall 2")
    finally:
        program.kill()
    program = place.start(*argv, f"--resume={session}")
    try:
        again = claude_turn(program, "!recall 3")
    finally:
        program.kill()

    check_work(place.work)
    assert (done["is_error"], done["result"]) == (False, "it is done")
    # three calls and the end; the file that it had not read costs two requests more
    assert (done["usage"]["input_tokens"], done["usage"]["output_tokens"]) == (600, 60)
    assert said["result"] == "a\nb"
    assert said["usage"]["cache_read_input_tokens"] == 5
    assert said["usage"]["cache_creation_input_tokens"] == 3
    assert (said["usage"]["input_tokens"], said["usage"]["output_tokens"]) == (7, 2)
    assert model_server.requests[before].session == session
    assert interrupted["subtype"] == "error_during_execution"
    prompt = "!usage input=7 cached=5 cache-write=3 output=2\n!say a\\nb"
    assert recalled["result"] == f"{prompt}\n!stall"
    assert again["result"] == f"{prompt}\n!stall\n!recall 2"


@pytest.mark.parametrize(
    ("prompt", "requests", "said"),
    [
        ("!fail 401", 2, "Failed to authenticate. API Error: 401"),
        ("!fail 429 retry-after=120", 1, "API Error: Request rejected (429)"),
        ("!fail 529 times=1\n!say through", 2, "through"),
        ("!drop times=1\n!say through", 2, "through"),
        ("!reset", 2, "API Error"),
        ("!malformed", 2, "API Error: Failed to parse JSON"),
        ("!fail context_overflow", 1, "Prompt is too long"),
        ("!say words\n!fail overloaded", 1, "API Error"),
        ("!misspelt", 1, "API Error: 400 unknown directive !misspelt"),
    ],
)
def test_claude_takes_failures_for_those_of_its_provider(
    place: Place, claude_program: str, model_server: Served, prompt: str, requests: int, said: str
) -> None:
    done = place.run(claude_program, *CLAUDE, "json", prompt)

    result = json.loads(done.stdout.splitlines()[-1])
    assert result["result"].startswith(said), result
    assert result["is_error"] is (said != "through")
    assert len([r for r in model_server.requests if r.api == "anthropic"]) == requests


# ---------------------------------------------------------------- codex


def codex_turn(program: Program, thread: str, prompt: str) -> str:
    text = [{"type": "text", "text": prompt}]
    program.say(id=9, method="turn/start", params={"threadId": thread, "input": text})
    program.hear(lambda message: message.get("method") == "turn/started")
    return codex_end(program)


def codex_end(program: Program) -> str:
    """The turn's final message, or how it ended without one."""
    said = ""
    while True:
        message = program.hear(lambda message: "method" in message)
        params = message.get("params", {})
        if message["method"] == "item/completed" and params["item"]["type"] == "agentMessage":
            said = params["item"]["text"]
        if message["method"] == "turn/completed":
            return said or params["turn"]["status"]


@pytest.mark.parametrize("model", ["", "stub"])
def test_a_codex_that_lives_on_works_is_killed_and_remembers(
    place: Place, codex_program: str, model_server: Served, model: str
) -> None:
    client = {"clientInfo": {"name": "test", "version": "0"}}
    setting = {"cwd": str(place.work), "approvalPolicy": "never", "sandbox": "danger-full-access"}
    setting |= {"model": model} if model else {}

    def start(method: str, **params: object) -> tuple[Program, str]:
        program = place.start(codex_program, "app-server")
        program.say(id=1, method="initialize", params=client)
        program.say(method="initialized")
        program.say(id=2, method=method, params=params | setting)
        started = program.hear(lambda message: message.get("id") == 2)
        return program, started["result"]["thread"]["id"]

    program, thread = start("thread/start")
    try:
        done = codex_turn(program, thread, WORK)
        program.say(
            id=3,
            method="turn/start",
            params={"threadId": thread, "input": [{"type": "text", "text": "!stall"}]},
        )
        turn = program.hear(lambda message: message.get("method") == "turn/started")
        while not any(record.prompt == "!stall" for record in model_server.requests):
            assert program.process.poll() is None
        identity = {"threadId": thread, "turnId": turn["params"]["turn"]["id"]}
        program.say(id=4, method="turn/interrupt", params=identity)
        codex_end(program)
        recalled = codex_turn(program, thread, "!recall 1")
    finally:
        program.kill()
    program, resumed = start("thread/resume", threadId=thread)
    try:
        again = codex_turn(program, thread, "!recall 2")
    finally:
        program.kill()

    check_work(place.work)
    assert done == "it is done"
    assert recalled == "!stall"
    assert resumed == thread
    assert again == "!stall\n!recall 1"


@pytest.mark.parametrize(
    ("prompt", "requests", "said"),
    [
        ("!usage input=7 cached=5 output=2\n!say a\\nb", 1, "a\nb"),
        ("!fail 401", 2, "unexpected status 401 Unauthorized"),
        ("!fail 529 times=1\n!say through", 2, "through"),
        ("!drop times=1\n!say through", 2, "through"),
        ("!malformed", 2, "stream closed before response.completed"),
        ("!fail context_overflow", 1, "ran out of room"),
        ("!say words\n!fail overloaded", 1, "at capacity"),
        ("!misspelt", 1, "unknown directive !misspelt"),
    ],
)
def test_codex_takes_failures_for_those_of_its_provider(
    place: Place, codex_program: str, model_server: Served, prompt: str, requests: int, said: str
) -> None:
    flags = ("--json", "--skip-git-repo-check", "-s", "danger-full-access")
    done = place.run(codex_program, "exec", *flags, prompt)

    events = [json.loads(line) for line in done.stdout.splitlines()]
    last = events[-1]
    if said in {"through", "a\nb"}:
        messages = [e["item"]["text"] for e in events if e["type"] == "item.completed"]
        assert messages == [said]
        assert last["type"] == "turn.completed"
    else:
        assert said in last["error"]["message"]
    if said == "a\nb":
        usage = last["usage"]
        assert (usage["input_tokens"], usage["cached_input_tokens"]) == (12, 5)
        assert usage["output_tokens"] == 2
    assert len(model_server.requests) == requests
