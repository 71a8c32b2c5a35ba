"""The board: what is known of a batch from what its observer is told; and how figures are written."""

from __future__ import annotations

import pytest

from runner.agents.events import Text, Usage, UsageChanged
from runner.cli import words
from runner.cli.board import Board
from runner.jobs.progress import (
    AgentSaid,
    AttemptEnded,
    BatchStarted,
    JobCut,
    JobFinished,
    JobStarted,
    PhaseChanged,
    Progress,
    TurnEnded,
)
from runner.sessions.turn import Turn


def finished(id: str, state: str = "ok", cost: float | None = None, tokens: int = 0) -> Progress:  # noqa: A002
    return JobFinished(
        id=id,
        number=1,
        state=state,
        verdict="none",
        attempts=1,
        duration=1.0,
        error=None,
        usage=Usage(output_tokens=tokens),
        cost_usd=cost,
        result={},
    )


def board_of(*told: Progress) -> Board:
    """Told one a second, from 100 on, of a batch of ten jobs of which two were finished before."""
    board = Board()
    started = BatchStarted(batch="b", output="/o", jobs=10, finished=2, concurrency=4)
    for second, progress in enumerate((started, *told), 100):
        board.take(progress, float(second))
    return board


def test_of_nothing_it_says_nothing() -> None:
    board = Board()

    assert (board.jobs, board.finished, board.tokens, board.remaining(1.0)) == (0, 0, 0, None)


def test_a_running_job_has_its_phase_its_turns_its_tokens_and_when_it_was_heard_of() -> None:
    turn = Turn(number=1, ok=True, usage=Usage(input_tokens=10))
    board = board_of(
        JobStarted(id="a", number=1, attempt=2),
        PhaseChanged(id="a", attempt=2, phase="turns"),
        AgentSaid(id="a", attempt=2, event=UsageChanged(usage=Usage(input_tokens=7))),
        TurnEnded(id="a", attempt=2, turn=turn),
        AgentSaid(id="a", attempt=2, event=UsageChanged(usage=Usage(output_tokens=5))),
        AgentSaid(id="a", attempt=2, event=Text(text="hm")),
    )

    job = board.running["a"]
    assert (job.attempt, job.phase, job.turns, job.tokens) == (2, "turns", 1, 15)
    assert (job.began, job.heard) == (101.0, 106.0)
    assert board.tokens == 15


def test_what_is_told_of_jobs_that_do_not_run_is_no_news() -> None:
    board = board_of(PhaseChanged(id="a", attempt=1, phase="turns"))

    assert board.running == {}


def test_a_job_between_its_attempts_is_waiting() -> None:
    ended = AttemptEnded(id="a", attempt=1, state="infra", error="x", error_text="", delay=5.0)
    board = board_of(JobStarted(id="a", number=1, attempt=1), ended)

    assert (board.running, board.waiting) == ({}, {"a": 107.0})

    board.take(JobStarted(id="a", number=1, attempt=2), 107.0)

    assert board.waiting == {}


def test_finished_jobs_are_counted_by_state_with_those_of_earlier_runs() -> None:
    board = board_of(
        JobStarted(id="a", number=1, attempt=1),
        finished("a", cost=0.5, tokens=3),
        finished("b", "failed"),
        finished("c", cost=0.25, tokens=4),
    )

    assert board.counts == {"ok": 2, "failed": 1}
    assert (board.finished, board.running) == (5, {})
    assert (board.tokens, board.cost_usd) == (7, 0.75)


def test_a_job_that_was_put_down_is_not_finished() -> None:
    board = board_of(JobStarted(id="a", number=1, attempt=1), JobCut(id="a", attempt=1))

    assert (board.running, board.cut, board.finished) == ({}, 1, 2)


def test_the_time_left_is_reckoned_by_what_this_run_has_done() -> None:
    board = board_of(finished("a"), finished("b"))

    assert board.remaining(110.0) == pytest.approx(10.0 / 2 * 6)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (words.clock(0), "0:00"),
        (words.clock(-3), "0:00"),
        (words.clock(754.9), "12:34"),
        (words.clock(10_807), "3:00:07"),
        (words.span(0.44), "0.4 s"),
        (words.span(9.96), "10 s"),
        (words.span(61), "1:01"),
        (words.tokens(999), "999"),
        (words.tokens(12_345), "12.3k"),
        (words.tokens(999_999), "1.0M"),
        (words.dollars(None), ""),
        (words.dollars(0.01234), "$0.0123"),
        (words.dollars(1234.5), "$1,234.50"),
        (words.some("abc"), "a, b, c"),
        (words.some("abcdefg"), "a, b, c, d, e and 2 more"),
        (words.one_line("a\n  b"), "a b"),
        (words.one_line("x" * 10, 5), "xxxx…"),
        (words.plural(1, "job"), "1 job"),
        (words.plural(0, "job"), "0 jobs"),
        (words.place("/"), "/"),
    ],
)
def test_figures_are_written_for_people(written: str, expected: str) -> None:
    assert written == expected
