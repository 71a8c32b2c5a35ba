"""Trouble with the provider, by the real programs' own words: its class, its retries, its bounds."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime

import attrs
import pytest
import trio

from runner.agents.driver import Agent, ClaudeAgent
from runner.agents.events import ErrorClass as E
from runner.agents.events import Event, RateLimited, Retry
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.sessions.turn import Turn
from runner.testing.model_server import Served

pytestmark = pytest.mark.real_agents

Make = Callable[..., Session]

CLAUDE, CODEX = frozenset({"claude"}), frozenset({"codex"})
BOTH = CLAUDE | CODEX
# How often the programs of these tests ask at most: claude is told to ask once more, codex to do so
# for each stream, and to begin one more of these.
MOST = {"claude": 2, "codex": 4}
FEW = {"claude": {"max_retries": 1}, "codex": {}}


@attrs.frozen
class Case:
    """A fault.

    Attributes:
        prompt: what makes the model server have it.
        right: the classes that it may have: a program may take a hang for the network's fault, or
            not say a word until time is up; claude has no word for garbage.
        retried: which programs ask again, and have to say so before.
        timeout: seconds for the turn.
    """

    prompt: str
    right: set[E]
    retried: frozenset[str] = frozenset()
    timeout: float = 30.0


CASES = [
    Case("!fail 401", {E.AUTH}, BOTH),
    Case("!fail 403", {E.AUTH}, CODEX),
    Case("!fail 429", {E.RATE_LIMITED}, CLAUDE),
    Case("!fail 429 retry-after=300", {E.RATE_LIMITED}, CODEX, timeout=3.0),  # it waits for that
    Case("!fail 529", {E.OVERLOADED}, BOTH),
    Case("!fail 500", {E.OVERLOADED}, BOTH),
    Case("!fail 400", {E.BAD_REQUEST}),
    Case("!fail 404", {E.BAD_REQUEST}, CODEX),
    Case("!fail context_overflow", {E.CONTEXT_OVERFLOW}),
    Case("!fail budget", {E.BUDGET}, CODEX),
    Case("!reset", {E.NETWORK}, BOTH),
    Case("!drop", {E.NETWORK}, CODEX),
    Case("!malformed", {E.NETWORK, E.PROTOCOL, E.FAILED}, CODEX),
    Case("!hang", {E.TIMEOUT, E.NETWORK}, timeout=1.5),
    Case("!stall", {E.TIMEOUT, E.NETWORK}, timeout=1.5),
]


async def converse(session: Session, *asked: tuple[str, float]) -> list[tuple[Turn, list[Event]]]:
    """Turns by prompts and their time, and what was said in each; the session is closed."""
    turns = []
    async with session.events() as follower:
        async with session:
            for prompt, timeout in asked:
                with trio.fail_after(90):
                    turns.append(await session.send(prompt, timeout=timeout))
        events = [each async for each in follower]
    return [(turn, [one.event for one in events if one.turn == turn.number]) for turn in turns]


def retries(events: list[Event]) -> list[Retry]:
    return [each for each in events if isinstance(each, Retry)]


async def test_each_fault_has_its_class_and_is_retried_in_the_open_within_bounds(
    make: Make, kind: str, model_server: Served
) -> None:
    """One session for all: the program lives through each of them, or is brought back."""
    faults = [(f"{case.prompt}\n!say never", case.timeout) for case in CASES]
    recovers = ("!drop times=1\n!say it was cut once", 30.0)
    ready, *found, recovered, recalled = await converse(
        make(agent=FEW[kind]), ("!say ready", 60.0), *faults, recovers, ("!recall", 60.0)
    )

    assert ready[0].ok
    for case, (turn, events) in zip(CASES, found, strict=True):
        what = (case.prompt, turn, retries(events))
        asked = [
            each for each in model_server.requests if f"{case.prompt}\n!say never" in each.prompt
        ]
        assert not turn.ok, what
        assert turn.error in case.right, what
        assert turn.error_text, what
        assert turn.duration < case.timeout + 5, what
        assert 1 <= len(asked) <= MOST[kind], (*what, asked)
        assert len(retries(events)) <= MOST[kind], what
        # codex does not know what keeps a stream from beginning, and says it of the network.
        assert {each.error for each in retries(events)} <= {*case.right, E.NETWORK}, what
        assert retries(events) or kind not in case.retried, what
    assert (True, "it was cut once") == (recovered[0].ok, recovered[0].final_message), recovered
    assert recalled[0].ok
    assert "!fail 529" in recalled[0].final_message


async def test_a_limit_of_the_account_says_when_it_is_over(
    make: Make,
) -> None:
    before = datetime.now(UTC)
    limited = ("!fail 429 resets=3600\n!say never", 30.0)
    ((turn, events), (again, _), (after, _)) = await converse(
        make(agent={"subscriber": True}),
        limited,
        limited,
        ("!say well", 30.0),
    )

    assert (False, E.RATE_LIMITED) == (turn.ok, turn.error), turn
    assert turn.resets_at is not None
    assert 3590 < (turn.resets_at - before).total_seconds() < 3700
    assert [turn.resets_at] == [each.resets_at for each in events if isinstance(each, RateLimited)]
    assert E.RATE_LIMITED is again.error, again  # claude does not say it once more
    assert again.resets_at is not None
    assert 0 <= (again.resets_at - turn.resets_at).total_seconds() < 60
    assert (True, None) == (after.ok, after.resets_at), after


@pytest.mark.parametrize("kind", ["claude"], indirect=True)
async def test_a_budget_that_is_spent_stops_the_turn_and_all_after_it(make: Make) -> None:
    session = make(agent={"args": ("--max-budget-usd=0.0001",)})
    found = await converse(session, ("!run true\n!say one", 60.0), ("!say two", 60.0))

    for turn, _ in found:
        assert (False, E.BUDGET) == (turn.ok, turn.error), turn
        assert "budget" in turn.error_text


async def test_a_provider_that_is_not_there_is_asked_again_in_the_open_until_time_is_up(
    kind: str, sessions: Sessions, real_agent: Callable[..., Agent], work: object
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    agent = real_agent(kind, access="danger-full-access", **FEW[kind])
    if isinstance(agent, ClaudeAgent):
        agent = attrs.evolve(agent, env={**agent.env, "ANTHROPIC_BASE_URL": url})
    else:
        config = agent.config.replace(agent.config.split('base_url = "')[1].split("/v1")[0], url)
        agent = attrs.evolve(agent, config=config)
    ((turn, events),) = await converse(sessions.make_session(str(work), agent), ("!say x", 5.0))

    assert (False, E.NETWORK) == (turn.ok, turn.error), turn
    assert {E.NETWORK} == {each.error for each in retries(events)}
    assert turn.duration < 10
