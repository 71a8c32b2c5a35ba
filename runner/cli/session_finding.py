"""Which session a command is about, and what the ledger knows of it; nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import attrs
import click
import platformdirs

from runner.cli import order
from runner.config import RunnerConfig
from runner.errors import ConfigError, NotFound, SessionOwned
from runner.processes.usage import tree_memory
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.owning import owner_of
from runner.sessions.record import Record

SESSION = "runner.session/1"
CommandT = TypeVar("CommandT", bound=Callable[..., object])


def session_id(command: CommandT) -> CommandT:
    """The session: its id, or the beginning of it."""
    return click.argument("name", metavar="SESSION")(command)


def read_config(path: str | None) -> RunnerConfig:
    """The runner's options, with the state directory made absolute."""
    config = order.read_config(path)
    state = os.path.abspath(config.state or platformdirs.user_state_path("runner"))
    return attrs.evolve(config, state=state)


def open_ledger(config: RunnerConfig, *, only_read: bool = False) -> SessionLedger:
    """The ledger; nothing is made that is not there."""
    return SessionLedger(ledger_of(config.state), only_read=only_read)


def all_of(ledger: SessionLedger) -> list[Record]:
    """All sessions, the last used first."""
    return ledger.sessions() if ledger.is_there else []


def find(ledger: SessionLedger, name: str) -> Record:
    """The session of an id, or of the only one that begins so.

    Raises:
        NotFound: there is none.
        ConfigError: there are several.
    """
    known = all_of(ledger)
    found = [each for each in known if each.id == name] or [
        each for each in known if name and each.id.startswith(name)
    ]
    if len(found) > 1:
        raise ConfigError(f"{len(found)} sessions begin with {name!r}: say more of the id")
    if not found:
        raise NotFound("session", name, "there is no such session", hint="runner session ls")
    return found[0]


def refuse_owned(record: Record) -> None:
    """Raise if somebody else is at work on it.

    Raises:
        SessionOwned: saying who.
    """
    owner = owner_of(record.private)
    if owner:
        raise SessionOwned(
            f"the session {record.id!r} is open already, by {owner}: go on with it there, or when"
            " it has ended"
        )


def state_of(record: Record, owner: str) -> str:
    """What a session is about, in one or two words."""
    if record.standing == "closed":
        return "closed"
    if record.in_flight:
        at_work = "parked" if record.standing == "parked" else "in turn"
        return at_work if owner else "cut"
    if owner:
        return "open"
    return "cut" if record.cut else "at rest"


def memory_of(record: Record, ledger: SessionLedger, owner: str) -> int | None:
    """The bytes that its program and all below it have in memory; None if none lives."""
    found = ledger.processes(record.id) if owner else []  # else a pid may be another's by now
    used = [tree_memory(each.pid) for each in found if each.pid]
    return sum(filter(None, used)) or None


def as_record(record: Record, ledger: SessionLedger) -> dict[str, object]:
    """A session as a record for programs."""
    owner = owner_of(record.private)
    fields = attrs.asdict(record)
    del fields["setup"]
    return {
        "schema": SESSION,
        "state": state_of(record, owner),
        "owner": owner,
        "memory": memory_of(record, ledger, owner),
        **fields,
    }
