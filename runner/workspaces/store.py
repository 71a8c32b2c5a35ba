"""The store of a project: one SQLite file with all that its workspaces were.

    objects     contents, listings and lists of chunks by their id (objects.py, listing.py), once
                each, whatever names them
    rows        workspaces, snapshots, commits, the journal, the audit, what files looked like

Rules:

1. Objects before names: who writes a row with a root has put all that it names before.
2. What is named by a row is kept. What is named by none may be dropped by a `collect`, of any
   process, `collecting.GRACE` after it was last put, or after the end of a lease that was there
   then. So who remembers an id for longer than that lets a row name it (a ref, if nothing else
   does), puts it again: that is one lookup; or asks whether it is still there when it names it
   (`require_whole`).
3. What comes out is what was put in: an object is hashed whenever it is read.
4. Many threads may use one store, and many processes one file. Contents are compressed outside of
   the lock; whoever writes has it for as long as one batch takes.
5. What fails is a `StoreError` that names the file, and changes nothing.

What is not here: what is read from live trees and written to them (capturing.py, restoring.py).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

from runner.database import PATIENCE
from runner.errors import ObjectMissing, StoreDamaged
from runner.workspaces import collecting, columns, putting, statements
from runner.workspaces.audit_table import AuditRows
from runner.workspaces.collecting import DROPS, Checked, Collected, Sizes
from runner.workspaces.database import File
from runner.workspaces.leasing import Lease
from runner.workspaces.listing import EMPTY, Entry, decode
from runner.workspaces.objects import Kind, Object, ObjectId, decode_chunks, id_of
from runner.workspaces.packing import unpack
from runner.workspaces.remembering import Remembered
from runner.workspaces.stats_table import Facts, Stats
from runner.workspaces.tables import Commits, Journal, Refs, Remotes, Snapshots, Workspaces

T = TypeVar("T")


class Store:
    """An open store.

    Attributes:
        path: of its file.
        workspaces: rows; so are the next ones.
        snapshots: of all workspaces, also of those that are gone.
        commits: to bases.
        journal: acts that are not finished; `begin`, `acts`, `advance` and `end` are its.
        audit: what was done.
        intents: what is being done, and was cut if nobody is at it.
        refs: trees that are kept under a name.
        remotes: where else workspaces are.
        stats: what files looked like; `load_stats` and `save_stats` are its.
        facts: single values.
    """

    def __init__(self, file: File) -> None:
        """Use `open`."""
        self.file = file
        self.path = file.path
        self.workspaces = Workspaces(file)
        self.snapshots = Snapshots(file)
        self.commits = Commits(file)
        self.journal = Journal(file)
        self.begin = self.journal.begin
        self.acts = self.journal.list
        self.advance = self.journal.advance
        self.end = self.journal.end
        self.audit = AuditRows(file, columns.AUDIT)
        self.intents = AuditRows(file, columns.INTENTS)
        self.refs = Refs(file)
        self.remotes = Remotes(file)
        self.stats = Stats(file)
        self.load_stats = self.stats.load
        self.save_stats = self.stats.save
        self.facts = Facts(file)
        self._listings: Remembered[ObjectId, tuple[Entry, ...]] = Remembered()

    @classmethod
    def open(cls, path: str, *, patience: float = PATIENCE, durable: bool = False) -> Store:
        """Open a store, or make it.

        Args:
            path: of its file; its directory is made as well.
            patience: seconds that a transaction waits for those of other processes.
            durable: each transaction waits for the disk. Without that, after a power failure the
                last ones may be missing, as if they had never been; nothing else is wrong then.

        Raises:
            StoreError: it cannot be opened, is of a newer version of runner, or is none.
            StoreDamaged: it is no whole SQLite file.
        """
        return cls(File(os.path.abspath(path), patience=patience, durable=durable))

    def close(self) -> None:
        """Let go of the file; for good."""
        self.file.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Write what is done inside all together, or nothing of it.

        Of this thread; one inside another joins it. If something in it fails, all of it is taken
        back, also if whoever called it goes on. Other threads and processes that write wait.

        Raises:
            StoreError: a part had failed, and the caller went on.
        """
        with self.file.writing():
            yield

    # ------------------------------------------------------------ objects

    def put(self, objects: Iterable[Object]) -> int:
        """Keep objects; those that are there already cost a lookup.

        Durable batch by batch, in their order, unless this thread is in a transaction. For several
        threads at once: each compresses its own.

        Returns:
            How many bytes the store has more.
        """
        return sum(putting.put(self.file, batch) for batch in putting.batches(objects))

    def missing(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Those of the ids that the store has no object of."""
        return putting.missing(self.file, ids)

    def kinds(self, ids: Iterable[ObjectId]) -> dict[ObjectId, tuple[Kind, int]]:
        """What the objects of ids are, and how many bytes each has; without those it has not."""
        return putting.kinds(self.file, ids)

    def get(self, id_: ObjectId) -> Object:
        """An object.

        Raises:
            ObjectMissing: the store does not have it.
            StoreDamaged: what it has under that id is something else.
        """
        with self.file.reading() as connection:
            row = connection.execute(statements.GET, (id_,)).fetchone()
        if row is None:
            if id_ == EMPTY.id:  # of what is not there; nobody need have put it
                return EMPTY
            raise ObjectMissing(id_, self.path)
        try:
            kind, data = Kind(row[0]), unpack(row[1], row[2], row[3])
        except ValueError as exc:
            raise self._damaged(id_, str(exc)) from exc
        if id_of(kind, data) != id_:
            raise self._damaged(id_, "its bytes are not those that were put")
        return Object(id_, kind, data)

    def listing(self, id_: ObjectId) -> tuple[Entry, ...]:
        """The entries of a directory, sorted by name. The last ones asked for are remembered.

        Raises:
            ObjectMissing: as for `get`.
            StoreDamaged: as for `get`; or it is no directory.
        """
        found = self._listings.get(id_)
        if found is None:
            found = self.decoded(self._of_kind(id_, Kind.LISTING), decode)
            self._listings.keep(id_, found, len(found))
        return found

    def content(self, id_: ObjectId) -> Iterator[bytes | int]:
        """What a file or a link has in it: bytes; a number is that many zeros.

        Raises:
            ObjectMissing: as for `get`; also midway.
            StoreDamaged: as for `get`; also midway; or it is a directory.
        """
        found = self.get(id_)
        if found.kind is Kind.CONTENT:
            yield found.data
            return
        if found.kind is Kind.LISTING:
            raise self._damaged(id_, "it is a directory where a file should be")
        chunks = self.decoded(found, decode_chunks)
        for number, each in enumerate(chunks.ids):
            if each is None:
                yield chunks.length(number)
                continue
            data = self._of_kind(each, Kind.CONTENT).data
            if len(data) != chunks.length(number):
                raise self._damaged(each, "it is a chunk of another length than its file needs")
            yield data

    def read(self, id_: ObjectId, limit: int) -> bytes:
        """The first bytes of a file, or a link's target; at most so many.

        Raises:
            ObjectMissing, StoreDamaged: as for `content`.
        """
        parts, left = [], limit
        for piece in self.content(id_):
            part = bytes(min(piece, left)) if isinstance(piece, int) else piece[:left]
            parts.append(part)
            left -= len(part)
            if left <= 0:
                break
        return b"".join(parts)

    def decoded(self, found: Object, decode: Callable[[bytes], T]) -> T:
        """What an object says, by one of the functions that read them.

        Raises:
            StoreDamaged: it says nothing.
        """
        try:
            return decode(found.data)
        except StoreDamaged as exc:
            raise self._damaged(found.id, exc.what) from exc

    def _of_kind(self, id_: ObjectId, kind: Kind) -> Object:
        found = self.get(id_)
        if found.kind is not kind:
            what = f"it is a {found.kind.name.lower()} where a {kind.name.lower()} should be"
            raise self._damaged(id_, what)
        return found

    def _damaged(self, id_: ObjectId, what: str) -> StoreDamaged:
        how = "`check` finds all that is damaged"
        return StoreDamaged(f"the object {id_.hex()} is damaged: {what}", self.path, how)

    def drops(self) -> int:
        """How many times anything was dropped from the store, by whichever process.

        Who remembers ids that no row names, and finds this changed, asks which are `missing`.
        """
        return int(self.facts.get(DROPS) or 0)

    def require_whole(self, root: ObjectId, since: int) -> None:
        """See that all of a tree is still there, in the transaction that names it.

        Args:
            root: of the tree.
            since: what `drops` was before its objects were put, or found to be there.

        Raises:
            ObjectMissing: something of it was dropped meanwhile.
        """
        collecting.require_whole(self, root, since)

    def lease(self) -> Lease:
        """Have nothing dropped that is put from now on, for as long as it is held."""
        return Lease(self.path, time.time())

    # ------------------------------------------------------------ the whole of it

    def collect(self, *, dry_run: bool = False, without: Collection[str] = ()) -> Collected:
        """Drop the objects that nothing names, and give their room back to the disk.

        Args:
            dry_run: only say what it would be.
            without: ids of snapshots that count as if they were gone.

        Raises:
            ObjectMissing, StoreDamaged: something named cannot be read: nothing was dropped.
        """
        return collecting.collect(self, dry_run=dry_run, without=without)

    def check(self) -> Checked:
        """Look at everything: is each object what it was, and is there whatever is named?"""
        return collecting.check(self)

    def sizes(self) -> Sizes:
        """How large it is."""
        return collecting.sizes(self)

    def __del__(self) -> None:
        if hasattr(self, "file"):
            self.close()

    def __repr__(self) -> str:
        return f"<Store {self.path!r}>"
