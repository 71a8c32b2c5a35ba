"""What the real programs can do beside whole turns: asked, steered, forked, held to a schema."""

from __future__ import annotations

import glob
import json
import pathlib
import sys
import time
import uuid

import attrs
import pytest

from runner.agents.driver import McpServer, Origin, TurnOptions
from runner.agents.events import (
    ApprovalAsked,
    ApprovalClosed,
    ConversationStarted,
    Decision,
    FileChange,
    ToolCall,
    ToolResult,
    TurnStarted,
)

pytestmark = pytest.mark.real_agents

KINDS = ["claude", "codex"]
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def of(program, kind):
    """The events of a kind."""
    return [event for event in program.events if isinstance(event, kind)]


def recalled(program) -> list[str]:
    """What was said to the model before."""
    return program.turn("!recall").message.splitlines()


def steered(program, prompt, more, *, after):
    """Carry out a turn into which a second prompt comes after a kind of event."""
    program.until(lambda: program.talk.ready)
    heard = len(program.events)
    program.talk.send_turn(str(uuid.uuid4()), prompt)
    program.until(lambda: any(isinstance(each, after) for each in program.events[heard:]))
    assert program.talk.steer(more)
    program.until(lambda: program.talk.ready)
    return program.ends()[-1]


def history_of(driver, program) -> tuple[Origin, pathlib.Path]:
    """What a fork is made with, and the file that is in it, once it is complete."""
    pattern = driver.history(program.setting.private, program.conversation)
    marker = program.ends()[-1].marker
    deadline = time.monotonic() + 10  # claude writes it up to a tenth of a second later
    while not any(marker in pathlib.Path(path).read_text() for path in glob.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (history,) = glob.glob(pattern)
    origin = Origin(conversation=program.conversation, history=history)
    return origin, pathlib.Path(history)


# ---------------------------------------------------------------- approvals

ESCALATED = (
    "text(JSON.stringify(await tools.exec_command({cmd: %s,"
    ' sandbox_permissions: "require_escalated", justification: "please"})));'
)


def outside(kind, path) -> str:
    """A prompt whose command needs leave."""
    if kind == "claude":
        return f"!write {path}: x\n!say went on"
    script = ESCALATED % json.dumps(f"touch {path}")
    return f"!tool exec {json.dumps({'input': script})}\n!say went on"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_asked_for_waits_and_is_done_or_not_as_it_is_decided(
    kind, make_driver, start, tmp_path
):
    program = start(make_driver(kind, "workspace-write"), approvals=True)
    path = tmp_path / "outside.txt"
    program.decision = lambda _asked: Decision(allow=False, message="the owner says no")
    end = program.turn(outside(kind, path))

    assert (end.ok, path.exists()) == (True, False)
    (asked,) = of(program, ApprovalAsked)
    assert str(path) in asked.text
    assert asked.kind == ("edit" if kind == "claude" else "command")
    if kind == "claude":
        assert (end.message, of(program, ToolResult)[-1].text) == ("went on", "the owner says no")
    program.decision = lambda _asked: Decision(allow=True)
    end = program.turn(outside(kind, path))
    assert (end.ok, path.exists()) == (True, True)
    assert not of(program, ApprovalClosed)
    if kind == "codex":
        assert "the owner says no" in recalled(program)


def test_claude_takes_another_input_than_it_asked_for(make_driver, start, tmp_path):
    program = start(make_driver("claude", "workspace-write"), approvals=True)
    path, other = tmp_path / "outside.txt", tmp_path / "other.txt"
    program.decision = lambda asked: Decision(
        allow=True, input={**asked.input, "file_path": str(other), "content": "mine"}
    )
    program.turn(f"!write {path}: x")

    assert (path.exists(), other.read_text()) == (False, "mine")
    assert of(program, FileChange) == [FileChange(path=str(other), kind="created")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_gets_its_answer(kind, make_driver, start):
    program = start(make_driver(kind, "read-only"), approvals=True)
    program.decision = lambda asked: Decision(
        allow=True, answers={question.id: question.options[1] for question in asked.questions}
    )
    options = [{"label": label, "description": "a colour"} for label in ("Red", "Blue")]
    question = {"header": "Colour", "question": "Which colour?", "options": options}
    tool, more = (
        ("AskUserQuestion", {"multiSelect": False})
        if kind == "claude"
        else ("request_user_input", {"id": "colour"})
    )
    end = program.turn(f"!tool {tool} {json.dumps({'questions': [question | more]})}\n!say thanks")

    assert (end.ok, end.message) == (True, "thanks")
    (asked,) = of(program, ApprovalAsked)
    assert (asked.kind, asked.text) == ("question", "Which colour?")
    assert asked.questions[0].options == ("Red", "Blue")
    if kind == "claude":
        assert '"Which colour?"="Blue"' in of(program, ToolResult)[-1].text


@pytest.mark.parametrize("kind", KINDS)
def test_a_turn_that_is_interrupted_while_it_asks_withdraws_what_it_asked_for(
    kind, make_driver, start, tmp_path
):
    program = start(make_driver(kind, "workspace-write"), approvals=True)
    path = tmp_path / "outside.txt"

    def interrupt(asked):
        program.talk.interrupt()
        return

    program.hear = lambda events: (
        program.events.extend(events),
        [interrupt(event) for event in events if isinstance(event, ApprovalAsked)],
    )
    end = program.turn(outside(kind, path))
    program.until(lambda: of(program, ApprovalClosed))

    assert end.error == "interrupted"
    (asked,) = of(program, ApprovalAsked)
    assert of(program, ApprovalClosed) == [ApprovalClosed(id=asked.id)]
    program.talk.decide(asked.id, Decision(allow=True))
    assert program.turn("!say usable").message == "usable"
    assert not path.exists()


# ---------------------------------------------------------------- steering


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_that_is_added_reaches_the_model_in_the_same_turn(kind, make_driver, start):
    driver = make_driver(kind, "danger-full-access")
    program = start(driver)
    end = steered(program, "!run sleep 0.3\n!say done", "and mind this", after=ToolCall)

    assert end.ok
    assert len(program.ends()) == 1
    program.end()
    assert "and mind this" in history_of(driver, program)[1].read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_that_is_added_to_the_last_answer_gets_one_more(kind, make_driver, start):
    program = start(make_driver(kind, "read-only"))
    end = steered(program, "!say first\n!sleep 0.5", "!say second", after=TurnStarted)

    assert (end.ok, end.message) == (True, "second")
    assert kind == "codex" or end.usage.input_tokens == 200  # of both answers
    assert len(program.ends()) == 1
    assert program.turn("!say third").message == "third"
    assert not program.talk.steer("there is no turn")


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_ends_the_prompt_that_was_added_too(kind, make_driver, start):
    program = start(make_driver(kind, "danger-full-access"))
    program.until(lambda: program.talk.ready)
    program.talk.send_turn(str(uuid.uuid4()), "!run sleep 30\n!say never")
    program.until(lambda: of(program, TurnStarted))
    program.talk.steer("!run sleep 30\n!say never")
    program.talk.interrupt()
    program.until(lambda: program.talk.ready)

    assert [end.error for end in program.ends()] == ["interrupted"]
    assert program.turn("!say usable").message == "usable"


# ---------------------------------------------------------------- forks


@pytest.mark.parametrize("kind", KINDS)
def test_a_fork_goes_on_from_any_turn_in_another_directory_and_leaves_its_origin_alone(
    kind, make_driver, start, tmp_path
):
    driver = make_driver(kind, "read-only")
    first = start(driver)
    ends = [first.turn(f"!say {number}") for number in range(3)]
    origin, _ = history_of(driver, first)
    for name, marker, prompts in (
        ("second", ends[1].marker, ["!say 0", "!say 1"]),
        ("last", "", ["!say 0", "!say 1", "!say 2"]),
    ):
        (tmp_path / name).mkdir()
        place = {"cwd": str(tmp_path / name), "private": str(tmp_path / f"private-{name}")}
        fork = start(driver, **place, origin=attrs.evolve(origin, marker=marker))
        end = fork.turn("!usage input=100 output=10\n!recall")

        assert end.message.splitlines() == prompts
        assert end.usage.input_tokens == 100
        assert end.cost_usd == (ends[1].cost_usd and pytest.approx(ends[1].cost_usd))
        fork.end()
        conversation = fork.conversation
        assert conversation != first.conversation
        revived = start(driver, **place, conversation=conversation, resume=True)
        assert recalled(revived)[: len(prompts)] == prompts
    assert recalled(first) == ["!say 0", "!say 1", "!say 2"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_fork_of_a_fork_needs_its_own_directory_only(kind, make_driver, start, tmp_path):
    driver = make_driver(kind, "read-only")
    before = start(driver, private=str(tmp_path / "p0"))
    for number in range(3):
        before.turn(f"!say {number}")
        before.end()
        origin, _ = history_of(driver, before)
        before = start(driver, private=str(tmp_path / f"p{number + 1}"), origin=origin)
    said = recalled(before)
    before.end()
    for number in range(3):
        (tmp_path / f"p{number}").rename(tmp_path / f"gone{number}")
    revived = start(
        driver, private=str(tmp_path / "p3"), conversation=before.conversation, resume=True
    )

    assert said == ["!say 0", "!say 1", "!say 2"]
    assert recalled(revived)[:3] == said


# ---------------------------------------------------------------- schema and access


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_keeps_to_a_schema(kind, make_driver, start):
    options = TurnOptions(schema=SCHEMA)
    driver = make_driver(kind, "read-only")
    program = start(driver, options=options)
    assert program.talk.takes(options)
    said = '!tool StructuredOutput {"n": 5}' if kind == "claude" else '!say {"n": 5}'

    assert program.turn(said, options).structured == {"n": 5}
    assert program.turn("!say no", options).structured is None


@pytest.mark.parametrize(("first", "second"), [("workspace-write", "read-only")])
def test_codex_takes_another_access_with_each_turn(first, second, make_driver, start, tmp_path):
    program = start(make_driver("codex", first))
    inside = tmp_path / "cwd"
    for number, access in enumerate([first, second, None]):
        program.turn(f"!run touch {inside}/{number}", TurnOptions(access=access))

    assert [(inside / str(number)).exists() for number in range(3)] == [True, False, True]


# ---------------------------------------------------------------- MCP

SERVER = """
import json, os, sys
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
                    {
                        "type": "text",
                        "text": given.get("arguments", {}).get("text", "").upper()
                        + os.environ.get("MARK", ""),
                    }
                ]
            },
        }
        answer = {"jsonrpc": "2.0", "id": asked["id"]}
        known = answers.get(asked["method"])
        answer |= {"error": {"code": -32601, "message": "no"}} if known is None else {"result": known}
        print(json.dumps(answer), flush=True)
"""


def shout(kind) -> str:
    """A prompt that uses the server's tool."""
    if kind == "claude":
        return '!tool mcp__probe__shout {"text": "hey"}\n!say done'
    script = 'text(JSON.stringify(await tools.mcp__probe__shout({text: "hey"})));'
    return f"!tool exec {json.dumps({'input': script})}\n!say done"


@pytest.mark.parametrize("access", ["read-only", "workspace-write", "danger-full-access"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_handed_to_it_can_be_used_without_asking(
    kind, access, make_driver, start, tmp_path
):
    (tmp_path / "server.py").write_text(SERVER)
    command = (sys.executable, str(tmp_path / "server.py"))
    server = McpServer(name="probe", command=command, env={"MARK": " m1"})
    driver = make_driver(kind, access)
    if kind == "claude":  # newer versions offer such tools only to a model that searches for them
        driver = attrs.evolve(
            driver, agent=attrs.evolve(driver.agent, env={"ENABLE_TOOL_SEARCH": "false"})
        )
    program = start(driver, servers=(server,))
    end = program.turn(shout(kind))

    assert end.ok
    assert not of(program, ApprovalAsked)
    assert [result.text for result in of(program, ToolResult)] == ["HEY m1"]
    assert not any("m1" in word for word in driver.launch(program.setting).argv)


@pytest.mark.parametrize("kind", KINDS)
def test_where_somebody_decides_a_servers_tool_is_asked_for(kind, make_driver, start, tmp_path):
    (tmp_path / "server.py").write_text(SERVER)
    command = (sys.executable, str(tmp_path / "server.py"))
    program = start(
        make_driver(kind, "read-only"),
        servers=(McpServer(name="probe", command=command),),
        approvals=True,
    )
    program.decision = lambda _asked: Decision(allow=True)
    program.turn(shout(kind))

    (asked,) = of(program, ApprovalAsked)
    assert (asked.tool, asked.input) == ("mcp__probe__shout", {"text": "hey"})
    assert [result.text for result in of(program, ToolResult)] == ["HEY"]


FORM = SERVER.replace(
    "for line in sys.stdin:",
    """for line in sys.stdin:
    if '"elicitation/create"' not in line and '"tools/call"' in line:
        form = {"type": "object", "properties": {"n": {"type": "integer"}}}
        given = {"message": "How many?", "requestedSchema": form}
        asking = {"jsonrpc": "2.0", "id": 99, "method": "elicitation/create", "params": given}
        print(json.dumps(asking), flush=True)
        answer = json.loads(sys.stdin.readline())["result"]
        os.environ["MARK"] = " {action} {content[n]}".format(**answer)
""",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_form_of_a_server_is_a_question(kind, make_driver, start, tmp_path):
    (tmp_path / "server.py").write_text(FORM)
    command = (sys.executable, str(tmp_path / "server.py"))
    program = start(
        make_driver(kind, "read-only"),
        servers=(McpServer(name="probe", command=command),),
        approvals=True,
    )
    program.decision = lambda _asked: Decision(allow=True, answers={"n": "3"})
    program.turn(shout(kind))

    tool, form = of(program, ApprovalAsked)
    assert (tool.kind, form.kind, form.text) == ("tool", "question", "How many?")
    assert [result.text for result in of(program, ToolResult)] == ["HEY accept 3"]


# ---------------------------------------------------------------- credentials


def test_claude_says_which_credential_it_uses(make_driver, start):
    program = start(make_driver("claude", "read-only"))
    program.turn("!say x")

    assert {each.credential for each in of(program, ConversationStarted)} == {"ANTHROPIC_API_KEY"}
