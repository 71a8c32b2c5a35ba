"""Files that a program has read and written by us, over the Agent Client Protocol.

The program is a real one of our own, which does what the lines of a prompt say.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from runner.agents.driver import AcpAgent, ReplayAgent
from runner.agents.events import FileChange, ReadAsked, WriteAsked
from runner.messages import Isolation
from runner.scopes.permissions import Grant, Permissions, Rule, Rules, Ruleset
from runner.sessions.approving import Approvals
from runner.sessions.hands import LARGEST
from runner.sessions.making import Sessions
from runner.sessions.session import Session

Make = Callable[..., Session]
Until = Callable[..., Awaitable[None]]

PROGRAM = r"""
import json, sys

def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()

def update(**update):
    say(method="session/update", params={"sessionId": "s1", "update": update})

def tell(text):
    update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": text})

def ask(number, method, **params):
    say(id=number, method=method, params={"sessionId": "s1", **params})

def hear(number):
    while line := sys.stdin.readline():
        heard = json.loads(line)
        if heard.get("method") == "session/cancel":
            return None
        if heard.get("id") == number and "method" not in heard:
            return heard
    sys.exit(0)

def answer(heard):
    return heard["result"].get("content", "done") if "result" in heard else heard["error"]["message"]

def carry_out(steps):
    for number, step in enumerate(steps, 100):
        word, *given = step.split("|")
        if word == "read":
            line, limit = map(int, given[1:]) if given[1:] else (None, None)
            ask(number, "fs/read_text_file", path=given[0], line=line, limit=limit)
        elif word == "write":
            ask(number, "fs/write_text_file", path=given[0], content=given[1])
        elif word == "writes":
            for text in given[1]:
                ask(text, "fs/write_text_file", path=given[0], content=text)
            number = given[1][-1]
        elif word == "able":
            tell(json.dumps(able["fs"]))
            continue
        elif word == "leave":
            ask(number, "fs/write_text_file", path=given[0], content="left")
            return "end_turn"
        if (heard := hear(number)) is None:
            return "cancelled"
        tell(answer(heard) or "(nothing)")
    return "end_turn"

while line := sys.stdin.readline():
    asked = json.loads(line)
    method, result = asked.get("method"), {}
    if method == "initialize":
        able = asked["params"]["clientCapabilities"]
        result = {"protocolVersion": 1, "agentCapabilities": {"loadSession": True}}
    elif method == "session/new":
        modes = [{"id": "ask"}, {"id": "plan"}]
        result = {"sessionId": "s1", "modes": {"currentModeId": "ask", "availableModes": modes}}
    elif method == "session/prompt":
        tell("so:")
        steps = asked["params"]["prompt"][0]["text"].splitlines()
        result = {"stopReason": carry_out(steps)}
    if "id" in asked and method:
        say(id=asked["id"], result=result)
"""


@pytest.fixture
def agent(tmp_path: Path) -> AcpAgent:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    argv = (sys.executable, "-I", "-S", str(program))
    return AcpAgent(argv=argv, modes={"read-only": "plan"})


@pytest.fixture
def make(sessions: Sessions, work: Path, agent: AcpAgent) -> Make:
    def make(rules: Ruleset | None = None, agent: AcpAgent = agent, **options: object) -> Session:
        grants = [] if rules is None else [Grant(permissions=Permissions(rules=rules))]
        options.setdefault("timeout", 30.0)
        return sessions.make_session(str(work), agent, grants=grants, **options)

    return make


async def said(session: Session, *steps: str, **options: object) -> list[str]:
    """What the program was told, step by step."""
    heard: list[str] = []
    async with session.events() as events:
        turn = await session.send("\n".join(steps), **options)
        assert turn.ok, turn
        while (event := (await events.receive()).event) and type(event).__name__ != "TurnEnded":
            if type(event).__name__ == "Text" and event.partial:
                heard.append(event.text)
    assert "so:" == heard[0]
    return heard[1:]


async def test_files_are_read_and_written_beneath_the_sessions_directory(
    make: Make, work: Path
) -> None:
    (work / "a.txt").write_text("one\ntwo\r\nthree")
    async with make() as session:
        heard = await said(
            session,
            f"read|{work}/a.txt",
            "read|a.txt|2|1",
            "read|a.txt|2|9",
            "read|a.txt|4|1",
            f"write|{work}/new/b.txt|é",
            "write|a.txt|four",
            "able",
        )
        turn = await session.send("read|a.txt")

    assert ["one\ntwo\r\nthree", "two\r\n", "two\r\nthree", "(nothing)"] == heard[:4]
    assert ["done", "done"] == heard[4:6]
    assert {"readTextFile": True, "writeTextFile": True} == json.loads(heard[6])
    assert ("é", "four") == ((work / "new/b.txt").read_text(), (work / "a.txt").read_text())
    assert "four" == turn.final_message


async def test_who_follows_sees_what_was_asked_for_and_which_files_changed(
    make: Make, work: Path
) -> None:
    (work / "a.txt").write_text("old")
    seen: list[object] = []
    async with make() as session:
        async with session.events() as events:
            turn = await session.send("read|a.txt\nwrite|a.txt|new\nwrite|b.txt|new")
            while not seen or type(seen[-1]).__name__ != "TurnEnded":
                seen.append((await events.receive()).event)

    changes = [each for each in seen if isinstance(each, FileChange | ReadAsked | WriteAsked)]
    assert [
        ReadAsked(id="100", path="a.txt"),
        WriteAsked(id="101", path="a.txt", text="new"),
        FileChange(path="a.txt", kind="modified"),
        WriteAsked(id="102", path="b.txt", text="new"),
        FileChange(path="b.txt", kind="created"),
    ] == changes
    assert (["b.txt"], ["a.txt"]) == (
        [str(each) for each in turn.files_created],
        [str(each) for each in turn.files_modified],
    )


async def test_nothing_leads_out_of_the_directory(make: Make, work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("mine")
    (work / "out").symlink_to(outside)
    (work / "file").symlink_to("../outside/secret")
    async with make() as session:
        heard = await said(
            session,
            *(f"read|{path}" for path in (outside / "secret", "../outside/secret", "out/secret")),
            "read|file",
            *(f"write|{path}|x" for path in (outside / "new", "../outside/new", "out/new", "file")),
        )

    assert 8 == len(heard)
    assert not any("mine" in each or each == "done" for each in heard), heard
    assert ["secret"] == os.listdir(outside)
    assert "mine" == (outside / "secret").read_text()


async def test_what_cannot_be_read_is_said_so(make: Make, work: Path) -> None:
    (work / "bytes").write_bytes(b"\xff\xfe")
    (work / "folder").mkdir()
    with open(work / "large", "wb") as file:
        file.truncate(LARGEST + 1)
    async with make() as session:
        heard = await said(
            session, "read|none", "read|bytes", "read|folder", "read|large", "write|folder|x"
        )

    missing, broken, folder, large, unwritten = heard
    assert "Resource not found: none" == missing
    assert "no UTF-8 text: byte 0xff" in broken
    assert "folder" in folder
    assert "larger than" in large
    assert "folder" in unwritten


async def test_a_turn_that_is_read_only_writes_nothing(make: Make, work: Path) -> None:
    (work / "a.txt").write_text("as it was")
    async with make() as session:
        heard = await said(session, "write|a.txt|x", "read|a.txt", access="read-only")
        again = await said(session, "write|a.txt|x")

    assert ["nothing may be written: this turn is read-only", "as it was"] == heard
    assert ["done"] == again


RULES = Ruleset(
    default="allow",
    read=Rules(rules=(Rule(pattern="secret/**", action="deny", description="not yours"),)),
    write=Rules(
        rules=(Rule(pattern="asked/**", action="ask"), Rule(pattern="*.lock", action="deny"))
    ),
)


async def test_the_scopes_permissions_hold_for_what_we_do_for_a_program(
    make: Make, work: Path
) -> None:
    (work / "secret").mkdir()
    (work / "secret" / "key").write_text("mine")
    (work / "link").symlink_to("secret/key")
    asked: list[str] = []

    def ask(what: object) -> bool:
        asked.append(what.text)
        return "yes" in what.text

    async with make(RULES, approvals=Approvals(ask=ask)) as session:
        heard = await said(
            session,
            "read|secret/key",
            "read|link",
            "write|a.lock|x",
            "write|free|x",
            "write|asked/yes|x",
            "write|asked/no|x",
        )
        turn = await session.send("write|asked/yes|y\nwrite|a.lock|x")

    assert not any("mine" in each for each in heard)
    assert all("not yours" in each for each in heard[:2]), heard
    assert "Refused" in heard[2]
    assert ["done", "done"] == heard[3:5]
    assert "Refused" in heard[5]
    assert ["asked/yes", "asked/no", "asked/yes"] == asked
    assert ["asked", "free", "link", "secret"] == sorted(os.listdir(work))
    assert ["yes"] == os.listdir(work / "asked")
    assert [("callback", True), ("policy", False)] == [
        (each.by, each.decision.allow) for each in turn.approvals
    ]


async def test_a_person_may_decide_about_a_file_and_where_nobody_is_there_it_is_refused(
    make: Make, work: Path, until: Until
) -> None:
    async with make(RULES) as session:
        (refused,) = await said(session, "write|asked/a|x")
    heard: list[str] = []
    async with make(RULES, approvals=Approvals()) as session, trio.open_nursery() as nursery:

        async def send() -> None:
            heard.extend(await said(session, "write|asked/a|x"))

        nursery.start_soon(send)
        await until(session.approvals)
        (asked,) = session.approvals()
        assert "approving" == session.statistics().phase
        assert await session.decide(asked.id, True)

    assert "nobody can be asked" in refused
    assert ("edit", "write", ("asked/a",)) == (asked.kind, asked.tool, asked.paths)
    assert ["done"] == heard
    assert "x" == (work / "asked" / "a").read_text()


@pytest.mark.parametrize("attempt", range(10))
async def test_what_is_asked_for_in_an_order_is_done_in_it(
    make: Make, work: Path, attempt: int
) -> None:
    async with make() as session:
        await said(session, "writes|a|0123456789")

    assert "9" == (work / "a").read_text()


@pytest.mark.parametrize("attempt", range(10))
async def test_nothing_is_written_once_the_turn_is_over(
    make: Make, work: Path, attempt: int
) -> None:
    """A program that does not wait for its write may find it done, or not; but in this turn."""
    async with make() as session:
        turn = await session.send("leave|a")
        is_there = (work / "a").exists()
        await session.send("read|none")

        assert turn.ok, turn
        assert is_there == (work / "a").exists() == (["a"] == list(map(str, turn.files_created)))


@pytest.mark.parametrize(("mode", "is_offered"), [("auto", False), ("none", True)])
async def test_a_program_that_an_isolation_holds_uses_its_own_hands(
    make: Make, work: Path, python: str, mode: str, is_offered: bool
) -> None:
    (work / "program.py").write_text(PROGRAM)
    held = AcpAgent(argv=(python, "-I", "-S", "program.py"))
    async with make(agent=held, isolation=Isolation(mode=mode)) as session:
        able, told = await said(session, "able", "write|a|x")

    assert {is_offered} == set(json.loads(able).values())
    assert is_offered == (told == "done") == (work / "a").exists()


async def test_a_recording_of_it_is_played_back_without_a_file_being_changed(
    make: Make, sessions: Sessions, work: Path, tmp_path: Path
) -> None:
    async with make(recording=tmp_path / "recording.jsonl") as session:
        recorded = await session.send("write|a|one\nread|a")
    (work / "a").write_text("mine")
    replayed = ReplayAgent(recording=str(tmp_path / "recording.jsonl"))
    async with sessions.make_session(str(work), replayed, timeout=30.0) as session:
        played = await session.send("write|a|one\nread|a")

    assert (True, True) == (recorded.ok, played.ok)
    assert "mine" == (work / "a").read_text()
