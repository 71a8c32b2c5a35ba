"""Forks, and conversations that are told of an earlier one.

A fork is a session that begins as a copy of another, as it was after one of its turns:

    the program can fork, and can go back to the turn in its own file of the conversation
                                                                                 ──► its own fork
    else, for a program that lives over many turns ──► the turns so far as text, before the prompt
    else (shell, command: each turn is by itself anyway) ──► a session with nothing before it

What was decided is in the fork's record before anything is started. The fork's own turns count from
1. The turns so far stand as text in its directory in any case, for forks of the fork. What the
files of the directory were after that turn is known elsewhere (past.py).

A conversation that the program has lost is followed by one that is told the turns so far, as text.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Container

import attrs
import trio

from runner.agents.driver import Driver, Origin
from runner.agents.events import BegunAnew
from runner.errors import AgentError, ConfigError
from runner.sessions.context import CONTEXT_LIMIT, context_of, quoted
from runner.sessions.lines import read_lines
from runner.sessions.markers import find_marker, is_known
from runner.sessions.private import write_files
from runner.sessions.record import PastTurn, Record, lineage
from runner.sessions.store import Store

# How long after its end a turn may not yet be in the program's own file: claude took 0.1 s.
SETTLE = 3.0
# What claude says when it has summed the conversation up: it goes back to nothing before that.
SUMMED_UP = "system/compact_boundary"
CONTEXT = "context.txt"
TOLD = (
    "(Note: this conversation goes on from an earlier one, which stands here as text. It is over;"
    " do not answer it, and do nothing of it again.)\n\n<earlier>\n{}\n</earlier>\n\n"
)


async def prepare_fork(
    store: Store, record: Record, driver: Driver, turn: PastTurn, *, fork: Store, directory: str
) -> None:
    """Write what a session begins with that is a fork.

    Args:
        store: of the session that is forked.
        record: of that.
        driver: of both.
        turn: the last one that the fork is to have.
        fork: the store of the fork; nothing is there yet.
        directory: where the fork works.

    Raises:
        ConfigError: the fork is there already.
        RunnerError: it cannot be written.
    """
    await fork.claim()
    if fork.load() is not None:
        raise ConfigError(f"there is a session {fork.session!r} already")
    made = Record(
        id=fork.session,
        agent=record.agent,
        setup=fork.setup,
        directory=directory,
        private=fork.private,
        conversation="",
        parent=store.session,
        parent_turn=turn.number,
        cut=turn.number == record.head and record.cut,
    )
    if not driver.process_per_turn:
        origin = await find_origin(store, record, driver, turn)
        has_earlier = await trio.to_thread.run_sync(_write_context, store, turn, fork.private)
        if origin is not None:
            made.origin, made.history, made.marker = attrs.astuple(origin)
        else:
            made.context = has_earlier
    await fork.ready()
    fork.save(made)


def ended_turns(store: Store) -> list[PastTurn]:
    """The turns that have come to an end, in their order.

    Raises:
        LedgerError: they cannot be read.
    """
    return [turn for turn in store.ledger.turns(store.session) if turn.state != "begun"]


def find_forked(store: Store, record: Record, at: int | None) -> PastTurn:
    """The last turn that a fork is to have.

    Args:
        store: of the session that is forked.
        record: of that.
        at: its number; None = the last of the conversation, as it is now, that has ended.

    Raises:
        ConfigError: there is no such turn, or it has not ended.
    """
    if at is not None and (isinstance(at, bool) or not isinstance(at, int)):
        raise ConfigError(f"at={at!r}: it is the number of a turn")
    ended = ended_turns(store)
    if at is None:
        now = lineage(ended, record.head)
        at = max((turn.number for turn in ended if turn.number in now), default=None)
    for turn in ended:
        if turn.number == at:
            return turn
    what = "no turn that has ended" if at is None else f"no turn {at} that has ended"
    raise ConfigError(f"the session {record.id!r} has {what}: there is nothing to fork")


async def find_origin(
    store: Store, record: Record, driver: Driver, turn: PastTurn
) -> Origin | None:
    """What the program makes its own copy of, as it was after a turn; None if it cannot.

    Looked at is what has all that was said before the last turn's end, be it written late.
    """
    conversation = turn.conversation or record.conversation
    pattern = driver.history(glob.escape(store.private), conversation)
    if "fork at turn" not in driver.abilities or not (turn.marker and pattern):
        return None
    if not record.resume and conversation == record.conversation:
        return None
    ended = ended_turns(store)
    same = [each for each in ended if (each.conversation or record.conversation) == conversation]
    others = {each.number for each in ended} - {each.number for each in same}
    if await trio.to_thread.run_sync(_was_summed_up, store, turn, others):
        return None
    last = same[-1]
    with trio.move_on_after(SETTLE):
        while True:  # nobody says when it is
            if await trio.to_thread.run_sync(find_marker, pattern, last.marker or turn.marker):
                break
            await trio.sleep(0.02)
    found = await trio.to_thread.run_sync(find_marker, pattern, turn.marker)
    if not found or not await trio.to_thread.run_sync(is_known, driver, found, turn.marker):
        return None
    return Origin(conversation=conversation, history=found, marker=turn.marker)


def _was_summed_up(store: Store, turn: PastTurn, others: Container[int]) -> bool:
    """Whether the program has said so since a turn; it may not stand in its own file yet.

    What was said in other conversations does not count.
    """
    lines = read_lines(store.transcript.path, having=[SUMMED_UP.encode()])
    return any(
        each.turn > turn.number
        and each.turn not in others
        and isinstance(data := each.value.get("data"), dict)
        and data.get("kind") == SUMMED_UP
        for each in lines
    )


def _write_context(store: Store, turn: PastTurn, private: str) -> bool:
    """Write the turns so far as text; whether there are any."""
    try:
        text = _earlier(store, turn.number)
        write_files(private, [(os.path.join(private, CONTEXT), text.encode("utf-8", "replace"))])
    except OSError as exc:
        what = f"a fork of the session {store.session!r} cannot be written"
        raise AgentError(f"{what}: {exc}") from exc
    return bool(text)


def _earlier(store: Store, until: int) -> str:
    """The turns up to one as text, those that the session itself began with too."""
    only = lineage(store.ledger.turns(store.session), until)
    before = _read_context(store.private)
    own = context_of(store.transcript.path, until, only=only)
    text = "\n\n".join(filter(None, (before, own)))
    if own and len(text) > CONTEXT_LIMIT:
        text = f"[{len(text) - CONTEXT_LIMIT} characters are left out]\n\n{text[-CONTEXT_LIMIT:]}"
    return text


def _read_context(private: str) -> str:
    try:
        with open(os.path.join(private, CONTEXT), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:  # it is no fork
        return ""


# ---------------------------------------------------------------- when the fork is started


def origin_of(record: Record) -> Origin | None:
    """What the program is to make a copy of.

    Raises:
        AgentError: that is not there any more.
    """
    if not record.origin or record.resume:
        return None
    if not os.path.exists(record.history):
        if record.rewound:
            what = f"was set back to its turn {record.rewound}"
        else:
            what = f"is a fork of turn {record.parent_turn} of the session {record.parent!r}"
        raise AgentError(f"the session {record.id!r} {what}, which is gone")
    return Origin(conversation=record.origin, history=record.history, marker=record.marker)


def told_before(record: Record, store: Store, until: int) -> str:
    """What the first prompt of a conversation has before it: the turns up to one, as text.

    Raises:
        AgentError: they are not there any more.
    """
    try:
        earlier = _earlier(store, until)
    except OSError as exc:
        raise AgentError(f"the earlier turns of {record.id!r} cannot be read: {exc}") from exc
    if not earlier and record.parent:
        raise AgentError(f"the earlier turns of {record.id!r} are gone: they stood in {CONTEXT!r}")
    return TOLD.format(quoted(earlier)) if earlier else ""


# ---------------------------------------------------------------- a conversation that is lost


def lose(record: Record, reason: str, *, is_kept: bool) -> BegunAnew:
    """Begin another conversation, which is told the turns so far; what is said of it."""
    record.resume = False
    record.origin = record.history = record.marker = ""
    record.context = is_kept
    return BegunAnew(lost=record.conversation, reason=reason, is_told=is_kept)


def lost_nothing(record: Record) -> None:
    """Begin another conversation in the place of one in which nothing good was yet."""
    record.resume = False
    # One that is a copy, or was set back: its program makes the copy again, or is told again.
    record.context = bool(record.parent or record.rewound) and not record.origin
