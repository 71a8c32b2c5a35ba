"""The real gemini and opencode over the Agent Client Protocol, as their files in configs say."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time
import uuid

import attrs
import pytest

from runner.agents.acp import AcpDriver
from runner.agents.driver import Agent, McpServer, TurnOptions
from runner.agents.events import ApprovalAsked, Decision, ToolCall, ToolResult
from runner.config import load_record

pytestmark = pytest.mark.real_agents

CONFIGS = pathlib.Path(__file__).parents[2] / "configs" / "agents"

# opencode shows the same in sessions/real, and takes seconds of processor time for each start.
only_gemini = pytest.mark.parametrize("kind", ["gemini"], indirect=True)


@pytest.fixture(params=["gemini", "opencode"])
def kind(request):
    """Which program."""
    request.getfixturevalue(f"{request.param}_program")
    return request.param


@pytest.fixture
def make(kind, acp_agent):
    """Make its driver, which asks the model server, from its file."""

    def make(access="danger-full-access", **options):
        return AcpDriver(acp_agent(kind, access, **options))

    return make


def of(program, kind):
    """The events of a kind."""
    return [event for event in program.events if isinstance(event, kind)]


def running(mark):
    """The processes with a word in their command lines."""
    found = subprocess.run(["pgrep", "-f", mark], capture_output=True, text=True, check=False)
    return found.stdout.split()


@only_gemini
def test_turns_with_tools_and_what_is_asked_for_is_done_or_not_as_it_is_decided(
    kind, make, start, tmp_path
):
    program = start(make("workspace-write"), approvals=True)
    program.decision = lambda asked: Decision(allow="no.txt" not in str(asked.input))
    end = program.turn("!think hmm\n!write yes.txt: hello\n!run cat yes.txt > out.txt\n!say done é")
    program.turn("!write no.txt: x\n!say went on")

    assert (end.ok, end.message) == (True, "done é")
    assert end.usage.output_tokens >= 10
    assert (tmp_path / "cwd" / "out.txt").read_text() == "hello\n"
    assert not (tmp_path / "cwd" / "no.txt").exists()
    asked = [each.kind for each in of(program, ApprovalAsked)]
    assert asked == ["edit", "command", "edit"]
    assert [result.ok for result in of(program, ToolResult)] == [True, True, False]
    assert len(of(program, ToolCall)) == 3


def test_a_mode_holds_what_the_file_says_that_it_holds(kind, make, start, tmp_path):
    program = start(make("read-only"))
    prompt = f"!write {tmp_path}/cwd/a: x\n!run touch b\n!write {tmp_path}/c: x\n!say done"
    program.turn(prompt)
    assert not any((tmp_path / name).exists() for name in ("cwd/a", "cwd/b", "c"))
    program.turn(prompt, TurnOptions(access="danger-full-access"))
    assert (tmp_path / "cwd" / "b").exists()
    (tmp_path / "cwd" / "b").unlink()
    program.turn(prompt)

    assert not (tmp_path / "cwd" / "b").exists()


def test_geminis_own_tools_write_in_the_directory_only(request, start, tmp_path, model_server):
    request.getfixturevalue("gemini_program")
    agent = load_record(CONFIGS / "gemini.toml", Agent)
    env = {"GEMINI_API_KEY": "dummy", "GOOGLE_GEMINI_BASE_URL": model_server.url}
    program = request.getfixturevalue("gemini_program")
    agent = attrs.evolve(agent, argv=(program, *agent.argv[1:]), env={**agent.env, **env})
    program = start(AcpDriver(agent))
    program.turn(f"!write in.txt: x\n!write {tmp_path}/out.txt: x\n!run touch run.txt\n!say done")

    assert (tmp_path / "cwd" / "in.txt").exists()
    assert not (tmp_path / "out.txt").exists()
    assert not (tmp_path / "cwd" / "run.txt").exists()


@only_gemini
def test_an_interrupt_at_any_moment_ends_the_turn(kind, make, start):
    program = start(make())
    for attempt in range(2):
        program.until(lambda: program.talk.ready)
        program.talk.send_turn(str(uuid.uuid4()), f"!run sleep 47.0{attempt}\n!say never")
        heard = len(program.events)
        began = time.monotonic()
        if attempt % 2:
            program.until(
                lambda heard=heard: any(isinstance(e, ToolCall) for e in program.events[heard:])
            )
        program.talk.interrupt()
        program.until(lambda: program.talk.ready)

        assert program.ends()[-1].error == "interrupted"
        assert time.monotonic() - began < 30
    assert program.turn("!say usable").message == "usable"
    assert not running("sleep 47.0")


def test_a_conversation_that_is_not_there_is_said_so(kind, make, start):
    unknown = str(uuid.uuid4()) if kind == "gemini" else "ses_unknown"
    end = start(make(), conversation=unknown, resume=True).turn("!say x")

    assert (end.ok, end.stop) == (False, "refused")
    assert end.error_text


SERVER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    given = asked.get("params", {})
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    if "id" in asked:
        answers = {
            "initialize": {
                "protocolVersion": given.get("protocolVersion"),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "probe", "version": "1"},
            },
            "tools/list": {
                "tools": [{"name": "shout", "description": "shouts", "inputSchema": schema}]
            },
            "tools/call": {
                "content": [
                    {"type": "text", "text": given.get("arguments", {}).get("text", "").upper()}
                ]
            },
        }
        answer = {"jsonrpc": "2.0", "id": asked["id"]}
        known = answers.get(asked["method"])
        answer |= {"error": {"code": -32601, "message": "no"}} if known is None else {"result": known}
        print(json.dumps(answer), flush=True)
"""


def test_prompts_arrive_as_they_are_refusals_are_errors_and_a_server_handed_to_it_is_used(
    kind, make, start, tmp_path
):
    (tmp_path / "server.py").write_text(SERVER)
    command = (sys.executable, str(tmp_path / "server.py"))
    program = start(make(), servers=(McpServer(name="probe", command=command),))
    # Also those that look like a command.
    prompts = ["/clear the table", "/memory show", "/help", " $x", "@file.txt", "two\n\nlines"]
    ends = [program.turn(prompt) for prompt in prompts]
    said = program.turn("!recall").message

    assert all(end.ok for end in ends)
    assert all(prompt.strip() in said for prompt in prompts)

    ends = [program.turn(f"!fail {status}\n!say x") for status in (400, 401)]

    known = ["bad_request", "auth"] if kind == "gemini" else ["failed", "failed"]
    assert [end.error for end in ends] == known
    assert program.turn("!say fine").ok

    name = "mcp_probe_shout" if kind == "gemini" else "probe_shout"
    end = program.turn(f'!tool {name} {{"text": "hey"}}\n!say done')

    assert end.message == "done"
    (result,) = of(program, ToolResult)
    assert result.ok
    assert "HEY" in result.text
