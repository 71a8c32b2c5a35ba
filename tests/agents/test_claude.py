"""Claude Code's driver and protocol, rule by rule; what the program says is written by hand."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest

from runner.agents import claude_errors
from runner.agents.claude import ClaudeDriver
from runner.agents.claude_read import as_time, of_answer, text_in, version_of
from runner.agents.driver import ClaudeAgent, Setting
from runner.agents.events import (
    ApprovalAsked,
    ApprovalClosed,
    Decision,
    ErrorClass,
    RateLimited,
    Raw,
    Ready,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    TurnEnded,
    TurnStarted,
    Usage,
    UsageChanged,
)
from runner.agents.provider import by_status
from runner.errors import LocalProtocolError

U = "6f1c9d80-0d5b-4d7e-9f57-0b6c6f1d2a3b"


def setting(**changes) -> Setting:
    options = {"cwd": "/w", "private": "/p", "conversation": U, "resume": False}
    return Setting(**{**options, **changes})


class Pair:
    """A conversation, and the program's side of it (the rig is h11's)."""

    def __init__(self, *, version="2.1.329", resume=False, answered=True, usage=0.0):
        self.talk = ClaudeDriver(ClaudeAgent()).conversation(setting(resume=resume))
        self.opening = self.sent()
        if answered:
            self.answer("initialize", {})
            self.answer("version", {"version": version})
            if resume and usage is not None:
                self.answer("usage", {"session": {"total_cost_usd": usage}})

    def says(self, kind, **fields):
        return self.talk.receive(json.dumps({"type": kind, **fields}).encode() + b"\n")

    def answer(self, request, response):
        body = {"subtype": "success", "request_id": request, "response": response}
        return self.says("control_response", response=body)

    def sent(self):
        return [json.loads(line) for line in self.talk.data_to_send().splitlines()]

    def turn(self, prompt="do it", turn="t", begin=True):
        """Send a turn and let the program begin with it."""
        self.talk.send_turn(turn, prompt)
        (line,) = self.sent()
        self.uuid = line["uuid"]
        if begin:
            assert self.echo() == [TurnStarted(turn=turn)]
        return line

    def echo(self):
        return self.says("user", isReplay=True, uuid=self.uuid, message={"content": "do it"})

    def result(self, **fields):
        return self.says(
            "result", **{"subtype": "success", "is_error": False, "result": "done", **fields}
        )


def idle(pair):
    return pair.says("system", subtype="session_state_changed", state="idle")


# ---------------------------------------------------------------- the launch


def argv(**options):
    launch = ClaudeDriver(ClaudeAgent(**options), root=False).launch(setting())
    return launch.argv


def environment(root=False, **options):
    return dict(ClaudeDriver(ClaudeAgent(**options), root=root).launch(setting()).env)


def test_a_new_conversation_has_its_id_and_an_old_one_is_resumed():
    driver = ClaudeDriver(ClaudeAgent(args=("--effort=low",)))

    assert driver.launch(setting()).argv[-2:] == (f"--session-id={U}", "--effort=low")
    assert driver.launch(setting(resume=True)).argv[-2:] == (f"--resume={U}", "--effort=low")


@pytest.mark.parametrize(
    ("where", "place", "by"),
    [
        ({"cwd": "/a/my_shop.x"}, "-a-my-shop-x", U),
        ({"cwd": "/a/b"}, "-a-c", "/p/home/.claude/projects/-a-c/x.jsonl"),
        ({"cwd": "/a/b", "real": "/a/c"}, "-a-c", U),
        ({"cwd": "/a/b", "real": "/a/c"}, "-a-b", "/p/home/.claude/projects/-a-b/x.jsonl"),
        ({"cwd": "/a/b"}, "", U),
    ],
)
def test_one_that_was_begun_below_another_path_is_resumed_by_its_file(where, place, by):
    history = f"/p/home/.claude/projects/{place}/x.jsonl" if place else ""
    launch = ClaudeDriver(ClaudeAgent()).launch(setting(resume=True, history=history, **where))

    assert launch.argv[-1] == f"--resume={by}"


def test_it_speaks_json_over_an_open_input_and_has_no_foreign_mcp_servers():
    launch = ClaudeDriver(ClaudeAgent(program="/opt/claude", model="sonnet")).launch(setting())

    assert launch.argv[:4] == (
        "/opt/claude",
        "-p",
        "--input-format=stream-json",
        "--output-format=stream-json",
    )
    assert "--strict-mcp-config" in launch.argv
    assert "--model=sonnet" in launch.argv
    assert launch.stdin is None
    assert "ANTHROPIC_API_KEY" in launch.pass_env


def test_read_only_declares_only_tools_that_read():
    assert "--tools=Read,Glob,Grep" in argv(access="read-only")
    assert "--dangerously-skip-permissions" not in argv(access="read-only")


def test_workspace_write_has_the_sandbox_or_nothing():
    (settings,) = [arg for arg in argv(access="workspace-write") if arg.startswith("--settings=")]
    sandbox = json.loads(settings.removeprefix("--settings="))["sandbox"]

    assert sandbox["enabled"]
    assert sandbox["failIfUnavailable"]
    assert not sandbox["allowUnsandboxedCommands"]
    assert "enableWeakerNestedSandbox" not in sandbox
    assert "--permission-mode=acceptEdits" in argv(access="workspace-write")
    assert "--dangerously-skip-permissions" not in argv(access="workspace-write")


def test_inside_an_isolation_its_sandbox_does_without_a_proc_of_its_own():
    launch = ClaudeDriver(ClaudeAgent(access="workspace-write")).launch(setting(nested=True))
    (settings,) = [arg for arg in launch.argv if arg.startswith("--settings=")]

    assert json.loads(settings.removeprefix("--settings="))["sandbox"]["enableWeakerNestedSandbox"]


def test_what_its_sandbox_is_made_with_is_needed_only_where_it_has_one():
    def needs(access):
        launch = ClaudeDriver(ClaudeAgent(access=access)).launch(setting())
        return [(need.program, need.why.rpartition(" ")[2]) for need in launch.needs]

    assert needs("workspace-write") == [("bwrap", "bubblewrap"), ("socat", "socat")]
    assert needs("read-only") == needs("danger-full-access") == []


@pytest.mark.parametrize("access", ["read-only", "workspace-write"])
def test_confined_modes_read_the_directorys_memory_but_not_its_settings(access):
    assert "--setting-sources=user" in argv(access=access)
    assert "--add-dir=/w" in argv(access=access)
    assert environment(access=access)["CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD"] == "1"


def test_full_access_skips_permissions_and_as_root_it_says_that_it_is_confined():
    assert "--dangerously-skip-permissions" in argv(access="danger-full-access")
    assert "IS_SANDBOX" not in environment(access="danger-full-access")
    assert environment(access="danger-full-access", root=True)["IS_SANDBOX"] == "1"
    assert "IS_SANDBOX" not in environment(access="workspace-write", root=True)


def test_its_environment_is_private_quiet_and_bounded_and_the_users_comes_last():
    env = environment(max_retries=1, request_timeout=2.5)

    assert (env["HOME"], env["CLAUDE_CONFIG_DIR"]) == ("/p/home", "/p/home/.claude")
    assert (env["CLAUDE_CODE_MAX_RETRIES"], env["API_TIMEOUT_MS"]) == ("1", "2500")
    assert env["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS"] == "1"
    assert env["DISABLE_AUTOUPDATER"] == env["DISABLE_TELEMETRY"] == "1"
    assert environment(env={"API_TIMEOUT_MS": "9"})["API_TIMEOUT_MS"] == "9"


def test_what_it_writes_for_a_time_is_private_too_by_a_short_name():
    def launch(private):
        return ClaudeDriver(ClaudeAgent()).launch(setting(private=private))

    short, long = launch("/p"), launch("/" + "p" * 80)
    assert (dict(short.env)["TMPDIR"], short.links) == ("/p/scratch", ())
    ((name, scratch),) = long.links
    assert dict(long.env)["TMPDIR"] == name
    assert len(name) < 40
    assert scratch == "/" + "p" * 80 + "/scratch"
    assert scratch + "/.keep" in dict(long.files)
    assert launch("/" + "q" * 80).links[0][0] != name


def test_sigterm_is_the_last_rung():
    driver = ClaudeDriver(ClaudeAgent())

    assert [rung.act for rung in driver.ladder] == ["interrupt", "eof", "SIGINT", "SIGTERM"]
    assert (driver.name, driver.process_per_turn) == ("claude", False)


# ---------------------------------------------------------------- the opening


def test_it_is_ready_when_both_questions_are_answered():
    pair = Pair(answered=False)

    assert [line["request"]["subtype"] for line in pair.opening] == [
        "initialize",
        "get_binary_version",
    ]
    assert not pair.talk.ready
    assert isinstance(pair.answer("initialize", {})[0], Raw)
    assert pair.answer("version", {"version": "2.1.329"}) == [Ready()]
    assert pair.talk.ready
    assert isinstance(pair.answer("version", {})[0], Raw)


def test_a_program_that_does_not_know_its_version_is_ready_too():
    pair = Pair(answered=False)
    pair.says(
        "control_response", response={"subtype": "error", "request_id": "version", "error": "x"}
    )

    assert pair.answer("initialize", {}) == [Ready()]
    assert pair.turn("/x")["message"]["content"] == "\n/x"


def test_a_turn_before_it_is_ready_or_during_another_is_our_fault():
    with pytest.raises(LocalProtocolError, match="starting"):
        Pair(answered=False).talk.send_turn("t", "x")
    pair = Pair()
    pair.turn()
    with pytest.raises(LocalProtocolError, match="in_turn"):
        pair.talk.send_turn("t2", "x")
    pair.talk.receive_end(0, b"")
    with pytest.raises(LocalProtocolError, match="ended"):
        pair.talk.send_turn("t3", "x")
    assert pair.talk.receive_end(0, b"") == []


@pytest.mark.parametrize("prompt", ["", " ", "\n\t"])
def test_a_blank_prompt_is_our_fault(prompt):
    with pytest.raises(LocalProtocolError, match="blank"):
        Pair().talk.send_turn("t", prompt)


# ---------------------------------------------------------------- prompts


@pytest.mark.parametrize(
    ("version", "prompt", "expected"),
    [
        ("2.1.329", "/clear x", "/clear x"),
        ("2.1.248", "/clear x", "/clear x"),
        ("2.1.247", "/clear x", "\n/clear x"),
        ("2.1.197", "/clear x", "\n/clear x"),
        ("2.1.197", " /clear", " /clear"),
        ("2.1.197", "-x\n", "-x\n"),
        ("2.1.329", "a\udcffb", "a\N{REPLACEMENT CHARACTER}b"),
        ("2.1.329", "a\ud83db", "a?b"),
    ],
)
def test_a_prompt_reaches_the_model_verbatim(version, prompt, expected):
    line = Pair(version=version).turn(prompt)

    assert expected == line["message"]["content"]
    assert line["client_composed"] is True


def test_a_turns_uuid_is_its_id_if_that_is_one_and_else_a_new_one():
    pair = Pair()

    assert pair.turn(turn=U)["uuid"] == U
    pair.result()
    first = pair.turn(turn="7")["uuid"]
    pair.result()
    assert uuid.UUID(first) != uuid.UUID(pair.turn(turn="7")["uuid"])


# ---------------------------------------------------------------- which result is whose


def test_a_result_after_our_line_began_ends_the_turn():
    pair = Pair()
    pair.turn()
    (end,) = pair.result(usage={"input_tokens": 3}, total_cost_usd=0.5)

    assert (end.turn, end.ok, end.message, end.usage) == ("t", True, "done", Usage(input_tokens=3))
    assert (end.cost_usd, end.cost_source) == (0.5, "program")
    assert end.raw["result"] == "done"
    assert pair.talk.ready


def test_a_result_of_another_origin_is_nobodys():
    pair = Pair()
    assert isinstance(pair.result()[0], Raw)
    pair.turn()

    assert isinstance(pair.result(origin={"kind": "task-notification"})[0], Raw)
    assert isinstance(pair.result(origin={"kind": "human"})[0], TurnEnded)


def test_a_result_before_our_line_began_was_somebody_elses():
    pair = Pair()
    pair.turn(begin=False)

    assert isinstance(pair.result(result="of a task")[0], Raw)
    assert pair.echo() == [TurnStarted(turn="t")]
    assert pair.result()[0].message == "done"


def test_a_result_without_our_line_that_is_followed_by_idle_is_ours():
    pair = Pair()
    pair.turn(begin=False)
    pair.result(subtype="error_max_budget_usd", is_error=True, result=None)
    started, end = idle(pair)

    assert started == TurnStarted(turn="t")
    assert end.error is ErrorClass.BUDGET


def test_idle_does_not_end_a_turn_that_the_program_has_queued():
    pair = Pair()
    pair.turn(begin=False)
    pair.says("command_lifecycle", command_uuid=pair.uuid, state="queued")
    pair.result(result="of a task")

    assert isinstance(idle(pair)[0], Raw)
    assert (
        pair.says("command_lifecycle", command_uuid="other", state="started")[0].kind
        == "command_lifecycle"
    )
    assert pair.says("command_lifecycle", command_uuid=pair.uuid, state="started") == [
        TurnStarted(turn="t")
    ]
    assert isinstance(pair.echo()[0], Raw)
    assert isinstance(idle(pair)[0], Raw)
    assert pair.result()[0].ok


def test_a_result_without_our_line_before_the_end_of_the_process_is_ours():
    pair = Pair()
    pair.turn(begin=False)
    pair.result(subtype="error_during_execution", is_error=True, errors=["a", 7, "b"], result=None)
    started, end = pair.talk.receive_end(1, b"")

    assert started == TurnStarted(turn="t")
    assert (end.error, end.error_text) == (ErrorClass.FAILED, "a; b")


def test_a_last_line_without_its_newline_counts_and_half_a_line_does_not():
    pair = Pair()
    pair.turn()
    assert (
        pair.talk.receive(b'{"type":"result","subtype":"success","is_error":false,"result":"done"}')
        == []
    )
    (end,) = pair.talk.receive_end(0, b"")
    assert end.ok

    pair = Pair()
    pair.turn()
    pair.talk.receive(b'{"type":"result","subt')
    half, cut = pair.talk.receive_end(0, b"\x1b[31mboom\x1b[0m\n")
    assert half == Raw(kind="partial", data=b'{"type":"result","subt')
    assert (cut.error, cut.error_text) == (
        ErrorClass.CRASHED,
        "it ended (exit 0) in the turn: boom",
    )


def test_somebody_elses_echo_means_nothing():
    pair = Pair()
    assert isinstance(pair.says("user", isReplay=True, uuid="x")[0], Raw)
    pair.turn(begin=False)

    assert isinstance(pair.says("user", isReplay=True, uuid="x")[0], Raw)
    assert pair.result(result="of a task")[0].kind == "result/success"


# ---------------------------------------------------------------- cost


def test_the_cost_of_a_turn_is_the_difference():
    pair = Pair()
    costs = []
    for total in (0.1, 0.3, None, 0.6):
        pair.turn()
        (end,) = pair.result(total_cost_usd=total)
        costs.append((end.cost_usd, end.cost_source))

    assert costs == [(0.1, "program"), (0.2, "program"), (None, "none"), (0.3, "program")]


def test_after_a_resume_the_counter_starts_where_the_program_says():
    pair = Pair(resume=True, usage=0.5)
    assert pair.opening[2]["request"] == {"subtype": "get_usage"}
    pair.turn()

    assert pair.result(total_cost_usd=0.75)[0].cost_usd == 0.25


def test_after_a_resume_that_does_not_say_it_the_first_cost_is_unknown():
    pair = Pair(resume=True, usage=None)
    pair.turn()
    pair.answer("usage", {"session": {"total_cost_usd": 0.6}})  # too late: it may count this turn

    assert pair.result(total_cost_usd=0.75)[0].cost_usd is None
    pair.answer("usage", {"session": {"total_cost_usd": 0.6}})
    pair.turn()
    assert pair.result(total_cost_usd=1.0)[0].cost_usd == 0.25


# ---------------------------------------------------------------- interrupts and refusals


def test_an_interrupt_without_a_turn_is_nothing():
    pair = Pair()
    pair.talk.interrupt()

    assert pair.sent() == []


def test_an_interrupt_before_our_line_began_is_asked_for_again():
    pair = Pair()
    pair.turn(begin=False)
    pair.talk.interrupt()
    first = pair.sent()
    pair.echo()
    second = pair.sent()

    assert [line["request"] for line in first + second] == [{"subtype": "interrupt"}] * 2
    assert first[0]["request_id"] != second[0]["request_id"]
    (end,) = pair.result(subtype="error_during_execution", is_error=True)
    assert end.error is ErrorClass.INTERRUPTED


def test_a_process_that_ends_after_an_interrupt_was_interrupted():
    pair = Pair()
    pair.turn()
    pair.talk.interrupt()

    assert pair.talk.receive_end(0, b"")[0].error is ErrorClass.INTERRUPTED


def test_a_question_for_leave_waits_and_can_be_refused_with_a_sentence_for_the_agent():
    pair = Pair()
    pair.turn()
    events = pair.says(
        "control_request",
        request_id="r7",
        request={"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "rm"}},
    )

    assert events == [
        ApprovalAsked(id="r7", tool="Bash", input={"command": "rm"}, kind="command", text="rm")
    ]
    assert pair.sent() == []
    pair.talk.decide("r7", Decision(allow=False, message="not here"))
    pair.talk.decide("r7", Decision(allow=True))
    pair.talk.decide("r9", Decision(allow=True))
    (answer,) = pair.sent()
    assert answer["response"]["request_id"] == "r7"
    assert answer["response"]["response"] == {"behavior": "deny", "message": "not here"}


def test_what_is_asked_for_may_be_withdrawn():
    pair = Pair()
    request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {}}
    pair.says("control_request", request_id="r7", request=request)

    assert pair.says("control_cancel_request", request_id="r7") == [ApprovalClosed(id="r7")]
    assert isinstance(pair.says("control_cancel_request", request_id="r7")[0], Raw)
    assert isinstance(pair.answer("nothing of ours", {})[0], Raw)
    pair.talk.decide("r7", Decision(allow=True))
    assert pair.sent() == []


# ---------------------------------------------------------------- steering


def test_a_line_can_be_added_from_the_start_of_a_turn_until_its_end_is_asked_for():
    pair = Pair(version="2.1.197")
    assert not pair.talk.steer("too early")
    pair.turn(begin=False)
    assert not pair.talk.steer("too early")
    pair.echo()
    with pytest.raises(LocalProtocolError, match="blank"):
        pair.talk.steer(" ")
    assert pair.talk.steer("/now")
    line, behind = pair.sent()
    assert (line["message"]["content"], behind["request"]["subtype"]) == (
        "\n/now",
        "get_binary_version",
    )
    pair.talk.interrupt()
    assert not pair.talk.steer("too late")


def steer(pair, prompt="more"):
    """Add a line; its echo, and the answer to the request behind it."""
    assert pair.talk.steer(prompt)
    line, behind = pair.sent()
    return (
        lambda: pair.says("user", isReplay=True, uuid=line["uuid"], message={"content": prompt}),
        lambda: pair.answer(behind["request_id"], {"version": "2.1.329"}),
        line["uuid"],
    )


def test_a_line_that_is_folded_in_leaves_the_turn_its_one_result():
    pair = Pair()
    pair.turn()
    echo, read, _ = steer(pair)
    read()

    assert [type(event) for event in echo()] == [Raw]
    (end,) = pair.result(result="done", usage={"input_tokens": 2})
    assert (end.message, end.usage.input_tokens) == ("done", 2)


def test_a_line_that_comes_after_the_answer_gets_one_more_and_both_count():
    pair = Pair()
    pair.turn()
    echo, read, _ = steer(pair)
    assert isinstance(pair.result(result="first", usage={"input_tokens": 2})[0], Raw)
    assert isinstance(idle(pair)[0], Raw)  # said before it had read the line
    read()
    echo()
    (end,) = pair.result(result="second", usage={"input_tokens": 3}, total_cost_usd=0.5)

    assert (end.message, end.usage.input_tokens, end.cost_usd) == ("second", 5, 0.5)


def test_a_line_that_was_lost_does_not_keep_the_turn_from_its_end():
    pair = Pair()
    pair.turn()
    _, read, uuid = steer(pair)
    pair.says("command_lifecycle", command_uuid=uuid, state="queued")
    read()
    pair.result(result="done")
    assert isinstance(idle(pair)[0], Raw)
    pair.says("command_lifecycle", command_uuid=uuid, state="cancelled")

    assert idle(pair)[0].message == "done"


def test_an_interrupt_is_asked_for_again_when_the_program_begins_with_the_line():
    pair = Pair()
    pair.turn()
    echo, read, _ = steer(pair)
    pair.talk.interrupt()
    pair.sent()
    read()
    pair.result(is_error=True, terminal_reason="aborted_tools")
    echo()

    assert [line["request"]["subtype"] for line in pair.sent()] == ["interrupt"]
    (end,) = pair.result(result="second")  # it came too late for that
    assert (end.ok, end.error) == (False, ErrorClass.INTERRUPTED)


def test_any_other_question_is_answered_too():
    pair = Pair()

    assert (
        pair.says("control_request", request_id="r8", request={"subtype": "mcp_message"})[0].kind
        == "control_request"
    )
    assert pair.sent()[0]["response"] == {
        "request_id": "r8",
        "subtype": "error",
        "error": "this is not supported here",
    }


# ---------------------------------------------------------------- what is told on the way


def test_a_subagents_words_are_not_the_agents():
    pair = Pair()
    pair.turn()
    content = [
        {"type": "text", "text": "sub"},
        {"type": "tool_use", "id": "1", "name": "Read"},
        "odd",
    ]
    events = pair.says("assistant", message={"content": content}, parent_tool_use_id="x")
    delta = {"type": "content_block_delta", "delta": {"text": "sub"}}

    assert events == [ToolCall(id="1", name="Read", input={})]
    assert pair.says("stream_event", event=delta, parent_tool_use_id="x")[0].kind == "stream_event"
    assert pair.result(subtype="error_during_execution", is_error=True)[0].message == ""


def test_what_is_said_between_turns_is_told_and_ends_nothing():
    pair = Pair()
    started = {"type": "message_start", "message": {"usage": {"input_tokens": 1}}}

    assert pair.says("assistant", message={"content": [{"type": "text", "text": "a"}]}) == [
        Text(text="a")
    ]
    assert isinstance(pair.says("stream_event", event=started)[0], Raw)
    assert isinstance(pair.says("assistant", message={"model": "<synthetic>"})[0], Raw)
    assert pair.says("system", subtype="api_retry", attempt=1)[0].error is ErrorClass.NETWORK
    assert pair.says("rate_limit_event", rate_limit_info={"status": "rejected"}) == [
        RateLimited(resets_at=None)
    ]


def test_a_turn_that_failed_has_what_was_said_before_as_its_message():
    pair = Pair()
    pair.turn()
    pair.says(
        "assistant",
        message={
            "content": [{"type": "text", "text": "so far"}, {"type": "thinking", "thinking": "h"}]
        },
    )
    (end,) = pair.result(is_error=True, api_error_status=529, result="API Error: 529")

    assert (end.message, end.error_text) == ("so far", "API Error: 529")


def test_a_limit_with_its_reset_time_is_told_and_kept_for_the_end():
    pair = Pair()
    pair.turn()
    info = {"status": "rejected", "resetsAt": 1_800_000_000, "rateLimitType": "five_hour"}
    resets_at = datetime.fromtimestamp(1_800_000_000, UTC)

    assert (
        pair.says("rate_limit_event", rate_limit_info={"status": "allowed"})[0].kind
        == "rate_limit_event"
    )
    assert pair.says("rate_limit_event", rate_limit_info=info) == [
        RateLimited(resets_at=resets_at, message="five_hour")
    ]
    (end,) = pair.result(is_error=True, api_error_status=429)
    assert (end.error, end.resets_at) == (ErrorClass.RATE_LIMITED, resets_at)


def test_a_limit_is_told_when_it_changes_only_and_holds_for_the_turns_until_then():
    pair = Pair()
    info = {"status": "rejected", "resetsAt": 1_800_000_000}
    found = []
    for change in (info, None, {"status": "allowed"}):
        pair.turn()
        if change is not None:
            pair.says("rate_limit_event", rate_limit_info=change)
        found += pair.result(is_error=True, api_error_status=429)
    resets_at = datetime.fromtimestamp(1_800_000_000, UTC)

    assert [end.resets_at for end in found] == [resets_at, resets_at, None]


def test_usage_grows_with_the_answers():
    pair = Pair()
    pair.turn()
    for _ in range(2):
        pair.says(
            "stream_event",
            event={"type": "message_start", "message": {"usage": {"input_tokens": 5}}},
        )
        (changed,) = pair.says(
            "stream_event", event={"type": "message_delta", "usage": {"output_tokens": 2}}
        )

    assert changed == UsageChanged(usage=Usage(input_tokens=10, output_tokens=4))
    assert Usage(input_tokens=10) - Usage(input_tokens=4) == Usage(input_tokens=6)


@pytest.mark.parametrize(
    ("content", "expected"),
    [("a", "a"), ([{"text": "a"}, 3, {"text": "b"}], "a\nb"), (None, "")],
)
def test_a_tools_result_is_text_or_blocks(content, expected):
    pair = Pair()
    block = {"type": "tool_result", "tool_use_id": "1", "content": content}

    assert pair.says("user", message={"content": [block]}) == [
        ToolResult(id="1", ok=True, text=expected)
    ]
    assert text_in(content) == expected


def test_every_kind_of_block_is_read():
    blocks = [
        {"type": "text", "text": "a"},
        {"type": "thinking", "thinking": "b"},
        {"type": "image"},
    ]

    assert of_answer({"content": blocks}, own=True) == [Text(text="a"), Thinking(text="b")]


def test_what_is_unknown_is_kept_with_its_kind():
    pair = Pair()

    assert pair.talk.receive(
        b'{"type":"brand_new"}\n{"type":"system","subtype":"odd"}\nnoise\n\n'
    ) == [
        Raw(kind="brand_new", data=b'{"type":"brand_new"}'),
        Raw(kind="system/odd", data=b'{"type":"system","subtype":"odd"}'),
        Raw(kind="garbage", data=b"noise"),
    ]


# ---------------------------------------------------------------- classes


@pytest.mark.parametrize(
    ("fields", "word", "expected"),
    [
        ({"is_error": False}, "", None),
        ({"is_error": False, "subtype": "error_max_turns"}, "", ErrorClass.BUDGET),
        (
            {"terminal_reason": "prompt_too_long", "api_error_status": 400},
            "",
            ErrorClass.CONTEXT_OVERFLOW,
        ),
        ({"terminal_reason": "aborted_tools"}, "", ErrorClass.INTERRUPTED),
        ({"stop_reason": "refusal"}, "invalid_request", ErrorClass.REFUSED),
        ({"api_error_status": 400}, "billing_error", ErrorClass.BUDGET),
        ({"api_error_status": 400}, "unknown", ErrorClass.BAD_REQUEST),
        ({"api_error_status": 401}, "", ErrorClass.AUTH),
        ({"api_error_status": None}, "authentication_failed", ErrorClass.AUTH),
        ({"api_error_status": 404}, "model_not_found", ErrorClass.BAD_REQUEST),
        ({"api_error_status": 429}, "rate_limit", ErrorClass.RATE_LIMITED),
        ({"api_error_status": 503}, "server_error", ErrorClass.OVERLOADED),
        ({"api_error_status": None}, "server_error", ErrorClass.NETWORK),
        ({}, "", ErrorClass.FAILED),
        ({"terminal_reason": 7, "subtype": None}, "", ErrorClass.FAILED),
    ],
)
def test_a_result_has_a_class(fields, word, expected):
    result = {"subtype": "success", "is_error": True, **fields}

    assert expected == claude_errors.of_result(result, word, None, interrupted=False)


def test_a_failure_without_a_status_is_what_the_last_retry_was():
    retry = claude_errors.of_retry({"error": "overloaded", "attempt": 1, "retry_delay_ms": 500})
    result = {"is_error": True}

    assert (
        claude_errors.of_result(result, "server_error", retry, interrupted=False)
        is ErrorClass.OVERLOADED
    )
    assert (retry.error, retry.delay, retry.status, retry.of) == (
        ErrorClass.OVERLOADED,
        0.5,
        None,
        None,
    )
    assert claude_errors.of_retry({"error": "odd", "error_status": 418}).error is ErrorClass.FAILED
    assert claude_errors.sentence({"stop_reason": "s"}) == "s"


@pytest.mark.parametrize(
    ("status", "expected"),
    [(None, None), (200, None), (500, ErrorClass.OVERLOADED), (413, ErrorClass.CONTEXT_OVERFLOW)],
)
def test_a_status_has_a_class_or_says_nothing(status, expected):
    assert expected == by_status(status)


@pytest.mark.parametrize("seconds", [None, float("inf"), float("nan"), 1e300])
def test_no_calendar_has_every_number(seconds):
    assert as_time(seconds) is None


def test_versions_compare_as_numbers():
    assert version_of("2.1.1000 (x)") > version_of("2.1.248") > version_of("unknown")
