"""What a session's actor notes of its turns: in the record, in the transcript, for followers.

Everything that changes a session's `Record` after it was loaded lives here, but for the id of a
conversation that is begun (starting.py). Each is one synchronous block.
"""

from __future__ import annotations

from contextlib import suppress

import attrs

from runner.agents.events import (
    ConversationStarted,
    ErrorClass,
    Event,
    Parked,
    Text,
    TurnStarted,
)
from runner.errors import LedgerError
from runner.sessions.changes import Changes
from runner.sessions.flight import Flight
from runner.sessions.record import Record, Standing
from runner.sessions.state import SessionState
from runner.sessions.store import Store
from runner.sessions.turn import SessionEvent, Turn

# What the ledger keeps of a sentence about an error: programs may say much.
ERROR_LIMIT = 4000


@attrs.define(eq=False)
class Notes:
    """The notes of one session."""

    state: SessionState

    def begun(self, flight: Flight, prompt: str) -> None:
        """A turn is about to begin.

        Raises:
            LedgerError: it must not, as that could not be written.
        """
        record, store = self.state.record, self.state.store
        flight.follows = record.head
        record.turns = record.in_flight = record.head = flight.number
        record.standing = "open"
        try:
            if store is not None:
                store.begin_turn(record, prompt, flight.follows)
        except LedgerError:
            record.turns, record.in_flight, record.head = flight.number - 1, 0, flight.follows
            raise
        if store is not None:
            store.note(turn=flight.number, prompt=prompt)

    def happened(self, flight: Flight | None, event: Event) -> None:
        """The program said something."""
        state = self.state
        state.count_event(event)
        number = 0 if flight is None else flight.number
        if isinstance(event, ConversationStarted):
            self._conversation(flight, event)
        if flight is not None:
            flight.take(event)
        if isinstance(event, Parked):
            self._stand("parked")
        elif isinstance(event, TurnStarted):
            self._stand("open")
            self._has_been_told()
        cursor = 0
        if state.store is not None:
            # one synchronous block with what follows: who reads up to here gets the rest from there
            if isinstance(event, Text) and event.partial:
                cursor = state.store.transcript.cursor
            else:
                cursor = state.store.note(turn=number, event=type(event).__name__, data=event)
        if state.followers:
            state.followers.publish(SessionEvent(turn=number, event=event, cursor=cursor))

    def steered(self, flight: Flight, prompt: str) -> None:
        """A turn gets another prompt."""
        if self.state.store is not None:
            self.state.store.note(turn=flight.number, steer=prompt)

    def over(self, flight: Flight) -> None:
        """A turn is over; its answer is made afterwards."""
        record = self.state.record
        record.in_flight = 0
        record.standing = "open"
        if flight.never_began:
            record.turns, record.head = flight.number - 1, flight.follows
            if self.state.store is not None:
                self.state.store.note(turn=flight.number, never_began=True)
        elif not flight.was_taken and not record.last_good:
            # It may be that the program has kept nothing of it, and nothing good was in it.
            record.resume = False
        if flight.has_reached and not flight.never_began:
            record.cut = flight.was_cut_off
        if flight.is_ok:
            record.last_good = flight.number
        if self.state.store is not None:
            with suppress(LedgerError):  # the turn was carried out: its answer counts more
                _end_turn(self.state.store, record, flight)

    def compared(self, flight: Flight, changes: Changes) -> Changes:
        """The changes of a turn, with what the ledger knows of sessions of other processes."""
        state = self.state
        if state.store is None or not state.store.had_company(state.record, flight.number):
            return changes
        return attrs.evolve(changes, shared=True)

    def answered(self, turn: Turn) -> None:
        """A turn has its answer."""
        self.state.count(turn)
        if self.state.store is not None:
            self.state.store.note(turn=turn.number, result=turn)

    def _stand(self, standing: Standing) -> None:
        if self.state.record.standing != standing:
            self.state.record.standing = standing
            with suppress(LedgerError):  # it is only for people
                self.state.save()

    def _has_been_told(self) -> None:
        record = self.state.record
        if record.context or record.note:
            record.context, record.note = False, ""
            with suppress(LedgerError):  # it would be told once more
                self.state.save()

    def _conversation(self, flight: Flight | None, event: ConversationStarted) -> None:
        record = self.state.record
        if record.resume and event.conversation != record.conversation:
            what = f"asked to resume {record.conversation!r}, it began {event.conversation!r}"
            if flight is not None:
                flight.cut_off(ErrorClass.PROTOCOL, what)
        elif not record.resume or (event.version and event.version != record.program_version):
            record.conversation = event.conversation
            record.resume = True
            record.program_version = event.version or record.program_version
            try:
                self.state.save()
            except LedgerError as exc:
                if flight is not None:
                    flight.cut_off(ErrorClass.FAILED, str(exc))


def _end_turn(store: Store, record: Record, flight: Flight) -> None:
    error, text = flight.error()
    ended, usage = flight.ended, flight.usage
    store.ledger.end_turn(
        record,
        flight.number,
        "" if flight.never_began else "ok" if error is None else error.value,
        error_text=text[:ERROR_LIMIT],
        marker="" if ended is None else ended.marker,
        tokens=usage.input_tokens + usage.cached_tokens + usage.output_tokens,
        cost_usd=flight.cost_usd,
    )
