"""The Agent Client Protocol, rule by rule; what the program says is written by hand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.agents.acp import AcpDriver
from runner.agents.acp_read import Tool, choice_of, of_error, of_stop, sentence, usage_of
from runner.agents.driver import AcpAgent, McpServer, Setting, TurnOptions
from runner.agents.events import (
    ApprovalAsked,
    ApprovalClosed,
    ConversationStarted,
    Decision,
    ErrorClass,
    FileAnswer,
    FileChange,
    Raw,
    ReadAsked,
    Ready,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    TurnEnded,
    TurnStarted,
    Usage,
    WriteAsked,
)
from runner.agents.lines import LINE_LIMIT
from runner.agents.secret import Secret
from runner.errors import ConfigError, LocalProtocolError

ABLE = {"loadSession": True, "mcpCapabilities": {"http": True}}
MODES = {
    "currentModeId": "ask",
    "availableModes": [{"id": "ask"}, {"id": "plan"}, {"id": "yolo"}, "odd"],
}
MODELS = {"currentModelId": "m1", "availableModels": [{"modelId": "m1"}, {"modelId": "m2"}]}
OPTIONS = [
    {"optionId": "always", "kind": "allow_always"},
    {"optionId": "yes", "kind": "allow_once"},
    {"optionId": "no", "kind": "reject_once"},
]
HTTP = McpServer(name="far", url="http://h", headers={"k": "v"})
NEAR = McpServer(name="near", command=("prog", "-x"), env={"a": "b"})


def setting(**changes) -> Setting:
    options = {"cwd": "/w", "private": "/p", "conversation": "s1", "resume": False}
    return Setting(**{**options, **changes})


def driver(**options) -> AcpDriver:
    return AcpDriver(AcpAgent(**{"argv": ("prog", "--acp"), **options}))


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


class Pair:
    """A conversation, and the program's side of it."""

    def __init__(self, *, opened=True, able=ABLE, offers=None, settings=None, **options):
        self.talk = driver(**options).conversation(setting(**(settings or {})))
        self.heard = []
        if opened:
            self.initialize(able)
            (self.opening,) = self.sent()
            offers = {"modes": MODES, "models": MODELS} if offers is None else offers
            self.answer(self.opening, {"sessionId": "s1", **offers})

    def initialize(self, able=ABLE, version=1):
        (asked,) = self.sent()
        result = {"protocolVersion": version, "agentCapabilities": able}
        return self.answer(asked, {**result, "agentInfo": {"version": "9"}})

    def sent(self):
        return [json.loads(line) for line in self.talk.data_to_send().splitlines()]

    def says(self, **message):
        events = self.talk.receive(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.heard += events
        return events

    def answer(self, request, result):
        return self.says(id=request["id"], result=result)

    def fail(self, request, code, message, **more):
        return self.says(id=request["id"], error={"code": code, "message": message, **more})

    def update(self, what, /, *, session="s1", **update):
        params = {"sessionId": session, "update": {**update, "sessionUpdate": what}}
        return self.says(method="session/update", params=params)

    def text(self, text, kind="agent_message_chunk", **more):
        return self.update(kind, content={"type": "text", "text": text}, **more)

    def ask(self, number=7, options=OPTIONS, session="s1", **call):
        call = {"toolCallId": "t1", "title": "do it", **call}
        params = {"sessionId": session, "options": options, "toolCall": call}
        return self.says(id=number, method="session/request_permission", params=params)

    def turn(self, prompt="hi", **options):
        self.talk.send_turn("t", prompt, TurnOptions(**options))
        return self.sent()[-1]

    def pinged(self):
        """The turn's end, when its prompt is not sent."""
        (ping,) = self.sent()
        assert ping["method"] == "_runner/ping"
        return self.fail(ping, -32601, "no such method")[-1]


# ---------------------------------------------------------------- the record


def test_it_is_started_in_a_home_of_its_own():
    env = {"A": "1", "B": Secret(env="NAME")}
    launch = driver(files={".x/y": "é"}, env=env, pass_env=("KEY",)).launch(setting())

    assert launch.argv == ("prog", "--acp")
    assert dict(launch.env) == {"HOME": "/p/home", "TMPDIR": "/p/scratch", **env}
    assert dict(launch.files)["/p/home/.x/y"] == "é".encode()
    assert (launch.pass_env, launch.stdin) == (("KEY",), None)
    assert driver().history("/p", "s1") == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"argv": ()}, "needs the argv"),
        ({"access": "read-only"}, "nothing holds this program to 'read-only'"),
        ({"modes": {"readonly": "plan"}}, "not for 'readonly'"),
        ({"files": {"../x": ""}}, "relative to the program's home"),
        ({"files": {"/x": ""}}, "relative to the program's home"),
        ({"seed": {"..": "~/x"}}, "relative to the program's home"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        driver(**options)


def test_an_access_that_no_mode_holds_is_refused_before_the_program_starts():
    own = driver(modes={"read-only": "plan"})

    with pytest.raises(ConfigError, match="nothing holds"):
        own.launch(setting(options=TurnOptions(access="workspace-write")))
    assert {"access", "per turn"} <= own.abilities
    assert driver().abilities == {"interrupt", "approvals", "mcp", "files"}
    talk = own.conversation(setting())
    takes = {each: talk.takes(TurnOptions(access=each)) for each in (None, "read-only")}
    assert takes == {None: True, "read-only": True}
    assert talk.takes(TurnOptions(access="danger-full-access"))
    assert not talk.takes(TurnOptions(access="workspace-write"))
    assert not talk.takes(TurnOptions(schema={}))


# ---------------------------------------------------------------- the opening


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize("hands", [("read", "write"), ("write",), ()])
def test_it_declares_files_where_they_are_served_and_terminals_never(files, hands):
    (asked,) = Pair(opened=False, settings={"files": files}, hands=hands).sent()

    assert asked["method"] == "initialize"
    fs = {
        "readTextFile": files and "read" in hands,
        "writeTextFile": files and "write" in hands,
    }
    assert asked["params"]["clientCapabilities"] == {"fs": fs, "terminal": False}
    assert asked["params"]["protocolVersion"] == 1


def test_a_session_is_begun_with_the_servers_that_are_named():
    pair = Pair(settings={"servers": (NEAR, HTTP)}, auth="")

    assert pair.opening["method"] == "session/new"
    assert pair.opening["params"] == {
        "cwd": "/w",
        "mcpServers": [
            {
                "name": "near",
                "command": "prog",
                "args": ["-x"],
                "env": [{"name": "a", "value": "b"}],
            },
            {
                "type": "http",
                "name": "far",
                "url": "http://h",
                "headers": [{"name": "k", "value": "v"}],
            },
        ],
    }
    (started,) = of(pair.heard, ConversationStarted)
    assert started == ConversationStarted(conversation="s1", model="m1", version="9")
    assert pair.talk.ready


def test_it_authenticates_where_the_record_says_how():
    pair = Pair(opened=False, auth="key")
    pair.initialize()
    (asked,) = pair.sent()
    pair.answer(asked, {})
    (opening,) = pair.sent()
    events = pair.answer(opening, {"sessionId": "s1"})

    assert (asked["method"], asked["params"]) == ("authenticate", {"methodId": "key"})
    assert of(events, ConversationStarted)[0].credential == "key"


def test_a_loaded_session_is_open_when_it_has_told_all_that_was_before():
    pair = Pair(settings={"resume": True})
    (ping,) = pair.sent()
    pair.text("old", "user_message_chunk")
    pair.text("old answer")
    assert pair.answer(ping, {}) == [Raw(kind="answer", data=pair_line(ping))]
    (again,) = pair.sent()
    events = pair.fail(again, -32601, "no such method")

    assert pair.opening["params"]["sessionId"] == "s1"
    assert [type(event) for event in events] == [ConversationStarted, Ready]
    assert not of(pair.heard, Text)


@pytest.mark.parametrize("recalls", [False, True])
def test_a_conversation_that_was_begun_anew_instead_of_loaded_is_lost(recalls):
    pair = Pair(settings={"resume": True})
    (ping,) = pair.sent()
    pair.text("<session_context>\nThis is the Gemini CLI.", "user_message_chunk")
    if recalls:
        pair.text("old", "user_message_chunk")
    pair.answer(ping, {})
    pair.fail(pair.sent()[0], -32601, "no such method")

    assert pair.talk.ready
    assert bool(pair.talk.lost) == (not recalls)
    if not recalls:
        assert refused(pair).error_text == "it began another of the same name"


def pair_line(request):
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": {}}).encode()


def test_a_program_that_tells_for_ever_is_not_waited_for():
    pair = Pair(settings={"resume": True})
    pings = 0
    while not pair.talk.ready:
        (ping,) = pair.sent()
        pair.text("old")
        pair.answer(ping, {})
        pings += 1

    assert pings == 1000


def test_a_model_is_chosen_among_those_that_are_offered():
    pair = Pair(model="m2")
    (asked,) = pair.sent()
    assert (asked["method"], asked["params"]["modelId"]) == ("session/set_model", "m2")
    (started,) = of(pair.answer(asked, {}), ConversationStarted)

    assert started.model == "m2"
    assert of(Pair(model="m1").heard, ConversationStarted)


NEW = {"configOptions": ["odd", {"id": "o", "category": "model", "currentValue": "a", "options": [
    {"group": "g", "options": [{"value": "b"}]}, {"value": "a"}, "odd"]}]}  # fmt: skip


def test_what_is_offered_as_an_option_is_chosen_as_one():
    pair = Pair(model="b", offers=NEW)
    (asked,) = pair.sent()

    assert asked["method"] == "session/set_config_option"
    assert asked["params"] == {"sessionId": "s1", "configId": "o", "value": "b"}
    assert choice_of(NEW, "model").offered == ("b", "a")


TROUBLES = [
    (lambda p: p.fail(p.sent()[0], -32000, "log in"), ErrorClass.AUTH, "log in"),
    (lambda p: p.initialize(version=2), ErrorClass.PROTOCOL, "version 2 of the protocol, not 1"),
    (lambda p: p.initialize({"mcpCapabilities": {}}), ErrorClass.FAILED, "over HTTP: far"),
]


@pytest.mark.parametrize(("trouble", "error", "said"), TROUBLES)
def test_a_session_that_cannot_be_opened_refuses_its_turns_and_says_why(trouble, error, said):
    pair = Pair(opened=False, settings={"servers": (HTTP,)})
    assert trouble(pair) == [Ready()]
    pair.talk.send_turn("t", "hi")
    end = pair.pinged()

    assert (end.ok, end.stop, end.error) == (False, "refused", error)
    assert said in end.error_text
    assert pair.talk.ready


def refused(pair):
    pair.talk.send_turn("t", "hi")
    return pair.pinged()


def test_a_session_that_is_not_there_or_cannot_be_loaded_is_such_a_one():
    missing = Pair(opened=False, settings={"resume": True})
    missing.initialize()
    missing.fail(missing.sent()[0], -32603, "Internal error", data={"details": "no s1"})
    old = Pair(opened=False, settings={"resume": True})
    old.initialize({})
    nameless = Pair(offers={"sessionId": ""})

    assert refused(missing).error_text == "Internal error: no s1"
    assert refused(old).error_text == "it cannot load the sessions of before"
    assert refused(nameless).error_text == "it gave no session"


def test_so_is_one_without_its_credentials_or_its_model():
    locked = Pair(opened=False, auth="key")
    locked.initialize()
    locked.fail(locked.sent()[0], 1, "wrong key")
    other = Pair(model="m3")
    unwilling = Pair(model="m2")
    unwilling.fail(unwilling.sent()[0], 1, "not today")

    assert (refused(locked).error, locked.talk.ready) == (ErrorClass.AUTH, True)
    assert refused(other).error_text == "the program has no model 'm3' (it has m1, m2)"
    assert refused(unwilling).error_text == "not today"


# ---------------------------------------------------------------- a turn


def test_a_turn_from_its_prompt_to_its_end():
    pair = Pair()
    asked = pair.turn("hello")
    assert asked["params"]["prompt"] == [{"type": "text", "text": "hello"}]
    events = pair.text("hm", "agent_thought_chunk")
    events += pair.text("", "agent_thought_chunk")
    events += pair.text("a", messageId="1") + pair.text("b", messageId="1")
    events += pair.text("", messageId="1") + pair.text("c", messageId="2")
    events += pair.update("tool_call", toolCallId="x", title="bash", kind="execute", rawInput={})
    events += pair.update(
        "tool_call_update", toolCallId="x", status="in_progress", rawInput={"command": "ls"}
    )
    block = {"type": "content", "content": {"type": "text", "text": "out"}}
    events += pair.update("tool_call_update", toolCallId="x", status="completed", content=[block])
    events += pair.text("done") + pair.text("said again", "user_message_chunk")
    events += pair.answer(asked, {"stopReason": "end_turn", "usage": {"inputTokens": 3}})

    assert [event for event in events if not isinstance(event, Raw)] == [
        TurnStarted(turn="t"),
        Thinking(text="hm"),
        Text(text="a", partial=True),
        Text(text="b", partial=True),
        Text(text="ab"),
        Text(text="c", partial=True),
        Text(text="c"),
        ToolCall(id="x", name="execute", input={"command": "ls"}),
        ToolResult(id="x", ok=True, text="out"),
        Text(text="done", partial=True),
        Text(text="done"),
        of(events, TurnEnded)[0],
    ]
    (end,) = of(events, TurnEnded)
    assert (end.ok, end.message, end.stop, end.cost_usd) == (True, "done", "end_turn", None)
    assert end.usage == Usage(input_tokens=3)


@pytest.mark.parametrize("prompt", ["/clear x", " \n/x", "$x"])
def test_a_prompt_that_would_be_a_command_is_a_text(prompt):
    assert Pair().turn(prompt)["params"]["prompt"][0]["text"] == "\u200b" + prompt


def test_a_turn_in_which_nothing_was_said_is_no_good_end():
    pair = Pair()
    asked = pair.turn()
    pair.update("usage_update", used=1)
    pair.update("plan", entries=[])
    (end,) = pair.answer(asked, {"stopReason": "end_turn"})

    assert (end.ok, end.error) == (False, ErrorClass.FAILED)
    assert "without having said anything" in end.error_text


@pytest.mark.parametrize(
    ("stop", "error"),
    [
        ("cancelled", ErrorClass.INTERRUPTED),
        ("refusal", ErrorClass.REFUSED),
        ("max_turn_requests", ErrorClass.BUDGET),
        ("max_tokens", ErrorClass.FAILED),
        ("brand_new", ErrorClass.FAILED),
        ("", ErrorClass.PROTOCOL),
    ],
)
def test_each_end_has_its_class(stop, error):
    pair = Pair()
    asked = pair.turn()
    pair.text("x")
    (end,) = of(pair.answer(asked, {"stopReason": stop}), TurnEnded)

    assert (end.ok, end.error, end.message) == (False, error, "x")
    assert of_stop("end_turn") is None


def test_an_error_is_the_end_with_its_sentence_and_class():
    pair = Pair()
    body = json.dumps({"error": {"code": 429, "message": "slow down"}})
    (end,) = pair.fail(pair.turn(), 429, body)

    assert (end.error, end.error_text) == (ErrorClass.RATE_LIMITED, "slow down")
    assert of_error({"code": -32603}) is ErrorClass.FAILED
    assert sentence({"message": "Internal", "data": {"details": "why"}}) == "Internal: why"


def test_the_cost_is_the_turns_own_where_it_is_said_in_dollars():
    pair = Pair()
    costs = []
    for amount, currency in ((0.5, "USD"), (0.75, "USD"), (1, "EUR")):
        asked = pair.turn()
        pair.text("x")
        pair.update("usage_update", cost={"amount": amount, "currency": currency})
        costs.append(of(pair.answer(asked, {"stopReason": "end_turn"}), TurnEnded)[0].cost_usd)

    assert costs == [0.5, 0.25, 0.0]


def test_a_resumed_conversation_has_a_cost_when_it_is_known_what_was_before():
    pair = Pair(settings={"resume": True})
    pair.answer(pair.sent()[0], {})
    costs = []
    for amount in (0.5, 0.75):
        asked = pair.turn()
        pair.text("x")
        pair.update("usage_update", cost={"amount": amount, "currency": "USD"})
        costs.append(of(pair.answer(asked, {"stopReason": "end_turn"}), TurnEnded)[0].cost_usd)

    assert costs == [None, 0.25]


def test_tokens_are_read_wherever_they_stand():
    counts = {"inputTokens": 1, "outputTokens": 2, "thoughtTokens": 3, "cachedReadTokens": 4}
    quota = {"quota": {"token_count": {"input_tokens": 5, "output_tokens": 6}}}

    assert usage_of({"usage": counts}) == Usage(input_tokens=1, cached_tokens=4, output_tokens=5)
    assert usage_of({"_meta": quota}) == Usage(input_tokens=5, output_tokens=6)


def test_files_that_a_tool_says_it_changed():
    pair = Pair()
    pair.turn()
    kinds = [("add", ""), ("delete", "x"), ("modify", "x"), ("", "")]
    content = [
        {"type": "diff", "path": f"/w/{n}", "oldText": old, "newText": "", "_meta": {"kind": kind}}
        for n, (kind, old) in enumerate(kinds)
    ]
    events = pair.update(
        "tool_call", toolCallId="x", title="Edit", status="completed", content=["odd", *content]
    )

    assert [(each.path, each.kind) for each in of(events, FileChange)] == [
        ("/w/0", "created"),
        ("/w/1", "deleted"),
        ("/w/2", "modified"),
        ("/w/3", "created"),
    ]
    (call,) = of(events, ToolCall)
    assert (call.name, call.input["title"]) == ("Edit", "Edit")
    failed = pair.update(
        "tool_call", toolCallId="y", title="Edit", status="failed", content=content
    )
    assert not of(failed, FileChange)


# ---------------------------------------------------------------- modes


def test_each_turn_is_sent_in_the_mode_that_holds_its_access():
    pair = Pair(modes={"read-only": "plan"})
    asked = pair.turn(access="read-only")
    assert (asked["method"], asked["params"]["modeId"]) == ("session/set_mode", "plan")
    pair.text("[MODE_UPDATE] plan")
    pair.answer(asked, {})
    (prompt,) = pair.sent()
    pair.text("x")
    pair.answer(prompt, {"stopReason": "end_turn"})
    back = pair.turn()

    assert prompt["method"] == "session/prompt"
    assert back["params"]["modeId"] == "ask"
    assert [text.text for text in of(pair.heard, Text) if not text.partial] == ["x"]


@pytest.mark.parametrize(
    "moved",
    [
        lambda pair: pair.text("[MODE_UPDATE] yolo"),
        lambda pair: pair.update("current_mode_update", currentModeId="yolo"),
        lambda pair: pair.update(
            "config_option_update",
            configOptions=[{"category": "mode", "currentValue": "yolo", "options": []}],
        ),
    ],
)
def test_a_mode_that_the_program_takes_by_itself_is_left_before_the_next_turn(moved):
    pair = Pair(modes={"read-only": "ask"}, access="read-only")
    prompt = pair.turn()
    pair.text("x")
    moved(pair)
    pair.update("current_mode_update", currentModeId="unheard of")
    pair.answer(prompt, {"stopReason": "end_turn"})

    assert pair.turn()["params"]["modeId"] == "ask"


def test_a_process_that_was_started_for_another_access_takes_the_agents_own_again():
    own = {"options": TurnOptions(access="read-only")}
    pair = Pair(modes={"read-only": "plan"}, settings=own)

    assert pair.turn(access="read-only")["params"]["modeId"] == "plan"
    assert Pair(modes={"read-only": "plan"}, settings=own).turn()["method"] == "session/prompt"


def test_a_turn_whose_mode_is_not_there_is_not_sent():
    pair = Pair(modes={"read-only": "safe"}, access="read-only")
    end = refused(pair)

    assert end.error is ErrorClass.REFUSED
    assert end.error_text == "the program has no mode 'safe' (it has ask, plan, yolo)"


def test_a_turn_whose_mode_is_refused_or_that_is_interrupted_before_is_not_sent():
    pair = Pair(modes={"read-only": "plan"}, access="read-only")
    (end,) = pair.fail(pair.turn(), 1, "untrusted folder")
    again = pair.turn()
    pair.talk.interrupt()
    assert pair.sent() == []
    (cut,) = pair.answer(again, {})

    assert (end.error, end.error_text) == (ErrorClass.REFUSED, "untrusted folder")
    assert cut.error is ErrorClass.INTERRUPTED
    assert pair.sent() == []


# ---------------------------------------------------------------- what it asks for


@pytest.mark.parametrize(
    ("decision", "option"),
    [
        (Decision(allow=True), "yes"),
        (Decision(allow=False, message="no!"), "no"),
        (Decision(allow=True, input={}), "no"),
    ],
)
def test_a_decision_is_for_this_once(decision, option):
    pair = Pair(settings={"approvals": True})
    prompt = pair.turn()
    call = {"kind": "edit", "locations": [{"path": "/w/a"}], "content": [{"path": "/w/b"}]}
    events = pair.ask(**call)
    (asked,) = of(events, ApprovalAsked)
    pair.talk.decide("7", decision)
    pair.talk.decide("7", decision)
    (sent,) = pair.sent()
    ends = pair.answer(prompt, {"stopReason": "end_turn"})

    assert [type(event) for event in events] == [TurnStarted, ToolCall, ApprovalAsked]
    assert (asked.kind, asked.tool, asked.text) == ("edit", "edit", "do it")
    assert asked.paths == ("/w/a", "/w/b")
    assert sent == {
        "jsonrpc": "2.0",
        "id": 7,
        "result": {"outcome": {"outcome": "selected", "optionId": option}},
    }
    # It says no end of what was refused, nor here of what was allowed.
    assert of(ends, ToolResult) == [ToolResult(id="t1", ok=False, text=decision.message)]


@pytest.mark.parametrize("command", ["ls -l", ["ls", "-l"]])
def test_a_command_is_asked_for_by_its_line(command):
    pair = Pair(settings={"approvals": True})
    pair.turn()
    given = {"command": command}
    (asked,) = of(
        pair.ask(kind="execute", rawInput=given, locations=[{"path": "/w"}]), ApprovalAsked
    )

    assert (asked.kind, asked.text, asked.paths) == ("command", "ls -l", ())
    assert asked.input == given


def test_what_is_asked_about_a_tool_does_not_change_its_kind():
    pair = Pair(settings={"approvals": True})
    pair.turn()
    pair.update("tool_call", toolCallId="t1", title="write", kind="edit")
    (asked,) = of(pair.ask(kind="other", title="/etc"), ApprovalAsked)

    assert (asked.kind, asked.text) == ("edit", "/etc")


def test_only_what_is_for_ever_is_offered_counts_as_a_refusal():
    pair = Pair(settings={"approvals": True})
    pair.turn()
    pair.ask(options=[OPTIONS[0], "odd"])
    pair.talk.decide("7", Decision(allow=True))

    assert pair.sent()[0]["result"] == {"outcome": {"outcome": "cancelled"}}


def test_full_access_is_given_where_nobody_decides():
    pair = Pair()
    pair.turn()
    events = pair.ask()

    assert not of(events, ApprovalAsked)
    assert pair.sent()[0]["result"]["outcome"]["optionId"] == "yes"


def test_less_than_full_access_asks_also_where_nobody_decides():
    pair = Pair(modes={"read-only": "ask"}, access="read-only")
    pair.turn()

    assert of(pair.ask(), ApprovalAsked)


def test_what_is_asked_for_outside_a_turn_is_cancelled():
    pair = Pair()
    events = pair.ask()

    assert [type(event) for event in events] == [Raw]
    assert pair.sent()[0]["result"] == {"outcome": {"outcome": "cancelled"}}


def test_what_nobody_declared_is_answered_with_an_error():
    pair = Pair()
    for method in ("fs/read_text_file", "terminal/create", "brand/new"):
        pair.says(id="a", method=method, params={})
        (sent,) = pair.sent()

        assert (sent["id"], sent["error"]["code"]) == ("a", -32601)


# ---------------------------------------------------------------- files


class Filing(Pair):
    """A program that has files read and written for it."""

    def __init__(self, **options):
        super().__init__(settings={"files": True}, **options)

    def file(self, number, method, session="s1", **params):
        return self.says(id=number, method=method, params={"sessionId": session, **params})

    def reply(self):
        (sent,) = self.sent()
        return sent


READ, WRITE = "fs/read_text_file", "fs/write_text_file"


@pytest.mark.parametrize(
    ("given", "line", "limit"),
    [
        ({}, 1, None),
        ({"line": 3, "limit": 2}, 3, 2),
        ({"line": 0, "limit": 0}, 1, 0),
        ({"line": None, "limit": None}, 1, None),
    ],
)
def test_a_file_is_asked_for_and_what_was_read_is_the_answer(given, line, limit):
    pair = Filing()
    pair.turn()
    pair.text("let me see")
    events = pair.file(7, READ, path="/w/a", **given)
    pair.talk.give("7", FileAnswer(text="é\n"))
    reply = pair.reply()
    pair.talk.give("7", FileAnswer(text="again"))

    assert events == [
        Text(text="let me see"),
        ReadAsked(id="7", path="/w/a", line=line, limit=limit),
    ]
    assert reply == {"jsonrpc": "2.0", "id": 7, "result": {"content": "é\n"}}
    assert pair.sent() == []


def test_a_file_that_we_wrote_was_changed_once_though_its_tool_says_so_as_well():
    pair = Filing()
    pair.turn()
    events = pair.file("w", WRITE, path="/w/a", content="")
    pair.talk.give("w", FileAnswer())
    reply = pair.reply()
    diff = {"type": "diff", "path": "/w/a", "oldText": None, "newText": "x"}
    told = {"title": "write", "status": "completed", "content": [diff]}
    known = pair.update("tool_call", toolCallId="x", **told)
    again = pair.update("tool_call", toolCallId="y", **told)

    assert events == [TurnStarted(turn="t"), WriteAsked(id="w", path="/w/a", text="")]
    assert reply == {"jsonrpc": "2.0", "id": "w", "result": {}}
    assert of(known, ToolResult)
    assert of(known, FileChange) == []
    assert of(again, FileChange) == [FileChange(path="/w/a", kind="created")]


def test_what_was_not_done_is_an_error_that_says_why():
    pair = Filing()
    pair.turn()
    errors = []
    for answer in (
        FileAnswer(refusal="no such file", is_missing=True),
        FileAnswer(refusal="it leads out of the scope"),
    ):
        pair.file(1, WRITE, path="/w/a", content="x")
        pair.talk.give("1", answer)
        errors.append(pair.reply()["error"])
    diff = {"type": "diff", "path": "/w/a", "newText": "x"}
    told = pair.update("tool_call", toolCallId="x", status="completed", content=[diff])

    assert errors == [
        {"code": -32002, "message": "Resource not found: /w/a", "data": {"uri": "/w/a"}},
        {"code": -32602, "message": "it leads out of the scope"},
    ]
    assert of(told, FileChange)  # by its own hands, then


def test_a_turn_that_may_only_read_writes_nothing():
    pair = Filing(modes={"read-only": "ask"}, access="read-only")
    pair.turn()
    refused = pair.file(1, WRITE, path="/w/a", content="x")
    error = pair.reply()["error"]

    assert of(refused, WriteAsked) == []
    assert error["message"] == "nothing may be written: this turn is read-only"
    assert of(pair.file(2, READ, path="/w/a"), ReadAsked)


def test_what_it_was_not_offered_it_is_not_given():
    pair = Filing(hands=("write",))
    pair.turn()

    assert of(pair.file(1, READ, path="/w/a"), Raw)
    assert pair.reply()["error"]["code"] == -32601
    assert of(pair.file(2, WRITE, path="/w/a", content=""), WriteAsked)


@pytest.mark.parametrize(
    "params", [{}, {"path": ""}, {"path": 7}, {"path": "a"}, {"path": "a", "content": 7}]
)
def test_what_cannot_be_meant_of_a_file_is_answered_with_an_error(params):
    pair = Filing()
    pair.turn()

    assert of(pair.file(1, WRITE, **params), Raw)
    assert pair.reply()["error"]["code"] == -32602


def test_files_are_for_the_turn_in_flight_only():
    pair = Filing()
    assert of(pair.file(1, READ, path="/w/a"), Raw)
    assert "no turn" in pair.reply()["error"]["message"]
    prompt = pair.turn()
    assert of(pair.file(2, READ, session="s2", path="/w/a"), Raw)
    assert "no turn" in pair.reply()["error"]["message"]
    pair.file(3, READ, path="/w/a")
    pair.talk.interrupt()
    cut, cancel = pair.sent()
    assert (cut["id"], cut["error"]["message"]) == (3, "the turn was interrupted")
    assert cancel["method"] == "session/cancel"
    assert of(pair.file(4, READ, path="/w/a"), Raw)
    assert "error" in pair.reply()
    pair.answer(prompt, {"stopReason": "cancelled"})
    prompt = pair.turn()
    pair.file(5, READ, path="/w/a")
    pair.answer(prompt, {"stopReason": "end_turn"})
    late = pair.reply()
    pair.talk.give("5", FileAnswer(text="late"))

    assert (late["id"], late["error"]["message"]) == (5, "the turn is over")
    assert pair.sent() == []


# ---------------------------------------------------------------- interrupts and ends


def test_an_interrupt_cancels_what_is_asked_for_and_the_turn():
    pair = Pair(settings={"approvals": True})
    pair.talk.interrupt()
    assert pair.sent() == []
    prompt = pair.turn()
    pair.ask()
    pair.talk.interrupt()
    answered, cancel = pair.sent()
    pair.talk.decide("7", Decision(allow=True))
    assert pair.sent() == []
    events = pair.answer(prompt, {"stopReason": "cancelled"})

    assert answered["result"] == {"outcome": {"outcome": "cancelled"}}
    assert (cancel["method"], cancel["params"]) == ("session/cancel", {"sessionId": "s1"})
    assert "id" not in cancel
    assert of(events, TurnEnded)[0].error is ErrorClass.INTERRUPTED


def test_an_interrupt_before_the_first_word_is_said_again_after_it():
    pair = Pair()
    prompt = pair.turn()
    pair.talk.interrupt()
    pair.sent()
    pair.text("x")
    (again,) = pair.sent()
    (end,) = of(pair.fail(prompt, -32603, "aborted"), TurnEnded)

    assert again["method"] == "session/cancel"
    assert end.error is ErrorClass.INTERRUPTED


@pytest.mark.parametrize("last", ["nothing", "text", "tool"])
def test_an_interrupted_turn_that_ends_well_has_the_last_word(last):
    pair = Pair()
    prompt = pair.turn()
    if last != "nothing":
        pair.text("let me see")
    if last == "tool":
        pair.update("tool_call", toolCallId="x", title="do", status="completed")
    pair.talk.interrupt()
    (end,) = of(pair.answer(prompt, {"stopReason": "end_turn"}), TurnEnded)

    assert end.ok == (last == "text")
    assert end.error == (None if last == "text" else ErrorClass.INTERRUPTED)


def test_an_approval_that_is_open_at_the_end_is_closed():
    pair = Pair(settings={"approvals": True})
    prompt = pair.turn()
    pair.ask()
    events = pair.answer(prompt, {"stopReason": "end_turn"})

    assert of(events, ApprovalClosed) == [ApprovalClosed(id="7")]


def test_a_turn_that_the_process_does_not_survive_keeps_what_was_said():
    pair = Pair()
    pair.turn()
    pair.text("half")
    text, end = pair.talk.receive_end(-9, b"Killed")

    assert text == Text(text="half")
    assert (end.error, end.stop, end.message) == (ErrorClass.CRASHED, "SIGKILL", "half")


def test_of_another_session_or_after_the_turn_nothing_is_taken():
    pair = Pair()
    prompt = pair.turn()
    assert of(pair.text("x", session="s2"), Raw)
    pair.text("y")
    (end,) = of(pair.answer(prompt, {"stopReason": "end_turn"}), TurnEnded)

    assert end.message == "y"
    assert of(pair.text("late"), Raw)
    assert of(pair.answer(prompt, {}), Raw)
    assert of(pair.says(method="brand/new", params=[]), Raw)


def test_a_turn_in_a_turn_is_refused():
    pair = Pair()
    pair.turn()

    with pytest.raises(LocalProtocolError):
        pair.talk.send_turn("u", "x")
    assert not pair.talk.steer("x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
FIELDS = ["toolCallId", "title", "kind", "status", "rawInput", "content", "locations", "options"]
FIELDS += ["cost", "configOptions", "sessionUpdate", "toolCall", "messageId", "currentModeId"]
KINDS = ["tool_call", "tool_call_update", "agent_message_chunk", "usage_update", "plan"]
KINDS += ["config_option_update", "current_mode_update", "agent_thought_chunk"]


# An example costs 3 ms at most, but the clock of a deadline also runs while others have the machine.
@settings(deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    update=st.dictionaries(st.sampled_from(FIELDS), JSON),
    garbage=st.binary(max_size=20),
)
def test_whatever_stands_in_a_message_nothing_is_raised(kind, update, garbage):
    pair = Pair()
    prompt = pair.turn()
    pair.talk.receive(garbage + b"\n")
    params = {"sessionId": "s1", "update": {**update, "sessionUpdate": kind}}
    pair.says(method="session/update", params=params)
    pair.says(id=1, method="session/request_permission", params={**params, **update})
    ended = pair.answer(prompt, update)

    assert len(of(ended, TurnEnded)) == 1
    assert pair.talk.ready


def test_a_message_may_be_as_long_as_64_mib_and_a_longer_one_is_no_message():
    pair = Pair()
    prompt = pair.turn()
    text = "x" * (LINE_LIMIT - 1000)
    long = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
    line = json.dumps({"method": "session/update", "params": {"sessionId": "s1", "update": long}})
    pieces = (line.encode() + b"\n") * 2
    pieces = pieces[: len(line)] + b"x" * 1000 + pieces[len(line) :]
    events = []
    for start in range(0, len(pieces), 1 << 20):
        events += pair.talk.receive(pieces[start : start + (1 << 20)])
    events += pair.text("!") + pair.answer(prompt, {"stopReason": "end_turn"})

    assert [type(event) for event in events] == [Raw, TurnStarted, Text, Text, Text, TurnEnded]
    assert events[-1].message == text + "!"
    assert events[0].kind == "partial"


def test_a_tool_without_a_beginning_has_no_end():
    assert Tool(id="x").abandon() == []
