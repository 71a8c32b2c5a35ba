"""The ledger of a batch: what was meant, what was done, durable before it is told to anybody.

Rules:
1. One process at a time: the output directory's lock file is held for as long as it is open.
2. One thread writes, many changes in one commit (`group_commit`).
3. What is to be told about a change is told by the callback posted with it, after the commit.
4. A job gets its final state once: a second one is refused by the statement itself.
5. An attempt that is found running when the ledger is opened was cut. Its job is queued again, and
   the attempt is carried out again under the same number; what it had written is dropped.
6. After a failed write (no space, for example) nothing is written any more, and everybody who
   posts or waits is told.

All SQL of batches stands here and in `statements`. It decides nothing about what a job's outcome
is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import attrs

from runner.database import Connection, Schema, SqlError, connect, failed, transaction
from runner.errors import LedgerBusy, LedgerError
from runner.jobs.group_commit import GroupCommit
from runner.jobs.output import Identity, Output, digest
from runner.jobs.statements import FINISH, TABLES, VERSION, Change, Statement, attempt_cut


def _failure(path: str, what: str, _: Exception | None) -> LedgerError:
    return LedgerError(f"the ledger {path!r} {what}")


SCHEMA = Schema(statements=TABLES, version=VERSION, failure=_failure, durable=True, private=False)


@attrs.frozen(kw_only=True)
class PastAttempt:
    """An attempt that the ledger knows to have ended.

    Attributes:
        record: what was written with its end, as JSON.
    """

    attempt: int
    state: str
    record: str


@attrs.frozen(kw_only=True)
class PastJob:
    """What the ledger knows of a job when it is opened.

    Attributes:
        state: `queued` or a final one.
        attempts: those that came to an end, in order; the next one's number follows from them.
    """

    number: int
    state: str
    attempts: tuple[PastAttempt, ...] = ()


# ---------------------------------------------------------------- the ledger


class Ledger:
    """An open ledger; made by `open_ledger`, used from trio's thread.

    Attributes:
        past: what it knew of each job when it was opened, in the order of the jobs.
        revision: the commit that the batch began at, for a repository.
        mark: tells the ledger from every other, wherever it stands by now.
    """

    def __init__(self, path: str, identity: Identity, now: str) -> None:
        """Read what is there, or begin.

        Raises:
            LedgerError: it belongs to another batch, is of a newer version, or cannot be read.
        """
        self._path = path
        self._connection = connect(path, SCHEMA)
        try:
            self.revision, self.mark, self.past = _open(self._connection, path, identity, now)
            self._writer = GroupCommit(self._commit, "runner-ledger")
        except SqlError as exc:
            self._connection.close()
            raise failed(path, SCHEMA, "opened", exc) from exc
        except BaseException:
            self._connection.close()
            raise

    def post(
        self,
        changes: Sequence[Change],
        then: Callable[[], None] | None = None,
        *,
        at_once: bool = False,
    ) -> None:
        """Have changes written soon, and `then` called in trio's thread once they are durable.

        Args:
            changes: statements for one commit, and functions to be called before it, in the
                writing thread: what they write is there when the commit is.
            then: may be called outside of any task.
            at_once: do not linger for others to share the commit.

        Raises:
            LedgerError: an earlier write has failed.
        """
        self._writer.post(changes, then, at_once=at_once)

    async def write(self, statements: Sequence[Statement] = ()) -> None:
        """Write changes, and return when they, and all posted before, are durable.

        Raises:
            LedgerError: they could not be written.

        Cancellation: the changes may be written nevertheless.
        """
        await self._writer.write(statements)

    async def set_revision(self, revision: str) -> None:
        """Keep the commit that a repository's ref meant when the batch began."""
        await self.write([("UPDATE batch SET revision = ?", (revision,))])
        self.revision = revision

    @property
    def commits(self) -> int:
        """How many commits there were."""
        return self._writer.commits

    def programs(self) -> list[str]:
        """The builds of the agent's program that have carried out attempts, as JSON."""
        sql = (
            "SELECT DISTINCT json_extract(record, '$.program') FROM attempts"
            " WHERE json_extract(record, '$.program') IS NOT NULL"
        )
        return [text for (text,) in self._connection.execute(sql)]

    def results(self) -> Iterator[str]:
        """The results of all finished jobs, in the order of the jobs; for any thread."""
        with contextlib.closing(connect(self._path, SCHEMA)) as connection:
            sql = "SELECT result FROM jobs WHERE result IS NOT NULL ORDER BY number"
            for (result,) in connection.execute(sql):
                yield result

    async def aclose(self) -> None:
        """Write what has been posted, and close."""
        try:
            await self._writer.aclose()
        finally:
            self._connection.close()

    def _commit(self, changes: list[Change]) -> None:
        """In the writing thread."""
        try:
            for change in changes:
                if callable(change):
                    change()
            with transaction(self._connection):
                for change in changes:
                    if not callable(change):
                        self._execute(*change)
        except (SqlError, OSError) as exc:
            raise failed(self._path, SCHEMA, "written", exc) from exc

    def _execute(self, sql: str, values: tuple[object, ...]) -> None:
        done = self._connection.execute(sql, values)
        if sql is FINISH and done.rowcount != 1:
            raise LedgerError(f"job {values[-1]} has its final state already")


@asynccontextmanager
async def open_ledger(output: Output, identity: Identity, now: str) -> AsyncGenerator[Ledger, None]:
    """Open the ledger of a claimed output directory, or begin it.

    Raises:
        LedgerBusy: another process has it open.
        LedgerError: it belongs to another batch, is of a newer
            version, or cannot be read.
    """
    with _lock(os.path.join(output.hidden, "lock")):
        ledger = Ledger(output.ledger, identity, now)
        try:
            yield ledger
        finally:
            await ledger.aclose()


@contextlib.contextmanager
def _lock(path: str) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            root = os.path.dirname(os.path.dirname(path))
            raise LedgerBusy(f"another process ({owner}) is at work in {root!r}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------- SQL


def _open(
    connection: Connection, path: str, identity: Identity, now: str
) -> tuple[str | None, str, tuple[PastJob, ...]]:
    batch = "SELECT digest, revision, created FROM batch"
    with transaction(connection):
        if connection.execute(batch).fetchone() is None:
            _begin(connection, identity, now)
        owner, revision, created = connection.execute(batch).fetchone()
        if owner != _digest(identity):
            raise LedgerError(f"the ledger {path!r} belongs to another batch")
        running = "SELECT job, attempt FROM attempts WHERE state = 'running'"
        for job, attempt in connection.execute(running).fetchall():
            for sql, values in attempt_cut(job, attempt):
                connection.execute(sql, values)
        # Between two attempts none is running, but the job is.
        connection.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'")
        return revision, digest([owner, created])[:8], tuple(_past(connection))


def _begin(connection: Connection, identity: Identity, now: str) -> None:
    connection.execute(
        "INSERT INTO batch (name, digest, created) VALUES (?, ?, ?)",
        (identity.name, _digest(identity), now),
    )
    connection.executemany(
        "INSERT INTO jobs (number, id, digest) VALUES (?, ?, ?)",
        [(number, job, text) for number, (job, text) in enumerate(identity.jobs.items(), 1)],
    )


def _digest(identity: Identity) -> str:
    return digest([identity.name, dict(identity.common), list(identity.jobs.items())])


def _past(connection: Connection) -> Iterator[PastJob]:
    attempts: dict[int, list[PastAttempt]] = {}
    ended = (
        "SELECT job, attempt, state, record FROM attempts"
        " WHERE state NOT IN ('running', 'cut') ORDER BY job, attempt"
    )
    for job, attempt, state, record in connection.execute(ended):
        past = PastAttempt(attempt=attempt, state=state, record=record)
        attempts.setdefault(job, []).append(past)
    for number, state in connection.execute("SELECT number, state FROM jobs ORDER BY number"):
        yield PastJob(number=number, state=state, attempts=tuple(attempts.get(number, ())))
