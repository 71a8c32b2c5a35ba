"""Servers of tools that a session is given: their secrets, their lives, and who cannot take them."""

from __future__ import annotations

import http.server
import json
import shutil
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import trio

import runner
from runner import AgentUnavailable, ConfigError, McpServer, Secret
from runner.agents.driver import Agent, ClaudeAgent, CodexAgent, CommandAgent
from runner.agents.events import ServerFailed, ToolResult
from runner.config import load_record
from runner.jobs.prepare import prepare
from runner.jobs.spec import Batch
from runner.sessions.credentials import Blanks

CANARY = 'c4n4ry-"0x"-\\value-7f3e'
KINDS = ("claude", "codex")

ANSWER = r"""
import json, os, sys

def answer(asked, secret):
    given = asked.get("params", {})
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    known = {
        "initialize": {
            "protocolVersion": given.get("protocolVersion"),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "probe", "version": "1"},
        },
        "tools/list": {
            "tools": [{"name": "shout", "description": "shouts", "inputSchema": schema}]
        },
        "tools/call": {
            "content": [{
                "type": "text",
                "text": given.get("arguments", {}).get("text", "").upper() + secret,
            }]
        },
    }.get(asked["method"])
    said = {"jsonrpc": "2.0", "id": asked["id"]}
    return said | ({"error": {"code": -32601, "message": "no"}} if known is None
                   else {"result": known})
"""
STDIO = (
    ANSWER
    + r"""
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        secret = f" {len(os.environ.get('TOKEN', ''))} {os.environ.get('TOKEN', '')}"
        print(json.dumps(answer(asked, secret)), flush=True)
"""
)


@pytest.fixture
def token() -> str:
    """What only the server's command line has."""
    return f"token-{uuid.uuid4().hex}"


@pytest.fixture
def stdio(tmp_path: Path, token: str) -> Callable[..., McpServer]:
    """A small real server."""
    (tmp_path / "server.py").write_text(STDIO)
    command = (sys.executable, str(tmp_path / "server.py"), token)
    return lambda **env: McpServer(name="probe", command=command, env=env)


def shown(word: str) -> list[int]:
    """The living processes in whose command lines a word stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def kept(word: str, *roots: Path) -> list[str]:
    """The files below some directories in which a word stands, also as JSON has it."""
    forms = (word.encode(), json.dumps(word)[1:-1].encode())
    return [
        str(path)
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    ]


# ---------------------------------------------------------------- refused before anything is started


@pytest.mark.parametrize(
    "agent", ["shell", CommandAgent(argv=("cat",)), CodexAgent(protocol="exec")]
)
async def test_an_agent_that_takes_no_servers_refuses_them(
    tmp_path: Path, work: Path, stdio: Callable[..., McpServer], agent: Agent | str
) -> None:
    made = runner.make_session(work, agent=agent, servers=[stdio()], state=tmp_path / "state")
    with pytest.raises(AgentUnavailable, match=r"takes no MCP servers: probe"):
        async with made:
            raise AssertionError

    async with runner.open_runner(state=tmp_path / "state") as r:
        with pytest.raises(AgentUnavailable, match=r"takes no MCP servers: probe"):
            r.session(r.scope(work), agent, servers=[stdio()])


async def test_two_of_one_name_are_refused_also_if_one_is_of_the_agents_record(
    tmp_path: Path, work: Path, stdio: Callable[..., McpServer]
) -> None:
    async with runner.open_runner(state=tmp_path / "state") as r:
        for agent, servers in (
            (ClaudeAgent(), [stdio(), stdio()]),
            (ClaudeAgent(servers=(stdio(),)), [stdio()]),
        ):
            with pytest.raises(ConfigError, match="two MCP servers of the name 'probe'"):
                r.session(r.scope(work), agent, servers=servers)


async def test_a_secret_of_a_server_that_cannot_be_had_keeps_the_turn_from_beginning(
    tmp_path: Path, work: Path, stdio: Callable[..., McpServer]
) -> None:
    server = stdio(TOKEN=Secret(env="NO_SUCH"))
    agent = ClaudeAgent(program=shutil.which("sleep") or "")
    made = runner.make_session(work, agent=agent, servers=[server], state=tmp_path / "state")
    async with made as session:
        said = "TOKEN in the env of the server 'probe': the variable NO_SUCH is not set"
        with pytest.raises(AgentUnavailable, match=said):
            await session.send("hi")
        assert session.statistics().pid is None


def test_a_blank_is_in_no_word_what_it_stands_for(stdio: Callable[..., McpServer]) -> None:
    servers = (stdio(A="plain", B=Secret(env="X")),)
    (left,) = Blanks().leave(servers)
    (again,) = Blanks().leave(servers)

    assert "plain" == left.env["A"]
    assert isinstance(left.env["B"], str)
    assert left.env["B"] != again.env["B"]
    assert left.command == servers[0].command


# ---------------------------------------------------------------- in files of the user


def test_servers_are_read_from_an_agents_file(tmp_path: Path) -> None:
    for kind in ("claude", "codex"):
        (tmp_path / "a.toml").write_text(
            f'kind = "{kind}"\n[[servers]]\nname = "gh"\ncommand = ["gh-mcp", "--x"]\n'
            'env = { TOKEN = { env = "GH" }, MODE = "ro" }\n'
            '[[servers]]\nname = "far"\nurl = "https://example.org/mcp"\n'
            'headers = { Authorization = { file = "~/h" } }\n'
        )
        agent = load_record(tmp_path / "a.toml", Agent)  # type: ignore[arg-type]  # a union

        assert (
            McpServer(
                name="gh", command=("gh-mcp", "--x"), env={"TOKEN": Secret(env="GH"), "MODE": "ro"}
            ),
            McpServer(
                name="far",
                url="https://example.org/mcp",
                headers={"Authorization": Secret(file="~/h")},
            ),
        ) == agent.servers


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('name = "a b"\nurl = "http://x"', "a.toml:2: servers[1]: an MCP server's name"),
        ('name = "a"', "a.toml:2: servers[1]: the MCP server 'a' needs either"),
        ('name = "a"\nurl = "http://x"\nkey = 1', "servers[1].key: there is no such key"),
        ('name = "a"\ncommand = "x"', "a.toml:4: servers[1].command: must be a list"),
    ],
)
def test_a_server_that_is_none_is_said_with_its_line(
    tmp_path: Path, lines: str, words: str
) -> None:
    (tmp_path / "a.toml").write_text(f'kind = "claude"\n[[servers]]\n{lines}\n')
    with pytest.raises(ConfigError) as caught:
        load_record(tmp_path / "a.toml", Agent)  # type: ignore[arg-type]  # a union

    assert words in str(caught.value)


def test_a_batch_whose_agent_takes_no_servers_is_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "b.toml"
    file.write_text(
        'name = "b"\nprompt = "x"\nagent = "shell"\n[[servers]]\nname = "s"\nurl = "http://x"\n'
    )
    with pytest.raises(ConfigError, match=r"b.toml:4: servers: the agent 'shell' takes no MCP"):
        prepare(file)


def test_a_batch_with_other_servers_is_another_batch(tmp_path: Path) -> None:
    server = McpServer(name="s", url="http://x")
    agent = ClaudeAgent(program=sys.executable)
    plain = Batch(name="b", prompt="x", agent=agent)
    identities = [
        prepare(attrs.evolve(plain, servers=servers)).identity
        for servers in ((), (server,), (attrs.evolve(server, url="http://y"),))
    ]

    assert 3 == len({json.dumps(each.common, sort_keys=True) for each in identities})


# ---------------------------------------------------------------- with the real programs


@pytest.fixture
def agent(kind: str, real_agent: Callable[..., Agent]) -> Agent:
    # Newer versions of claude offer such tools only to a model that searches for them.
    env = {"ENABLE_TOOL_SEARCH": "false"} if kind == "claude" else {}
    return real_agent(kind, access="danger-full-access", env=env)


def shout(kind: str) -> str:
    """A prompt that uses the server's tool."""
    if kind == "claude":
        return '!tool mcp__probe__shout {"text": "hey"}\n!say done'
    script = 'text(JSON.stringify(await tools.mcp__probe__shout({text: "hey"})));'
    return f"!tool exec {json.dumps({'input': script})}\n!say done"


async def results(session: runner.Session, prompt: str) -> list[str]:
    """What tools gave in a turn."""
    async with session.events() as follower:
        turn = await session.send(prompt, timeout=60.0)
        assert turn.ok, turn
        with trio.fail_after(30):
            async for each in follower:
                if isinstance(each.event, ToolResult):
                    return [each.event.text]
    raise AssertionError


@pytest.mark.real_agents
async def test_a_server_is_used_its_secret_is_nowhere_and_it_ends_with_the_program(
    tmp_path: Path,
    work: Path,
    kind: str,
    agent: Agent,
    stdio: Callable[..., McpServer],
    token: str,
) -> None:
    (tmp_path / "safe").mkdir()
    (tmp_path / "safe" / "token").write_text(CANARY + "\n")
    server = stdio(TOKEN=Secret(file=str(tmp_path / "safe" / "token")))
    state = tmp_path / "state"
    async with runner.open_runner(state=state) as r:
        session = r.session(r.scope(work), agent, servers=[server])
        async with session:
            (said,) = await results(session, shout(kind))
            assert f"HEY {len(CANARY)} " in said
            assert "[removed]" in said
            assert CANARY not in said
            assert shown(token)
            assert ([], []) == (shown(CANARY), kept(CANARY, work))
            assert CANARY not in repr(session)
        assert [] == shown(token)
    # But for what the server itself has told the model, which the program keeps in its own home.
    homes = str(state / "sessions" / session.id / "home")
    assert [] == [each for each in kept(CANARY, state) if not each.startswith(homes)]


@pytest.mark.real_agents
async def test_a_secret_that_a_server_keeps_to_itself_is_in_no_file_at_all(
    tmp_path: Path, work: Path, kind: str, agent: Agent, stdio: Callable[..., McpServer], token: str
) -> None:
    (tmp_path / "safe").mkdir()
    (tmp_path / "safe" / "token").write_text(CANARY)
    server = stdio(OTHER=Secret(file=str(tmp_path / "safe" / "token")))
    state = tmp_path / "state"
    recording = tmp_path / "safe" / "recording"
    async with runner.open_runner(state=state) as r:
        session = r.session(r.scope(work), agent, servers=[server], recording=recording)
        async with session:
            (said,) = await results(session, shout(kind))
            assert "HEY 0" in said
            environ = [Path(f"/proc/{pid}/environ").read_bytes() for pid in shown(token)]
            assert any(CANARY.encode() in each for each in environ)
            assert [] == shown(CANARY) + kept(CANARY, state, work)
    assert [] == kept(CANARY, state, work)
    assert CANARY.encode() not in recording.read_bytes()


@pytest.mark.real_agents
async def test_a_program_that_was_killed_or_reaped_gets_its_servers_again(
    tmp_path: Path, work: Path, kind: str, agent: Agent, stdio: Callable[..., McpServer], token: str
) -> None:
    config = runner.RunnerConfig(idle_after_session=1.0)
    async with runner.open_runner(config, state=tmp_path / "state") as r:
        async with r.session(r.scope(work), agent, servers=[stdio()]) as session:
            assert 1 == len(await results(session, shout(kind)))
            with trio.fail_after(30):
                while session.statistics().pid is not None:
                    await trio.sleep(0.02)
            assert [] == shown(token)
            (said,) = await results(session, shout(kind))
            assert "HEY" in said
            assert 2 == session.statistics().starts
        assert [] == shown(token)


@pytest.mark.real_agents
async def test_a_server_that_cannot_be_started_is_an_event_and_the_turn_goes_on(
    tmp_path: Path, work: Path, kind: str, agent: Agent
) -> None:
    server = McpServer(name="gone", command=("/no/such/server",))
    made = runner.make_session(work, agent=agent, servers=[server], state=tmp_path / "state")
    async with made as session, session.events() as follower:
        turn = await session.send("!say hi", timeout=60.0)
        assert (True, "hi") == (turn.ok, turn.final_message), turn
        with trio.fail_after(30):
            async for each in follower:
                if isinstance(each.event, ServerFailed):
                    break
    assert "gone" == each.event.name
    assert each.event.reason


class Http(http.server.BaseHTTPRequestHandler):
    """The same server over HTTP."""

    seen: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(self.headers.get("X-Token", ""))
        asked = json.loads(body)
        space: dict[str, Callable[..., object]] = {}
        exec(ANSWER, space)
        answer = json.dumps(space["answer"](asked, "")).encode() if "id" in asked else b""
        self.send_response(200 if answer else 202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self.send_error(405)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def over_http() -> Iterator[tuple[str, list[str]]]:
    """A server over HTTP: its address, and the tokens that it was shown."""
    seen: list[str] = []
    handler = type("Handler", (Http,), {"seen": seen})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/mcp", seen
        server.shutdown()
        thread.join()


@pytest.mark.real_agents
async def test_a_server_over_http_gets_its_secret_header_which_is_nowhere(
    tmp_path: Path,
    work: Path,
    kind: str,
    agent: Agent,
    over_http: tuple[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, seen = over_http
    header = CANARY.replace('"', "").replace("\\", "")
    monkeypatch.setenv("THE_CANARY", header)
    server = McpServer(name="probe", url=url, headers={"X-Token": Secret(env="THE_CANARY")})
    state = tmp_path / "state"
    made = runner.make_session(work, agent=agent, servers=[server], state=state)
    async with made as session:
        (said,) = await results(session, shout(kind))
        assert "HEY" in said
        assert [] == shown(header) + kept(header, state, work)
    assert {header} == set(seen)
    assert [] == kept(header, state, work)


@pytest.mark.real_agents
async def test_the_servers_of_a_batch_are_those_of_its_sessions(
    tmp_path: Path, kind: str, agent: Agent, stdio: Callable[..., McpServer], token: str
) -> None:
    batch = Batch(name="b", prompt=shout(kind), agent=agent, servers=(stdio(),))
    async with runner.open_runner(state=tmp_path / "state") as r:
        report = await r.run_batch(batch, output=tmp_path / "out")

    assert {"ok": 1} == {state: count for state, count in report.counts.items() if count}
    told = "".join(path.read_text(errors="replace") for path in (tmp_path / "out").rglob("*.jsonl"))
    assert "HEY" in told or kind == "codex"
    assert [] == shown(token)


@pytest.mark.real_agents
async def test_servers_that_are_not_named_are_not_there(
    tmp_path: Path, work: Path, kind: str, agent: Agent, stdio: Callable[..., McpServer], token: str
) -> None:
    """Those of the directory and of the user are nobody's business."""
    server = stdio()
    command = {"command": server.command[0], "args": list(server.command[1:])}
    (work / ".mcp.json").write_text(json.dumps({"mcpServers": {"probe": command}}))
    async with runner.make_session(work, agent=agent, state=tmp_path / "state") as session:
        assert (await session.send("!say hi", timeout=60.0)).ok
        assert [] == shown(token)
