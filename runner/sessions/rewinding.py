"""Setting a session back to the end of a turn: its files, its conversation, or both.

    ledger: about to ──► files restored ──► ledger: it is, with the conversation
            │                 │
            │                 └─ killed: finished when the session goes on
            └─ killed: dropped, as nothing was

The program has ended by then. Where no files are set back, the ledger says so at once.

The conversation goes on from that turn as a fork would (forking.py): the program makes a copy of
its own under another id, where it can, else the turns up to that one stand as text before the next
prompt. The session's own id, and the numbers of its turns, go on; the turns after that one stay
where they are, and one can go back to them in the same way.

Where only one of the two is set back, the program is told so before its next prompt: what it knows
and what it finds are not of the same moment then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import attrs

from runner.agents.driver import Driver, Origin
from runner.agents.events import Rewound
from runner.errors import ConfigError, RunnerError, SnapshotNotFound
from runner.sessions.forking import CONTEXT, ended_turns, find_origin
from runner.sessions.history import History
from runner.sessions.record import PastRewind, PastTurn, Record
from runner.sessions.state import SessionState
from runner.sessions.store import Store
from runner.sessions.turn import Rewind

FILES_NOTE = (
    "(Note: the files of your directory were set back to what they were {}; what you know of them"
    " may not be so any more. Look before you edit.)\n\n"
)
TALK_NOTE = (
    "(Note: this conversation was set back to what it was {}; the files of your directory were not:"
    " they may have changes that you do not know of.)\n\n"
)


def check_rewind(message: Rewind) -> None:
    """See whether it can be meant.

    Raises:
        ConfigError: it cannot.
    """
    turn = message.turn
    if isinstance(turn, bool) or not isinstance(turn, int) or turn < 0:
        raise ConfigError(f"turn={turn!r}: it is the number of a turn, or 0 for the beginning")
    for name in ("files", "conversation", "force"):
        if not isinstance(getattr(message, name), bool):
            raise ConfigError(f"{name}={getattr(message, name)!r}: it is True or False")
    if not (message.files or message.conversation):
        raise ConfigError("neither the files nor the conversation: there is nothing to set back")


def find_turn(store: Store, number: int) -> PastTurn | None:
    """The turn of a number; None for the beginning.

    Raises:
        ConfigError: there is none, or it has not ended; with those that there are.
    """
    ended = ended_turns(store)
    for each in ended:
        if each.number == number:
            return each
    if number == 0:
        return None
    have = f"it has {_said(each.number for each in ended)}" if ended else "it has none"
    what = f"the session {store.session!r} has no turn {number} that has ended"
    raise ConfigError(f"{what}: {have}; 0 is its beginning")


def _said(numbers: Iterable[int]) -> str:
    """Numbers of turns, those in a row as one."""
    rows: list[list[int]] = []
    for each in numbers:
        if rows and rows[-1][-1] + 1 == each:
            rows[-1] = [rows[-1][0], each]
        else:
            rows.append([each])
    said = ", ".join(f"{row[0]} to {row[-1]}" if len(row) > 1 else f"{row[0]}" for row in rows)
    return f"turn {said}" if said.isdigit() else f"turns {said}"


async def rewind(
    state: SessionState, driver: Driver, message: Rewind, history: History | None
) -> Rewound:
    """Set a session back whose program has ended. To be shielded: it is bounded by the files.

    Args:
        state: of the session.
        driver: of its program.
        message: where to.
        history: of its files; needed if they are set back, and has a snapshot of that.

    Raises:
        ConfigError: there is no such turn.
        UncommittedChanges: changes would go that are in no snapshot; nothing was done.
        RunnerError: it cannot be done, or not be written.
    """
    store, record = state.store, state.record
    assert store is not None
    turn = find_turn(store, message.turn)
    changes = await _changes(state, driver, message, turn)
    await state.ready()
    undo = ""
    if message.files and history is not None:
        begun = store.ledger.begin_rewind(
            record, message.turn, files=True, conversation=message.conversation
        )
        undo = await _restore(state, history, message, begun)
        await state.ready()
        store.ledger.end_rewind(attrs.evolve(record, **changes), begun, undo)
    else:
        after = attrs.evolve(record, **changes)
        store.ledger.rewind_conversation(after, record.head, message.turn)
    _apply(record, changes)
    return Rewound(
        turn=message.turn,
        files=message.files,
        conversation=message.conversation,
        undo=undo,
        native=bool(changes.get("origin")),
    )


async def _restore(state: SessionState, history: History, message: Rewind, begun: int) -> str:
    """Set the files back; the name of the snapshot of what they were."""
    failure = None
    try:
        return await history.restore(state.id, message.turn, force=message.force)
    except RunnerError as exc:
        failure = exc
    await _drop_unless_done(state, history, begun, message.turn)
    raise failure


async def _drop_unless_done(state: SessionState, history: History, begun: int, turn: int) -> None:
    """Forget it if the files are not set back; else it is finished when the session goes on."""
    assert state.store is not None
    with suppress(RunnerError):  # who comes next looks once more
        if not await history.is_at(state.id, turn):
            await state.ready()
            state.store.ledger.drop_rewind(begun)


async def finish_rewinds(state: SessionState, history: History, driver: Driver) -> None:
    """Finish what was cut off after the files were set back, and forget what was before that.

    Raises:
        RunnerError: it cannot be.
    """
    store = state.store
    assert store is not None
    for each in store.ledger.rewinds(state.id):
        if each.ended is not None:
            continue
        if not (each.head == state.record.head and await _is_at(state, history, each)):
            store.ledger.drop_rewind(each.id)
            continue
        message = Rewind(turn=each.turn, files=each.files, conversation=each.conversation)
        changes = await _changes(state, driver, message, find_turn(store, each.turn))
        store.ledger.end_rewind(attrs.evolve(state.record, **changes), each.id, each.undo)
        _apply(state.record, changes)


async def _is_at(state: SessionState, history: History, begun: PastRewind) -> bool:
    """Whether the files were set back, before it was cut off."""
    try:
        return begun.files and await history.is_at(state.id, begun.turn)
    except SnapshotNotFound:
        return False


async def _changes(
    state: SessionState, driver: Driver, message: Rewind, turn: PastTurn | None
) -> dict[str, Any]:
    """What of the record will be otherwise."""
    record, store = state.record, state.store
    assert store is not None
    where = f"after turn {turn.number}" if turn is not None else "at its beginning"
    if message.turn == record.head:  # the conversation is there already, and knows these files
        return {}
    if not message.conversation:
        # One that has been in no turn yet knows nothing that could be wrong.
        has_known = bool(record.head) and not driver.process_per_turn
        return {"note": FILES_NOTE.format(where)} if has_known else {}
    number = 0 if turn is None else turn.number
    changes: dict[str, Any] = {"head": number, "rewound": number, "cut": False, "note": ""}
    if driver.process_per_turn:
        return changes
    origin = None if turn is None else await find_origin(store, record, driver, turn)
    changes |= _begun_anew(origin, has_earlier=bool(number or _has_context(state)))
    if not message.files:
        changes["note"] = TALK_NOTE.format(where)
    return changes


def _begun_anew(origin: Origin | None, *, has_earlier: bool) -> dict[str, Any]:
    """Another conversation takes the place of this one, in which nothing good has been yet."""
    named = Origin(conversation="", history="", marker="") if origin is None else origin
    return {
        "resume": False,
        "last_good": 0,
        "origin": named.conversation,
        "history": named.history,
        "marker": named.marker,
        "context": origin is None and has_earlier,
    }


def _has_context(state: SessionState) -> bool:
    """Whether the session began with turns of another one."""
    return os.path.exists(os.path.join(state.private, CONTEXT))


def _apply(record: Record, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(record, name, value)
