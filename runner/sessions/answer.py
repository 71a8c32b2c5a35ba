"""From a turn in flight that is over, its program and what it did to the files, to a `Turn`."""

from __future__ import annotations

import trio

from runner.agents.events import ErrorClass
from runner.messages import Limit
from runner.sessions.changes import Changes
from runner.sessions.flight import Flight
from runner.sessions.program import Program
from runner.sessions.schemas import keep_to
from runner.sessions.state import SessionState
from runner.sessions.turn import Turn


def make_turn(
    state: SessionState,
    flight: Flight,
    program: Program | None,
    changes: Changes,
    *,
    said: str = "",
    kept: tuple[str, str] = ("", ""),
) -> Turn:
    """Make the answer.

    Args:
        state: of the session.
        flight: the turn that is over.
        program: that carried it out, if one was started.
        changes: of files.
        said: of the snapshot of the turn before.
        kept: the snapshot of its end, and why there is none.
    """
    ended = flight.ended
    exceeded = None if program is None else program.take_exceeded()
    error, error_text, structured = _judge(flight, program, exceeded)
    stdout, stderr = ("", "") if program is None else program.tails()
    return Turn(
        number=flight.number,
        ok=error is None,
        exit_code=None if program is None else program.exit_code,
        final_message="" if ended is None else ended.message,
        duration=trio.current_time() - flight.began,
        files_created=changes.created,
        files_modified=changes.modified,
        files_deleted=changes.deleted,
        files_renamed=changes.renamed,
        shared=changes.shared,
        usage=flight.usage,
        cost_usd=flight.cost_usd,
        cost_source="none" if flight.cost_usd is None else "program",
        stop="cut" if ended is None else ended.stop,
        error=error,
        error_text=error_text,
        resets_at=flight.resets_at,
        session_id=state.id,
        conversation=state.record.conversation,
        cmd=() if program is None else program.launch.argv,
        raw={} if ended is None else ended.raw,
        stdout_tail=stdout,
        stderr_tail=stderr,
        leftovers=flight.leftovers + (0 if program is None else program.take_leftovers()),
        isolation=None if program is None else program.in_force,
        limit_exceeded=exceeded,
        approvals=tuple(flight.approvals),
        rungs=tuple(flight.rungs),
        parked=flight.parked,
        structured=structured,
        marker="" if ended is None else ended.marker,
        unrecorded="" if state.recording is None else state.recording.trouble,
        snapshot=kept[0],
        snapshot_note="; ".join(filter(None, (said, kept[1]))),
    )


def _judge(
    flight: Flight, program: Program | None, exceeded: Limit | None
) -> tuple[ErrorClass | None, str, object]:
    """Why it is no good turn, as a class and as a sentence; and its answer by its schema."""
    error, text = flight.error()
    if exceeded is not None and error is not None:  # it did not crash: we, or the kernel, ended it
        error = ErrorClass.TIMEOUT if exceeded == "wall" else ErrorClass.FAILED
        text = f"its limit on {exceeded} was exceeded"
    structured, schema = None, flight.options.schema
    if schema is not None and error is None and flight.ended is not None:
        structured, text = keep_to(schema, flight.ended.structured, flight.ended.message)
        error = ErrorClass.FAILED if text else None
    if program is not None and program.refusal:
        error, text = ErrorClass.AUTH, program.refusal
    return error, text, structured
