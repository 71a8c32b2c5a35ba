"""The phases of a session, as a table: what is done about each input in each phase. Pure.

A phase is what the session is about. An input is something that is asked of it, or that has
happened to it. `step` says what is done about it, and which phase follows; the phase of a session
is changed by nothing else. `python -m runner.sessions.phases` draws the table.

    absent        no program of it has been started yet
    starting      its program is being started
    idle          its program waits for a prompt
    in turn       its program is at work
    approving     its program has asked for leave, and waits for a decision
    interrupting  its turn was cut, and is about to end
    parked        its turn waits until the provider allows more
    reaped        its program has ended; the next turn brings it back
    reviving      its program is being brought back
    closing       it is being closed
    closed        for good
    broken        the program does not know the conversation any more

What is not here: how any of it is done (actor.py, turning.py, keeping.py).
"""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Mapping
from types import MappingProxyType

import attrs


class Phase(enum.StrEnum):
    """What a session is about; see above."""

    ABSENT = "absent"
    STARTING = "starting"
    IDLE = "idle"
    IN_TURN = "in turn"
    APPROVING = "approving"
    INTERRUPTING = "interrupting"
    PARKED = "parked"
    REAPED = "reaped"
    REVIVING = "reviving"
    CLOSING = "closing"
    CLOSED = "closed"
    BROKEN = "broken"


class Input(enum.StrEnum):
    """What is asked of a session, and what happens to it.

    Asked: a TURN whose turn has come, to STEER the one in flight, to INTERRUPT it, to WARM up, to
    CLOSE, to begin FRESH after the conversation was lost, to be put down as its room is wanted for
    others (REAP).

    Happened: a conversation was FOUND in its record; its program is READY for a prompt, has ASKED
    for leave, for which it does not wait any more (DECIDED), is SILENT for too long; its provider
    has LIMITED it, and allows more again (RESET); its turn is OVER; its program has ENDED, or has
    LOST the conversation; its actor is GONE, for now, which it never is in a turn: what was asked
    of it is put down first; it is DOWN for good.
    """

    TURN = "turn"
    STEER = "steer"
    INTERRUPT = "interrupt"
    WARM = "warm"
    CLOSE = "close"
    FRESH = "fresh"
    REAP = "reap"
    FOUND = "found"
    READY = "ready"
    ASKED = "asked"
    DECIDED = "decided"
    SILENT = "silent"
    LIMITED = "limited"
    RESET = "reset"
    OVER = "over"
    ENDED = "ended"
    LOST = "lost"
    GONE = "gone"
    DOWN = "down"


class Do(enum.StrEnum):
    """What is done about an input."""

    START = "start"
    SEND = "send"
    STEER = "steer"
    WAIT = "wait"
    CUT = "cut"
    ASK = "ask"
    CLIMB = "climb"
    PARK = "park"
    FINISH = "finish"
    FAIL = "fail"
    END = "end"
    DENY = "deny"
    REFUSE = "refuse"
    NO = "no"
    NOTHING = "-"


@attrs.frozen
class Step:
    """What an input leads to."""

    do: Do
    phase: Phase


P, G, D = Phase, Input, Do  # a phase, what is given, what is done

# What is done in each phase that says nothing else about an input; the phase stays.
_ELSE: Mapping[Input, Do] = {
    G.TURN: D.WAIT,
    G.STEER: D.NO,
    G.INTERRUPT: D.NO,
    G.REAP: D.NO,
    G.ASKED: D.DENY,
    **dict.fromkeys(set(G) - {G.TURN, G.STEER, G.INTERRUPT, G.REAP, G.ASKED}, D.NOTHING),
}

_AT_REST = {G.CLOSE: (D.END, P.CLOSING)}
_COMING_UP = {
    **_AT_REST,
    G.READY: (D.NOTHING, P.IDLE),
    G.INTERRUPT: (D.CUT, P.INTERRUPTING),
}
_BUSY = {
    **_AT_REST,
    G.INTERRUPT: (D.CUT, P.INTERRUPTING),
    G.ASKED: (D.ASK, P.APPROVING),
    G.LIMITED: (D.PARK, P.PARKED),
    G.OVER: (D.FINISH, P.IDLE),
    G.ENDED: (D.FINISH, P.REAPED),
}

_STEPS: Mapping[Phase, Mapping[Input, tuple[Do, Phase]]] = {
    P.ABSENT: {
        **_AT_REST,
        G.TURN: (D.START, P.STARTING),
        G.WARM: (D.START, P.STARTING),
        G.FOUND: (D.NOTHING, P.REAPED),
    },
    P.STARTING: {**_COMING_UP, G.ENDED: (D.FAIL, P.ABSENT)},
    P.IDLE: {
        **_AT_REST,
        G.TURN: (D.SEND, P.IN_TURN),
        G.REAP: (D.END, P.REAPED),
        G.ASKED: (D.ASK, P.IDLE),
        G.ENDED: (D.NOTHING, P.REAPED),
        G.GONE: (D.END, P.REAPED),
    },
    P.IN_TURN: {**_BUSY, G.STEER: (D.STEER, P.IN_TURN), G.SILENT: (D.CLIMB, P.IN_TURN)},
    P.APPROVING: {
        **_BUSY,
        G.STEER: (D.STEER, P.APPROVING),
        G.DECIDED: (D.NOTHING, P.IN_TURN),
    },
    P.INTERRUPTING: {
        **_AT_REST,
        G.OVER: (D.FINISH, P.IDLE),
        G.ENDED: (D.FINISH, P.REAPED),
    },
    P.PARKED: {
        **_AT_REST,
        G.INTERRUPT: (D.CUT, P.INTERRUPTING),
        G.RESET: (D.NOTHING, P.REAPED),
    },
    P.REAPED: {
        **_AT_REST,
        G.TURN: (D.START, P.REVIVING),
        G.WARM: (D.START, P.REVIVING),
        G.LIMITED: (D.PARK, P.PARKED),
        G.LOST: (D.FAIL, P.BROKEN),
    },
    P.REVIVING: {**_COMING_UP, G.ENDED: (D.FAIL, P.REAPED), G.LOST: (D.FAIL, P.BROKEN)},
    P.CLOSING: {
        **dict.fromkeys((G.TURN, G.STEER, G.WARM, G.FRESH), (D.REFUSE, P.CLOSING)),
        G.CLOSE: (D.WAIT, P.CLOSING),
        G.DOWN: (D.NOTHING, P.CLOSED),
    },
    P.CLOSED: dict.fromkeys((G.TURN, G.STEER, G.WARM, G.FRESH), (D.REFUSE, P.CLOSED)),
    P.BROKEN: {
        **dict.fromkeys((G.TURN, G.STEER, G.WARM), (D.REFUSE, P.BROKEN)),
        G.FRESH: (D.NOTHING, P.ABSENT),
        G.FOUND: (D.NOTHING, P.REAPED),
        G.CLOSE: (D.END, P.CLOSING),
    },
}

# What the table says of each phase by itself, and not of all others as well.
OWN: Mapping[Phase, frozenset[Input]] = MappingProxyType(
    {phase: frozenset(_STEPS[phase]) for phase in Phase}
)

TABLE: Mapping[Phase, Mapping[Input, Step]] = MappingProxyType(
    {
        phase: MappingProxyType(
            {each: Step(*_STEPS[phase].get(each, (_ELSE[each], phase))) for each in Input}
        )
        for phase in Phase
    }
)


def step(phase: Phase, given: Input) -> Step:
    """What an input leads to in a phase."""
    return TABLE[phase][given]


def drawing(width: int = 96) -> str:
    """The table for people: of each phase what is its own; `=` is what is done, if anything."""
    lines = []
    for phase in Phase:
        cells = [_cell(phase, each, TABLE[phase][each]) for each in Input if each in OWN[phase]]
        lines.append(_row(phase, cells, width))
    rest = [f"{each}={_ELSE[each]}" for each in Input if _ELSE[each] is not Do.NOTHING]
    lines.append(_row("else", rest, width))
    return "\n".join(lines)


def _cell(phase: Phase, given: Input, found: Step) -> str:
    do = "" if found.do is Do.NOTHING else f"={found.do}"
    return f"{given}{do}" if found.phase is phase else f"{given}{do} → {found.phase}"


def _row(name: str, cells: list[str], width: int) -> str:
    # No break inside a cell: a space that must not break is put in, and taken out again.
    text = ", ".join(cell.replace(" ", "\0") for cell in cells)
    wrapped = textwrap.fill(
        text,
        width,
        initial_indent=f"{name:<13} ",
        subsequent_indent=" " * 14,
        break_long_words=False,
    )
    return wrapped.replace("\0", " ")


if __name__ == "__main__":
    print(drawing())  # noqa: T201 - what it is for
