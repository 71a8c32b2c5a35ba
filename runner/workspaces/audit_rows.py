"""Writing the audit of a project: the rows of its store, on a connection. One thread at a time.

    intents   what is being done: a row before each act, with what it is about and how that was
    audit     what was done: the chain (chain.py)
    facts     its head, as "audit_head"

`ending` takes an intent away and adds the rows of its act in one transaction, so a row is there if
and only if its intent is not. Whoever has a transaction of its own (a snapshot's, a restore's) has
`append` add rows in it.

What is not here: reading (tables.py), and when what is written (trail.py).
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from runner.database import Connection, SqlError, is_busy
from runner.errors import StoreDamaged
from runner.scopes.who import Who
from runner.workspaces import statements
from runner.workspaces.chain import Head, dumps, link, sealed
from runner.workspaces.columns import to_bytes
from runner.workspaces.records import NOTHING, AuditRecord, Json
from runner.workspaces.store import Store

HEAD = "audit_head"
COLUMNS = tuple(each.name for each in attrs.fields(AuditRecord))
_PAUSE = 0.002
_PROSE = ("path", "session", "job", "agent")
_TEXTS = ("workspace", "operation", "sha_before", "sha_after", "previous", "hash")
_ADD = statements.insert("audit", COLUMNS)
_ADD_INTENT = statements.insert("intents", COLUMNS[1:])
_ALL = statements.select("audit", COLUMNS, order="seq")


@attrs.define(eq=False)
class Writer:
    """Writes the audit, on a connection."""

    connection: Connection
    _head: Head | None = None

    @contextlib.contextmanager
    def writing(self, patience: float) -> Iterator[bool]:
        """A transaction; False if others were in theirs all that time, and there is none."""
        until = time.monotonic() + patience
        while not self.begin():
            if time.monotonic() >= until:
                yield False
                return
            time.sleep(_PAUSE)
        try:
            yield True
            self.commit()
        except BaseException:
            self.roll_back()
            raise

    def begin(self) -> bool:
        """Begin a transaction; False if others are in theirs."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except SqlError as exc:
            if is_busy(exc):
                return False
            raise
        return True

    def commit(self) -> None:
        """End the transaction well."""
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        """End the transaction: nothing was written."""
        self._head = None
        with contextlib.suppress(SqlError):  # the one that matters is on its way already
            self.connection.execute("ROLLBACK")

    # ------------------------------------------------------------ in a transaction

    def add_intent(self, record: AuditRecord) -> int:
        """What is about to be done; the intent's number."""
        found = self.connection.execute(_ADD_INTENT, (*_fields(record), "", "")).lastrowid
        assert found is not None
        return found

    def ending(self, intent: int, records: Iterable[AuditRecord]) -> None:
        """An act has come to its end: its rows instead of its intent; no rows if it never began."""
        self.append(records)
        self.connection.execute(statements.REMOVE_INTENT, (intent,))

    def append(self, records: Iterable[AuditRecord]) -> Head:
        """Add rows to the chain; its head before them."""
        records = [_kept(each) for each in records]
        head = self._head or read_head(self.connection)
        if not records:
            return head
        hashes, after = link(head, records)
        if not self._move(head, after):  # somebody else has added some
            head = read_head(self.connection)
            hashes, after = link(head, records)
            self._move(head, after)
        previous, seq, rows = head.hash, head.last, []
        for each, hash_ in zip(records, hashes, strict=True):
            seq += 1
            rows.append((seq, *_fields(each), previous, hash_))
            previous = hash_
        self.connection.executemany(_ADD, rows)
        self._head = after
        return head

    def cut(self, last: int, hash_: str) -> None:
        """Take the rows up to that number away, which has that hash."""
        head = read_head(self.connection)
        self._head = attrs.evolve(head, first=last + 1, before=hash_)
        self._move(head, self._head)
        self.connection.execute(statements.REMOVE_AUDIT, (last,))

    def _move(self, head: Head, after: Head) -> bool:
        values = (_dump(after), HEAD, _dump(head))
        if self.connection.execute(statements.MOVE_HEAD, values).rowcount == 1:
            return True
        if head != Head() or read_head(self.connection) != head:
            return False
        self.connection.execute(statements.SET_FACT, (HEAD, _dump(after)))  # the very first row
        return True


def append(store: Store, *records: AuditRecord) -> list[AuditRecord]:
    """Add rows to the chain, in the caller's transaction if it has one; as they are then."""
    kept = [_kept(each) for each in records]
    with store.file.writing() as connection:
        return sealed(Writer(connection).append(kept), kept)[0]


def row(
    workspace: str,
    operation: str,
    who: Who = Who(),  # noqa: B008 - frozen
    *,
    path: str = "",
    ok: bool | None = True,
    details: Mapping[str, Json] = NOTHING,
    at: int | None = None,
    **sizes: Any,
) -> AuditRecord:
    """A row that says what was done just now; `append` adds it.

    Args:
        workspace: the id; empty = the project itself.
        operation: "workspace_create", "snapshot", "restore", "commit", …
        who: on whose behalf.
        path: what it was done to.
        ok: whether it was done.
        details: what else there is to say; without secrets.
        at: when, in nanoseconds; None = now.
        sizes: sizes and digests before and after, as in `AuditRecord`.
    """
    return AuditRecord(
        time_ns=time.time_ns() if at is None else at,
        workspace=workspace,
        operation=operation,
        path=path,
        session=who.session,
        job=who.job,
        agent=who.agent,
        ok=ok,
        details=details,
        **sizes,
    )


# ---------------------------------------------------------------- the chain as it stands there


def read_head(connection: Connection) -> Head:
    """Where the chain begins and ends."""
    found = connection.execute(statements.FACT, (HEAD,)).fetchone()
    if found is None:
        return Head()
    try:
        first, before, last, hash_ = json.loads(found[0])
        return Head(first=int(first), before=str(before), last=int(last), hash=str(hash_))
    except (ValueError, TypeError) as exc:
        raise StoreDamaged("the head of the audit cannot be read") from exc


def read_all(connection: Connection) -> Iterator[AuditRecord]:
    """Every row as it stands there; what somebody has put there is no error: its hash will say."""
    for values in connection.execute(_ALL):
        yield _record(values)


def _record(values: Sequence[Any]) -> AuditRecord:
    found = dict(zip(COLUMNS, values, strict=True))
    for name in _PROSE:
        raw = found[name]
        is_prose = isinstance(raw, bytes)
        found[name] = raw.decode("utf-8", "surrogateescape") if is_prose else repr(raw)
    for name in _TEXTS:
        if not isinstance(found[name], str):
            found[name] = repr(found[name])
    if found["ok"] in {0, 1}:
        found["ok"] = bool(found["ok"])
    found["details"] = _details(found["details"])
    return AuditRecord(**found)


def _details(text: object) -> dict[str, Any]:
    found = None
    if isinstance(text, str):
        with contextlib.suppress(ValueError):
            found = json.loads(text)
    # Said in any other way than ours, it is not what we wrote.
    if isinstance(found, dict) and dumps(found) == text:
        return found
    return {"unreadable": repr(text)}


# ---------------------------------------------------------------- a record as it is kept


def _dump(head: Head) -> bytes:
    return dumps([head.first, head.before, head.last, head.hash]).encode()


def _kept(record: AuditRecord) -> AuditRecord:
    """The record that comes out again: of texts that are no Unicode, as the store keeps them."""
    who = record.session + record.job + record.agent
    if record.path.isascii() and who.isascii():
        return record
    odd: dict[str, Any] = {
        name: to_bytes(getattr(record, name)).decode("utf-8", "surrogateescape") for name in _PROSE
    }
    return attrs.evolve(record, **odd)


def _fields(record: AuditRecord) -> tuple[Any, ...]:
    """In the order of `COLUMNS`, without the number and the hashes."""
    return (
        record.time_ns,
        record.workspace,
        record.operation,
        to_bytes(record.path),
        record.size_before,
        record.size_after,
        record.sha_before,
        record.sha_after,
        to_bytes(record.session),
        to_bytes(record.job),
        to_bytes(record.agent),
        None if record.ok is None else int(record.ok),
        dumps(record.details) if record.details else "{}",
    )
