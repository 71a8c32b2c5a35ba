"""The model server, by clients of both APIs, streaming and not."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import trio

from runner.testing.model.server import ModelServer
from runner.testing.model_server import Served, main, model_server_thread, open_model_server

PLAIN = "I have read the prompt; no directive in it is for me."
RUNS = {
    "anthropic": lambda command: (
        "Bash",
        {"command": command, "description": "As the prompt says", "timeout": 600_000},
    ),
    "openai": lambda command: ("exec_command", {"cmd": command, "yield_time_ms": 30_000}),
}


# ---------------------------------------------------------------- what is said


def test_without_directives_the_answer_is_a_plain_sentence(client: Any) -> None:
    got = client.post("hello there!")

    assert client.text(got) == PLAIN
    assert client.usage(got) == (100, 10)


def test_what_is_said_comes_in_its_order(client: Any) -> None:
    got = client.post("!say one\n!fill 3\nand\n!say <<END\ntwo\nthree\nEND\n!say")

    assert client.text(got) == "one|xxx|two\nthree|"


def test_a_stream_has_every_text_in_pieces(connect: Callable[..., Any], api: str) -> None:
    got = connect(api).post("!say hello world")

    deltas = [data["delta"] for kind, data in got.events if kind.endswith("delta")]
    texts = [delta if api == "openai" else delta.get("text") for delta in deltas]
    assert got.headers["content-type"] == "text/event-stream"
    assert texts[:2] == ["hello ", "world"]


def test_reasoning_is_no_text(client: Any) -> None:
    got = client.post("!think deep\n!say thought")

    whole = client.whole(got)
    first = whole["content" if client.api == "anthropic" else "output"][0]
    assert client.text(got) == "thought"
    assert first["type"] == {"anthropic": "thinking", "openai": "reasoning"}[client.api]
    assert "deep" in json.dumps(first)


def test_earlier_prompts_are_recalled(client: Any) -> None:
    client.post("one")
    client.history.append({"role": "assistant", "content": "some answer"})
    client.post("two\nlines")

    assert client.text(client.post("!recall")) == "one\ntwo\nlines"
    assert client.text(client.post("!recall 1")) == "!recall"


def test_a_summary_has_every_prompt_quoted_so_that_none_is_played_again(client: Any) -> None:
    client.post("one\n!say x")
    client.post("!fail 500")
    got = client.post("Your task is to create a detailed summary of the conversation so far.")

    assert client.text(got) == "> one\n> !say x\n> !fail 500"


def test_prompts_that_claude_has_joined_are_told_apart(connect: Callable[..., Any]) -> None:
    client = connect("anthropic")
    texts = ["<system-reminder>x</system-reminder>", "one\n", "!recall"]
    content = [{"type": "text", "text": text} for text in texts]
    client.history.append({"role": "user", "content": content})

    assert client.text(client.post()) == "one"


def test_what_the_programs_put_into_the_users_role_is_no_prompt(client: Any) -> None:
    client.post("!say mine")
    for text in (
        "<system-reminder>\n!say theirs\n</system-reminder>",
        "<environment_context>!say theirs</environment_context>",
        "# AGENTS.md instructions for /x\n!say theirs",
        "[Request interrupted by user]",
        "Continue from where you left off.",
        " ",
    ):
        client.history.append({"role": "user", "content": text})

    assert client.text(client.post()) == "mine"


def test_usage_and_stop_are_those_of_the_answer_they_stand_in(client: Any) -> None:
    got = client.post("!usage input=1 output=2 cached=3 cache-write=4\n!run a\n!usage input=7")

    usage = client.whole(got)["usage"]
    if client.api == "anthropic":
        assert usage == {
            "input_tokens": 1,
            "output_tokens": 2,
            "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": 4,
        }
    else:
        assert usage["input_tokens"] == 4  # with the cached ones
        assert usage["input_tokens_details"] == {"cached_tokens": 3}
        assert (usage["output_tokens"], usage["total_tokens"]) == (2, 6)
    assert client.usage(client.answer_call(got, "")) == (7, 0)


def test_a_stop_reason_is_given_as_each_api_says_it(client: Any) -> None:
    whole = client.whole(client.post("!stop max_tokens\n!say cut"))

    if client.api == "anthropic":
        assert whole["stop_reason"] == "max_tokens"
    else:
        assert whole["status"] == "incomplete"
        assert whole["incomplete_details"] == {"reason": "max_output_tokens"}


# ---------------------------------------------------------------- what is called


def test_each_tool_call_is_an_answer_and_its_result_asks_for_the_next(client: Any) -> None:
    first = client.post("!say a\n!run one\n!say b\n!run two\n!say c")
    second = client.answer_call(first, "1")
    last = client.answer_call(second, "2")

    run = RUNS[client.api]
    assert client.call(first) == run("one")
    assert client.call(second) == run("two")
    assert [client.text(got) for got in (first, second, last)] == ["a", "b", "c"]


def test_after_calls_without_words_it_is_done(client: Any) -> None:
    got = client.answer_call(client.post("!run one"), "")

    assert client.text(got) == "Done."


def test_the_results_of_earlier_prompts_do_not_count(client: Any) -> None:
    client.answer_call(client.post("!run one"), "")
    got = client.post("!run two\n!say end")

    assert client.call(got) == RUNS[client.api]("two")
    assert client.text(client.answer_call(got, "")) == "end"


def test_a_request_that_is_repeated_gets_the_same(client: Any) -> None:
    first = client.post("!run one\n!say end")
    again = client.post()

    assert client.call(first) == client.call(again)


def test_a_file_is_written_by_a_tool_or_by_a_command(connect: Callable[..., Any]) -> None:
    prompt = "!write a b/c.txt: it's"
    command = "mkdir -p './a b' && printf %s 'it'\"'\"'s\n' > './a b/c.txt'"

    claude = connect("anthropic")
    assert claude.call(claude.post(prompt)) == (
        "Write",
        {"file_path": "a b/c.txt", "content": "it's\n"},
    )
    for api in ("anthropic", "openai"):
        client = connect(
            api, tools=[{"type": "function", "name": "Bash"}] if api == "anthropic" else None
        )
        assert client.call(client.post(prompt)) == RUNS[api](command)


def test_claude_reads_a_file_before_it_is_overwritten(connect: Callable[..., Any]) -> None:
    client = connect("anthropic")
    refused = "<tool_use_error>File has not been read yet. Read it first.</tool_use_error>"

    first = client.post("!write a.txt: x\n!say end")
    look = client.answer_call(first, refused)
    again = client.answer_call(look, "1: old")
    last = client.answer_call(again, "ok")

    assert client.call(look) == ("Read", {"file_path": "a.txt"})
    assert client.call(again) == client.call(first)
    assert client.text(last) == "end"


def test_a_file_that_cannot_be_read_first_is_given_up(connect: Callable[..., Any]) -> None:
    refused = "File has not been read yet"
    client = connect("anthropic")
    again = client.answer_call(client.answer_call(client.post("!write a: x"), refused), "error")
    assert client.text(client.answer_call(again, refused)) == "Done."

    without_read = connect("anthropic", tools=[{"name": "Write"}])
    again = without_read.answer_call(without_read.post("!write a: x"), refused)
    assert without_read.call(again)[0] == "Write"


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ({"type": "function", "name": "shell_command"}, {"command": "ls"}),
        ({"type": "function", "name": "shell"}, {"command": ["bash", "-lc", "ls"]}),
    ],
)
def test_older_codex_has_other_shells(
    connect: Callable[..., Any], tool: dict[str, str], given: dict[str, object]
) -> None:
    client = connect("openai", tools=[tool])

    assert client.call(client.post("!run ls")) == (tool["name"], given)


PATCH = "*** Begin Patch\n*** Add File: a\n+1\n+\n+2\n*** End Patch\n"


def test_codex_writes_by_a_patch_where_it_can(connect: Callable[..., Any]) -> None:
    client = connect("openai", tools=[{"type": "custom", "name": "apply_patch"}])
    got = client.post(r"!write a: 1\n\n2" + "\n!say end")

    assert client.call(got) == ("apply_patch", PATCH)
    assert client.text(client.answer_call(got, "ok")) == "end"


def test_codex_with_scripts_gets_scripts(connect: Callable[..., Any]) -> None:
    client = connect("openai", tools=[{"type": "function", "name": "other"}])
    tools = [{"type": "custom", "name": "exec"}, {"type": "function", "name": "wait"}]
    client.history.append(
        {
            "type": "additional_tools",
            "tools": [{"type": "namespace", "name": "functions", "tools": tools}],
        }
    )

    first = client.post(r"!write a: 1\n\n2" + "\n!run ls\n!say end")
    second = client.answer_call(first, "ok")
    waits = client.answer_call(second, "Script running with cell ID 7\n")
    # notify() gives a second output for one call; it does not count
    client.history.append(
        {
            "type": "custom_tool_call_output",
            "call_id": client.whole(first)["output"][-1]["call_id"],
            "output": [{"type": "input_text", "text": "more"}],
        }
    )
    last = client.answer_call(waits, "done")

    assert client.call(first) == ("exec", f"text(await tools.apply_patch({json.dumps(PATCH)}));\n")
    name, script = client.call(second)
    assert name == "exec"
    assert 'tools.exec_command({"cmd": "ls"' in script
    assert client.call(waits) == ("wait", {"cell_id": "7", "yield_time_ms": 30_000})
    assert client.text(last) == "end"


def test_a_command_that_runs_on_is_waited_for(connect: Callable[..., Any]) -> None:
    tools = [{"type": "function", "name": name} for name in ("exec_command", "write_stdin")]
    client = connect("openai", tools=tools)
    running = "Process running with session ID 12\nOutput:\n"

    first = client.post("!run sleep 60\n!say end")
    polled = client.answer_call(first, running)
    again = client.answer_call(polled, running)
    last = client.answer_call(again, "Process exited with code 0")

    poll = ("write_stdin", {"session_id": 12, "chars": "", "yield_time_ms": 30_000})
    assert client.call(polled) == client.call(again) == poll
    assert client.text(last) == "end"


def test_any_declared_tool_can_be_called(connect: Callable[..., Any]) -> None:
    claude = connect("anthropic", tools=[{"name": "Glob"}])
    assert claude.call(claude.post('!tool Glob {"pattern": "*"}')) == ("Glob", {"pattern": "*"})

    inner = [{"type": "function", "name": "spawn"}]
    tools = [
        {"type": "custom", "name": "free"},
        {"type": "namespace", "name": "team", "tools": inner},
        {"type": "web_search"},
    ]
    codex = connect("openai", tools=tools)
    assert codex.call(codex.post('!tool free {"input": "text"}')) == ("free", "text")
    got = codex.post('!tool spawn {"a": 1}')
    assert codex.call(got) == ("spawn", {"a": 1})
    assert codex.whole(got)["output"][-1]["namespace"] == "team"


def test_a_step_without_a_tool_for_it_is_said_and_passed(
    connect: Callable[..., Any], api: str
) -> None:
    client = connect(api, tools=[{"type": "function", "name": "Other"}])

    for step in ("!run x", "!write a: x", "!tool Glob"):
        said = client.text(client.post(f"{step}\n!say end"))
        assert said.startswith("No tool that I know is declared for: ")
        assert said.endswith("|end")


def test_what_only_a_program_can_do_is_said_so(client: Any) -> None:
    got = client.post("!exit 3\n!spawn x\n!stderr x\n!line x\n!cost 1\n!say end")

    assert client.text(got).count("Only a ScriptedAgent can do this") == 5
    assert client.text(got).endswith("|end")


# ---------------------------------------------------------------- what fails


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "invalid_api_key"),
        (402, "billing_error", "insufficient_quota"),
        (403, "permission_error", "permission_denied"),
        (404, "not_found_error", "not_found"),
        (413, "request_too_large", "context_length_exceeded"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (500, "api_error", "server_error"),
        (503, "api_error", "server_is_overloaded"),
        (529, "overloaded_error", "server_is_overloaded"),
        (599, "api_error", "server_error"),
    ],
)
def test_a_failure_has_its_status_and_the_words_of_the_api(
    client: Any, status: int, kind: str, code: str
) -> None:
    got = client.post(f"!fail {status} because")

    assert got.status == status
    error = got.json["error"]
    assert error["message"] == "because"
    assert (error["type"] if client.api == "anthropic" else error["code"]) == (
        kind if client.api == "anthropic" else code
    )
    assert "retry-after" not in got.headers


def test_a_failure_can_name_the_delay_and_its_own_type(client: Any) -> None:
    got = client.post("!fail 429 retry-after=2.5 type=odd_error")

    error = got.json["error"]
    assert got.headers["retry-after"] == "2.5"
    assert error["type" if client.api == "anthropic" else "code"] == "odd_error"


def test_a_failure_can_say_when_a_limit_of_the_account_is_over(client: Any) -> None:
    before = int(time.time())
    got = client.post("!fail 429 resets=300 slow down")

    name = {
        "anthropic": "anthropic-ratelimit-unified-reset",
        "openai": "x-codex-primary-reset-at",
    }[client.api]
    assert before + 300 <= int(got.headers[name]) <= time.time() + 301
    assert "retry-after" not in got.headers
    if client.api == "openai":
        assert got.json["error"]["type"] == "usage_limit_reached"
        assert got.json["error"]["resets_at"] == int(got.headers[name])


def test_a_failure_is_played_so_many_times_and_then_the_rest(client: Any) -> None:
    got = [client.post("!fail 529 times=2\n!say through")]
    got += [client.post(), client.post(), client.post()]

    assert [each.status for each in got] == [529, 529, 200, 200]
    assert client.text(got[-1]) == "through"
    assert client.post("!fail 529 times=2\n!say through!").status == 529  # counted apart


def test_a_failure_after_words_comes_in_the_stream(connect: Callable[..., Any], api: str) -> None:
    got = connect(api).post("!say words\n!fail overloaded")

    kind, data = got.events[-1]
    assert got.status == 200
    assert not got.cut
    if api == "anthropic":
        assert (kind, data["error"]["type"]) == ("error", "overloaded_error")
    else:
        assert kind == "response.failed"
        assert data["response"]["error"]["code"] == "server_is_overloaded"


def test_a_too_long_prompt_is_said_as_each_api_says_it(client: Any) -> None:
    got = client.post("!fail context_overflow")

    if client.api == "openai" and client.stream:
        assert got.events[-1][1]["response"]["error"]["code"] == "context_length_exceeded"
    else:
        assert got.status == 400
        assert "too long" in got.json["error"]["message"]


def test_a_dropped_answer_ends_in_the_middle(client: Any, model_server: Served) -> None:
    got = client.post("!drop times=1\n!say whole")

    assert got.cut
    assert got.body
    assert b"message_stop" not in got.body
    assert b"response.completed" not in got.body
    assert client.text(client.post()) == "whole"
    assert [record.outcome for record in model_server.requests] == ["dropped", "answered"]


def test_a_reset_connection_has_no_answer(client: Any, model_server: Served) -> None:
    with pytest.raises(ConnectionResetError):
        client.post("!reset times=1\n!say whole")

    client.connection.close()
    assert client.text(client.post()) == "whole"
    assert [record.status for record in model_server.requests] == [0, 200]


def test_a_malformed_answer_is_not_the_protocol(client: Any) -> None:
    got = client.post("!malformed times=1\n!say whole")

    assert got.status == 200
    assert not got.cut
    assert got.body == b"data: {this is not the protocol\n\n"
    client.connection.close()
    assert client.text(client.post()) == "whole"


def test_a_stream_can_turn_to_garbage_after_words(connect: Callable[..., Any], api: str) -> None:
    got = connect(api).post("!say words\n!malformed")

    assert got.body.count(b"words") or got.body.count(b"wor")
    assert got.body.endswith(b"data: {this is not the protocol\n\n")


def wait_outcomes(server: Served, expected: list[str]) -> None:
    deadline = time.monotonic() + 20
    while [record.outcome for record in server.requests] != expected:
        assert time.monotonic() < deadline, server.requests
        time.sleep(0.001)


def test_a_stalled_answer_begins_and_does_not_go_on(client: Any, model_server: Served) -> None:
    client.connection.timeout = 0.2
    with pytest.raises(TimeoutError):
        client.post("!stall times=1\n!say whole")

    assert [record.status for record in model_server.requests] == [200]
    client.connection.close()
    wait_outcomes(model_server, ["gone"])
    client.connection.timeout = 20
    assert client.text(client.post()) == "whole"


@pytest.mark.parametrize("step", ["!hang", "!sleep 3600"])
def test_a_hanging_server_sends_nothing_at_all(
    client: Any, model_server: Served, step: str
) -> None:
    client.connection.timeout = 0.2
    with pytest.raises(TimeoutError):
        client.post(step)

    assert [(record.status, record.outcome) for record in model_server.requests] == [(0, "open")]
    client.connection.close()
    wait_outcomes(model_server, ["gone"])


def test_a_client_that_leaves_in_the_middle_of_an_answer_is_noted(
    client: Any, model_server: Served
) -> None:
    host, port = model_server.url.removeprefix("http://").split(":")
    stream = "true" if client.stream else "false"
    key = "messages" if client.api == "anthropic" else "input"
    path = {"anthropic": "/v1/messages", "openai": "/v1/responses"}[client.api]
    message = '[{"role": "user", "content": "!fill 30000000"}]'
    body = f'{{"stream": {stream}, "{key}": {message}}}'.encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(head + body)
        assert sock.recv(1)

    wait_outcomes(model_server, ["gone"])


def test_an_answer_can_take_its_time(client: Any) -> None:
    started = time.monotonic()
    got = client.post("!sleep 0.2\n!say late")

    assert client.text(got) == "late"
    assert time.monotonic() - started >= 0.2


def test_a_request_that_comes_during_an_answer_waits_for_its_turn(
    client: Any, model_server: Served
) -> None:
    host, port = model_server.url.removeprefix("http://").split(":")
    key = "messages" if client.api == "anthropic" else "input"
    path = {"anthropic": "/v1/messages", "openai": "/v1/responses"}[client.api]
    body = json.dumps({key: [{"role": "user", "content": "!sleep 0.2\n!say first"}]}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        sock.sendall(head + body)
        wait_outcomes(model_server, ["open"])
        sock.sendall(b"GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b"".join(iter(lambda: sock.recv(1 << 16), b""))

    assert answers.startswith(b"HTTP/1.1 200 OK")
    assert answers.index(b"first") < answers.index(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[1]", "no JSON object"),
        (b"{}", "no list of objects"),
        (b'{"messages": [1], "input": [1]}', "no list of objects"),
    ],
)
def test_a_body_that_is_no_request_is_a_400_that_says_why(
    client: Any, body: bytes, said: str
) -> None:
    path = {"anthropic": "/v1/messages", "openai": "/v1/responses"}[client.api]
    got = client.raw("POST", path, body)

    assert got.status == 400
    assert said in got.json["error"]["message"]


def test_contents_that_are_none_are_a_400(client: Any) -> None:
    for content in (1, [1], None):
        client.history = [{"role": "user", "content": content}]
        assert client.post().status == 400

    client.history = [{"role": "robot", "content": "x"}]
    assert client.post().status == (400 if client.api == "anthropic" else 200)


def test_a_compressed_body_is_refused(client: Any) -> None:
    path = {"anthropic": "/v1/messages", "openai": "/v1/responses"}[client.api]
    got = client.raw("POST", path, b"{}", **{"Content-Encoding": "zstd"})

    assert got.status == 400
    assert "compressed" in got.json["error"]["message"]


def test_an_unknown_directive_is_a_400_that_lists_the_known(client: Any) -> None:
    got = client.post("!sya hello")

    assert got.status == 400
    assert "unknown directive !sya" in got.json["error"]["message"]


# ---------------------------------------------------------------- the pages and the log


def test_the_other_pages(connect: Callable[..., Any]) -> None:
    client = connect("anthropic")

    assert client.raw("GET", "/v1/models").json["data"][0]["id"] == "stub"
    assert client.raw("GET", "/").status == 200
    assert client.raw("GET", "/nowhere").status == 404
    assert client.raw("GET", "/v1/messages").status == 405
    assert client.raw("DELETE", "/").status == 405
    counted = client.raw("POST", "/v1/messages/count_tokens?beta=true", b'{"messages": []}')
    assert counted.json == {"input_tokens": 100}


def test_openai_takes_a_bare_text_as_input(connect: Callable[..., Any]) -> None:
    client = connect("openai", stream=False)
    got = client.raw("POST", "/v1/responses", b'{"input": "!say hi"}')

    assert client.text(got) == "hi"


def test_the_log_says_what_was_asked_and_never_a_key(
    connect: Callable[..., Any], model_server: Served
) -> None:
    client = connect("anthropic", stream=False)
    body = b'{"model": "m1", "messages": [{"role": "user", "content": "!fail 401"}]}'
    headers = {"X-Claude-Code-Session-Id": "s1"}
    client.raw("POST", "/v1/messages", body, **{"x-api-key": "SECRET-1", **headers})
    client.raw("POST", "/v1/responses", b"{}", authorization="Bearer SECRET-2")
    page = client.raw("GET", "/requests").json["requests"]

    first, second = model_server.requests[:2]
    assert (first.method, first.path, first.api) == ("POST", "/v1/messages", "anthropic")
    assert (first.auth, first.session, first.model) == ("x-api-key", "s1", "m1")
    assert (first.prompt, first.status, first.outcome) == ("!fail 401", 401, "failed")
    assert (second.api, second.auth, second.status) == ("openai", "authorization", 400)
    assert page[:2] == [record.as_dict() for record in (first, second)]
    assert "SECRET" not in repr(model_server.requests) + json.dumps(page)


# ---------------------------------------------------------------- many, and the end


@pytest.mark.parametrize("attempt", range(3))
def test_fifty_clients_at_once_get_each_their_own(
    connect: Callable[..., Any], model_server: Served, attempt: int
) -> None:
    apis = ["anthropic", "openai"]
    clients = [connect(apis[n % 2], stream=n % 3 == 0) for n in range(50)]
    said: dict[int, str] = {}

    def talk(number: int) -> None:
        client = clients[number]
        got = client.post(f"!run {number}\n!fail 529 times=1\n!say {number} of {attempt}")
        got = client.answer_call(got, "")
        assert got.status == 529
        said[number] = client.text(client.post())

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert said == {number: f"{number} of {attempt}" for number in range(50)}
    assert len(model_server.requests) == 150


async def test_a_server_in_the_callers_own_trio_answers_while_it_runs() -> None:
    async with open_model_server() as server:
        host, port = server.url.removeprefix("http://").split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        async with stream:
            await stream.send_all(b"HEAD / HTTP/1.0\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 OK")

    with pytest.raises(OSError, match="connect"):
        await trio.open_tcp_stream(host, int(port))


async def test_closing_ends_the_server_and_not_its_user() -> None:
    async with open_model_server() as server:
        host, port = server.url.removeprefix("http://").split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(b"GET ")
        server.close()
        server.close()
        with trio.fail_after(20):
            with pytest.raises(trio.BrokenResourceError):
                while await stream.receive_some():
                    pass
                raise trio.BrokenResourceError
        await stream.aclose()
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream(host, int(port))


async def test_an_error_of_its_user_comes_out_bare() -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_model_server():
            _ = 1 / 0


def test_the_thread_ends_with_connections_open_and_answers_owed() -> None:
    before = threading.active_count()
    with model_server_thread() as server:
        host, port = server.url.removeprefix("http://").split(":")
        sock = socket.create_connection((host, int(port)), timeout=20)
        body = b'{"messages": [{"role": "user", "content": "!hang"}]}'
        sock.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        wait_outcomes(server, ["open"])

    with sock:
        assert sock.recv(1) == b""
    assert threading.active_count() == before
    server.close()  # once more does nothing


def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with model_server_thread() as server:
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"), model_server_thread(port=port):
            pass


def test_it_listens_on_the_loopback_address_only(model_server: Served) -> None:
    port = int(model_server.url.rsplit(":", 1)[1])
    with open("/proc/net/tcp") as table, open("/proc/net/tcp6") as table6:
        rows = [line.split() for line in [*table, *table6]]
    listening = [row[1] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"]

    assert listening == [f"0100007F:{port:04X}"]


def test_programs_are_pointed_at_it(model_server: Served) -> None:
    env = model_server.claude_env()
    config = model_server.codex_config(request_max_retries=0, stream_max_retries=7)

    assert env["ANTHROPIC_BASE_URL"] == model_server.url
    assert f'base_url = "{model_server.url}/v1"' in config
    assert "request_max_retries = 0\nstream_max_retries = 7\n" in config
    assert f'env_key = "{next(iter(model_server.codex_env()))}"' in config


# ---------------------------------------------------------------- as a program


def start(*args: str, stdin: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "runner.testing.model_server", *args]
    return subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, text=True)


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    return line.split()[-1]


def test_as_a_program_it_serves_until_its_input_ends() -> None:
    with start("--print-url", stdin=subprocess.PIPE) as process:
        url = url_of(process)
        assert process.stdin is not None
        process.stdin.write("anything\n")
        process.stdin.flush()
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200
        process.stdin.close()

        assert process.wait(20) == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_a_program_without_input_it_serves_until_a_signal(number: int) -> None:
    with start(stdin=subprocess.DEVNULL) as process:
        url = url_of(process)
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200
        process.send_signal(number)

        assert process.wait(20) == 0


def test_as_a_program_it_can_begin_with_its_input_closed() -> None:
    argv = ["sh", "-c", 'exec "$0" -m runner.testing.model_server <&-', sys.executable]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        with urllib.request.urlopen(url_of(process)) as answer:
            assert answer.status == 200
        process.terminate()

        assert process.wait(20) == 0


def test_as_a_program_it_takes_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with start("--port", str(port), stdin=subprocess.PIPE) as process:
        assert url_of(process) == f"http://127.0.0.1:{port}"
        process.communicate()


def test_the_options_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    assert "--print-url" in capsys.readouterr().out


async def test_a_client_that_says_nonsense_and_leaves_is_noted_as_gone() -> None:
    near, far = trio.socket.socketpair()
    await far.send(b"nonsense\r\n\r\n")
    far.close()
    server = ModelServer()
    with trio.fail_after(10):
        await server.serve(trio.SocketStream(near))

    assert [(record.status, record.outcome) for record in server.requests] == [(400, "gone")]


@pytest.mark.parametrize("port", ["65536", "99999", "-1", "x"])
def test_a_port_that_there_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], port: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--port", port])

    assert "argument --port" in capsys.readouterr().err
