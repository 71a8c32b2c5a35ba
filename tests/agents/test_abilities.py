"""What drivers are told of a process and of a turn, and what programs ask: rule by rule."""

from __future__ import annotations

import fnmatch
import json

import attrs
import pytest

from runner.agents import claude_asks, claude_read, codex_asks, codex_open
from runner.agents.claude import ClaudeDriver
from runner.agents.codex import CodexDriver
from runner.agents.codex_read import credential_of, of_completed
from runner.agents.driver import (
    ClaudeAgent,
    CodexAgent,
    CommandAgent,
    McpServer,
    Origin,
    Setting,
    ShellAgent,
    TurnOptions,
)
from runner.agents.events import (
    ApprovalAsked,
    Decision,
    FileChange,
    Question,
    Ready,
    ServerFailed,
)
from runner.agents.registry import make_driver
from runner.agents.servers import check_servers
from runner.errors import ConfigError, LocalProtocolError
from runner.testing.scripted import ScriptedAgent

SETTING = Setting(cwd="/w", private="/p", conversation="new", resume=False)
STDIO = McpServer(name="a", command=("serve", "--x"), env={"KEY": "secret"})
HTTP = McpServer(name="b", url="http://127.0.0.1/mcp", headers={"Authorization": "secret"})
ORIGIN = Origin(
    conversation="old", history="/o/home/.codex/sessions/2026/1/2/old.jsonl", marker="m"
)


def claude(**changes):
    """The launch of claude for a setting with changes."""
    return ClaudeDriver(ClaudeAgent(), root=False).launch(attrs.evolve(SETTING, **changes))


def codex(**changes):
    """What codex is asked first to open its thread, for a setting with changes."""
    talk = CodexDriver(CodexAgent()).conversation(attrs.evolve(SETTING, **changes))
    talk.data_to_send()
    talk.receive(b'{"id":1,"result":{}}\n')
    opening = json.loads(talk.data_to_send().splitlines()[-1])
    return opening["method"], opening["params"]


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "a b", "url": "http://x"}, "letters, digits"),
        ({"name": "", "url": "http://x"}, "letters, digits"),
        ({"name": "a"}, "either a command or a url"),
        ({"name": "a", "command": ("x",), "url": "http://x"}, "either a command or a url"),
        ({"name": 5, "url": "http://x"}, "letters, digits"),
        ({"name": "a", "command": "npx x"}, "its command must be a list of texts"),
        ({"name": "a", "command": ("x", 5)}, "its command must be a list of texts"),
        ({"name": "a", "command": 5}, "its command must be a list of texts"),
        ({"name": "a", "url": 5}, "its url must be a text, not a whole number"),
        ({"name": "a", "url": "ftp://x"}, "is no http:// or https:// address"),
        ({"name": "a", "command": ("x",), "headers": {"A": "b"}}, "no headers for one with a com"),
        ({"name": "a", "url": "http://x", "env": {"A": "b"}}, "no env for one with a url"),
        ({"name": "a", "command": ("x",), "env": ["A"]}, "env must be a table of texts, not a li"),
        ({"name": "a", "command": ("x",), "env": {"": "b"}}, "env: '' can be no name"),
        ({"name": "a", "command": ("x",), "env": {"A": 5}}, "env.A must be a text or a Secret"),
        ({"name": "a", "url": "http://x", "headers": {"A": "b\0"}}, "headers.A must be a text or"),
    ],
)
def test_a_server_that_cannot_be_is_refused_where_it_is_made(fields, said):
    with pytest.raises(ConfigError, match=said):
        McpServer(**fields)


def test_what_stands_in_a_server_that_cannot_be_is_not_shown():
    with pytest.raises(ConfigError) as caught:
        McpServer(name="a", command=("x",), env={"A": "secret\0"})

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ([STDIO, STDIO], "two MCP servers of the name 'a'"),
        (["a"], "a list of McpServer, not of str"),
        ("a", "must be a list of McpServer"),
        (STDIO, "must be a list of McpServer"),
        ({"a": STDIO}, "must be a list of McpServer"),
        (5, "must be a list of McpServer"),
    ],
)
def test_what_is_no_list_of_servers_with_different_names_is_refused(servers, said):
    assert (STDIO, HTTP) == check_servers(iter([STDIO, HTTP]))
    with pytest.raises(ConfigError, match=said):
        check_servers(servers)


@pytest.mark.parametrize("agent", [ShellAgent(), CommandAgent(argv=("x",)), ScriptedAgent()])
def test_an_agent_without_abilities_takes_plain_turns_only(agent):
    driver = agent if isinstance(agent, ScriptedAgent) else make_driver(agent)
    talk = driver.conversation(SETTING)
    talk.receive(b'{"event": "ready", "conversation": "c"}\n')
    options = TurnOptions(access="read-only")

    assert driver.abilities <= {"interrupt"}
    assert not talk.takes(options)
    with pytest.raises(LocalProtocolError):
        talk.send_turn("t", "x", options)
    talk.send_turn("t", "!say x")
    assert not talk.steer("more")
    talk.decide("1", Decision(allow=True))
    assert "new" in (driver.history("/p", "new") or "new")


@pytest.mark.parametrize("agent", [ClaudeAgent(), CodexAgent()])
def test_the_programs_own_files_of_a_conversation_are_private_and_bear_its_id(agent):
    pattern = make_driver(agent).history("/p", "th")

    assert fnmatch.fnmatch(pattern, "/p/home/.c*th.jsonl")


# ---------------------------------------------------------------- claude: the launch


def claude_talk(**changes):
    """Claude's conversation for a setting with changes, and what it says first, by name."""
    talk = ClaudeDriver(ClaudeAgent()).conversation(attrs.evolve(SETTING, **changes))
    said = map(json.loads, talk.data_to_send().splitlines())
    return talk, {each["request_id"]: each["request"] for each in said}


def claude_answer(talk, request, **response):
    """Let it answer; what comes of it."""
    body = {"subtype": "success", "request_id": request, **response}
    return talk.receive(json.dumps({"type": "control_response", "response": body}).encode() + b"\n")


def test_claude_is_handed_servers_over_its_pipe_and_neither_by_a_file_nor_an_argument():
    launch, (_, said) = claude(servers=(STDIO, HTTP)), claude_talk(servers=(STDIO, HTTP))

    assert "--strict-mcp-config" in launch.argv
    assert "--allowedTools=mcp__a,mcp__b" in launch.argv
    assert {b""} == {content for _, content in launch.files}
    assert not any("secret" in word for word in launch.argv)
    assert said["servers"] == {
        "subtype": "mcp_set_servers",
        "servers": {
            "a": {
                "type": "stdio",
                "command": "serve",
                "args": ["--x"],
                "env": {"KEY": "secret"},
            },
            "b": {
                "type": "http",
                "url": "http://127.0.0.1/mcp",
                "headers": {"Authorization": "secret"},
            },
        },
    }
    assert "servers" not in claude_talk()[1]


def test_claude_gets_no_turn_before_its_servers_are_there_or_have_failed():
    talk, _ = claude_talk(servers=(STDIO, HTTP))
    claude_answer(talk, "initialize", response={})
    claude_answer(talk, "version", response={"version": "2.1.197"})
    assert not talk.ready
    failed = {"added": ["a", "b"], "errors": {"b": "it is down"}}

    assert claude_answer(talk, "servers", response=failed) == [
        ServerFailed(name="b", reason="it is down"),
        Ready(),
    ]
    assert talk.ready


def test_a_claude_that_knows_no_servers_says_so_of_each():
    talk, _ = claude_talk(servers=(STDIO, HTTP))

    assert claude_answer(talk, "servers", subtype="error", error="no such request") == [
        ServerFailed(name=name, reason="no such request") for name in ("a", "b")
    ]


def test_a_server_that_codex_cannot_start_is_said():
    talk = CodexDriver(CodexAgent()).conversation(attrs.evolve(SETTING, servers=(STDIO,)))

    def told(status, **more):
        params = {"name": "a", "status": status, **more}
        notice = {"method": "mcpServer/startupStatus/updated", "params": params}
        return talk.receive(json.dumps(notice).encode() + b"\n")

    assert told("failed", error="no such file") == [ServerFailed(name="a", reason="no such file")]
    assert told("failed", error=None) == [ServerFailed(name="a", reason="it did not start")]
    assert not any(isinstance(each, ServerFailed) for each in told("ready"))


def test_claude_asks_for_the_tools_of_a_server_where_somebody_decides():
    launch = claude(servers=(STDIO,), approvals=True)

    assert not any(word.startswith("--allowedTools") for word in launch.argv)


@pytest.mark.parametrize(
    ("approvals", "tools", "mode"),
    [(False, "Read,Glob,Grep", "dontAsk"), (True, "Read,Glob,Grep,AskUserQuestion", "default")],
)
def test_claude_may_read_and_where_somebody_decides_ask(approvals, tools, mode):
    argv = claude(options=TurnOptions(access="read-only"), approvals=approvals).argv

    assert {f"--tools={tools}", f"--permission-mode={mode}"} < set(argv)
    assert "--allowedTools=Read,Glob,Grep" in argv


def test_claude_begins_a_fork_from_another_conversations_file():
    argv = claude(origin=ORIGIN).argv

    assert f"--resume={ORIGIN.history}" in argv
    assert {"--fork-session", "--session-id=new", "--resume-session-at=m"} < set(argv)
    assert not any(
        "session-at" in word for word in claude(origin=attrs.evolve(ORIGIN, marker="")).argv
    )
    assert claude(origin=ORIGIN, resume=True).argv[-1] == "--resume=new"


def test_claude_takes_a_turn_with_what_its_process_was_started_with_only():
    schema = {"type": "object"}
    driver = ClaudeDriver(ClaudeAgent(access="read-only"))
    talk = driver.conversation(attrs.evolve(SETTING, options=TurnOptions(schema=schema)))

    assert json.loads(talk.data_to_send().splitlines()[0])["request"]["jsonSchema"] == schema
    assert talk.takes(TurnOptions(schema=schema))
    assert talk.takes(TurnOptions(schema=schema, access="read-only"))
    assert not talk.takes(TurnOptions())
    assert not talk.takes(TurnOptions(schema=schema, access="workspace-write"))


# ---------------------------------------------------------------- codex: the opening


def test_codex_is_handed_servers_over_its_pipe():
    _, params = codex(servers=(STDIO, HTTP))

    assert params["config"]["mcp_servers"] == {
        "a": {
            "command": "serve",
            "args": ["--x"],
            "env": {"KEY": "secret"},
            "default_tools_approval_mode": "approve",
        },
        "b": {
            "url": "http://127.0.0.1/mcp",
            "http_headers": {"Authorization": "secret"},
            "default_tools_approval_mode": "approve",
        },
    }
    _, params = codex(servers=(STDIO,), approvals=True)
    assert params["config"]["mcp_servers"]["a"]["default_tools_approval_mode"] == "auto"


@pytest.mark.parametrize(
    ("access", "approvals", "policy"),
    [
        ("workspace-write", False, "never"),
        ("workspace-write", True, "on-request"),
        ("danger-full-access", True, "never"),
    ],
)
def test_codex_asks_where_somebody_decides(access, approvals, policy):
    _, params = codex(options=TurnOptions(access=access), approvals=approvals)

    assert (params["approvalPolicy"], params["sandbox"]) == (policy, access)


def test_codex_holds_a_turn_to_what_it_was_sent_with_and_the_next_to_the_agents_own():
    first = TurnOptions(access="read-only", schema={"type": "object"})
    setting = attrs.evolve(SETTING, options=first)  # of the process, which lives on
    held = codex_open.turn(setting, "danger-full-access", "x", first)
    free = codex_open.turn(setting, "danger-full-access", "x", TurnOptions())

    assert (held["sandboxPolicy"]["type"], held["outputSchema"]) == ("readOnly", first.schema)
    assert free["sandboxPolicy"]["type"] == "dangerFullAccess"
    assert "outputSchema" not in free


def test_codex_has_its_tool_for_questions_where_somebody_decides():
    driver = CodexDriver(CodexAgent())

    def asks(approvals):
        argv = driver.launch(attrs.evolve(SETTING, approvals=approvals)).argv
        return "features.default_mode_request_user_input=true" in argv

    assert (asks(True), asks(False)) == (True, False)


def test_codex_begins_a_fork_from_copies_of_all_that_its_origin_had():
    method, params = codex(origin=ORIGIN)

    assert (method, params["threadId"], params["lastTurnId"]) == ("thread/fork", "old", "m")
    assert "lastTurnId" not in codex(origin=attrs.evolve(ORIGIN, marker=""))[1]
    assert codex(origin=ORIGIN, resume=True)[0] == "thread/resume"
    driver = CodexDriver(CodexAgent())
    (copy,) = driver.launch(attrs.evolve(SETTING, origin=ORIGIN)).copies
    assert copy == ("/o/home/.codex/sessions", "/p/home/.codex/sessions")
    assert driver.launch(attrs.evolve(SETTING, origin=ORIGIN, resume=True)).copies == ()


# ---------------------------------------------------------------- claude: what it asks


TOOL = {"subtype": "can_use_tool", "blocked_path": "/b"}


def asked_by_claude(tool, **given) -> ApprovalAsked:
    """The event of a request for a tool."""
    asked = claude_asks.of_request("1", {**TOOL, "tool_name": tool, "input": given})
    assert asked is not None
    return asked


@pytest.mark.parametrize(
    ("tool", "given", "kind", "text", "paths"),
    [
        ("Bash", {"command": "rm x"}, "command", "rm x", ("/b",)),
        ("Write", {"file_path": "/a"}, "edit", "/a", ("/a", "/b")),
        ("NotebookEdit", {"notebook_path": "/n"}, "edit", "/n", ("/n", "/b")),
        ("Grep", {"path": "/b"}, "tool", "/b", ("/b",)),
        ("mcp__a__b", {}, "tool", "/b", ("/b",)),
        ("AskUserQuestion", {"questions": ["odd"]}, "question", "/b", ("/b",)),
    ],
)
def test_what_claude_asks_for(tool, given, kind, text, paths):
    asked = asked_by_claude(tool, **given)

    assert (asked.kind, asked.text, asked.paths, asked.input) == (kind, text, paths, given)


def test_what_claude_gets_for_an_answer():
    asked = asked_by_claude("Bash", command="rm x")

    def answer(**fields):
        return claude_asks.answer(TOOL, asked, Decision(**fields))

    assert answer(allow=True) == {"behavior": "allow", "updatedInput": {"command": "rm x"}}
    assert answer(allow=True, input={"command": "ls"})["updatedInput"] == {"command": "ls"}
    assert answer(allow=False) == {"behavior": "deny", "message": "Refused."}


def test_a_question_of_claude_may_have_several_answers():
    options = [{"label": "a"}, {"label": "b"}, "odd"]
    asked = asked_by_claude(
        "AskUserQuestion",
        questions=[{"question": "Which?", "options": options, "multiSelect": True}],
    )

    assert asked.questions == (
        Question(id="Which?", text="Which?", options=("a", "b"), is_several=True),
    )
    answer = claude_asks.answer(TOOL, asked, Decision(allow=True, answers={"Which?": "a, b"}))
    assert answer["updatedInput"]["answers"] == {"Which?": "a, b"}


def test_a_form_of_an_mcp_server_comes_through_claude():
    schema = {"properties": {"n": {"type": "integer"}}}
    form = {"subtype": "elicitation", "mcp_server_name": "s", "message": "How many?"}
    request = {**form, "requested_schema": schema}
    asked = claude_asks.of_request("1", request)

    assert (asked.tool, asked.kind, asked.text) == ("mcp__s", "question", "How many?")
    assert claude_asks.of_request("1", form).kind == "tool"
    decision = Decision(allow=True, answers={"n": "3"})
    assert claude_asks.answer(request, asked, decision) == {"action": "accept", "content": {"n": 3}}
    refused = claude_asks.answer(request, asked, attrs.evolve(decision, allow=False))
    assert refused == {"action": "decline", "content": None}


# ---------------------------------------------------------------- codex: what it asks


def asked_by_codex(method, item=None, **params) -> ApprovalAsked:
    """The event of a request."""
    asked = codex_asks.of_request(7, method, params, item or {})
    assert asked is not None
    return asked


def verdict(method, decision, **params):
    """What codex gets for a decision."""
    return codex_asks.answer(method, asked_by_codex(method, **params), decision)


YES, NO = Decision(allow=True), Decision(allow=False)
OTHER = Decision(allow=True, input={"command": "ls"})


@pytest.mark.parametrize(
    ("method", "yes", "no"),
    [
        ("item/commandExecution/requestApproval", "accept", "decline"),
        ("item/fileChange/requestApproval", "accept", "decline"),
        ("execCommandApproval", "approved", "denied"),
        ("applyPatchApproval", "approved", "denied"),
    ],
)
def test_what_codex_gets_for_an_answer(method, yes, no):
    assert verdict(method, YES) == {"decision": yes}
    assert verdict(method, NO) == verdict(method, OTHER) == {"decision": no}


def test_what_codex_asks_for():
    item = {"changes": [{"path": "/a"}, {"path": "/b"}, "odd"]}
    edit = asked_by_codex("item/fileChange/requestApproval", item, itemId="i")
    patch = asked_by_codex("applyPatchApproval", fileChanges={"/c": {}})
    command = asked_by_codex("execCommandApproval", command=["rm", "-r", 1, "x"])
    why = asked_by_codex("item/commandExecution/requestApproval", reason="please")

    assert (edit.kind, edit.paths, edit.text, edit.tool) == (
        "edit",
        ("/a", "/b"),
        "/a, /b",
        "fileChange",
    )
    assert edit.input == {"itemId": "i", "changes": item["changes"]}
    assert (patch.kind, patch.paths) == ("edit", ("/c",))
    assert (command.kind, command.text) == ("command", "rm -r x")
    assert why.text == "please"
    assert codex_asks.of_request(1, "account/chatgptAuthTokens/refresh", {}, {}) is None


def test_codex_can_be_granted_less_than_it_asks_for():
    method, wanted = "item/permissions/requestApproval", {"network": {"enabled": True}}

    def granted(decision):
        return verdict(method, decision, permissions=wanted)

    assert granted(YES) == {"permissions": wanted, "scope": "turn"}
    assert granted(NO) == {"permissions": {}, "scope": "turn"}
    assert granted(attrs.evolve(NO, input=wanted)) == {"permissions": {}, "scope": "turn"}
    assert granted(attrs.evolve(YES, input={"network": None}))["permissions"] == {"network": None}


def test_a_question_of_codex_is_answered_by_its_id():
    method = "item/tool/requestUserInput"
    questions = [
        {
            "id": "c",
            "question": "Which?",
            "isOther": False,
            "isSecret": True,
            "options": [{"label": "a"}, "odd"],
        },
        {"id": "d", "question": "Why?", "isOther": True, "options": None},
        "odd",
    ]
    asked = asked_by_codex(method, questions=questions)

    assert (asked.kind, asked.text, asked.tool) == ("question", "Which?\nWhy?", "requestUserInput")
    assert asked.questions == (
        Question(id="c", text="Which?", options=("a",), is_open=False, is_secret=True),
        Question(id="d", text="Why?"),
    )
    decision = Decision(allow=True, answers={"c": "a", "x": "?"})
    assert codex_asks.answer(method, asked, decision) == {
        "answers": {"c": {"answers": ["a"]}, "d": {"answers": []}}
    }
    refused = codex_asks.answer(method, asked, attrs.evolve(decision, allow=False))
    assert refused == {"answers": {"c": {"answers": []}, "d": {"answers": []}}}


ELICITATION = "mcpServer/elicitation/request"


def test_codex_asks_for_a_servers_tool_by_the_tools_own_name():
    meta = {"codex_approval_kind": "mcp_tool_call", "tool_name": "t", "tool_params": {"x": 1}}
    params = {"serverName": "s", "_meta": meta, "message": "Allow it?"}
    asked = asked_by_codex(ELICITATION, **params)

    assert (asked.tool, asked.input, asked.kind) == ("mcp__s__t", {"x": 1}, "tool")
    assert asked.text == "Allow it?"
    accepted = {"action": "accept", "content": {}, "_meta": None}
    declined = {"action": "decline", "content": None, "_meta": None}
    assert verdict(ELICITATION, YES, **params) == accepted
    assert verdict(ELICITATION, NO, **params) == declined
    assert verdict(ELICITATION, OTHER, **params) == declined


def test_a_form_of_an_mcp_server_is_answered_in_its_types():
    fields = {
        "yes": {"type": "boolean", "title": "Sure?"},
        "count": {"type": "integer", "description": "How many?"},
        "share": {"type": "number"},
        "name": {"type": "string"},
        "colour": {"type": "string", "enum": ["red", "blue"]},
        "sizes": {"type": "array", "items": {"enum": ["s", "m"]}},
        "odd": {"type": "integer"},
        "unsure": {"type": "boolean"},
    }
    params = {"serverName": "s", "message": "Tell me", "requestedSchema": {"properties": fields}}
    asked = asked_by_codex(ELICITATION, **params)

    assert (asked.kind, asked.tool, asked.text) == ("question", "mcp__s", "Tell me")
    texts = {question.id: question.text for question in asked.questions}
    assert (texts["yes"], texts["count"], texts["name"]) == ("Sure?", "How many?", "name")
    assert asked.questions[4].options == ("red", "blue")
    assert (asked.questions[5].options, asked.questions[5].is_several) == (("s", "m"), True)
    answers = {
        "yes": "True",
        "count": " 3",
        "share": "0.5",
        "name": "3",
        "colour": "red",
        "sizes": "s, m",
        "odd": "many",
        "unsure": "1",
    }
    answer = codex_asks.answer(ELICITATION, asked, Decision(allow=True, answers=answers))
    assert answer["content"] == {
        "yes": True,
        "count": 3,
        "share": 0.5,
        "name": "3",
        "colour": "red",
        "sizes": ["s", "m"],
        "odd": "many",
        "unsure": "1",
    }
    given = Decision(allow=True, input={"count": 4})
    assert codex_asks.answer(ELICITATION, asked, given)["content"] == {"count": 4}


# ---------------------------------------------------------------- codex: what it says


def test_codex_says_which_files_it_changed():
    changes = [
        {"path": "/a", "kind": {"type": "add"}},
        {"path": "/b", "kind": {"type": "delete"}},
        {"path": "/c", "kind": {"type": "update", "move_path": None}},
        {"path": "/d", "kind": {"type": "update", "move_path": "/e"}},
        "odd",
    ]
    item = {"type": "fileChange", "id": "i", "changes": changes, "status": "completed"}
    _, *events = of_completed(item)

    assert events == [
        FileChange(path="/a", kind="created"),
        FileChange(path="/b", kind="deleted"),
        FileChange(path="/c", kind="modified"),
        FileChange(path="/d", kind="deleted"),
        FileChange(path="/e", kind="created"),
    ]
    assert len(of_completed({**item, "status": "declined"})) == 1


@pytest.mark.parametrize(
    ("account", "word"),  # both versions, with these variables set
    [
        ({"tokenSource": "none", "apiKeySource": "ANTHROPIC_API_KEY"}, "ANTHROPIC_API_KEY"),
        ({"tokenSource": "CLAUDE_CODE_OAUTH_TOKEN"}, "CLAUDE_CODE_OAUTH_TOKEN"),
        (
            {"tokenSource": "CLAUDE_CODE_OAUTH_TOKEN", "apiKeySource": "ANTHROPIC_API_KEY"},
            "ANTHROPIC_API_KEY",
        ),
        ({"tokenSource": "none"}, ""),
    ],
)
def test_claude_says_which_credential_it_uses(account, word):
    assert claude_read.credential_of(account) == word


def test_codex_says_which_account_it_uses():
    assert credential_of({"type": "apiKey"}) == "apiKey"
    assert credential_of({"type": "chatgpt", "planType": "plus"}) == "chatgpt/plus"
    assert credential_of({}) == ""


def test_codex_says_its_account_whenever_it_comes():
    def account(talk, number=b"account"):
        return talk.receive(b'{"id":"account","result":{"account":{"type":"apiKey"}}}\n')

    early, late = (CodexDriver(CodexAgent()).conversation(SETTING) for _ in range(2))
    for talk in (early, late):
        talk.receive(b'{"id":1,"result":{}}\n')
    assert account(early)[0].kind == "answer"
    opened = [talk.receive(b'{"id":2,"result":{"thread":{"id":"th"}}}\n') for talk in (early, late)]

    assert [events[0].credential for events in opened] == ["apiKey", ""]
    (again,) = account(late)
    assert again == attrs.evolve(opened[1][0], credential="apiKey")


@pytest.mark.parametrize(
    ("result", "change"),
    [
        ({"filePath": "/a", "type": "create", "structuredPatch": []}, "created"),
        ({"filePath": "/a", "structuredPatch": []}, "modified"),
        ({"filePath": "/a", "oldString": "x"}, "modified"),
        ({"notebook_path": "/a"}, "modified"),
        ({"notebook_path": "/a", "error": "no"}, None),
        ({"filePath": "/a"}, None),
        ({"type": "text", "file": {"filePath": "/a"}}, None),
    ],
)
def test_claude_says_which_file_a_tool_changed(result, change):
    talk = ClaudeDriver(ClaudeAgent()).conversation(SETTING)
    content = [{"type": "tool_result", "tool_use_id": "1", "content": "ok"}]
    said = {"type": "user", "message": {"content": content}, "tool_use_result": result}
    _, *events = talk.receive(json.dumps(said).encode() + b"\n")

    assert events == ([FileChange(path="/a", kind=change)] if change else [])
