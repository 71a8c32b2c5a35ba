"""Sessions that are recorded: without secrets, as it happens; and played back without a program."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

import runner
from runner.agents.driver import (
    Agent,
    ClaudeAgent,
    CommandAgent,
    McpServer,
    ReplayAgent,
    Setting,
    ShellAgent,
)
from runner.agents.events import Event
from runner.agents.recording import Recording
from runner.agents.secret import Secret
from runner.errors import ConfigError
from runner.sessions.approving import Approvals
from runner.sessions.making import Sessions
from runner.sessions.recording_file import RecordingFile
from runner.sessions.session import Session
from runner.sessions.turn import Turn

Until = Callable[..., Awaitable[None]]

# What is another's each time: the ids of the turns, which the session makes.
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What a replay does not do again, and what is said of the process itself.
NOT_SAID = ("duration", "session_id", "cmd", "leftovers", "stdout_tail", "exit_code", "shared")


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


async def followed(session: Session, prompts: tuple[str, ...]) -> tuple[list[Turn], list[Event]]:
    """Carry the turns out; they, and all events."""
    events: list[Event] = []
    async with session.events(buffer=10_000) as follower:
        async with session:
            turns = [await session.send(prompt) for prompt in prompts]
        events.extend([each.event async for each in follower])
    return turns, events


def said(values: list[Turn] | list[Event]) -> list[str]:
    """What can be compared of turns and events."""
    found = []
    for each in values:
        fields = attrs.asdict(each, recurse=False)
        for name in [*fields]:
            if name in NOT_SAID or name.startswith("files_"):
                del fields[name]
        found.append(UUID.sub("UUID", f"{type(each).__name__} {fields}"))
    return found


# ---------------------------------------------------------------- real programs


@pytest.fixture
def real(kind: str, real_agent: Callable[..., Agent]) -> Agent:
    return real_agent(kind)


@pytest.mark.real_agents
@pytest.mark.parametrize("timing", ["at once", "recorded"])
async def test_a_recorded_session_is_played_back_turn_by_turn_and_event_by_event(
    real: Agent, sessions: Sessions, work: Path, tmp_path: Path, timing: str
) -> None:
    path = tmp_path / "r.jsonl"
    outside = tmp_path / "outside"
    prompts = (
        "!think hmm\n!write a.txt: 1\n!run cat a.txt > b.txt; cat b.txt\n!say done é",
        f"!write {outside}: x\n!run false\n!say was refused",
        "!fail 400\n!say never",
        "!usage input=70 output=7\n!recall 1",
    )
    approvals = Approvals(ask=lambda asked: str(outside) not in asked.text)
    session = sessions.make_session(
        str(work), real, approvals=approvals, recording=path, durable=False
    )
    turns, events = await followed(session, prompts)
    assert [True, True, False, True] == [turn.ok for turn in turns], turns
    assert (work / "b.txt").read_text() == "1\n"
    (work / "b.txt").unlink()

    replay = ReplayAgent(recording=str(path), timing=timing)
    session = sessions.make_session(str(work), replay, approvals=approvals, durable=False)
    again, events_again = await followed(session, prompts)

    assert said(turns) == said(again)
    assert said(events) == said(events_again)
    assert not (work / "b.txt").exists()
    assert (turns[0].conversation == again[0].conversation) or isinstance(real, ClaudeAgent)


@pytest.mark.real_agents
async def test_a_recording_has_every_process_of_its_session(
    real: Agent, sessions: Sessions, work: Path, tmp_path: Path, until: Until
) -> None:
    path = tmp_path / "r.jsonl"
    heard: list[list[str]] = []
    for agent, options in ((real, {"recording": path}), (ReplayAgent(recording=str(path)), {})):
        async with sessions.make_session(
            str(work), agent, idle_after=1.0, durable=False, **options
        ) as session:
            first = await session.send("!say one")
            await until(lambda session=session: session.statistics().phase == "reaped")
            second = await session.send("!recall")
            heard.append([first.final_message, second.final_message])
            assert 2 == session.statistics().starts

    assert heard[0] == heard[1]
    assert "!say one" in heard[1][1]
    assert 2 == sum("start" in step for step in lines_of(path))


# ---------------------------------------------------------------- secrets

KEY = 'k3y-"with"-\\odd-parts'
SAYING = """
printf 'the key is %s' "${PLAIN_KEY%odd*}"
sleep 0.1
printf 'odd%s\\n' "${PLAIN_KEY#*odd}"
printf '%s\\n' "$BY_NAME"
printf '%s\\n' "$BY_NAME" >&2
printf '\\377 %s\\n' "$BY_NAME"
printf '%s' "$OF_SCOPE"
"""


@pytest.mark.parametrize("durable", [True, False])
async def test_no_secret_of_its_environment_is_in_a_recording_however_it_is_said(
    sessions: Sessions,
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    durable: bool,
) -> None:
    monkeypatch.setenv("THE_SECRET", f"{KEY} by name")
    agent = ShellAgent(env={"PLAIN_KEY": KEY, "BY_NAME": Secret(env="THE_SECRET")})
    path = tmp_path / "r.jsonl"
    async with sessions.make_session(
        str(work),
        agent,
        env={"OF_SCOPE": "x", "A_TOKEN": "t0ken!"},
        recording=path,
        durable=durable,
    ) as session:
        turn = await session.send(SAYING + "echo $A_TOKEN\n")

    assert turn.ok
    steps = lines_of(path)
    text = "".join(str(step.get("out", "")) for step in steps)
    assert "the key is [removed]\n[removed]\n" in text
    assert text.endswith("x[removed]\n")
    everything = path.read_bytes() + b"".join(
        base64.b64decode(str(step[key])) for step in steps for key in step if "64" in key
    )
    for part in (b"k3y", b"odd-parts", b"by name", b"t0ken"):
        assert part not in everything


def test_secrets_of_servers_are_secrets_of_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    made = RecordingFile(str(path), ShellAgent())
    headers = {"Authorization": "Bearer s3cret-header", "X-Plain": "not secret"}
    near = McpServer(name="near", command=("x",), env={"NEAR_KEY": "s3cret-env"})
    setting = Setting(
        cwd="/w",
        private="/p",
        conversation="c",
        resume=False,
        servers=(near, McpServer(name="far", url="http://h", headers=headers)),
    )

    async def main() -> None:
        made.prepare(setting)
        made.start(())
        made.data("in", json.dumps({"a": headers, "b": near.env}).encode() + b"\n")
        made.exit(0)
        made.rest()

    trio.run(main)
    assert b"s3cret" not in path.read_bytes()
    assert b"not secret" in path.read_bytes()


# ---------------------------------------------------------------- the file

SUPERVISOR = """
import sys, trio, runner
async def main():
    async with runner.open_runner(state=sys.argv[1]) as r:
        async with r.session(r.scope(sys.argv[2]), "shell", recording=sys.argv[3]) as session:
            await session.send("echo first")
            await session.send("echo second; echo there >&2; touch said; sleep 300")
trio.run(main)
"""


async def test_what_a_killed_supervisor_has_recorded_can_be_played(
    sessions: Sessions, state: Path, work: Path, tmp_path: Path, until: Until
) -> None:
    path = tmp_path / "r.jsonl"
    args = (str(state), str(work), str(path))
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, *args]) as process:
        await until(lambda: path.exists() and b"there" in path.read_bytes(), within=60)
        await until((work / "said").exists)
        process.send_signal(signal.SIGKILL)
    with path.open("ab") as file:
        file.write(b'{"at":9.9,"out":"torn')

    async with sessions.make_session(str(work), ReplayAgent(recording=str(path))) as session:
        first = await session.send("now")
        second = await session.send("now")

    assert (True, "first") == (first.ok, first.final_message)
    assert (True, "second", "there\n") == (second.ok, second.final_message, second.stderr_tail)


@pytest.mark.parametrize(
    ("name", "agent", "options", "words"),
    [
        ("there.jsonl", "shell", {}, "is there already"),
        ("link.jsonl", "shell", {}, "is there already"),
        ("none/r.jsonl", "shell", {}, "there is no directory"),
        ("r.jsonl", ReplayAgent(recording="there.jsonl"), {}, "'replay' cannot be played back"),
    ],
)
async def test_a_recording_that_cannot_be_made_is_refused_before_anything_starts(
    sessions: Sessions,
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    agent: Agent,
    options: dict[str, object],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.jsonl").write_text(
        '{"recording":1,"agent":{"kind":"shell"}}\n{"start":{"conversation":"c"}}\n'
    )
    Path("link.jsonl").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=words):
        sessions.make_session(str(work), agent, recording=name, **options)


async def test_a_driver_of_ones_own_cannot_be_recorded(
    sessions: Sessions, work: Path, tmp_path: Path, fake: Callable[..., object]
) -> None:
    with pytest.raises(ConfigError, match="'fake' cannot be played back"):
        sessions.make_session(str(work), driver=fake(), recording=tmp_path / "r")


async def test_a_file_that_came_in_between_is_not_written_to(
    sessions: Sessions, work: Path, tmp_path: Path
) -> None:
    path = tmp_path / "r.jsonl"
    async with sessions.make_session(str(work), recording=path) as session:
        path.write_text("mine")
        with pytest.raises(ConfigError, match="cannot be made: File exists"):
            await session.send("echo x > ran")

    assert "mine" == path.read_text()
    assert not (work / "ran").exists()


async def test_a_recording_that_cannot_be_written_any_more_ends_and_the_session_goes_on(
    sessions: Sessions, work: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "r.jsonl"
    async with sessions.make_session(str(work), recording=path) as session:
        assert (await session.send("echo one")).ok
        path.unlink()
        path.mkdir()
        turns = [await session.send("echo two") for _ in range(2)]

    assert [True, True] == [turn.ok for turn in turns]
    why = f"the recording {str(path)!r} ends early: Is a directory"
    assert [why, why] == [turn.unrecorded for turn in turns]
    assert ["ends early"] == re.findall("ends early", caplog.text)


async def test_a_full_disk_leaves_what_there_was_room_for(tmp_path: Path) -> None:
    """A limit of the size of files does what a full disk does, in a process of its own."""
    code = """
import resource, signal, sys, trio
from runner.agents.driver import Setting, ShellAgent
from runner.sessions.recording_file import RecordingFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
made = RecordingFile(sys.argv[1], ShellAgent())
async def main():
    made.prepare(Setting(cwd="/w", private="/p", conversation="c", resume=False))
    made.start(())
    for number in range(100):
        made.data("out", b"line %d\\n" % number)
trio.run(main)
print(made.trouble)
"""
    path = tmp_path / "r.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )

    assert "ends early: File too large" in done.stdout
    assert 500 == path.stat().st_size
    assert Recording.read(path.read_bytes(), "r").starts


@pytest.mark.parametrize("where", ["r.jsonl", "sub/r.jsonl", "../link/r.jsonl"])
async def test_a_recording_is_no_file_that_a_turn_has_made(
    sessions: Sessions, work: Path, where: str
) -> None:
    (work / "sub").mkdir()
    (work.parent / "link").symlink_to(work)
    async with sessions.make_session(str(work), recording=work / where) as session:
        turns = [await session.send(f"echo {n} > f.jsonl; echo > r{n}.jsonl") for n in range(2)]

    assert [["f.jsonl", "r0.jsonl"], ["r1.jsonl"]] == [
        list(map(str, turn.files_created)) for turn in turns
    ]
    assert [[], ["f.jsonl"]] == [list(map(str, turn.files_modified)) for turn in turns]
    assert ["", ""] == [turn.unrecorded for turn in turns]


async def test_forks_are_not_in_the_recording_and_owners_only_may_read_it(
    sessions: Sessions, work: Path, tmp_path: Path
) -> None:
    path = tmp_path / "r.jsonl"
    agent = CommandAgent(argv=("sh",))
    async with sessions.make_session(str(work), agent, recording=path, id="one") as session:
        await session.send("echo one")
        async with await session.fork(id="two") as fork:
            assert (await fork.send("echo two")).ok

    assert b"two" not in path.read_bytes()
    assert 0o600 == os.stat(path).st_mode & 0o777


async def test_a_users_test_needs_a_recording_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    code = readme.partition("<!-- replay -->\n```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("tests").mkdir()
    async with runner.open_runner() as r:
        scope, path = r.scope(tmp_path), "tests/fix.jsonl"
        async with r.session(scope, "shell", recording=path, durable=False) as session:
            await session.send("echo it is fixed")
    found: dict[str, Any] = {"runner": runner}
    exec(code, found)

    await found["test_what_becomes_of_a_fix"](tmp_path)
