"""`runner session ls | show | close`: from the ledger only; no program is started."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
import click
import trio

from runner.cli import options, words
from runner.cli.exits import Exit
from runner.cli.session_finding import (
    all_of,
    as_record,
    find,
    memory_of,
    open_ledger,
    read_config,
    session_id,
    state_of,
)
from runner.cli.streams import complain, put
from runner.sessions.ledger import SessionLedger
from runner.sessions.lines import Tally, tally
from runner.sessions.owning import Owners, owner_of
from runner.sessions.record import PastTurn, Record
from runner.sessions.store import Store

TURN = "runner.session_turn/1"


@click.command(epilog=options.CODES)
@options.config
@options.json
def ls(*, config_file: str | None, as_json: bool) -> int:
    """List the sessions that are kept, the last used first."""
    ledger = open_ledger(read_config(config_file), only_read=True)
    found = all_of(ledger)
    if as_json:
        for record in found:
            put(json.dumps(as_record(record, ledger)))
    elif found:
        put(_lines([_row(record) for record in found]))
    else:
        complain("there are no sessions")
    return Exit.OK


def _row(record: Record) -> Mapping[str, str]:
    return {
        "session": record.id,
        "agent": record.agent,
        "state": state_of(record, owner_of(record.private)),
        "turns": str(record.turns),
        "used": _when(record.updated),
        "directory": words.place(record.directory),
    }


def _lines(rows: Sequence[Mapping[str, str]]) -> str:
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    table = [{name: name for name in widths}, *rows]
    lines = ["  ".join(row[name].ljust(widths[name]) for name in widths) for row in table]
    return "\n".join(line.rstrip() for line in lines)


def _when(text: str | None) -> str:
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


@click.command(epilog=options.CODES)
@session_id
@options.config
@options.json
def show(*, name: str, config_file: str | None, as_json: bool) -> int:
    """Show a session and its turns.

    SESSION is its id, or as much of the beginning as is no other's.
    """
    ledger = open_ledger(read_config(config_file), only_read=True)
    record = find(ledger, name)
    turns = ledger.turns(record.id)
    counts = tally(os.path.join(record.private, "transcript.jsonl"))
    if as_json:
        put(json.dumps({**as_record(record, ledger), **attrs.asdict(counts)}))
        for turn in turns:
            put(json.dumps({"schema": TURN, "session": record.id, **attrs.asdict(turn)}))
        return Exit.OK
    put("\n".join([*_described(record, ledger), *_counted(counts), *_turns(turns)]))
    return Exit.OK


def _described(record: Record, ledger: SessionLedger) -> list[str]:
    owner = owner_of(record.private)
    facts = {
        "session": record.id,
        "state": state_of(record, owner) + (f", open in {owner}" if owner else ""),
        "agent": f"{record.agent} {record.program_version}".strip(),
        "sha256": record.program_sha256,
        "directory": record.directory,
        "kept in": record.private,
        "conversation": record.conversation if record.resume else "",
        "fork of": f"{record.parent}, turn {record.parent_turn}" if record.parent else "",
        "set back to": f"turn {record.rewound}" if record.rewound else "",
        "stands after": f"turn {record.head}" if record.head != record.turns else "",
        "begun": _when(record.created),
        "used": _when(record.updated),
        "program": ", ".join(
            f"process {each.pid or 'not known'} of run {each.run}"
            for each in ledger.processes(record.id)
        ),
        "memory": words.mebibytes(memory_of(record, ledger, owner)),
    }
    return _facts(facts)


def _counted(counts: Tally) -> list[str]:
    """What there is to know about the transcript."""
    kinds = [f"{kind} {count}" for kind, count in counts.untranslated.items()]
    known = words.plural(sum(counts.untranslated.values()), "message")
    return _facts(
        {
            "untranslated": f"{known} of its program: {words.some(kinds)}" if kinds else "",
            "missing": f"{words.plural(counts.lost, 'line')} of its transcript: there was no room"
            if counts.lost
            else "",
        }
    )


def _facts(facts: Mapping[str, str]) -> list[str]:
    return [f"{name + ':':<14}{value}" for name, value in facts.items() if value]


def _turns(turns: Sequence[PastTurn]) -> list[str]:
    if not turns:
        return []
    rows = [
        {
            "turn": str(turn.number),
            "state": turn.state,
            "begun": _when(turn.began),
            "tokens": words.tokens(turn.tokens) if turn.tokens else "",
            "cost": words.dollars(turn.cost_usd),
            "snapshot": "yes" if turn.snapshot else "",
            "what": words.one_line(turn.error_text or turn.prompt or turn.snapshot_note or ""),
        }
        for turn in turns
    ]
    return ["", _lines(rows)]


@click.command(epilog=options.CODES)
@click.argument("names", metavar="SESSION...", nargs=-1, required=True)
@click.option("--remove", is_flag=True, help="Remove all that is kept of them as well.")
@options.config
def close(*, names: tuple[str, ...], remove: bool, config_file: str | None) -> int:
    """Close sessions for good: no turn can be sent any more. What is kept stays readable.

    One that is open in another process is refused. With --remove nothing of them is left but the
    files in the directories in which they worked.
    """
    config = read_config(config_file)
    ledger = open_ledger(config)
    for record in [find(ledger, name) for name in names]:
        store = Store(record.id, record.private, ledger, Owners(config.state))
        trio.run(_close, store, record, remove)
        complain(f"{'removed' if remove else 'closed'}: {record.id}")
    return Exit.OK


async def _close(store: Store, record: Record, remove: bool) -> None:
    await store.claim()
    try:
        await store.ready()
        record = store.load() or record  # as it is now that it is ours
        await store.recover(record)  # what a killed owner left running
        record.standing = "closed"
        store.save(record)
        if remove:
            store.ledger.forget(record.id)
            shutil.rmtree(record.private, ignore_errors=True)
    finally:
        store.close()
