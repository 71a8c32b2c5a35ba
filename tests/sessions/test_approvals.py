"""What an agent asks for: decided by rules, a callback, a person, or nobody in time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from runner.agents.driver import UNATTENDED, ClaudeAgent
from runner.agents.events import ApprovalAsked, Decision
from runner.errors import AgentUnavailable, ConfigError
from runner.scopes.permissions import Grant, Permissions, Rule, Rules, Ruleset
from runner.sessions.approving import CLOSED, NO_REWRITE, REFUSED, UNANSWERED, Approvals
from runner.sessions.making import Sessions
from runner.sessions.phases import Phase
from runner.sessions.ruling import Ruling
from runner.sessions.session import Session

Make = Callable[..., Session]
Until = Callable[..., Awaitable[None]]


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(approvals: Approvals | None = None, rules: Ruleset | None = None) -> Session:
        grants = [] if rules is None else [Grant(permissions=Permissions(rules=rules))]
        return sessions.make_session(str(work), driver=fake(), approvals=approvals, grants=grants)

    return make


def said(turn: object) -> tuple[bool, str]:
    answer = json.loads(turn.final_message)
    return answer["allow"], answer["message"]


async def test_where_nobody_is_there_the_agent_is_told_so(make: Make) -> None:
    async with make() as session:
        turn = await session.send("ask Bash ls")

    (decided,) = turn.approvals
    assert (False, UNATTENDED) == said(turn)
    assert ("Bash", "ls", "default") == (decided.asked.tool, decided.asked.text, decided.by)
    assert turn.ok


RULES = Ruleset(
    default="allow",
    execute=Rules(
        rules=(Rule(pattern="git *", action="allow"), Rule(pattern="rm *", action="deny")),
        default="ask",
    ),
    write=Rules(rules=(Rule(pattern="secret/**", action="deny", description="not yours"),)),
)


@pytest.mark.parametrize(
    ("prompt", "allowed", "by"),
    [
        ("ask Bash git status", True, "policy"),
        ("ask Bash git status; rm x", False, "policy"),
        ("ask Bash /bin/bash -lc 'git status'", True, "policy"),
        ("ask Bash /bin/bash -lc 'git status; rm x'", False, "policy"),
        ("ask Bash make", False, "default"),
        ("ask Write a.txt", True, "policy"),
        ("ask Write secret/a.txt", False, "policy"),
        ("ask Write link/a.txt", False, "policy"),
        ("ask Write ../out.txt", False, "default"),
        ("ask Other what?", False, "default"),
    ],
)
async def test_the_rules_of_the_scope_decide_first(
    make: Make, work: Path, prompt: str, allowed: bool, by: str
) -> None:
    (work / "secret").mkdir()
    (work / "link").symlink_to("secret")
    async with make(rules=RULES) as session:
        turn = await session.send(prompt)

    assert (allowed, by) == (said(turn)[0], turn.approvals[0].by)
    if by == "policy" and not allowed:
        assert "Refused by the permissions" in said(turn)[1]


def test_an_edit_is_judged_by_every_path_that_it_names(work: Path) -> None:
    ruling = Ruling((Grant(permissions=Permissions(rules=RULES)),), str(work))

    def rule_on(*paths: str) -> bool | None:
        asked = ApprovalAsked(id="1", tool="fileChange", input={}, kind="edit", paths=paths)
        decision = ruling.rule_on(asked)
        return None if decision is None else decision.allow

    assert [True, False, False, None] == [
        rule_on("a"),
        rule_on("a", "secret/a"),  # it is moved there
        rule_on("../a", "secret/a"),
        rule_on(),
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (True, (True, "")),
        (False, (False, REFUSED)),
        (Decision(allow=False, message="not today"), (False, "not today")),
        (Decision(allow=True, input={"command": "ls"}), (False, NO_REWRITE)),
        ("no", (False, REFUSED)),
        (1, (False, REFUSED)),
        (
            ZeroDivisionError("oh"),
            (False, "Refused: asking for it failed (ZeroDivisionError('oh'))."),
        ),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_callback_decides(
    make: Make, answer: object, expected: tuple[bool, str], is_async: bool
) -> None:
    asked = []

    def ask(approval: ApprovalAsked) -> object:
        asked.append(approval.text)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask_later(approval: ApprovalAsked) -> object:
        await trio.sleep(0.01)
        return ask(approval)

    async with make(Approvals(ask=ask_later if is_async else ask)) as session:
        turn = await session.send("ask Bash ls")

    assert (expected, ["ls"], "callback") == (said(turn), asked, turn.approvals[0].by)


async def test_a_person_decides_later(make: Make, until: Until) -> None:
    async with make(Approvals(ask=lambda _asked: None)) as session:
        async with trio.open_nursery() as nursery:
            turns = []

            async def send() -> None:
                turns.append(await session.send("ask Bash ls\nask Bash pwd"))

            nursery.start_soon(send)
            for text in ("ls", "pwd"):
                await until(lambda text=text: [each.text for each in session.approvals()] == [text])
                assert Phase.APPROVING is session.statistics().phase
                with pytest.raises(AgentUnavailable, match="no other input"):
                    await session.decide("a1", Decision(allow=True, input={}))
                assert await session.decide("a1", text == "ls")
                assert not await session.decide("a1", decision=True)
        assert () == session.approvals()

    assert [(True, "person"), (False, "person")] == [
        (each.decision.allow, each.by) for each in turns[0].approvals
    ]
    assert turns[0].ok


async def test_nobody_waits_for_longer_than_the_deadline(make: Make) -> None:
    async with make(Approvals(deadline=0.05)) as session:
        turn = await session.send("ask Bash ls")

    assert (False, UNANSWERED) == said(turn)
    assert "default" == turn.approvals[0].by


async def test_a_default_may_allow(make: Make) -> None:
    async with make(Approvals(deadline=0.05, default=Decision(allow=True))) as session:
        turn = await session.send("ask Bash ls")

    assert said(turn)[0]


@pytest.mark.parametrize("end", ["interrupt", "kill", "close", "time"])
async def test_what_is_open_at_the_end_of_a_turn_is_closed_with_it_and_listed(
    make: Make, until: Until, end: str
) -> None:
    session = make(Approvals(deadline=None))
    async with trio.open_nursery() as nursery:
        turns = []

        async def send() -> None:
            turns.append(await session.send("ask Bash ls", timeout=1 if end == "time" else 30))

        nursery.start_soon(send)
        await until(session.approvals)
        if end == "interrupt":
            assert await session.interrupt()
        elif end == "kill":
            import os

            os.kill(session.statistics().pid, 9)
        elif end == "close":
            await session.aclose()
        await until(lambda: turns)
        assert () == session.approvals()
        (decided,) = turns[0].approvals
        assert ("Bash", "closed", CLOSED) == (decided.asked.tool, decided.by, decided.decision)
        await session.aclose()


async def test_so_is_what_a_turn_leaves_open_that_comes_to_a_good_end(make: Make) -> None:
    async with make(Approvals(deadline=None)) as session:
        turn = await session.send("pose a1\npose a2\nsay done")
        assert not await session.decide("a1", True)
        after = await session.send("say more")

    assert (True, "done") == (turn.ok, turn.final_message)
    assert [("a1", "closed"), ("a2", "closed")] == [(d.asked.id, d.by) for d in turn.approvals]
    assert () == after.approvals


async def test_what_the_program_does_not_wait_for_any_more_is_closed_and_listed(
    make: Make,
) -> None:
    async with make(Approvals(deadline=None)) as session:
        turn = await session.send("unask\nsay went on")

    assert ("went on", ["closed"]) == (turn.final_message, [each.by for each in turn.approvals])


async def test_decisions_are_events_and_in_the_transcript(make: Make, state: Path) -> None:
    async with make(Approvals(ask=lambda _asked: True)) as session, session.events() as events:
        await session.send("ask Bash ls")
        kinds = []
        while not kinds or kinds[-1] != "TurnEnded":
            kinds.append(type((await events.receive()).event).__name__)

    assert ["ApprovalAsked", "ApprovalDecided"] == [each for each in kinds if "Appro" in each]


async def test_an_agent_that_never_asks_is_said_at_once(sessions: Sessions, work: Path) -> None:
    with pytest.raises(AgentUnavailable, match="never asks"):
        sessions.make_session(str(work), approvals=Approvals())


@pytest.mark.parametrize("action", ["deny", "ask"])
async def test_an_agent_that_the_rules_could_not_hold_is_refused(
    sessions: Sessions, work: Path, action: str
) -> None:
    rules = Ruleset(default="allow", execute=Rules(default=action))
    grants = [Grant(permissions=Permissions(rules=rules))]
    with pytest.raises(ConfigError, match="cannot hold"):
        sessions.make_session(str(work), grants=grants)
    full = ClaudeAgent(access="danger-full-access")
    with pytest.raises(ConfigError, match="asks for nothing"):
        sessions.make_session(str(work), full, grants=grants)
    session = sessions.make_session(str(work), ClaudeAgent(), grants=grants)
    with pytest.raises(ConfigError, match="asks for nothing"):
        await session.send("x", access="danger-full-access")


@pytest.mark.parametrize("deadline", [0, -1.0, float("nan"), float("inf")])
def test_a_deadline_that_is_none_is_refused(deadline: float) -> None:
    with pytest.raises(ConfigError, match="deadline"):
        Approvals(deadline=deadline)
