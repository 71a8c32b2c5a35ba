"""The real claude and codex, limited by their provider, or without their conversation."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.agents.driver import Agent
from runner.agents.events import BegunAnew, Parked
from runner.agents.registry import make_driver
from runner.errors import ConversationLost
from runner.sessions.session import Session

pytestmark = pytest.mark.real_agents

Make = Callable[..., Session]


@pytest.fixture
def histories(
    kind: str, real_agent: Callable[..., Agent], state: Path
) -> Callable[[str], list[Path]]:
    """The files that the program has of a conversation."""

    def find(conversation: str) -> list[Path]:
        private = str(state / "sessions" / "mine")
        pattern = make_driver(real_agent(kind)).history(private, conversation)
        return [Path(each) for each in glob.glob(pattern)]

    return find


async def events_of(session: Session, cls: type) -> list[object]:
    """Its events of a class, once it is closed."""
    async with session.events(since=0) as events:
        await session.aclose()
        every = [each.event async for each in events]
    return [each for each in every if isinstance(each, cls)]


async def test_a_turn_that_its_provider_limits_goes_on_when_the_limit_is_reset(make: Make) -> None:
    async with make(agent={"subscriber": True}, max_park=60) as session:
        await session.send("!say before")
        turn = await session.send("!fail 429 resets=1 times=1\n!say on")
        recalled = await session.send("!recall")
        # Once, and once more as the server counts the prompt apart that has a note before it.
        parked = await events_of(session, Parked)

    assert (True, "on", None) == (turn.ok, turn.final_message, turn.resets_at), turn
    assert 2 == len(parked)
    assert turn.parked > 1.0
    assert "!say before" in recalled.final_message
    assert "its provider allowed no more for a while" in recalled.final_message


async def test_a_turn_whose_request_was_repeated_can_be_forked(make: Make) -> None:
    # claude writes such an answer beside the line of messages that it loads later.
    async with make() as session:
        await session.send("!say before")
        repeated = await session.send("!fail 529 times=1\n!say well")
        last = await session.send("!say after")
        assert (True, True) == (repeated.ok, last.ok), (repeated, last)
        async with await session.fork(at=repeated.number) as fork:
            turn = await fork.send("!say forked")

    assert (True, "forked") == (turn.ok, turn.final_message), turn


@pytest.mark.parametrize("how", ["gone", "another"])
async def test_a_conversation_that_it_does_not_have_any_more_is_an_error_or_begun_anew(
    make: Make, histories: Callable[[str], list[Path]], how: str
) -> None:
    async with make(id="mine") as session:
        first = await session.send("!say one")
    assert first.ok, first
    for path in histories(first.conversation):
        path.unlink()
        if how == "another":  # one that is found, but not by the program
            decoy = path.parents[1] / "decoy" / path.name
            decoy.parent.mkdir()
            decoy.touch()
    async with make(id="mine") as session:
        with pytest.raises(ConversationLost):
            await session.send("!say two")
    async with make(id="mine", on_lost="fresh") as session:
        second = await session.send("!say two")
        recalled = await session.send("!recall")
        (said,) = await events_of(session, BegunAnew)

    assert (True, "two", 2) == (second.ok, second.final_message, second.number), second
    assert (first.conversation, True) == (said.lost, said.is_told)
    assert second.conversation not in {first.conversation, ""}
    assert "> User: !say one\n> \n> Agent: one\n</earlier>\n\n!say two" in recalled.final_message
