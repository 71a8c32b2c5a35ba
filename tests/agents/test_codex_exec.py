"""`codex exec --json`, rule by rule, and tried with the real program."""

from __future__ import annotations

import json
import pathlib

import attrs
import pytest

from runner.agents.codex import CodexDriver
from runner.agents.codex_exec import CodexExecDriver
from runner.agents.driver import CodexAgent, Setting, TurnOptions
from runner.agents.events import (
    ConversationStarted,
    ErrorClass,
    FileChange,
    Raw,
    Retry,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    TurnEnded,
    TurnStarted,
    Usage,
)
from runner.agents.registry import make_driver
from runner.errors import LocalProtocolError

AGENT = CodexAgent(protocol="exec", access="read-only")
SETTING = Setting(cwd="/w", private="/p", conversation="th", resume=False, prompt="do it", turn=3)
SCHEMA = {"type": "object"}


def launch(agent=AGENT, **changes):
    """The launch for a setting with changes."""
    return make_driver(agent).launch(attrs.evolve(SETTING, **changes))


def hear(*said, exit_code=0, stderr=b"", before=lambda talk: None, **changes):
    """The events of a process that says some messages and ends."""
    talk = CodexExecDriver(AGENT).conversation(attrs.evolve(SETTING, **changes))
    before(talk)
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in said]
    events = talk.receive(b"\n".join(lines))
    return events + talk.receive_end(exit_code, stderr)


STARTED = {"type": "thread.started", "thread_id": "th"}
USAGE = {"input_tokens": 350, "cached_input_tokens": 50, "output_tokens": 30}
COMPLETED = {"type": "turn.completed", "usage": USAGE}


def completed(**item):
    """A message that an item is complete."""
    return {"type": "item.completed", "item": item}


# ---------------------------------------------------------------- the launch


def test_the_prompt_comes_by_standard_input_and_options_before_resume():
    first, second = launch(), launch(resume=True)

    assert first.stdin == b"do it"
    assert first.argv[:4] == ("codex", "exec", "--json", "--skip-git-repo-check")
    assert {"--sandbox=read-only", "--cd=/w"} < set(first.argv)
    assert first.argv[-1] == "-"
    assert "resume" not in first.argv
    assert second.argv[-3:] == ("resume", "th", "-")
    assert dict(first.files)["/p/home/.codex/config.toml"] == b""
    assert dict(first.env)["CODEX_HOME"] == "/p/home/.codex"


def test_what_holds_for_a_turn_is_part_of_its_launch():
    options = TurnOptions(access="workspace-write", schema=SCHEMA)
    started = launch(CodexAgent(protocol="exec", model="m"), options=options)

    assert {"--sandbox=workspace-write", "--model=m", "--output-schema=/p/schema.json"} < set(
        started.argv
    )
    assert json.loads(dict(started.files)["/p/schema.json"]) == SCHEMA
    talk = CodexExecDriver(AGENT).conversation(attrs.evolve(SETTING, options=options))
    assert talk.takes(options)
    with pytest.raises(LocalProtocolError):
        talk.send_turn("t", "do it")
    talk.send_turn("t", "do it", options)


def test_the_protocol_decides_which_driver_it_is():
    assert isinstance(make_driver(AGENT), CodexExecDriver)
    assert isinstance(make_driver(CodexAgent()), CodexDriver)
    config = 'model_provider = "p"\n[model_providers.p]\nname = "p"\n'
    argv = launch(CodexAgent(protocol="exec", config=config)).argv
    assert "model_providers.p.request_max_retries=2" in argv
    assert "th" in make_driver(AGENT).history("/p", "th")


# ---------------------------------------------------------------- what it says


def test_a_good_turn():
    command = {"id": "1", "type": "command_execution", "command": "echo hi"}
    changes = [{"path": "/w/a", "kind": "add"}, "odd"]
    events = hear(
        STARTED,
        {"type": "turn.started"},
        completed(id="0", type="reasoning", text="hmm"),
        {"type": "item.started", "item": {**command, "status": "in_progress"}},
        completed(**command, aggregated_output="hi\n", exit_code=0, status="completed"),
        completed(id="2", type="file_change", changes=changes, status="completed"),
        completed(id="3", type="agent_message", text="one"),
        COMPLETED,
    )
    ended = events.pop()

    assert [event for event in events if not isinstance(event, Raw)] == [
        TurnStarted(turn="3"),
        ConversationStarted(conversation="th"),
        Thinking(text="hmm"),
        ToolCall(id="1", name="commandExecution", input={"command": "echo hi"}),
        ToolResult(id="1", ok=True, text="hi\n"),
        ToolResult(id="2", ok=True, text="completed"),
        FileChange(path="/w/a", kind="created"),
        Text(text="one"),
    ]
    assert (ended.ok, ended.message, ended.stop) == (True, "one", "completed")
    assert ended.usage == Usage(input_tokens=300, cached_tokens=50, output_tokens=30)
    assert ended.raw == {"exit_code": 0, **COMPLETED}


def test_the_counts_of_a_thread_that_was_resumed_are_not_the_turns():
    assert hear(STARTED, COMPLETED, resume=True)[-1].usage == Usage()


def test_the_answer_to_a_schema_is_read():
    options = TurnOptions(schema=SCHEMA)
    for text, value in (('{"n": 5}', {"n": 5}), ("no", None)):
        said = completed(type="agent_message", text=text)
        assert hear(STARTED, said, COMPLETED, options=options)[-1].structured == value


@pytest.mark.parametrize(
    ("sentence", "error"),
    [
        ("unexpected status 401 Unauthorized: no", ErrorClass.AUTH),
        ("exceeded retry limit, last status: 429 Too Many Requests", ErrorClass.RATE_LIMITED),
        ("Codex ran out of room in the model's context window.", ErrorClass.CONTEXT_OVERFLOW),
        ("Selected model is at capacity.", ErrorClass.OVERLOADED),
        ("You've hit your usage limit.", ErrorClass.BUDGET),
        ('{"error": {"message": "bad"}}', ErrorClass.BAD_REQUEST),
        ("something else", ErrorClass.FAILED),
    ],
)
def test_why_a_turn_failed(sentence, error):
    ended = hear(STARTED, {"type": "turn.failed", "error": {"message": sentence}}, exit_code=1)[-1]

    assert (ended.ok, ended.error, ended.error_text) == (False, error, sentence)


def test_a_retry_is_an_event_and_explains_a_failure_without_words():
    sentence = "Reconnecting... 1/3 (unexpected status 529 )"
    failed = {"type": "turn.failed", "error": {"message": "?"}}
    events = hear({"type": "error", "message": sentence}, failed, exit_code=1)

    (retry,) = [event for event in events if isinstance(event, Retry)]
    assert retry == Retry(
        attempt=1, of=3, status=529, error=ErrorClass.OVERLOADED, message=sentence
    )
    assert events[-1].error is ErrorClass.OVERLOADED
    lost = hear({"type": "error", "message": "Reconnecting... 1/3"}, failed, exit_code=1)
    assert lost[-1].error is ErrorClass.NETWORK


def test_waiting_for_a_network_is_a_retry_that_has_no_last():
    sentence = "Reconnecting... waiting for network (Connection failed: error sending request)"
    said = {"type": "error", "message": sentence}
    events = hear({"type": "error", "message": "Reconnecting... 1/3"}, said, said, exit_code=-9)

    retries = [event for event in events if isinstance(event, Retry)]
    assert [(each.attempt, each.of) for each in retries] == [(1, 3), (2, None), (3, None)]
    assert {each.error for each in retries} == {ErrorClass.NETWORK}


def test_an_end_without_a_word_about_the_turn_is_no_good_one():
    assert hear(STARTED)[-1].error is ErrorClass.PROTOCOL
    ended = hear(exit_code=1, stderr=b"Error: no rollout found for thread id th\n")[-1]
    assert (ended.error, ended.stop) == (ErrorClass.FAILED, "exit 1")
    assert "no rollout found" in ended.error_text
    assert hear(STARTED, exit_code=-9)[-1].error is ErrorClass.CRASHED


def test_an_interrupt_is_one_whatever_else_was_said():
    failed = {"type": "turn.failed", "error": {"message": "interrupted"}}
    ended = hear(failed, exit_code=1, before=lambda talk: talk.interrupt())[-1]

    assert ended.error is ErrorClass.INTERRUPTED


def test_what_has_no_translation_is_kept_as_it_came():
    talk = CodexExecDriver(AGENT).conversation(SETTING)
    said = b'\nodd\n{"type":"brand.new"}\n{"type":"item.started","item":{"type":"x"}}\n'
    events = talk.receive(said + b'{"type":"error","message":"hm"}\n')

    assert [event.kind for event in events[1:]] == ["garbage", "brand.new", "item.started", "error"]
    assert isinstance(talk.receive_end(0, b"")[-1], TurnEnded)


# ---------------------------------------------------------------- the real program


@pytest.mark.real_agents
def test_real_turns_go_on_in_one_thread_and_keep_to_schema_and_access(
    make_driver, run_turn, tmp_path
):
    served = make_driver("codex", "read-only").agent
    driver = CodexExecDriver(attrs.evolve(served, protocol="exec"), CodexDriver(served).overrides)
    inside = tmp_path / "cwd"
    first = run_turn(driver, "!say one")
    conversation = next(e.conversation for e in first if isinstance(e, ConversationStarted))
    assert (first[-1].message, first[-1].usage.input_tokens) == ("one", 100)
    again = {"conversation": conversation, "resume": True}
    assert run_turn(driver, "!recall", **again)[-1].message == "!say one"
    assert run_turn(driver, "!fail 401", **again)[-1].error is ErrorClass.AUTH
    options = TurnOptions(schema={**SCHEMA, "properties": {}, "additionalProperties": False})
    assert run_turn(driver, "!say {}", options=options, **again)[-1].structured == {}
    for access in ("read-only", "workspace-write"):
        options = TurnOptions(access=access)
        run_turn(driver, f"!run touch {inside}/{access}", options=options, **again)
    assert [each.name for each in pathlib.Path(inside).iterdir()] == ["workspace-write"]
    unknown = run_turn(
        driver, "x", conversation="0" * 8 + "-0000-4000-8000-" + "0" * 12, resume=True
    )
    assert (unknown[-1].ok, "no rollout found" in unknown[-1].error_text) == (False, True)
