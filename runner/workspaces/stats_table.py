"""The rows of a store that are no records: what files looked like, and single values."""

from __future__ import annotations

from collections.abc import Mapping

from runner.workspaces import statements
from runner.workspaces.database import File


class Stats:
    """What the directories of live trees looked like when their files were hashed last."""

    def __init__(self, file: File) -> None:
        """Nothing happens yet."""
        self._file = file

    def load(self, workspace: str) -> dict[bytes, bytes]:
        """What was saved of a live tree's directories."""
        with self._file.reading() as connection:
            return dict(connection.execute(statements.STATS, (workspace,)).fetchall())

    def save(self, workspace: str, stats: Mapping[bytes, bytes | None]) -> None:
        """Keep something of each of these directories; None = no more."""
        with self._file.writing() as connection:
            kept = [(workspace, each, data) for each, data in stats.items() if data is not None]
            gone = [(workspace, each) for each, data in stats.items() if data is None]
            connection.executemany(statements.SAVE_STATS, kept)
            connection.executemany(statements.REMOVE_STATS, gone)

    def clear(self, workspace: str) -> None:
        """Keep nothing of any directory of that live tree."""
        self._file.change(statements.CLEAR_STATS, (workspace,))

    def clear_strangers(self) -> None:
        """Keep nothing of directories that belong to no workspace."""
        self._file.change(statements.CLEAR_STRANGERS)


class Facts:
    """Values that belong to the whole store."""

    def __init__(self, file: File) -> None:
        """Nothing happens yet."""
        self._file = file

    def get(self, name: str) -> bytes | None:
        """A value; None if it was never set."""
        with self._file.reading() as connection:
            row = connection.execute(statements.FACT, (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def set(self, name: str, value: bytes) -> None:
        """Keep a value."""
        self._file.change(statements.SET_FACT, (name, value))
