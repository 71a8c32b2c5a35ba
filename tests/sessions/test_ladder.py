"""The ladder of silences by itself, on a clock that is only a number."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runner.processes.usage import TreeUsage
from runner.sessions.ladder import ACTS, ACTS_FOR_ONE_TURN, LATE, PATIENCE, Ladder, Look

LIMIT = 8.0
STEP = 0.4


def climb(ladder: Ladder, until: float, since: float = 0.0, **seen: object) -> list[object]:
    """Look again and again; what was done, with its time."""
    found = []
    for number in range(1, round((until - since) / STEP) + 1):
        now = since + number * STEP
        known = {name: each(now) if callable(each) else each for name, each in seen.items()}
        act = ladder.look(Look(at=now, heard=known.pop("heard", since), **known))
        if act is not None:
            found.append((act, round(now, 3)))
    return found


@pytest.fixture
def ladder() -> Ladder:
    ladder = Ladder(LIMIT, ACTS)
    ladder.begin(Look(at=0.0, heard=0.0))
    return ladder


def test_a_silence_is_noted_at_half_of_the_limit_and_met_at_its_end(ladder: Ladder) -> None:
    assert [("note", 4.0), ("interrupt", 8.0)] == climb(ladder, 8.0)


def test_each_further_silence_in_the_turn_is_met_by_the_next_rung(ladder: Ladder) -> None:
    climb(ladder, 8.0)
    ladder.begin(Look(at=8.0, heard=8.0))
    second = climb(ladder, 16.0, 8.0)
    ladder.begin(Look(at=16.0, heard=16.0))

    assert [("note", 12.0), ("revive", 16.0)] == second
    assert [("note", 20.0), ("fail", 24.0)] == climb(ladder, 24.0, 16.0)


def test_a_message_begins_everything_anew(ladder: Ladder) -> None:
    climb(ladder, 6.0)

    assert [("note", 10.0), ("interrupt", 14.0)] == climb(ladder, 14.0, 6.0, messages=1)


def test_output_that_is_no_message_counts_for_some_times_the_limit_only(ladder: Ladder) -> None:
    found = climb(ladder, LIMIT * PATIENCE, output=lambda now: int(now * 100))

    assert [("note", 20.0), ("interrupt", 40.0)] == found


@pytest.mark.parametrize("rate", [0.05, 1.0, -1.0])  # less: somebody was at work, and has ended
def test_so_does_processor_time(rate: float) -> None:
    ladder = Ladder(LIMIT, ACTS)
    ladder.begin(Look(at=0.0, heard=0.0, usage=TreeUsage(100, 1)))
    found = climb(ladder, LIMIT * PATIENCE, usage=lambda now: TreeUsage(100 + now * rate, 1))

    assert [("note", 20.0), ("interrupt", 40.0)] == found


def test_what_a_program_uses_by_waiting_is_no_work(ladder: Ladder) -> None:
    ladder = Ladder(800.0, ACTS)
    ladder.begin(Look(at=0.0, heard=0.0, usage=TreeUsage(1.0, 3)))
    acts = [
        ladder.look(Look(at=now, heard=0.0, usage=TreeUsage(1.0 + now * 0.012, 3)))
        for now in range(10, 801, 10)
    ]

    assert ["note", "interrupt"] == [act for act in acts if act]


def test_a_tool_at_work_may_take_as_long_as_it_uses_processor_time(ladder: Ladder) -> None:
    assert [] == climb(
        ladder, 400.0, tools=("Bash",), usage=lambda now: TreeUsage(round(now * 0.5, 2), 2)
    )


def test_a_tool_that_does_not_is_silent_after_some_times_the_limit(ladder: Ladder) -> None:
    found = climb(ladder, LIMIT * PATIENCE, tools=("Bash",))

    assert [("note", 20.0), ("interrupt", 40.0)] == found


def test_waiting_for_a_decision_is_no_silence_nor_is_the_time_of_it(ladder: Ladder) -> None:
    assert [] == climb(ladder, 100.0, waits=True)
    found = climb(ladder, 108.0, 100.0, messages=1, heard=100.0)
    assert [("note", 104.0), ("interrupt", 108.0)] == found


def test_who_says_that_it_asks_again_later_is_expected_then(ladder: Ladder) -> None:
    found = climb(ladder, 38.0, messages=1, heard=30.0)

    assert [("note", 34.0), ("interrupt", 38.0)] == found


def test_a_look_that_comes_far_too_late_says_nothing(ladder: Ladder) -> None:
    late = 30 + LATE

    assert ladder.look(Look(at=late, heard=0.0)) is None
    assert [("interrupt", round(late + 8.0, 3))] == climb(ladder, late + 8.0, late, heard=0.0)[1:]


def test_a_program_for_one_turn_is_failed_at_once() -> None:
    ladder = Ladder(LIMIT, ACTS_FOR_ONE_TURN)
    ladder.begin(Look(at=0.0, heard=0.0))

    assert [("note", 4.0), ("fail", 8.0)] == climb(ladder, 8.0)
    assert "fail" == ladder.climb()


def test_a_rung_says_what_was_seen() -> None:
    ladder = Ladder(LIMIT, ACTS)
    ladder.begin(Look(at=10.0, heard=9.0, output=5, usage=TreeUsage(2.0, 1)))
    ladder.look(Look(at=11.0, heard=10.5, messages=2, output=9, usage=TreeUsage(2.5, 3)))
    ladder.look(
        Look(at=12.25, heard=10.5, messages=2, output=9, usage=TreeUsage(2.5, 3), tools=("Bash",))
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rung = ladder.rung("note", now)

    assert ("note", now) == (rung.act, rung.at)
    signs = rung.signs
    assert (1.75, 1.75, 2, 4) == (signs.unheard, signs.still, signs.messages, signs.output)
    assert (0.5, 3, ("Bash",)) == (signs.cpu, signs.processes, signs.tools)


def test_looks_are_as_often_as_the_limit_asks_for_within_bounds() -> None:
    assert [0.02, 0.4, 10.0] == [Ladder(limit, ACTS).pause for limit in (0.1, 8.0, 9000.0)]
