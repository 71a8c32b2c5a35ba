"""The tables of the sessions' ledger, and how those of an older version become like them."""

from __future__ import annotations

from runner.database import Schema
from runner.errors import LedgerError

VERSION = 3

REWINDS = """
CREATE TABLE rewinds (
    id INTEGER PRIMARY KEY, session TEXT NOT NULL, turn INTEGER NOT NULL, files INTEGER NOT NULL,
    conversation INTEGER NOT NULL, head INTEGER NOT NULL, undo TEXT NOT NULL DEFAULT '',
    began TEXT NOT NULL, ended TEXT
);
CREATE INDEX rewinds_of ON rewinds (session)
"""
TABLES = f"""
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, agent TEXT NOT NULL, setup TEXT NOT NULL, program TEXT NOT NULL,
    program_version TEXT NOT NULL, program_sha256 TEXT NOT NULL DEFAULT '',
    directory TEXT NOT NULL, private TEXT NOT NULL,
    conversation TEXT NOT NULL, resume INTEGER NOT NULL, turns INTEGER NOT NULL,
    last_good INTEGER NOT NULL, in_flight INTEGER NOT NULL, cut INTEGER NOT NULL,
    standing TEXT NOT NULL, parent TEXT NOT NULL, parent_turn INTEGER NOT NULL,
    origin TEXT NOT NULL, history TEXT NOT NULL, marker TEXT NOT NULL, context INTEGER NOT NULL,
    created TEXT NOT NULL, updated TEXT NOT NULL, head INTEGER NOT NULL DEFAULT 0,
    rewound INTEGER NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX by_directory ON sessions (directory);
CREATE TABLE turns (
    session TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, prompt TEXT,
    began TEXT NOT NULL, ended TEXT, error_text TEXT NOT NULL DEFAULT '',
    marker TEXT NOT NULL DEFAULT '', tokens INTEGER NOT NULL DEFAULT 0, cost_usd REAL,
    cursor INTEGER NOT NULL, conversation TEXT NOT NULL DEFAULT '',
    follows INTEGER NOT NULL DEFAULT 0, snapshot TEXT NOT NULL DEFAULT '',
    snapshot_note TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (session, number)
);
CREATE TABLE processes (
    session TEXT NOT NULL, run TEXT NOT NULL, pid INTEGER NOT NULL DEFAULT 0,
    began TEXT NOT NULL,
    PRIMARY KEY (session, run)
) WITHOUT ROWID;
{REWINDS}"""


def _failure(path: str, what: str, _: Exception | None) -> LedgerError:
    return LedgerError(f"the sessions' ledger {path!r} {what}")


# By the older version that each makes a newer one of.
_THIRD = """
ALTER TABLE sessions ADD COLUMN head INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN rewound INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE turns ADD COLUMN conversation TEXT NOT NULL DEFAULT '';
ALTER TABLE turns ADD COLUMN follows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN snapshot TEXT NOT NULL DEFAULT '';
ALTER TABLE turns ADD COLUMN snapshot_note TEXT NOT NULL DEFAULT '';
UPDATE sessions SET head = turns;
UPDATE turns SET follows = number - 1;
"""
UPGRADES = {
    1: "ALTER TABLE sessions ADD COLUMN program_sha256 TEXT NOT NULL DEFAULT ''",
    2: _THIRD + REWINDS,
}
SCHEMA = Schema(statements=TABLES, version=VERSION, failure=_failure, upgrades=UPGRADES)
