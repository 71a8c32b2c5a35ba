"""The real claude and codex, asked, steered, interrupted by another prompt, held to a schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from runner.agents.events import ApprovalAsked, ErrorClass, TurnStarted
from runner.scopes.permissions import Grant, Permissions, Rule, Rules, Ruleset
from runner.sessions.approving import Approvals
from runner.sessions.phases import Phase
from runner.sessions.session import Session

pytestmark = pytest.mark.real_agents

Make = Callable[..., Session]
Until = Callable[..., Awaitable[None]]


@pytest.fixture
def make(make: Make) -> Make:
    """Make a session that may write in its directory."""
    return partial(make, "workspace-write")


async def test_what_is_asked_for_is_decided_by_a_person_and_else_refused(
    make: Make, ask_leave: Callable[[Path], str], tmp_path: Path, until: Until
) -> None:
    path = tmp_path / "outside.txt"
    async with make(approvals=Approvals()) as session, trio.open_nursery() as nursery:
        turns = []

        async def send() -> None:
            turns.append(await session.send(ask_leave(path)))

        nursery.start_soon(send)
        await until(session.approvals, within=30)
        assert Phase.APPROVING is session.statistics().phase
        assert await session.decide(session.approvals()[0].id, decision=True)
        await until(lambda: turns, within=30)
    assert (True, True) == (turns[0].ok, path.exists())
    assert [(True, "person")] == [(each.decision.allow, each.by) for each in turns[0].approvals]

    path.unlink()
    async with make() as session:
        turn = await session.send(ask_leave(path))
    assert (True, False, "went on") == (turn.ok, path.exists(), turn.final_message)


async def test_a_scope_that_does_not_allow_all_programs_is_asked_before_every_command(
    make: Make, work: Path
) -> None:
    rules = Ruleset(
        default="allow",
        execute=Rules(rules=(Rule(pattern="touch good", action="allow"),), default="deny"),
    )
    grants = [Grant(permissions=Permissions(rules=rules), base=str(work))]
    async with make(grants=grants) as session:
        bad = await session.send("!run touch bad\n!say went on")
        good = await session.send("!run touch good\n!say went on")

    assert (True, True) == (bad.ok, good.ok)
    assert (False, True) == ((work / "bad").exists(), (work / "good").exists())
    assert [(False, "policy")] == [(each.decision.allow, each.by) for each in bad.approvals]
    assert [(True, "policy")] == [(each.decision.allow, each.by) for each in good.approvals]


@pytest.mark.parametrize("kind", ["claude"], indirect=True)
async def test_claude_gets_another_input_than_it_asked_for(
    make: Make, ask_leave: Callable[[Path], str], tmp_path: Path
) -> None:
    from runner.agents.events import Decision

    def ask(asked: ApprovalAsked) -> Decision:
        return Decision(allow=True, input={**asked.input, "content": "mine"})

    path = tmp_path / "outside.txt"
    async with make(approvals=Approvals(ask=ask)) as session:
        turn = await session.send(ask_leave(path))

    assert (True, "mine", "callback") == (turn.ok, path.read_text(), turn.approvals[0].by)


async def test_a_turn_is_steered_and_another_makes_way(make: Make) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        turns = {}

        async def send(name: str, prompt: str, when_busy: str) -> None:
            turns[name] = await session.send(prompt, when_busy=when_busy)

        async with session.events() as events:
            nursery.start_soon(send, "one", "!run sleep 1\n!say one", "queue")
            while not isinstance((await events.receive()).event, TurnStarted):
                pass
        both = await session.send("!say steered", when_busy="steer")
        assert both.ok
        assert both is turns["one"]

        async with session.events() as events:
            nursery.start_soon(send, "two", "!run sleep 30\n!say two", "queue")
            while not isinstance((await events.receive()).event, TurnStarted):
                pass
        three = await session.send("!say three", when_busy="interrupt")
        assert (True, "three") == (three.ok, three.final_message)
        assert ErrorClass.INTERRUPTED is turns["two"].error


async def test_an_answer_keeps_to_its_schema_for_a_turn(make: Make, kind: str) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    async with make() as session:
        await session.send("!say one")
        said = '!tool StructuredOutput {"n": 3}' if kind == "claude" else '!say {"n": 3}'
        turn = await session.send(said, schema=schema)
        plain = await session.send("!recall")

    assert (True, {"n": 3}) == (turn.ok, turn.structured)
    assert (True, None) == (plain.ok, plain.structured)
    assert "!say one" in plain.final_message
    assert turn.marker


async def test_an_access_is_for_one_turn(make: Make, work: Path) -> None:
    async with make() as session:
        await session.send("!write a.txt: x")
        await session.send("!write b.txt: x", access="read-only")
        await session.send("!write c.txt: x")

    assert ["a.txt", "c.txt"] == sorted(each.name for each in work.iterdir())
