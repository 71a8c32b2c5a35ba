"""What turns came to: a line for people, a record for programs, an exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence

import attrs

from runner.agents.events import ErrorClass
from runner.cli import words
from runner.cli.board import tokens_of
from runner.cli.exits import Exit
from runner.cli.order import Order
from runner.cli.writer import Writer
from runner.sessions.turn import Turn

SCHEMA = "runner.turn/1"

CODES = {
    ErrorClass.TIMEOUT: Exit.TIMEOUT,
    ErrorClass.STALLED: Exit.TIMEOUT,
    ErrorClass.RATE_LIMITED: Exit.PARKED,
    ErrorClass.BUDGET: Exit.BUDGET,
    ErrorClass.INTERRUPTED: Exit.INTERRUPTED,
    ErrorClass.OVERLOADED: Exit.INFRA,
    ErrorClass.NETWORK: Exit.INFRA,
    ErrorClass.CRASHED: Exit.INFRA,
    ErrorClass.PROTOCOL: Exit.INFRA,
}


def code_of(turns: Sequence[Turn], *, is_verified: bool, has_checks: bool) -> Exit:
    """That of the first turn that failed; else what is to be known of turns that came to an end."""
    errors = [turn.error for turn in turns if turn.error is not None]
    if errors:
        return CODES.get(errors[0], Exit.FAILED)
    if not is_verified:
        return Exit.UNVERIFIED
    if turns[-1].unrecorded:
        return Exit.INFRA
    # What was refused is made up for if the user's own commands say that the work is done.
    return Exit.APPROVAL if any(map(_refusals, turns)) and not has_checks else Exit.OK


def _refusals(turn: Turn) -> int:
    return sum(not each.decision.allow for each in turn.approvals)


def report(turn: Turn, is_verified: bool, order: Order, out: Writer, err: Writer) -> None:
    """Say what a turn came to: to people, and as a record if that is wanted."""
    err.put(turn.stderr_tail)
    if turn.stderr_tail and not turn.stderr_tail.endswith("\n"):
        err.put("\n")
    err.put_line(summary(turn))
    if order.as_json:
        out.put_line(json.dumps(_record(turn, is_verified, order), default=str))


def summary(turn: Turn) -> str:
    """A line for people."""
    changes = [
        f"{len(paths)} {what}"
        for paths, what in (
            (turn.files_created, "created"),
            (turn.files_modified, "modified"),
            (turn.files_deleted, "deleted"),
            (turn.files_renamed, "renamed"),
        )
        if paths
    ]
    parts = [f"files: {', '.join(changes)}"] if changes else []
    tokens = tokens_of(turn.usage)
    parts += [f"{words.tokens(tokens)} tokens"] * bool(tokens)
    parts += [words.dollars(turn.cost_usd)] * (turn.cost_usd is not None)
    if refusals := _refusals(turn):
        parts.append(f"{words.plural(refusals, 'request')} refused")
    state = "done"
    if not turn.ok:
        state = f"failed: {words.because('failed', turn.error, turn.error_text)};"
    return "; ".join([f"{state} in {words.span(turn.duration)}", *parts])


def _record(turn: Turn, is_verified: bool, order: Order) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "ok": turn.ok,
        "verified": is_verified if order.verify else None,
        "final_message": turn.final_message,
        "error": turn.error,
        "error_text": turn.error_text,
        "stop": turn.stop,
        "exit_code": turn.exit_code,
        "duration": round(turn.duration, 3),
        "files_created": list(map(str, turn.files_created)),
        "files_modified": list(map(str, turn.files_modified)),
        "files_deleted": list(map(str, turn.files_deleted)),
        "files_renamed": [list(map(str, pair)) for pair in turn.files_renamed],
        "usage": attrs.asdict(turn.usage),
        "cost_usd": turn.cost_usd,
        "approvals": [
            {"tool": each.asked.tool, "allowed": each.decision.allow, "by": each.by}
            for each in turn.approvals
        ],
        **({"unrecorded": turn.unrecorded} if order.recording else {}),
        **({"session": turn.session_id, "turn": turn.number} if order.session else {}),
    }
