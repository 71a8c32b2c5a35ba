"""Codex's driver and protocol, rule by rule; what the program says is written by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from runner.agents import codex_errors
from runner.agents.codex import CodexDriver
from runner.agents.codex_open import SANDBOX
from runner.agents.codex_read import of_completed, of_started, rate_limited
from runner.agents.driver import CodexAgent, Origin, Setting
from runner.agents.events import (
    ApprovalClosed,
    ConversationStarted,
    Decision,
    ErrorClass,
    RateLimited,
    Raw,
    Ready,
    Retry,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    TurnEnded,
    TurnStarted,
    Usage,
    UsageChanged,
)
from runner.errors import ConfigError, LocalProtocolError

PROVIDER = 'model_provider = "p"\n[model_providers.p]\nbase_url = "http://127.0.0.1:1/v1"\n'


def setting(**changes) -> Setting:
    options = {"cwd": "/w", "private": "/p", "conversation": "th", "resume": False}
    return Setting(**{**options, **changes})


class Pair:
    """A conversation, and the program's side of it (the rig is h11's)."""

    def __init__(self, *, resume=False, answered=True, origin=None, **options):
        given = setting(resume=resume, origin=origin)
        self.talk = CodexDriver(CodexAgent(**options)).conversation(given)
        self.opening = self.sent()
        if answered:
            self.opening += self.initialize()
            self.opened = self.answer(2, {"thread": {"id": "th"}, "model": "m"})

    def initialize(self):
        self.answer(1, {"userAgent": "runner/0.169.0 (Debian)"})
        return self.sent()

    def says(self, **message):
        return self.talk.receive(json.dumps(message).encode() + b"\n")

    def answer(self, number, result):
        return self.says(id=number, result=result)

    def refuses(self, number, message="no"):
        return self.says(id=number, error={"code": -32600, "message": message})

    def tells(self, method, **params):
        return self.says(method=method, params={"threadId": "th", "turnId": "x1", **params})

    def sent(self):
        return [json.loads(line) for line in self.talk.data_to_send().splitlines()]

    def turn(self, prompt="do it", turn="t", theirs="x1", start=True):
        self.talk.send_turn(turn, prompt)
        (line,) = self.sent()
        self.number = line["id"]
        if start:
            self.answer(self.number, {"turn": {"id": theirs}})
            started = self.says(
                method="turn/started", params={"threadId": "th", "turn": {"id": theirs}}
            )
            assert started == [TurnStarted(turn=turn)]
        return line

    def counts(self, total, last=None, **params):
        usage = {"total": {"inputTokens": total}, "last": {"inputTokens": last or total}}
        return self.tells("thread/tokenUsage/updated", tokenUsage=usage, **params)

    def completed(self, status="completed", theirs="x1", **fields):
        turn = {"id": theirs, "status": status, **fields}
        return self.says(method="turn/completed", params={"threadId": "th", "turn": turn})


# ---------------------------------------------------------------- the launch


def test_everything_that_it_writes_is_private():
    launch = CodexDriver(CodexAgent(config=PROVIDER, args=("--x",), env={"A": "1"})).launch(
        setting()
    )

    assert launch.argv[:2] == ("codex", "app-server")
    assert launch.argv[-1] == "--x"
    env = dict(launch.env)
    assert (env["HOME"], env["CODEX_HOME"], env["A"]) == ("/p/home", "/p/home/.codex", "1")
    assert not env["CODEX_HOME"].startswith(env["TMPDIR"])
    assert dict(launch.files)["/p/home/.codex/config.toml"] == PROVIDER.encode()
    assert env["TMPDIR"] + "/.keep" in dict(launch.files)
    assert launch.stdin is None
    assert "OPENAI_API_KEY" in launch.pass_env


@pytest.mark.parametrize(
    ("config", "bounded"),
    [
        ("", []),
        ('model_provider = "p"', []),
        ('model_provider = "a b"\n[model_providers."a b"]\nname = "x"', []),
        (
            PROVIDER + "stream_idle_timeout_ms = 5",
            ["request_max_retries=2", "stream_max_retries=3"],
        ),
        (
            PROVIDER,
            ["request_max_retries=2", "stream_max_retries=3", "stream_idle_timeout_ms=120000"],
        ),
    ],
)
def test_the_retries_of_a_provider_of_the_users_own_are_bounded(config, bounded):
    argv = CodexDriver(CodexAgent(config=config)).launch(setting()).argv
    overrides = [arg for arg in argv if arg.startswith("model_providers.")]

    assert overrides == [f"model_providers.p.{each}" for each in bounded]


def test_a_configuration_that_is_no_toml_is_refused_at_once():
    with pytest.raises(ConfigError, match="not TOML"):
        CodexDriver(CodexAgent(config="model = "))


def test_sigint_is_not_on_the_ladder():
    driver = CodexDriver(CodexAgent())

    assert [rung.act for rung in driver.ladder] == ["interrupt", "eof", "SIGTERM"]
    assert (driver.name, driver.process_per_turn) == ("codex", False)


# ---------------------------------------------------------------- the opening


def test_what_it_pays_with_is_known_as_soon_as_it_says_so():
    pair = Pair()
    assert pair.talk.credential == ""

    pair.answer("account", {"account": {"type": "chatgpt", "planType": "plus"}})
    assert pair.talk.credential == "chatgpt/plus"


@pytest.mark.parametrize(
    ("status", "credential"),
    [({"authMethod": "chatgpt"}, "chatgpt"), ({"authMethod": None}, ""), ({}, "")],
)
def test_what_its_account_does_not_say_its_login_does(status, credential):
    pair = Pair()
    pair.refuses("account", "workspace routing discovery failed")
    asked = pair.sent()[-1]
    assert ("status", "getAuthStatus") == (asked["id"], asked["method"])
    pair.answer("status", status)

    assert pair.talk.credential == credential


def test_a_new_thread_says_its_id():
    pair = Pair()
    initialize, initialized, account, start = pair.opening

    assert (initialize["method"], initialized) == ("initialize", {"method": "initialized"})
    assert (account["id"], account["method"]) == ("account", "account/read")
    assert (start["method"], start["params"]["cwd"], start["params"]["sandbox"]) == (
        "thread/start",
        "/w",
        "workspace-write",
    )
    assert "model" not in start["params"]
    assert pair.opened == [
        ConversationStarted(conversation="th", model="m", version="0.169.0"),
        Ready(),
    ]


def test_an_old_thread_is_resumed_without_its_history_and_with_the_model():
    resume = Pair(resume=True, model="big").opening[3]

    assert resume["method"] == "thread/resume"
    assert (resume["params"]["threadId"], resume["params"]["excludeTurns"]) == ("th", True)
    assert resume["params"]["model"] == "big"


@pytest.mark.parametrize(
    ("opening", "sentence"),
    [
        (
            lambda pair: pair.refuses(2, "already has an active writer"),
            "already has an active writer",
        ),
        (lambda pair: pair.answer(2, {}), "it gave no thread"),
        (
            lambda pair: pair.answer(2, {"thread": {"id": "other"}}),
            "it opened the thread other instead of th",
        ),
    ],
)
def test_a_thread_that_cannot_be_opened_fails_its_first_turn(opening, sentence):
    pair = Pair(resume=True, answered=False)
    pair.initialize()

    assert opening(pair) == [Ready()]
    assert pair.turn(start=False)["params"]["threadId"] == "th"
    (end,) = pair.refuses(pair.number, "thread not found")
    assert (end.turn, end.error, end.error_text) == ("t", ErrorClass.FAILED, sentence)
    assert pair.talk.ready


def test_a_program_that_refuses_the_initialize_fails_the_first_turn():
    pair = Pair(answered=False)

    assert pair.refuses(1, "too old") == [Ready()]
    pair.turn(start=False)
    assert pair.refuses(pair.number)[0].error_text == "too old"


def test_a_turn_before_it_is_ready_or_during_another_is_our_fault():
    with pytest.raises(LocalProtocolError, match="starting"):
        Pair(answered=False).talk.send_turn("t", "x")
    pair = Pair()
    pair.turn()
    assert not pair.talk.ready
    with pytest.raises(LocalProtocolError, match="in_turn"):
        pair.talk.send_turn("t2", "x")
    pair.talk.receive_end(0, b"")
    with pytest.raises(LocalProtocolError, match="ended"):
        pair.talk.send_turn("t3", "x")
    assert pair.talk.receive_end(0, b"") == []


# ---------------------------------------------------------------- turns


@pytest.mark.parametrize("access", list(SANDBOX))
def test_each_turn_says_what_is_allowed(access):
    pair = Pair(access=access)
    params = pair.turn("/x \udcff")["params"]

    assert params["input"] == [{"type": "text", "text": "/x \N{REPLACEMENT CHARACTER}"}]
    assert (params["approvalPolicy"], params["sandboxPolicy"]) == ("never", SANDBOX[access])
    assert pair.opening[3]["params"]["sandbox"] == access


def test_a_confined_turn_may_write_to_no_directory_for_everybody():
    sandbox = SANDBOX["workspace-write"]

    assert sandbox["excludeSlashTmp"]
    assert not sandbox["networkAccess"]


def test_the_end_of_our_turn_ends_it_and_no_other_does():
    pair = Pair()
    assert isinstance(pair.completed()[0], Raw)
    pair.turn()

    assert isinstance(pair.completed(theirs="x0")[0], Raw)
    assert isinstance(pair.tells("item/agentMessage/delta", turnId="x0", delta="a")[0], Raw)
    assert isinstance(pair.tells("item/agentMessage/delta", turnId=None, delta="a")[0], Raw)
    items = [{"type": "agentMessage", "text": "done"}, {"type": "agentMessage"}, "odd"]
    (end,) = pair.completed(items=items)
    assert (end.turn, end.ok, end.message, end.stop) == ("t", True, "done", "completed")
    assert (end.cost_usd, end.cost_source, end.raw["id"]) == (None, "none", "x1")


def test_a_turn_that_is_refused_never_began():
    pair = Pair()
    pair.turn(start=False)
    assert isinstance(pair.refuses(99)[0], Raw)
    (end,) = pair.refuses(pair.number, "Input exceeds the maximum length")

    assert (end.error, end.error_text) == (
        ErrorClass.BAD_REQUEST,
        "Input exceeds the maximum length",
    )


def test_usage_is_the_difference_of_the_totals():
    pair = Pair()
    usages = []
    for totals in ((100, 220), (300,), ()):
        pair.turn()
        for total in totals:
            assert isinstance(pair.counts(total)[0], UsageChanged)
        usages.append(pair.completed()[0].usage.input_tokens)

    assert usages == [220, 80, 0]


def test_after_a_resume_what_came_before_does_not_count():
    pair = Pair(resume=True)
    assert isinstance(pair.counts(500, turnId="x0")[0], Raw)
    assert isinstance(pair.counts(900, threadId="other")[0], Raw)
    pair.turn()
    pair.counts(620)

    assert pair.completed()[0].usage == Usage(input_tokens=120)


def test_after_a_resume_that_does_not_say_it_the_first_count_is_the_last_requests():
    pair = Pair(resume=True)
    pair.turn()
    pair.completed()
    pair.turn()
    pair.tells("item/started", item={"type": "agentMessage", "id": "m"})
    pair.counts(500, last=30)
    pair.counts(540, last=40)

    assert pair.completed()[0].usage == Usage(input_tokens=70)


def test_after_a_resume_a_count_before_the_models_first_word_is_of_what_came_before():
    pair = Pair(resume=True)
    pair.turn()
    pair.tells("item/started", item={"type": "userMessage", "id": "u"})
    assert isinstance(pair.counts(500)[0], Raw)
    pair.tells("item/started", item={"type": "agentMessage", "id": "m"})
    pair.counts(540, last=40)

    assert pair.completed()[0].usage == Usage(input_tokens=40)


def fork(*turns, marker="x2"):
    """A fork of a thread, opened by a version that says which turns it has copied."""
    origin = Origin(conversation="old", history="/h/sessions/r.jsonl", marker=marker)
    pair = Pair(origin=origin, answered=False)
    pair.initialize()
    opened = pair.answer(2, {"thread": {"id": "th", "turns": [{"id": turn} for turn in turns]}})
    return pair, opened


def test_a_version_that_copies_the_whole_thread_goes_back_to_the_turn_that_was_asked_for():
    pair, opened = fork("x1", "x2", "x3", "x4")
    (back,) = pair.sent()
    started, ready = pair.answer(back["id"], {})

    assert [type(event) for event in opened] == [Raw]
    assert (back["method"], back["params"]) == (
        "thread/rollback",
        {"threadId": "th", "numTurns": 2},
    )
    assert (started.conversation, ready) == ("th", Ready())


@pytest.mark.parametrize("turns", [(), ("x1", "x2")])
def test_a_fork_that_ends_where_it_is_to_end_is_ready_at_once(turns):
    pair, opened = fork(*turns)

    assert [type(event) for event in opened] == [ConversationStarted, Ready]
    assert pair.sent() == []


def test_a_fork_that_cannot_go_back_to_its_turn_fails_its_first_turn():
    pair, opened = fork("x1", "x3")
    assert opened == [Ready()]
    pair.turn(start=False)
    (end,) = pair.refuses(pair.number, "thread not found")
    assert end.error_text == "it copied a thread without the turn that was asked for"

    pair, _ = fork("x1", "x2", "x3")
    (back,) = pair.sent()
    assert pair.refuses(back["id"], "no such method") == [Ready()]
    pair.turn(start=False)
    (end,) = pair.refuses(pair.number, "thread not found")
    assert (end.error, end.error_text) == (ErrorClass.FAILED, "no such method")


def test_counters_that_are_set_anew_take_nothing_back():
    pair = Pair()
    pair.turn()
    pair.counts(100)
    assert isinstance(pair.counts(0)[0], Raw)
    pair.counts(50)

    assert pair.completed("failed", error={"codexErrorInfo": "contextWindowExceeded"})[
        0
    ].usage == Usage(input_tokens=150)


def test_the_end_of_the_process_ends_the_turn():
    pair = Pair()
    pair.turn()
    pair.tells("item/completed", item={"type": "agentMessage", "text": "so far"})
    pair.talk.receive(b'{"method":"turn/comp')
    half, end = pair.talk.receive_end(-9, b"Killed")

    assert half.kind == "partial"
    assert (end.error, end.stop, end.message) == (ErrorClass.CRASHED, "SIGKILL", "so far")
    assert end.error_text == "it ended (SIGKILL) in the turn: Killed"


# ---------------------------------------------------------------- interrupts and refusals


def test_an_interrupt_names_the_turn_and_ends_what_it_left_running():
    pair = Pair()
    pair.talk.interrupt()
    assert pair.sent() == []
    pair.turn()
    pair.talk.interrupt()

    (line,) = pair.sent()
    assert (line["method"], line["params"]) == (
        "turn/interrupt",
        {"threadId": "th", "turnId": "x1"},
    )
    assert pair.completed("interrupted")[0].error is ErrorClass.INTERRUPTED
    assert [line["method"] for line in pair.sent()] == ["thread/backgroundTerminals/clean"]


def test_an_interrupt_before_the_turn_has_started_is_sent_with_its_start():
    pair = Pair()
    pair.turn(start=False)
    pair.talk.interrupt()
    pair.answer(pair.number, {"turn": {"id": "x1"}})
    assert pair.sent() == []
    pair.tells("turn/started", turn={"id": "x1"})

    assert [line["method"] for line in pair.sent()] == ["turn/interrupt"]
    assert pair.talk.receive_end(0, b"")[0].error is ErrorClass.INTERRUPTED


def test_a_turn_may_start_before_the_answer_that_says_its_id():
    pair = Pair()
    pair.turn(start=False)
    pair.talk.interrupt()
    other = pair.tells("turn/started", threadId="other", turn={"id": "x0"}, turnId=None)
    assert isinstance(other[0], Raw)
    assert pair.tells("turn/started", turn={"id": "x1"}) == [TurnStarted(turn="t")]
    assert [line["params"]["turnId"] for line in pair.sent()] == ["x1"]
    pair.counts(70)
    assert isinstance(pair.answer(pair.number, {})[0], Raw)

    (end,) = pair.completed("interrupted")
    assert (end.turn, end.error) == ("t", ErrorClass.INTERRUPTED)
    assert end.usage == Usage(input_tokens=70)


@pytest.mark.parametrize(
    ("method", "tool", "decision"),
    [
        ("item/commandExecution/requestApproval", "commandExecution", "decline"),
        ("item/fileChange/requestApproval", "fileChange", "decline"),
        ("execCommandApproval", "execCommandApproval", "denied"),
    ],
)
def test_a_question_for_leave_is_declined(method, tool, decision):
    pair = Pair()
    (asked,) = pair.says(id=0, method=method, params={"command": "rm"})

    assert (asked.id, asked.tool, asked.input) == ("0", tool, {"command": "rm"})
    pair.talk.decide("0", Decision(allow=False))
    assert pair.sent() == [{"id": 0, "result": {"decision": decision}}]


def test_a_refusals_sentence_reaches_the_agent_as_a_prompt():
    pair = Pair()
    pair.turn()
    method = "item/commandExecution/requestApproval"
    pair.says(id=0, method=method, params={"command": "rm"})
    pair.talk.decide("0", Decision(allow=False, message="not here"))
    pair.talk.decide("0", Decision(allow=True))
    refused, steered = pair.sent()

    assert refused == {"id": 0, "result": {"decision": "decline"}}
    assert (steered["method"], steered["params"]["expectedTurnId"]) == ("turn/steer", "x1")
    assert steered["params"]["input"] == [{"type": "text", "text": "not here"}]


def test_what_is_asked_for_may_be_withdrawn():
    pair = Pair()
    pair.says(id=4, method="execCommandApproval", params={})
    resolved = {"method": "serverRequest/resolved", "params": {"threadId": "th", "requestId": 4}}

    assert pair.says(**resolved) == [ApprovalClosed(id="4")]
    assert isinstance(pair.says(**resolved)[0], Raw)


def test_a_prompt_can_be_added_from_the_start_of_a_turn_until_its_end_is_asked_for():
    pair = Pair()
    assert not pair.talk.steer("too early")
    pair.turn()
    assert pair.talk.steer("now")
    pair.talk.interrupt()
    assert not pair.talk.steer("too late")


def test_an_edit_that_is_asked_for_is_the_one_that_has_begun():
    pair = Pair()
    pair.turn()
    item = {"type": "fileChange", "id": "i", "changes": [{"path": "/a"}]}
    pair.tells("item/started", item=item)
    asking = {"method": "item/fileChange/requestApproval", "params": {"itemId": "i"}}

    assert pair.says(id=0, **asking)[0].paths == ("/a",)
    pair.tells("item/completed", item=item)
    assert pair.says(id=1, **asking)[0].paths == ()


def test_an_edit_that_moves_a_file_is_asked_for_by_both_of_its_places():
    pair = Pair()
    pair.turn()
    moved = {"path": "/a", "kind": {"type": "update", "move_path": "/secret/a"}}
    pair.tells("item/started", item={"type": "fileChange", "id": "i", "changes": [moved, "odd"]})
    params = {"itemId": "i", "grantRoot": "/w"}
    asked = pair.says(id=0, method="item/fileChange/requestApproval", params=params)
    edits = {"fileChanges": {"/a": {"update": {}, "move_path": "/b"}, "/c": "odd"}}
    old = pair.says(id=1, method="applyPatchApproval", params=edits)

    assert asked[0].paths == ("/a", "/secret/a", "/w")
    assert old[0].paths == ("/a", "/b", "/c")


def test_any_other_question_is_answered_too():
    pair = Pair()

    assert pair.says(id="a", method="item/tool/call", params={})[0].kind == "item/tool/call"
    assert pair.sent()[0]["error"]["code"] == -32601


# ---------------------------------------------------------------- what is told on the way


def test_a_retry_is_told_with_its_class_and_decides_what_other_means():
    pair = Pair()
    pair.turn()
    lost = {
        "message": "waiting for network",
        "codexErrorInfo": {"responseStreamDisconnected": {"httpStatusCode": None}},
    }
    (first,) = pair.tells("error", willRetry=True, error=lost)
    (second,) = pair.tells(
        "error",
        willRetry=True,
        error={"message": "Reconnecting... 4/5", "additionalDetails": "why"},
    )

    assert first == Retry(attempt=1, error=ErrorClass.NETWORK, message="waiting for network")
    assert second == Retry(attempt=4, of=5, error=ErrorClass.NETWORK, message="why")
    assert isinstance(pair.tells("error", willRetry=False, error=lost)[0], Raw)
    assert (
        pair.completed("failed", error={"codexErrorInfo": "other"})[0].error is ErrorClass.NETWORK
    )


RESET = datetime.fromtimestamp(1_800_000_000, UTC)


def test_a_plans_limit_with_a_reset_time_is_worth_waiting_for():
    pair = Pair()
    assert isinstance(
        pair.tells("account/rateLimits/updated", rateLimits={"primary": None})[0], Raw
    )
    spent = {"primary": {"usedPercent": 100, "resetsAt": 1_800_000_000}}
    assert pair.tells("account/rateLimits/updated", rateLimits=spent) == [
        RateLimited(resets_at=RESET)
    ]
    pair.turn()
    (end,) = pair.completed(
        "failed", error={"codexErrorInfo": "usageLimitExceeded", "message": "limit"}
    )

    assert (end.error, end.resets_at, end.error_text) == (ErrorClass.RATE_LIMITED, RESET, "limit")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, None),
        ({"primary": {"usedPercent": 99}}, None),
        ({"rateLimitReachedType": "x"}, RateLimited(resets_at=None, message="x")),
        (
            {
                "primary": {"usedPercent": 100, "resetsAt": 1},
                "secondary": {"usedPercent": 100, "resetsAt": 1_800_000_000},
            },
            RateLimited(resets_at=RESET),
        ),
    ],
)
def test_a_limit_is_told_when_it_is_reached(limits, expected):
    assert expected == rate_limited(limits)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"type": "agentMessage", "text": "a"}, [Text(text="a")]),
        ({"type": "reasoning", "summary": ["a", "b"]}, [Thinking(text="a\nb")]),
        ({"type": "reasoning"}, None),
        ({"type": "userMessage"}, None),
        (
            {"type": "commandExecution", "id": "1", "exitCode": 1, "status": "completed"},
            [ToolResult(id="1", ok=False, text="completed")],
        ),
        (
            {"type": "mcpToolCall", "id": "1", "result": {"content": [{"text": "a"}, 1]}},
            [ToolResult(id="1", ok=True, text="a")],
        ),
        (
            {"type": "mcpToolCall", "id": "1", "error": {"message": "e"}},
            [ToolResult(id="1", ok=False, text="e")],
        ),
    ],
)
def test_an_item_that_has_ended_is_told(item, expected):
    assert expected == of_completed(item)


def test_an_item_that_begins_is_told_if_it_is_a_tool():
    item = {
        "type": "mcpToolCall",
        "id": "1",
        "server": "s",
        "tool": "t",
        "arguments": {"a": 1},
        "status": "x",
    }
    given = {"server": "s", "tool": "t", "arguments": {"a": 1}}

    assert of_started(item) == [ToolCall(id="1", name="mcpToolCall", input=given)]
    assert of_started({"type": "agentMessage"}) is None


def test_what_is_unknown_is_kept_with_its_kind():
    pair = Pair()
    pair.turn()

    assert pair.tells("turn/diff/updated")[0].kind == "turn/diff/updated"
    assert [event.kind for event in pair.talk.receive(b'{"x":1}\n\nnoise\n[1]\n')] == [
        "answer",
        "garbage",
        "garbage",
    ]
    assert isinstance(pair.completed()[0], TurnEnded)


# ---------------------------------------------------------------- classes


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"codexErrorInfo": "contextWindowExceeded"}, ErrorClass.CONTEXT_OVERFLOW),
        ({"codexErrorInfo": "usageLimitExceeded"}, ErrorClass.BUDGET),
        ({"codexErrorInfo": "serverOverloaded"}, ErrorClass.OVERLOADED),
        ({"codexErrorInfo": "unauthorized"}, ErrorClass.AUTH),
        ({"codexErrorInfo": "cyberPolicy"}, ErrorClass.REFUSED),
        ({"codexErrorInfo": {"httpConnectionFailed": {"httpStatusCode": 401}}}, ErrorClass.AUTH),
        ({"codexErrorInfo": {"httpConnectionFailed": {"httpStatusCode": 418}}}, ErrorClass.FAILED),
        ({"codexErrorInfo": {"httpConnectionFailed": {}}}, ErrorClass.NETWORK),
        ({"codexErrorInfo": {"brandNew": {}}}, ErrorClass.FAILED),
        (
            {"codexErrorInfo": "other", "message": '{"error": {"type": "x"}}'},
            ErrorClass.BAD_REQUEST,
        ),
        ({"codexErrorInfo": "other", "message": "no idea"}, ErrorClass.FAILED),
        ({}, ErrorClass.FAILED),
    ],
)
def test_a_failure_has_a_class(error, expected):
    assert expected == codex_errors.of_failure(error, None)
