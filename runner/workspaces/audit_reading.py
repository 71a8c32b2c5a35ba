"""Reading the audit in a project's store: what is found, exported, verified, and taken away.

Synchronous, for a thread; where the caller is cancelled, it ends between two rows.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from runner.backends.failures import translate
from runner.backends.files import temporary_name
from runner.backends.threads import breathe
from runner.errors import ConfigError, InvalidPattern, StoreDamaged
from runner.scopes.patterns import UnusablePattern, path_regex
from runner.scopes.who import Who
from runner.workspaces import chain
from runner.workspaces.audit_export import WRITERS, Format
from runner.workspaces.audit_rows import Writer, read_all, read_head, row
from runner.workspaces.chain import RETENTION, Verified
from runner.workspaces.records import AuditRecord, Json
from runner.workspaces.store import Store

_MANY = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WILD = frozenset("*?[")


def verify(store: Store, *, noted: str = "") -> Verified:
    """Look at the whole chain, as it is at one moment."""
    with store.file.reading() as connection:
        connection.execute("BEGIN")
        try:
            head = read_head(connection)
            return chain.verify(_breathing(read_all(connection)), head, noted=noted)
        finally:
            connection.execute("ROLLBACK")


def retain(since_ns: int, who: Who, store: Store) -> int:
    """Take away the rows in front of the first that is not older."""
    with store.file.writing() as connection:
        kept = next(store.audit.rows(from_ns=since_ns), None)
        writer = Writer(connection)
        head = read_head(connection)
        last = head.last if kept is None else kept.seq - 1
        if last < head.first:
            return 0
        gone = next(store.audit.rows(after=last - 1), None)
        if gone is None or gone.seq != last:
            raise StoreDamaged(f"row {last} of the audit is missing", store.path, "see `verify`")
        writer.cut(last, gone.hash)
        count = last + 1 - head.first
        details: dict[str, Json] = {"last": last, "hash": gone.hash, "rows": count}
        writer.append([row("", RETENTION, who, details=details)])
        return count


def export(
    given: str | os.PathLike[str], form: Format, filters: dict[str, Any], store: Store
) -> int:
    """Write rows to a file: to a temporary name, which is renamed; how many they are."""
    path = os.path.abspath(given)
    count = 0

    def counted() -> Iterator[AuditRecord]:
        nonlocal count
        for count, each in enumerate(selected(store, filters), 1):  # noqa: B007 - how many
            yield each

    directory, name = os.path.split(path)
    temporary = os.path.join(directory, temporary_name())
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "w", encoding="utf-8", newline="") as file:
                file.writelines(WRITERS[form](counted()))
            os.rename(temporary, os.path.join(directory, name))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise translate(error, "export", path, directory) from error
    return count


def last_number(store: Store) -> int:
    """The number of the last row."""
    with store.file.reading() as connection:
        return read_head(connection).last


def selected(store: Store, filters: dict[str, Any], **more: Any) -> Iterator[AuditRecord]:
    """The rows that the filters of `Audit.logs` find; `more` is as for `Store.audit.rows`."""
    which = dict(filters)
    matches = which.pop("matches")
    found = _breathing(store.audit.rows(**which, **more))
    return found if matches is None else (each for each in found if matches(each.path))


def _breathing(rows: Iterator[AuditRecord]) -> Iterator[AuditRecord]:
    """The same, between which the caller may be cancelled."""
    for number, each in enumerate(rows):
        if not number % _MANY:
            breathe()
        yield each


# ---------------------------------------------------------------- filters


def nanoseconds(time: datetime) -> int:
    """A time in nanoseconds; one without a zone is local time."""
    if not isinstance(time, datetime):
        raise ConfigError(f"{time!r} is no time: give a datetime")
    return (time.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000


def place_filter(path: str | None) -> dict[str, Any]:
    """What a path, or a pattern of paths, asks for."""
    none: dict[str, Any] = {"path": None, "below": None, "matches": None}
    if path is None:
        return none
    plain = path.lstrip("/").rstrip("/")
    if not _WILD & set(plain):
        return none | {"path": plain or "."}
    if "/" not in plain:
        plain = f"**/{plain}"
    try:
        regex = path_regex(plain)
    except UnusablePattern as error:
        raise InvalidPattern("audit", path, str(error)) from None
    fixed = plain[: min(plain.index(each) for each in _WILD if each in plain)]
    # Of `src/**`, which is about `src` as well, the directory's own name is what is fixed.
    below = fixed.rpartition("/")[0]
    return none | {"below": below or None, "matches": regex.match}
