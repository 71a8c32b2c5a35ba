"""The chain of a project's audit: each row has a hash that depends on all the rows before it. Pure.

    hash of a row = sha256(hash of the row before + the row as canonical JSON)
    head          = which row is the first and which the last, and what the first one follows

Model. Rows are numbered from 1 without a gap. The head is changed with every row, in one
transaction; so a row that was edited, is missing, was put in or has changed places does not fit to
its neighbours or to the head, and an end that was cut off is missed by the head. Retention takes
rows away at the front and leaves a row that says so (`RETENTION`), without which a front that is
missing is a problem.

What this does not do: hold against one who may write the store and makes the whole chain anew. Who
is afraid of that notes `Head.mark` elsewhere from time to time, and has it looked for (`noted`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from runner.workspaces.records import AuditRecord

GENESIS = "0" * 64  # what the first row follows
RETENTION = "audit_retention"
MOST_PROBLEMS = 100


@attrs.frozen(kw_only=True)
class Head:
    """Where a chain begins and ends.

    Attributes:
        first: the number of the first row that is kept.
        before: the hash that it follows.
        last: the number of the last row; one less than `first` if there is none.
        hash: of the last row; `before` if there is none.
    """

    first: int = 1
    before: str = GENESIS
    last: int = 0
    hash: str = GENESIS

    @property
    def mark(self) -> str:
        """What to note elsewhere: `number:hash` of the last row."""
        return f"{self.last}:{self.hash}"


@attrs.frozen(kw_only=True)
class Verified:
    """What is wrong with a chain, if anything.

    Attributes:
        ok: whether nothing is.
        rows: how many were looked at.
        head: the head as it is.
        problems: a sentence each; at most about `MOST_PROBLEMS`.
    """

    ok: bool
    rows: int
    head: Head
    problems: tuple[str, ...] = ()


def canonical(record: AuditRecord, seq: int | None = None) -> str:
    """A row as the one text that is hashed: a list in JSON of all its fields but its hashes.

    Args:
        record: the row.
        seq: the number that it gets; None = it has one.
    """
    return _encode(
        [
            record.seq if seq is None else seq,
            record.time_ns,
            record.workspace,
            record.operation,
            record.path,
            record.size_before,
            record.size_after,
            record.sha_before,
            record.sha_after,
            record.session,
            record.job,
            record.agent,
            record.ok,
            record.details,
        ]
    )


def dumps(value: object) -> str:
    """JSON in the one way in which it is hashed and kept; surrogate escapes stay what they are."""
    return _encode(value)


def hash_of(previous: str, record: AuditRecord, seq: int | None = None) -> str:
    """The hash of a row that follows that hash, and gets that number."""
    return hashlib.sha256((previous + canonical(record, seq)).encode()).hexdigest()


def link(head: Head, records: Iterable[AuditRecord]) -> tuple[list[str], Head]:
    """The hashes of rows that follow a head, in their order; and the head after them."""
    hashes = [head.hash]
    for seq, each in enumerate(records, head.last + 1):
        hashes.append(hash_of(hashes[-1], each, seq))
    last = head.last + len(hashes) - 1
    after = Head(first=head.first, before=head.before, last=last, hash=hashes[-1])
    return hashes[1:], after


def sealed(head: Head, records: Sequence[AuditRecord]) -> tuple[list[AuditRecord], Head]:
    """Rows as they follow a head: numbered and hashed; and the head after them."""
    hashes, after = link(head, records)
    before = [head.hash, *hashes]
    rows = [
        attrs.evolve(each, seq=head.last + number, previous=before[number - 1], hash=before[number])
        for number, each in enumerate(records, 1)
    ]
    return rows, after


def cut(head: Head, last: AuditRecord) -> Head:
    """The head when the rows up to that one have been taken away."""
    return attrs.evolve(head, first=last.seq + 1, before=last.hash)


def verify(records: Iterable[AuditRecord], head: Head, *, noted: str = "") -> Verified:
    """Look at every row of a chain.

    Args:
        records: all rows, in the order of their numbers.
        head: as it is kept.
        noted: a mark of before, which has to be in the chain still.
    """
    problems: list[str] = []
    seq, previous, count = head.first - 1, head.before, 0
    marks = {f"{seq}:{previous}"}
    retained: tuple[object, object] = (0, GENESIS)
    for row in records:
        count += 1
        problems += _problems(seq, previous, row)
        if row.operation == RETENTION:
            retained = (row.details.get("last"), row.details.get("hash"))
        if noted.startswith(f"{row.seq}:"):
            marks.add(f"{row.seq}:{row.hash}")
        seq, previous = row.seq, row.hash
        del problems[MOST_PROBLEMS:]
    if seq < head.last:
        problems.append(f"rows {seq + 1} to {head.last} are missing: the end was cut off")
    elif (seq, previous) != (head.last, head.hash):
        problems.append(f"row {seq} is not the one that was written last, {head.last}")
    if (head.first - 1, head.before) != retained:
        problems.append(f"the rows before {head.first} are missing, and no retention says so")
    if noted and noted not in marks and not _is_before(noted, head.first - 1):
        problems.append(f"the chain does not have the row that was noted, {noted}")
    return Verified(ok=not problems, rows=count, head=head, problems=tuple(problems))


def _problems(seq: int, previous: str, row: AuditRecord) -> Iterator[str]:
    """What is wrong with a row that comes after that one."""
    if row.seq != seq + 1:
        yield _gap(seq + 1, row.seq)
    elif row.previous != previous:
        yield f"row {row.seq} does not follow the row before it"
    if hash_of(row.previous, row) != row.hash:
        yield f"row {row.seq} was edited: it does not have its hash"


def _gap(expected: int, found: int) -> str:
    if found < expected:
        return f"row {found} stands after row {expected - 1}"
    return f"rows {expected} to {found - 1} are missing before row {found}"


def _is_before(noted: str, first: int) -> bool:
    """Whether a mark is of a row that retention has taken away."""
    number, _, _ = noted.partition(":")
    return number.isdecimal() and int(number) < first


def _odd(value: object) -> object:
    """What JSON does not have: mappings that are no dict, and what somebody put into a row."""
    return dict(value) if isinstance(value, Mapping) else repr(value)


_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=_odd).encode
