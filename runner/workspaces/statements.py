"""What stands in a project's store, as SQL: the tables, and every statement that is made on them.

    objects      which there are: kind, size, when they were last put; small rows only
    contents     their bytes, by number: zstd, or as they are (`packed`)
    workspaces   one row each
    snapshots    unique names in each workspace, which may be gone
    commits      what was applied to a base
    journal      acts that were decided and are not finished
    stats        what a directory of a live tree looked like when its files were hashed last
    audit        what was done, hash-chained; intents: what is being done
    refs         named trees; remotes: where else a workspace is
    facts        single values that belong to the whole store

Free text, names and paths are BLOBs (columns.py). Values only: `store`, `tables` and `collecting`
carry the statements out.
"""

from __future__ import annotations

VERSION = 1
APPLICATION = 0x72756E72  # "runr": what a store is known by

# Before anything else is written. Pages of this size leave the least room unused where most objects
# have some kilobytes: what does not fit into one goes on in others, which it fills.
PAGES = "PRAGMA page_size = 1024; PRAGMA auto_vacuum = INCREMENTAL"

_AUDIT = """
    seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, workspace TEXT NOT NULL,
    operation TEXT NOT NULL, path BLOB NOT NULL, size_before INTEGER, size_after INTEGER,
    sha_before TEXT NOT NULL, sha_after TEXT NOT NULL, session BLOB NOT NULL, job BLOB NOT NULL,
    agent BLOB NOT NULL, ok INTEGER, details TEXT NOT NULL, previous TEXT NOT NULL,
    hash TEXT NOT NULL
"""

TABLES = f"""
CREATE TABLE objects (
    id BLOB PRIMARY KEY, number INTEGER NOT NULL, kind INTEGER NOT NULL, size INTEGER NOT NULL,
    stored INTEGER NOT NULL, put INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE contents (
    number INTEGER PRIMARY KEY, packed INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE TABLE workspaces (
    id TEXT PRIMARY KEY, name BLOB NOT NULL UNIQUE, description BLOB NOT NULL, tags TEXT NOT NULL,
    base TEXT NOT NULL, base_root BLOB, way TEXT NOT NULL, tree BLOB NOT NULL, state TEXT NOT NULL,
    created_ns INTEGER NOT NULL, agent_id BLOB NOT NULL, read_only INTEGER NOT NULL, root BLOB,
    changed_ns INTEGER NOT NULL
);
CREATE TABLE snapshots (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, name BLOB NOT NULL, description BLOB NOT NULL,
    root BLOB NOT NULL, parent BLOB, created_ns INTEGER NOT NULL, kind TEXT NOT NULL,
    session BLOB NOT NULL, turn INTEGER NOT NULL, unstable TEXT NOT NULL, skipped TEXT NOT NULL,
    UNIQUE (workspace, name)
);
CREATE TABLE commits (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, message BLOB NOT NULL, author BLOB NOT NULL,
    base_before BLOB NOT NULL, base_after BLOB NOT NULL, created_ns INTEGER NOT NULL,
    git_commit TEXT NOT NULL, paths TEXT NOT NULL, branch BLOB NOT NULL, left_out TEXT NOT NULL,
    behind TEXT NOT NULL
);
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT, workspace TEXT NOT NULL, kind TEXT NOT NULL,
    tree BLOB NOT NULL, before BLOB, after BLOB, details TEXT NOT NULL, step INTEGER NOT NULL,
    created_ns INTEGER NOT NULL
);
CREATE TABLE stats (
    workspace TEXT NOT NULL, directory BLOB NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (workspace, directory)
);
CREATE TABLE audit ({_AUDIT});
CREATE TABLE intents ({_AUDIT});
CREATE TABLE refs (
    workspace TEXT NOT NULL, name BLOB NOT NULL, root BLOB NOT NULL, details TEXT NOT NULL,
    changed_ns INTEGER NOT NULL, PRIMARY KEY (workspace, name)
);
CREATE TABLE remotes (
    workspace TEXT NOT NULL, name BLOB NOT NULL, url BLOB NOT NULL, details TEXT NOT NULL,
    created_ns INTEGER NOT NULL, PRIMARY KEY (workspace, name)
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""

# ---------------------------------------------------------------- objects

ADD_CONTENT = "INSERT INTO contents (number, packed, data) VALUES (?, ?, ?)"
ADD_OBJECT = "INSERT INTO objects (id, number, kind, size, stored, put) VALUES (?, ?, ?, ?, ?, ?)"
LAST_NUMBER = "SELECT IFNULL(MAX(number), 0) FROM contents"
GET = (
    "SELECT o.kind, o.size, c.packed, c.data FROM objects o JOIN contents c USING (number)"
    " WHERE o.id = ?"
)
TOUCH = "UPDATE objects SET put = ? WHERE id = ?"
KINDS = "SELECT id, kind FROM objects ORDER BY number"
IDS_OF_KIND = "SELECT id FROM objects WHERE kind = ?"
OLD_OBJECTS = "SELECT id, number, stored FROM objects WHERE put < ?"
REMOVE_OBJECT = "DELETE FROM objects WHERE id = ? AND put < ?"
REMOVE_CONTENT = "DELETE FROM contents WHERE number = ?"
GIVE_BACK = "PRAGMA incremental_vacuum(1000)"  # pages
FREE = "PRAGMA freelist_count"
COUNT = "SELECT COUNT(*), IFNULL(SUM(size), 0), IFNULL(SUM(stored), 0) FROM objects"
STRAYS = "SELECT COUNT(*) FROM contents WHERE number NOT IN (SELECT number FROM objects)"

# The trees that may not be dropped.
ROOTS = (
    "SELECT base_root FROM workspaces WHERE base_root IS NOT NULL"
    " UNION SELECT root FROM workspaces WHERE root IS NOT NULL"
    " UNION SELECT base_before FROM commits"
    " UNION SELECT base_after FROM commits"
    " UNION SELECT before FROM journal WHERE before IS NOT NULL"
    " UNION SELECT after FROM journal WHERE after IS NOT NULL"
    " UNION SELECT root FROM refs"
)
# And these, but for the snapshots that are to go.
SNAPSHOT_ROOTS = "SELECT id, root FROM snapshots"
# And objects that no tree has, which an act names by itself.
NAMED_BY_ACTS = "SELECT details FROM journal"


def known(count: int) -> str:
    """Which of that many ids there are, and when each was last put."""
    return f"SELECT id, put FROM objects WHERE id IN ({', '.join('?' * count)})"  # noqa: S608


def kinds(count: int) -> str:
    """What those of that many ids are that there are."""
    return f"SELECT id, kind, size FROM objects WHERE id IN ({', '.join('?' * count)})"  # noqa: S608


# ---------------------------------------------------------------- rows of a record each


def add(table: str, columns: tuple[str, ...]) -> str:
    """A new row; nothing happens if one with that key is there."""
    return insert(table, columns) + " ON CONFLICT DO NOTHING"


def insert(table: str, columns: tuple[str, ...]) -> str:
    """A new row, which must not be there."""
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608


def put(table: str, columns: tuple[str, ...]) -> str:
    """A row, instead of the one with that key."""
    marks = ", ".join("?" * len(columns))
    return f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608


def change(table: str, columns: tuple[str, ...]) -> str:
    """Other values for a row; nothing happens if a name is taken."""
    values = ", ".join(f"{each} = ?" for each in columns)
    return f"UPDATE OR IGNORE {table} SET {values} WHERE id = ?"  # noqa: S608


def select(
    table: str, columns: tuple[str, ...], where: tuple[str, ...] = (), order: str = ""
) -> str:
    """Rows for which all of that holds."""
    text = f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608
    text += f" WHERE {' AND '.join(where)}" if where else ""
    return text + (f" ORDER BY {order}" if order else "")


def remove(table: str, *key: str) -> str:
    """The rows with that key, away."""
    return f"DELETE FROM {table} WHERE {' AND '.join(f'{each} = ?' for each in key)}"  # noqa: S608


# ---------------------------------------------------------------- the others

ADVANCE = "UPDATE journal SET step = ? WHERE id = ?"
STATS = "SELECT directory, data FROM stats WHERE workspace = ?"
SAVE_STATS = "INSERT OR REPLACE INTO stats (workspace, directory, data) VALUES (?, ?, ?)"
REMOVE_STATS = "DELETE FROM stats WHERE workspace = ? AND directory = ?"
CLEAR_STATS = "DELETE FROM stats WHERE workspace = ?"
# What is kept of a workspace only as long as it is there.
CLEAR = (
    CLEAR_STATS,
    "DELETE FROM refs WHERE workspace = ?",
    "DELETE FROM remotes WHERE workspace = ?",
)
CLEAR_STRANGERS = "DELETE FROM stats WHERE workspace NOT IN (SELECT id FROM workspaces)"
FACT = "SELECT value FROM facts WHERE name = ?"
SET_FACT = "INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)"
REMOVE_AUDIT = "DELETE FROM audit WHERE seq <= ?"

# ---------------------------------------------------------------- the audit

REMOVE_INTENT = "DELETE FROM intents WHERE seq = ?"
MOVE_HEAD = "UPDATE facts SET value = ? WHERE name = ? AND value = ?"

# ---------------------------------------------------------------- values and tool calls of agents

AGENT_TABLES = (
    "CREATE TABLE IF NOT EXISTS kv_store (key TEXT PRIMARY KEY, value TEXT NOT NULL,"
    " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS tool_calls (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL, parameters TEXT, result TEXT, error TEXT, status TEXT NOT NULL,"
    " started_at INTEGER NOT NULL, completed_at INTEGER, duration_ms INTEGER,"
    " started_ns INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS tool_calls_by_name ON tool_calls (name)",
    "CREATE INDEX IF NOT EXISTS tool_calls_by_time ON tool_calls (started_at)",
)
SET_VALUE = (
    "INSERT INTO kv_store (key, value, created_at, updated_at) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
)
VALUE = "SELECT value FROM kv_store WHERE key = ?"
VALUES = "SELECT key, value FROM kv_store WHERE substr(key, 1, length(?)) = ? ORDER BY rowid"
END_CALL = (
    "UPDATE tool_calls SET status = ?, result = ?, error = ?, completed_at = ?,"
    " duration_ms = (? - started_ns) / 1000000 WHERE id = ?"
)
CALL_STATS = (
    "SELECT name, COUNT(*), SUM(status = 'success'), SUM(status = 'error'), AVG(duration_ms)"
    " FROM tool_calls WHERE status != 'pending' GROUP BY name ORDER BY COUNT(*) DESC, name"
)
