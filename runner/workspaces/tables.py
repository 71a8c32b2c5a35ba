"""The rows of a store that are records: workspaces, snapshots, commits, acts, named trees.

Each class is a table; the records are those of records.py. What is changed by a method is durable
when it returns, or is part of the transaction that its caller is in (`Store.transaction`).

What is listed the oldest first is in the order in which it was added: clocks may go back.

It decides nothing: names are checked by who makes them (names.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from runner.errors import SnapshotExists, SnapshotNotFound, WorkspaceExists, WorkspaceNotFound
from runner.workspaces import columns, names, statements
from runner.workspaces.columns import Table, to_bytes
from runner.workspaces.database import File
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import (
    Act,
    CommitRecord,
    Ref,
    Remote,
    SnapshotRecord,
    WorkspaceRecord,
)

RecordT = TypeVar("RecordT")


class Rows(Generic[RecordT]):
    """What all tables have in common."""

    def __init__(self, file: File, table: Table[RecordT]) -> None:
        """Say which; nothing happens yet."""
        self._file = file
        self._table = table
        self._add = statements.add(table.name, table.names)
        self._put = statements.put(table.name, table.names)

    def _insert(self, record: RecordT) -> bool:
        """Whether there was none with its key, or its name."""
        return self._file.change(self._add, self._table.values(record)).rowcount == 1

    def _replace(self, record: RecordT) -> None:
        self._file.change(self._put, self._table.values(record))

    def _found(self, where: Sequence[str], *values: object, order: str = "") -> list[RecordT]:
        sql = statements.select(self._table.name, self._table.names, tuple(where), order)
        with self._file.reading() as connection:
            rows = connection.execute(sql, values).fetchall()
        return self._table.records(rows, self._file.path)

    def _remove(self, *key: str, values: Sequence[object]) -> int:
        return self._file.change(statements.remove(self._table.name, *key), values).rowcount


class Workspaces(Rows[WorkspaceRecord]):
    """The workspaces of the project."""

    def __init__(self, file: File) -> None:
        """Nothing happens yet."""
        super().__init__(file, columns.WORKSPACES)

    def add(self, record: WorkspaceRecord) -> None:
        """Add one.

        Raises:
            WorkspaceExists: its name is taken.
        """
        if not self._insert(record):
            raise WorkspaceExists(record.name)

    def get(self, id_: str) -> WorkspaceRecord:
        """The one with that id.

        Raises:
            WorkspaceNotFound: there is none.
        """
        for found in self._found(["id = ?"], id_):
            return found
        raise WorkspaceNotFound(id_)

    def by_name(self, name: str) -> WorkspaceRecord:
        """The one of that name.

        Raises:
            WorkspaceNotFound: there is none; with those that may have been meant.
        """
        for found in self._found(["name = ?"], to_bytes(name)):
            return found
        raise WorkspaceNotFound(name, names.near(name, [each.name for each in self.list()]))

    def list(self) -> list[WorkspaceRecord]:
        """All, sorted by name."""
        return self._found([], order="name")

    def change(self, record: WorkspaceRecord) -> None:
        """Replace the one with its id.

        Raises:
            WorkspaceExists: its name is that of another one.
            WorkspaceNotFound: there is none of that id.
        """
        sql = statements.change("workspaces", self._table.names)
        if not self._file.change(sql, [*self._table.values(record), record.id]).rowcount:
            self.get(record.id)
            raise WorkspaceExists(record.name)

    def remove(self, id_: str) -> None:
        """Forget one, and where else it is; its snapshots, commits and audit stay."""
        with self._file.writing() as connection:
            self._remove("id", values=[id_])
            for sql in statements.CLEAR:
                connection.execute(sql, (id_,))


class Snapshots(Rows[SnapshotRecord]):
    """The snapshots of all workspaces, also of those that are gone."""

    def __init__(self, file: File) -> None:
        """Nothing happens yet."""
        super().__init__(file, columns.SNAPSHOTS)

    def add(self, record: SnapshotRecord) -> None:
        """Add one; what its root names has to be in the store.

        Raises:
            SnapshotExists: its workspace has one of that name.
        """
        if not self._insert(record):
            raise SnapshotExists(record.name, record.workspace)

    def get(self, workspace: str, name: str) -> SnapshotRecord:
        """The one of that name of a workspace.

        Raises:
            SnapshotNotFound: there is none; with those that may have been meant.
        """
        for found in self._found(["workspace = ?", "name = ?"], workspace, to_bytes(name)):
            return found
        near = names.near(name, [each.name for each in self.list(workspace)])
        raise SnapshotNotFound(name, workspace, near)

    def find(self, name: str) -> list[SnapshotRecord]:
        """All of that name, of whichever workspace."""
        return self._found(["name = ?"], to_bytes(name), order="rowid")

    def list(self, workspace: str | None = None) -> list[SnapshotRecord]:
        """Those of a workspace's id, or all, the oldest first."""
        where = () if workspace is None else ("workspace = ?",)
        values = () if workspace is None else (workspace,)
        return self._found(where, *values, order="rowid")

    def remove(self, id_: str) -> None:
        """Forget one; what only it named goes with the next `collect`."""
        self._remove("id", values=[id_])


class Commits(Rows[CommitRecord]):
    """What was applied to bases."""

    def __init__(self, file: File) -> None:
        """Nothing happens yet."""
        super().__init__(file, columns.COMMITS)

    def add(self, record: CommitRecord) -> None:
        """Add one; the same once more changes nothing."""
        self._insert(record)

    def list(self, workspace: str | None = None) -> list[CommitRecord]:
        """Those of a workspace's id, or all, the oldest first."""
        where = () if workspace is None else ("workspace = ?",)
        values = () if workspace is None else (workspace,)
        return self._found(where, *values, order="rowid")


class Journal(Rows[Act]):
    """Acts that were decided and are not finished."""

    def __init__(self, file: File) -> None:
        """Nothing happens yet."""
        super().__init__(file, columns.JOURNAL)
        self._begin = statements.add("journal", self._table.names[1:])

    def begin(self, act: Act) -> int:
        """Write one; its number. Numbers grow, and none is given twice."""
        number = self._file.change(self._begin, self._table.values(act)[1:]).lastrowid
        assert number is not None
        return number

    def list(self, workspace: str | None = None) -> list[Act]:
        """Those of a workspace's id, or all, in the order in which they were decided."""
        where = () if workspace is None else ("workspace = ?",)
        values = () if workspace is None else (workspace,)
        return self._found(where, *values, order="id")

    def advance(self, number: int, step: int) -> None:
        """Say how far one got."""
        self._file.change(statements.ADVANCE, (step, number))

    def end(self, number: int) -> None:
        """It is finished."""
        self._remove("id", values=[number])


class Refs(Rows[Ref]):
    """Trees that are kept under a name, though no snapshot has them."""

    def __init__(self, file: File) -> None:
        """Nothing happens yet."""
        super().__init__(file, columns.REFS)

    def set(self, ref: Ref) -> None:
        """Keep a tree under that name, instead of the one before; it has to be in the store."""
        self._replace(ref)

    def get(self, name: str, workspace: str = "") -> Ref | None:
        """What is kept under that name; None if nothing is."""
        for found in self._found(["workspace = ?", "name = ?"], workspace, to_bytes(name)):
            return found
        return None

    def list(self, workspace: str = "") -> list[Ref]:
        """All of a workspace, or of the project, sorted by name."""
        return self._found(["workspace = ?"], workspace, order="name")

    def remove(self, name: str, workspace: str = "") -> None:
        """Keep nothing under that name."""
        self._remove("workspace", "name", values=[workspace, to_bytes(name)])

    def swap(self, before: ObjectId | None, ref: Ref) -> bool:
        """Set it if it still is what it was (None = not there); whether it was."""
        with self._file.writing():
            found = self.get(ref.name, ref.workspace)
            if (None if found is None else found.root) != before:
                return False
            self._replace(ref)
            return True


class Remotes(Rows[Remote]):
    """Where else workspaces are."""

    def __init__(self, file: File) -> None:
        """Nothing happens yet."""
        super().__init__(file, columns.REMOTES)

    def set(self, remote: Remote) -> None:
        """Keep one, instead of the one of that name."""
        self._replace(remote)

    def list(self, workspace: str) -> list[Remote]:
        """All of a workspace, sorted by name."""
        return self._found(["workspace = ?"], workspace, order="name")

    def remove(self, workspace: str, name: str) -> None:
        """Forget one."""
        self._remove("workspace", "name", values=[workspace, to_bytes(name)])
