"""The live picture of a running batch: a line for each running job, totals, the time left.

It is drawn anew a few times a second by a task of ours, never faster than the terminal takes it and
never with more than a tenth of a processor. Lines that stay (a job has ended) are printed above it,
all that came since the last picture at once. What is known comes from the board.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence

import trio
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from runner.cli import words
from runner.cli.board import Board
from runner.cli.writer import Writer

STYLES = {"ok": "green", "failed": "red", "unverified": "yellow", "infra": "magenta"}
PERIOD = 0.2
SHARE = 0.1  # of a processor, at most
MARGIN = 5  # lines of the terminal that are not for running jobs
BAR = 24


class Pen(io.StringIO):
    """A file for rich, whose writing is the writer's."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    def write(self, text: str) -> int:
        """Write some, soon."""
        self._writer.put(text)
        return len(text)


def open_console(writer: Writer) -> Console:
    """Rich's console on a terminal."""
    return Console(file=Pen(writer), force_terminal=True, legacy_windows=False, highlight=False)


class LiveView:
    """Draws a board until it is stopped."""

    def __init__(self, board: Board, writer: Writer) -> None:
        self._board = board
        self._writer = writer
        self._console = open_console(writer)
        self._lines: list[Text] = []

    def say(self, line: str, state: str = "") -> None:
        """Print a line that stays, with the next picture."""
        self._lines.append(Text(line, style=STYLES.get(state, "")))

    async def run(self) -> None:
        """Draw until cancelled; then leave nothing but the lines that stay."""
        live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=self.picture,
        )
        live.start()
        try:
            while True:
                began = time.perf_counter()
                self._print_lines()
                live.refresh()
                spent = time.perf_counter() - began
                await self._writer.flushed()
                await trio.sleep(max(PERIOD, spent / SHARE))
        finally:
            self._print_lines()
            live.stop()

    def _print_lines(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._console.print(Text("\n").join(lines))

    # ------------------------------------------------------------ the picture

    def picture(self) -> RenderableType:
        """What is known now."""
        now = trio.current_time()
        room = max(1, self._console.height - MARGIN)
        return Group(*self._totals(now), *self._running(now, room))

    def _totals(self, now: float) -> Sequence[RenderableType]:
        board = self._board
        name = board.started.batch if board.started is not None else "batch"
        line = Table.grid(padding=(0, 2))
        bar = ProgressBar(
            total=max(1, board.jobs), completed=board.finished, width=BAR, complete_style="cyan"
        )
        line.add_row(
            Text(name, "bold"), bar, Text(f"{board.finished}/{board.jobs}"), time_of(board, now)
        )
        return [line, counts_of(board)]

    def _running(self, now: float, room: int) -> Sequence[RenderableType]:
        running = list(self._board.running.values())
        if not running:
            return []
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for _ in range(4):
            table.add_column(no_wrap=True, justify="right")
        for job in running[:room]:
            silent = now - job.heard
            table.add_row(
                Text(f"  {job.id}"),
                Text(job.phase, "cyan"),
                Text(f"attempt {job.attempt}", "yellow") if job.attempt > 1 else "",
                words.clock(now - job.began),
                Text(f"idle {words.clock(silent)}", "yellow" if silent >= 60 else "dim"),
                words.plural(job.turns, "turn"),
                f"{words.tokens(job.tokens)} tokens" if job.tokens else "",
            )
        more = len(running) - room
        return [table, Text(f"  and {more} more", "dim")] if more > 0 else [table]


def time_of(board: Board, now: float) -> Text:
    """How long it has taken, and what it may still take."""
    text = Text(words.clock(now - board.began))
    remaining = board.remaining(now)
    if remaining is not None and board.finished < board.jobs:
        text.append(f", about {words.clock(remaining)} more", "dim")
    return text


def counts_of(board: Board) -> Text:
    """How many are in which state, and the totals."""
    parts = [Text(f"  {len(board.running)} running")]
    if board.waiting:
        parts.append(Text(f"{len(board.waiting)} to try again", "yellow"))
    parts += [
        Text(f"{count} {state}", STYLES.get(state, "")) for state, count in board.counts.items()
    ]
    if board.tokens:
        parts.append(Text(f"{words.tokens(board.tokens)} tokens"))
    if board.cost_usd is not None:
        parts.append(Text(words.dollars(board.cost_usd)))
    return Text("  ").join(parts)
