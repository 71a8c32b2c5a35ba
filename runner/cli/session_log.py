"""`runner session log`: what happened in a session, from its transcript; also while it goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping

import click

from runner.cli import options, words
from runner.cli.exits import Exit
from runner.cli.session_finding import find, open_ledger, read_config, session_id
from runner.cli.streams import put
from runner.errors import ConfigError, NotFound
from runner.sessions.lines import Line, read_lines
from runner.sessions.transcript import Transcript

EVENT = "runner.session_event/1"
PERIOD = 0.1  # seconds between two looks at a transcript that is followed


@click.command(epilog=options.CODES)
@session_id
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("--since", metavar="CURSOR", type=int, default=0, help="Only what is after it.")
@click.option("--turn", metavar="N", type=int, help="Only this turn.")
@options.config
@options.json
def log(
    *,
    name: str,
    follow: bool,
    since: int,
    turn: int | None,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Print what happened in a session.

    With --json each record has its cursor, from which --since goes on.
    """
    if since < 0:
        raise ConfigError("--since: a cursor is a number of 0 or more")
    record = find(open_ledger(read_config(config_file), only_read=True), name)
    path = os.path.join(record.private, "transcript.jsonl")
    end = Transcript(path).cursor
    if since > end:
        what = f"the session {record.id!r} has events up to cursor {end} only"
        raise ConfigError(f"--since: {what}; is it a cursor of another session?")
    if turn is not None and turn > record.turns and not follow:
        has = words.plural(record.turns, "turn")
        raise NotFound("session", record.id, f"there is no turn {turn}: it has {has}")
    for line in _lines(path, since, follow=follow):
        if turn is not None and line.turn != turn:
            continue
        if as_json:
            put(json.dumps({"schema": EVENT, "cursor": line.cursor, **line.value}))
        elif text := _text(line):
            put(text)
    return Exit.OK


def _lines(path: str, since: int, *, follow: bool) -> Iterator[Line]:
    cursor = since
    while True:
        for line in read_lines(path, cursor):
            cursor = line.cursor
            yield line
        if not follow:
            return
        time.sleep(PERIOD)


def _text(line: Line) -> str:
    """A line for people; empty if it says nothing to them."""
    text = ""
    match line.value:
        case {"prompt": prompt}:
            text = f"\n[{line.turn}] {prompt}\n"
        case {"steer": prompt}:
            text = f"\n[{line.turn}, in mid-turn] {prompt}\n"
        case {"result": dict() as result}:
            text = f"[{line.turn}] {_result(result)}"
        case {"never_began": True}:
            text = f"[{line.turn}] it never began"
        case {"lost": int() as lost}:
            text = f"[there was no room for {words.plural(lost, 'line')} here]"
        case {"event": str() as event, "data": dict() as data}:
            text = _event(event, data)
        case _:
            pass
    return text


def _result(result: Mapping[str, object]) -> str:
    if result.get("ok"):
        duration = result.get("duration")
        return f"done in {words.span(duration if isinstance(duration, float) else 0.0)}"
    why = words.because("failed", result.get("error"), result.get("error_text"))
    return f"failed: {words.one_line(why)}"


def _event(event: str, data: Mapping[str, object]) -> str:
    match event:
        case "Text":
            return str(data.get("text", "")).rstrip("\n")
        case "ToolCall":
            given = json.dumps(data.get("input"), ensure_ascii=False)
            return f"- {data.get('name')} {words.one_line(given, 120)}"
        case "Retry":
            return f"- it asks its provider again {data.get('message', '')}".rstrip()
        case "ServerFailed":
            return f"- no server {data.get('name')}: {words.one_line(str(data.get('reason', '')))}"
        case _:
            return ""
