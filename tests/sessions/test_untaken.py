"""A prompt that a program has died of is sent again only if nothing of it can have been done."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from runner.agents.events import TurnStarted
from runner.sessions.flight import UNBEGUN, Flight


@pytest.mark.parametrize(("seconds", "is_again"), [(0.0, True), (UNBEGUN, True), (1.0, False)])
async def test_a_program_that_was_silent_for_long_may_have_begun(
    autojump_clock: trio.testing.MockClock, seconds: float, is_again: bool
) -> None:
    flight = Flight(number=1, timeout=None)
    flight.send()
    await trio.sleep(seconds)
    flight.process_ended()

    assert is_again == flight.died_untaken


async def test_a_prompt_that_was_taken_is_not_sent_again() -> None:
    flight = Flight(number=1, timeout=None)
    flight.take(TurnStarted(turn=flight.send()))
    flight.process_ended()

    assert not flight.died_untaken
