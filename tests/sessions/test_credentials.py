"""Secrets by reference: looked up at the start, and found nowhere; credentials that are checked."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import pytest
import trio

import runner
from runner.agents.driver import Agent, ShellAgent
from runner.agents.events import ErrorClass, Raw, Text, ToolCall, TurnEnded, Usage
from runner.agents.secret import Secret
from runner.config import load_record
from runner.credentials import LONGEST, look_up
from runner.errors import AgentUnavailable, ConfigError
from runner.jobs.spec import Batch
from runner.processes.host import ProcessHost
from runner.sessions.credentials import Veil

CANARY = 'c4n4ry-"0x"-\\value-7f3e'


@pytest.fixture
async def host():
    host = ProcessHost()
    yield host
    await host.aclose()


@pytest.fixture
def references(tmp_path, monkeypatch):
    """The same secret, by each way of saying where it is."""
    (tmp_path / "safe").mkdir()
    (tmp_path / "safe" / "key").write_text(f"{CANARY}\n")
    monkeypatch.setenv("THE_CANARY", CANARY)
    code = "import os; print(os.environ['THE_CANARY'])"
    return {
        "BY_ENV": Secret(env="THE_CANARY"),
        "BY_FILE": Secret(file=str(tmp_path / "safe" / "key")),
        "BY_COMMAND": Secret(command=(sys.executable, "-c", code)),
    }


def places(*roots: Path) -> list[str]:
    """The files below some directories in which the secret stands, also as JSON has it."""
    forms = (CANARY.encode(), CANARY.replace("\\", "\\\\").replace('"', '\\"').encode())
    return [
        str(path)
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    ]


def shown_by_the_system() -> list[str]:
    """The command lines in which it stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if CANARY.encode() in path.read_bytes():
                found.append(str(path))
        except OSError:
            continue
    return found


# ---------------------------------------------------------------- looking them up


async def test_each_reference_gives_the_value_without_its_line_end(host, references):
    found = await look_up({**references, "PLAIN": "x"}, host)

    assert dict.fromkeys(references, CANARY) == found


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (Secret(env="NO_SUCH"), "the variable NO_SUCH is not set"),
        (Secret(env="EMPTY"), "the variable EMPTY is empty"),
        (Secret(file="/no/such"), "/no/such: No such file"),
        (Secret(file="/"), "Is a directory"),
        (Secret(file="nul"), "the file nul has a NUL"),
        (Secret(file="binary"), "it is not UTF-8 text"),
        (Secret(file="huge"), f"more than {LONGEST} bytes"),
        (Secret(command=("sh", "-c", f"echo {CANARY}; exit 3")), "the command sh gave none: .* 3"),
        (Secret(command=("true",)), "the command true is empty"),
        (Secret(command=("no-such-program",)), "no-such-program"),
    ],
)
async def test_one_that_cannot_be_had_is_said_by_name_without_what_was_found(
    host, tmp_path, monkeypatch, secret, words
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMPTY", "")
    Path("nul").write_bytes(CANARY.encode() + b"\0")
    Path("binary").write_bytes(b"\xff" + CANARY.encode())
    Path("huge").write_bytes(b"x" * (LONGEST + 1))
    with pytest.raises(AgentUnavailable, match=f"the value of KEY: .*{words}") as caught:
        await look_up({"KEY": secret}, host)

    assert CANARY not in str(caught.value)


# ---------------------------------------------------------------- taking them out


def test_a_veil_takes_values_out_of_every_kind_of_event_and_of_bytes():
    veil = Veil([CANARY, "", "x"])
    call = ToolCall(id="1", name="x", input={"a": [CANARY, {"b": CANARY}], "n": 5})
    ended = TurnEnded(
        turn="t", ok=False, message=f"it is {CANARY}", stop="x", error=ErrorClass.AUTH,
        usage=Usage(input_tokens=3), raw={"r": (CANARY,)},
    )  # fmt: skip

    assert {"a": ["[removed]", {"b": "[removed]"}], "n": 5} == veil.event(call).input
    hidden = veil.event(ended)
    assert ("it is [removed]", ErrorClass.AUTH, 3) == (
        hidden.message,
        hidden.error,
        hidden.usage.input_tokens,
    )
    assert {"r": ("[removed]",)} == hidden.raw
    assert b"\xff[removed]" == veil.event(Raw(kind="x", data=b"\xff" + CANARY.encode())).data
    assert Text(text="x") == veil.event(Text(text="x"))


def test_without_values_everything_passes_as_it_is():
    event = Text(text=CANARY)

    assert event is Veil().event(event)
    assert b"x" == Veil().data(b"x")


# ---------------------------------------------------------------- the canary


@pytest.mark.parametrize("durable", [True, False])
async def test_a_secret_is_in_no_file_no_argument_and_no_word_of_a_session(
    tmp_path, references, durable
):
    state, work = tmp_path / "state", tmp_path / "work"
    script = (
        'test "$BY_ENV$BY_FILE" = "$BY_FILE$BY_COMMAND" || exit 9\n'
        "printf 'out %s\\n' \"$BY_ENV\"; printf 'err %s\\n' \"$BY_FILE\" >&2; touch started\n"
        "while ! test -e go; do sleep 0.02; done\n"
        "printf '%s\\n' \"$BY_COMMAND\"; exit 1"
    )
    turns, seen = [], []
    agent = ShellAgent(env=references)
    async with runner.make_session(work, agent=agent, state=state, durable=durable) as session:

        async def send():
            turns.append(await session.send(script, timeout=60.0))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with trio.fail_after(30):
                while not (work / "started").exists():
                    await trio.sleep(0.02)
            seen += shown_by_the_system() + places(state, work)
            (work / "go").touch()
        again = await session.send('printf %s "$BY_ENV"')
        seen += shown_by_the_system() + places(state, work)

    (turn,) = turns
    assert (False, 1) == (turn.ok, turn.exit_code), turn
    assert "[removed]" == turn.final_message == again.final_message
    assert "out [removed]\n[removed]\n" == turn.stdout_tail
    assert "err [removed]\n" == turn.stderr_tail
    assert CANARY not in repr(attrs.asdict(turn))
    assert [] == seen + places(state, work)


async def test_a_secret_is_in_no_file_of_a_batch(tmp_path, references):
    state, output = tmp_path / "state", tmp_path / "out"
    prompt = "printf '%s\\n' \"$BY_FILE\"; exit 1"
    batch = Batch(name="b", prompt=prompt, agent=ShellAgent(env=references))
    async with runner.open_runner(state=state) as r:
        report = await r.run_batch(batch, output=output)

    assert 1 == sum(report.counts.values())
    assert "[removed]" in (output / "results.jsonl").read_text()
    assert [] == places(state, output)


async def test_a_secret_that_cannot_be_had_keeps_the_turn_from_beginning(tmp_path):
    agent = ShellAgent(env={"KEY": Secret(env="NO_SUCH")})
    for durable in (True, False):
        made = runner.make_session(
            tmp_path / "work", agent=agent, state=tmp_path / "state", durable=durable
        )
        with trio.fail_after(10):  # nothing was started that could be waited for
            async with made as session:
                with pytest.raises(AgentUnavailable, match="the value of KEY: the variable NO"):
                    await session.send("echo hi")


# ---------------------------------------------------------------- in files of the user


def test_references_are_read_from_an_agents_file(tmp_path):
    (tmp_path / "a.toml").write_text(
        'kind = "claude"\nbilling = "api_key"\n[env]\nA = "plain"\nB = { env = "NAME" }\n'
        'C = { file = "~/key" }\nD = { command = ["pass", "x"] }\n'
    )
    agent = load_record(tmp_path / "a.toml", Agent)

    assert "api_key" == agent.billing
    assert {
        "A": "plain",
        "B": Secret(env="NAME"),
        "C": Secret(file="~/key"),
        "D": Secret(command=("pass", "x")),
    } == agent.env


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("A = 5", "a.toml:3: env.A: must be a text or a table, not 5"),
        ("A = {}", "a.toml:3: env.A: must have either env, file or command"),
        ('A = { env = "B", file = "c" }', "a.toml:3: env.A: must have either"),
        ('A = { enw = "B" }', "env.A.enw: there is no such key; did you mean 'env'"),
        ('A = { command = "pass" }', "env.A.command: must be a list"),
    ],
)
def test_a_reference_that_is_none_is_said_with_its_line(tmp_path, line, words):
    (tmp_path / "a.toml").write_text(f'kind = "claude"\n[env]\n{line}\n')
    with pytest.raises(ConfigError) as caught:
        load_record(tmp_path / "a.toml", Agent)

    assert words in str(caught.value)


# ---------------------------------------------------------------- with the real programs


@pytest.mark.real_agents
async def test_a_claude_that_uses_another_credential_is_ended_before_it_asks_its_model(
    tmp_path, real_agent, model_server
):
    agent = real_agent("claude", access="danger-full-access", billing="subscription")
    made = runner.make_session(tmp_path / "work", agent=agent, state=tmp_path / "state")
    async with made as session:
        for _ in range(2):
            turn = await session.send("!say hi", timeout=60.0)

            assert (False, ErrorClass.AUTH) == (turn.ok, turn.error), turn
            assert "uses 'ANTHROPIC_API_KEY', but the agent's `billing` is" in turn.error_text
    assert [] == [each.path for each in model_server.requests if "messages" in each.path]


@pytest.mark.real_agents
@pytest.mark.parametrize("billing", ["any", "api_key"])
async def test_a_claude_that_uses_the_right_one_goes_on(tmp_path, real_agent, billing):
    agent = real_agent("claude", access="danger-full-access", billing=billing)
    made = runner.make_session(tmp_path / "work", agent=agent, state=tmp_path / "state")
    async with made as session:
        assert (await session.send("!say hi", timeout=60.0)).ok
