"""The past of a session's files: the directory held while a program is in it, snapshots of turns.

    turn asked for ──► enter ──► catch up ──► begin ──► (the turn) ──► end ──► keep ──► leave, if no
                                                                                program lives on

Where a session's directory has no history, or none is wanted, nothing of this happens. What cannot
be kept never fails a turn: it is said in its `Turn`, in the ledger, and as a `SnapshotTaken` that
has no name. A snapshot that is missing, as we were killed between a turn's end and it, or it could
not be taken, is taken before the next turn begins, of what is there then, and that is said.

A rewind is carried out here; one that was cut off is finished, if the files are set back by then
(rewinding.py).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs
import trio

from runner.agents.events import Event, Rewound, SnapshotTaken
from runner.errors import ConfigError, LedgerError, RunnerError, WorkspaceError
from runner.sessions.flight import Flight
from runner.sessions.history import History
from runner.sessions.keeping import Keeper
from runner.sessions.phases import Input
from runner.sessions.record import PastTurn
from runner.sessions.rewinding import check_rewind, find_turn, finish_rewinds, rewind
from runner.sessions.state import SessionState
from runner.sessions.turn import Rewind

logger = logging.getLogger("runner.sessions")

# How long a snapshot may take: the first one looks at every file.
KEEPING = 120.0
LATE = "taken when the session went on, of what was there then: {}"
UNSAID = "whoever carried the turn out was killed before it could be taken"


@attrs.define(eq=False)
class Past:
    """The past of one session's files.

    Attributes:
        state: which session.
        keeper: has its program.
        let_go: ends what is in the directory; awaited when that is taken away.
        tell: a session's own events.
    """

    state: SessionState
    keeper: Keeper
    let_go: Callable[[], Awaitable[object]]
    tell: Callable[[Event], None]
    _is_behind: bool = True  # something may be missing
    _why: str = UNSAID

    @property
    def keeps(self) -> bool:
        """Whether each turn's end is to be a snapshot."""
        history = self.state.history
        return history is not None and history.keeps

    def require(self) -> History:
        """The history, which there is.

        Raises:
            ConfigError: there is none.
        """
        history = self.state.history
        if history is None or not history.keeps:
            raise ConfigError(
                f"the files of the session {self.state.id!r} have no snapshots: those of a session"
                " in a workspace have, if it is made with snapshots='turn'"
            )
        return history

    async def enter(self) -> str:
        """Hold the directory: a program is about to be in it; where its files are reached.

        Raises:
            RunnerError: it cannot be had.
        """
        if self.state.history is not None:
            reached, self.state.host = await self.state.history.enter(self.let_go)
            self.state.reached = reached
        return self.state.reached or self.state.directory

    async def leave(self) -> None:
        """Hold it no more, unless a program is in it."""
        if self.state.history is not None and self.keeper.living() is None:
            with trio.CancelScope(shield=True):  # bounded: at most a guardian ends
                await self.state.history.leave()

    # ------------------------------------------------------------ what turns change

    async def begin(self, flight: Flight) -> None:
        """Have it written down that a turn is about to begin.

        Raises:
            RunnerError: it cannot be.
        """
        if self.state.history is not None:
            agent = self.keeper.starter.driver.name
            await self.state.history.begin(self.state.id, flight.number, agent)

    async def end(self, flight: Flight, *, never_began: bool = False) -> None:
        """Have it written down that it has ended, and what it has changed."""
        if self.state.history is None:
            return
        error, _ = flight.error()
        about: dict[str, str | int | float | None] = {
            "duration": round(trio.current_time() - flight.began, 6),
            "error": None if error is None else str(error),
        }
        if never_began or flight.never_began:
            about = {}
        with trio.CancelScope(shield=True):  # bounded: by a look at the files
            try:
                await self.state.history.end(
                    None if flight.cut is not None else error is None, about
                )
            except RunnerError as exc:
                logger.warning("the end of a turn could not be written down: %s", exc)

    # ------------------------------------------------------------ snapshots

    async def catch_up(self) -> str:
        """Have all that is missing before a turn; what there is to say about it."""
        if not (self._is_behind and self.keeps):
            return ""
        store, record, history = self.state.store, self.state.record, self.require()
        said = ""
        try:
            await self.state.ready()
            if store is not None:
                await finish_rewinds(self.state, history, self.keeper.starter.driver)
            if not record.turns:
                await self._take(history, 0, anew=True)
            elif store is not None:  # one that is not kept was not killed and gone on with
                last = next(
                    (each for each in store.ledger.turns(self.state.id)[::-1] if each.ended), None
                )
                said = await self._take_late(history, last)
        except RunnerError as exc:
            self.tell(SnapshotTaken(turn=record.turns, trouble=str(exc)))
            return f"what the files were before this turn is in no snapshot: {exc}"
        self._is_behind = False
        return said

    async def _take_late(self, history: History, last: PastTurn | None) -> str:
        if last is None or last.snapshot:
            return ""
        note = LATE.format(last.snapshot_note or self._why)
        await self._take(history, last.number, note)
        return f"the snapshot of turn {last.number} was {note}"

    async def _take(
        self, history: History, turn: int, note: str = "", *, anew: bool = False
    ) -> str:
        try:
            with trio.fail_after(KEEPING):
                name = await history.keep(self.state.id, turn, description=note, anew=anew)
        except trio.TooSlowError:
            raise WorkspaceError(f"it was not taken within {KEEPING:g} s") from None
        if turn and self.state.store is not None:
            await self.state.ready()
            self.state.store.ledger.keep_turn(self.state.id, turn, name, note)
        self.tell(SnapshotTaken(turn=turn, snapshot=name, late=bool(note)))
        return name

    async def keep(self, flight: Flight) -> tuple[str, str]:
        """Have the snapshot of a turn's end; its name, and why there is none."""
        await self.end(flight)
        if not self.keeps or flight.never_began:
            return "", ""
        name, trouble, turn = "", "", flight.number
        with trio.CancelScope(shield=True):  # bounded by KEEPING, and mostly milliseconds
            try:
                name = await self._take(self.require(), turn)
            except RunnerError as exc:
                trouble = str(exc)
                self._is_behind = True
                self._note_trouble(turn, trouble)
        return name, trouble

    def _note_trouble(self, turn: int, trouble: str) -> None:
        self.tell(SnapshotTaken(turn=turn, trouble=trouble))
        if self.state.store is not None:
            with suppress(LedgerError):
                self.state.store.ledger.keep_turn(self.state.id, turn, "", trouble)

    # ------------------------------------------------------------ going back

    async def rewind(self, message: Rewind) -> Rewound:
        """Set the session back to the end of a turn; no turn is in flight.

        Raises:
            RunnerError: see `Session.rewind`.
        """
        check_rewind(message)
        state, keeper = self.state, self.keeper
        if state.store is None:
            raise ConfigError("a session that is not kept has no turn to go back to")
        history = self.require() if message.files else state.history
        find_turn(state.store, message.turn)
        try:
            await self.enter()
            await self.catch_up()
            if message.files and history is not None:
                await history.require(state.id, message.turn)
            with trio.CancelScope(shield=True):  # bounded by the end of a program, and the files
                await keeper.end_shielded()  # it knows what is about not to be so any more
                done = await rewind(state, keeper.starter.driver, message, history)
                state.step(Input.FRESH)  # it may have lost what it does not go on with
                self.tell(done)
        finally:
            await self.leave()  # noqa: ASYNC102 - shielded there, and bounded
        return done
