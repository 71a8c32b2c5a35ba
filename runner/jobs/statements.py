"""What is written into the ledger, as SQL: the tables, and the statements of each change.

    batch      one row: whose ledger it is
    jobs       queued → running → a final state (ok, failed, unverified, infra) with its result
    runs       one carrying-out of a job, from queued to final; today there is one per job
    attempts   running → ok | failed | unverified | infra | cut
    turns      one row for each turn that came to an end

Values only: `ledger` carries them out, and knows what is read and when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

VERSION = 1
FINAL = ("ok", "failed", "unverified", "infra")

TABLES = """
CREATE TABLE batch (
    name TEXT NOT NULL, digest TEXT NOT NULL, revision TEXT, created TEXT NOT NULL
);
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', result TEXT
);
CREATE TABLE runs (
    job INTEGER NOT NULL, run INTEGER NOT NULL, state TEXT NOT NULL,
    started TEXT NOT NULL, ended TEXT,
    PRIMARY KEY (job, run)
) WITHOUT ROWID;
CREATE TABLE attempts (
    job INTEGER NOT NULL, run INTEGER NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL,
    phase TEXT NOT NULL DEFAULT '', session TEXT NOT NULL, cuts INTEGER NOT NULL DEFAULT 0,
    started TEXT NOT NULL, ended TEXT, record TEXT,
    PRIMARY KEY (job, run, attempt)
) WITHOUT ROWID;
CREATE TABLE turns (
    job INTEGER NOT NULL, run INTEGER NOT NULL, attempt INTEGER NOT NULL, turn INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (job, run, attempt, turn)
) WITHOUT ROWID;
"""

RUN = 1  # a later carrying-out of a finished job would be the next run

Statement: TypeAlias = tuple[str, tuple[object, ...]]
Change: TypeAlias = Statement | Callable[[], object]  # a function writes a file

# A second final state is refused: this one has to have changed a row.
FINISH = "UPDATE jobs SET state = ?, result = ? WHERE number = ? AND state IN ('queued','running')"


def attempt_began(job: int, attempt: int, session: str, now: str) -> list[Statement]:
    """A job's attempt is about to be carried out, or to be carried out again after a cut."""
    return [
        ("UPDATE jobs SET state = 'running' WHERE number = ? AND state = 'queued'", (job,)),
        (
            "INSERT INTO runs (job, run, state, started) VALUES (?, ?, 'running', ?)"
            " ON CONFLICT DO NOTHING",
            (job, RUN, now),
        ),
        (
            "INSERT INTO attempts (job, run, attempt, state, session, started)"
            " VALUES (?, ?, ?, 'running', ?, ?) ON CONFLICT DO UPDATE SET state = 'running',"
            " phase = '', session = excluded.session, started = excluded.started, ended = NULL",
            (job, RUN, attempt, session, now),
        ),
    ]


def phase_entered(job: int, attempt: int, phase: str) -> list[Statement]:
    """An attempt has come to its next phase."""
    sql = "UPDATE attempts SET phase = ? WHERE job = ? AND run = ? AND attempt = ?"
    return [(sql, (phase, job, RUN, attempt))]


def turn_ended(job: int, attempt: int, turn: int, record: str) -> list[Statement]:
    """A turn has come to an end."""
    sql = "INSERT INTO turns (job, run, attempt, turn, record) VALUES (?, ?, ?, ?, ?)"
    return [(sql, (job, RUN, attempt, turn, record))]


def attempt_ended(job: int, attempt: int, state: str, record: str, now: str) -> list[Statement]:
    """An attempt has come to an end."""
    sql = (
        "UPDATE attempts SET state = ?, record = ?, ended = ?"
        " WHERE job = ? AND run = ? AND attempt = ? AND state = 'running'"
    )
    return [(sql, (state, record, now, job, RUN, attempt))]


def attempt_cut(job: int, attempt: int) -> list[Statement]:
    """An attempt was put down before its end; its job is queued again."""
    key = (job, RUN, attempt)
    return [
        (
            "UPDATE attempts SET state = 'cut', cuts = cuts + 1"
            " WHERE job = ? AND run = ? AND attempt = ? AND state = 'running'",
            key,
        ),
        ("DELETE FROM turns WHERE job = ? AND run = ? AND attempt = ?", key),
        ("UPDATE jobs SET state = 'queued' WHERE number = ? AND state = 'running'", (job,)),
    ]


def job_finished(job: int, state: str, result: str, now: str) -> list[Statement]:
    """A job has come to its final state."""
    return [
        (FINISH, (state, result, job)),
        ("UPDATE runs SET state = ?, ended = ? WHERE job = ? AND run = ?", (state, now, job, RUN)),
    ]
