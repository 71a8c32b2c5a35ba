"""The picture of a running batch, and the lines: bounded, whatever the batch; alive, also in a log."""

from __future__ import annotations

import os
import time

import pytest
import trio

from runner.agents.events import Usage, UsageChanged
from runner.cli.board import Board
from runner.cli.live import LiveView
from runner.cli.reporting import Reporter
from runner.cli.writer import Writer
from runner.jobs.progress import (
    AgentSaid,
    AttemptEnded,
    BatchStarted,
    JobFinished,
    JobStarted,
    PhaseChanged,
)


class _Kept(Writer):
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.text = ""

    def put(self, text: str) -> None:
        self.text += text


@pytest.fixture
def small(monkeypatch) -> None:
    """A terminal of 100 columns and 20 lines, for rich."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setenv("TERM", "xterm")


def _board(running: int, jobs: int = 500) -> Board:
    board = Board()
    now = trio.current_time()
    board.take(BatchStarted(batch="b", output="/o", jobs=jobs, finished=0, concurrency=500), now)
    for number in range(running):
        board.take(JobStarted(id=f"job-{number}", number=number, attempt=1 + number % 2), now)
    return board


def _drawn(board: Board) -> str:
    kept = _Kept()
    view = LiveView(board, kept)
    view._console.print(view.picture())
    return kept.text


async def test_a_picture_of_500_running_jobs_fits_the_terminal_and_is_quick(small) -> None:
    board = _board(500)

    began = time.process_time()
    text = _drawn(board)
    spent = time.process_time() - began

    assert len(text.splitlines()) <= 20
    assert "and 485 more" in text
    assert "job-14 " in text
    assert "job-15 " not in text
    assert spent < 1.0  # it takes 10 ms; drawing all of them takes seconds


async def test_a_picture_says_phase_attempt_turns_tokens_cost_and_what_waits(small) -> None:
    board = _board(2)
    now = trio.current_time()
    usage = Usage(input_tokens=12_000)
    board.take(PhaseChanged(id="job-0", attempt=1, phase="verify"), now)
    board.take(AgentSaid(id="job-1", attempt=2, event=UsageChanged(usage=usage)), now)
    board.waiting["job-2"] = now
    board.counts["failed"] = 3
    board.cost_usd = 0.5

    text = _drawn(board)

    assert "verify" in text
    assert "attempt 2" in text
    assert "12.0k tokens" in text
    assert "$0.5000" in text
    assert "1 to try again" in text
    assert "3 failed" in text
    assert "about 0:00 more" in text


async def test_a_picture_of_nothing_is_one(small) -> None:
    assert "0 running" in _drawn(Board())


async def test_lines_that_stay_are_printed_also_when_it_is_stopped_at_once(small, nursery) -> None:
    reader, descriptor = os.pipe()
    writer = Writer(descriptor)
    nursery.start_soon(writer.run)
    view = LiveView(_board(1), writer)
    view.say("first", "failed")

    async with trio.open_nursery() as drawing:
        drawing.start_soon(view.run)
        await trio.testing.wait_all_tasks_blocked()
        view.say("last")
        drawing.cancel_scope.cancel()
    await writer.flushed()
    os.close(descriptor)
    shown = os.read(reader, 1 << 16).decode()
    os.close(reader)

    assert shown.index("first") < shown.index("last")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


# ---------------------------------------------------------------- plain lines


async def test_a_log_has_a_sign_of_life_every_minute(autojump_clock) -> None:
    kept = _Kept()
    reporter = Reporter(people=kept, records=None, live=None, board=Board())
    started = BatchStarted(batch="b", output="/o", jobs=3, finished=0, concurrency=2)

    with trio.move_on_after(150):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reporter.run)
            reporter.observe(started)
            reporter.observe(JobStarted(id="a", number=1, attempt=1))
            await trio.sleep(100)
            reporter.observe(
                JobFinished(
                    id="a",
                    number=1,
                    state="ok",
                    verdict="none",
                    attempts=1,
                    duration=100.0,
                    error=None,
                    usage=Usage(),
                    cost_usd=None,
                    result={},
                )
            )

    assert kept.text.splitlines() == [
        "b: 3 jobs, 2 at a time, into /o",
        "1:00  0 of 3 jobs finished, 1 running: a (starting, idle 1:00)",
        "ok          a, 1:40 [1/3]",
        "2:00  1 of 3 jobs finished, 0 running",
    ]


async def test_another_attempt_says_why_and_when() -> None:
    kept = _Kept()
    reporter = Reporter(people=kept, records=None, live=None, board=Board())

    reporter.observe(
        AttemptEnded(
            id="a", attempt=1, state="infra", error="overloaded", error_text="busy\nnow", delay=90.0
        )
    )

    assert kept.text == "infra       a: overloaded: busy now; attempt 2 in 1:30\n"
