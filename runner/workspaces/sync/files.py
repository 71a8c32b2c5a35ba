"""A directory as a remote: another disk, or a share that several machines have mounted.

    FORMAT              says what this is
    objects/ab/cdef…    an object, packed
    refs/<name>         the id of a workspace's newest version, hexadecimal
    lock                held while a ref is swapped

Files are written under another name and renamed, and all of them are on the disk before a ref leads
to them: each is waited for where they are few (several at once: a file system writes its journal
once for all of them), else the file system as a whole, as it would take minutes for each of a large
tree.

Where locks do not work between machines (some shares), two that swap one ref at the same moment
could both be told that they were first; that the lock works at all is tried when it is opened.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

import attrs

from runner.backends.syscalls import syncfs
from runner.backends.threads import breathe, in_thread
from runner.errors import RemoteDamaged, RemoteRefused, RemoteUnreachable
from runner.workspaces.objects import NO_ID, Object, ObjectId
from runner.workspaces.sync.remote import PATIENCE, file_name_of, lacking, name_of
from runner.workspaces.sync.wire import LARGEST, LEAST, pack, unpack

FORMAT = b"runner remote 1\n"

FEW = 100  # files
_AT_ONCE = 8  # of them
_PAUSE = 0.02  # seconds between two tries to lock
_OURS = frozenset({"FORMAT", "objects", "refs", "lock"})

T = TypeVar("T")


@attrs.define(eq=False)
class FileRemote:
    """A directory as a remote; see `Remote`. It need not be there: its parent must.

    Attributes:
        path: the directory, absolute.
    """

    path: str
    _written: list[str] = attrs.field(factory=list, init=False, repr=False)

    async def open(self) -> None:
        """Make the directory, or see that it is one of ours."""
        await self._do(self._open, is_there=False)

    async def get_ref(self, name: str) -> ObjectId | None:
        """The newest version of a workspace."""
        return await self._do(lambda: self._read_ref(name))

    async def swap_ref(self, name: str, before: ObjectId | None, after: ObjectId) -> bool:
        """Say which version is the newest now, if it was that one."""

        def swap() -> bool:
            with self._locked():
                if self._read_ref(name) != before:
                    return False
                self._sync()
                self._write(self._at("refs", file_name_of(name)), after.hex().encode() + b"\n")
                self._sync()
                return True

        return await self._do(swap)

    async def list_refs(self) -> tuple[str, ...]:
        """The workspaces that have a version."""
        names = await self._do(lambda: os.listdir(self._at("refs")))
        return tuple(sorted(name_of(each) for each in names if not each.startswith(".")))

    async def missing(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Which of them it does not have."""
        return await self._do(lambda: {each for each in ids if not _is_there(self._object(each))})

    async def put(self, objects: Sequence[Object]) -> None:
        """Keep them."""

        def put() -> None:
            for each in objects:
                path = self._object(each.id)
                if not _is_there(path):
                    self._write(path, pack(each))

        await self._do(put)

    async def get(self, ids: Sequence[ObjectId]) -> list[Object]:
        """Those objects."""

        def get() -> list[Object]:
            found = []
            for each in ids:
                data = self._read(self._object(each), LARGEST)
                if data is not None:
                    found.append(unpack(each, data))
            if len(found) < len({*ids}):
                raise lacking(ids, found)
            return found

        return await self._do(get)

    async def aclose(self) -> None:
        """Nothing is held."""

    async def _do(self, work: Callable[[], T], *, is_there: bool = True) -> T:
        def carry_out() -> T:
            if is_there:  # it may be on a disk that is not mounted at the moment
                os.stat(self._at("FORMAT"))
            return work()

        try:
            return await in_thread(carry_out)
        except PermissionError as error:
            raise RemoteRefused(f"file://{self.path}: {error.strerror}") from None
        except OSError as error:
            raise RemoteUnreachable(f"file://{self.path}: {error.strerror}") from error

    def _open(self) -> None:
        if not os.path.isdir(os.path.dirname(self.path)):
            # Not made: it may be where something is not mounted at the moment.
            parent = os.path.dirname(self.path)
            raise RemoteUnreachable(f"file://{self.path}: there is no directory {parent!r}")
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        said = self._read(self._at("FORMAT"))
        if said is None:
            if any(each not in _OURS for each in os.listdir(self.path) if each[0] != "."):
                raise RemoteRefused(
                    f"file://{self.path}: there is something else in it; name an empty directory"
                )
            self._write(self._at("FORMAT"), FORMAT)
        elif said != FORMAT:
            raise RemoteRefused(f"file://{self.path}: it is of an unknown form, {said[:40]!r}")
        for each in ("objects", "refs"):
            os.makedirs(self._at(each), exist_ok=True)
        with self._locked():
            pass

    def _read_ref(self, name: str) -> ObjectId | None:
        said = self._read(self._at("refs", file_name_of(name)))
        if said is None:
            return None
        try:
            found = bytes.fromhex(said.decode("ascii"))
        except ValueError:
            found = b""
        if len(found) != len(NO_ID):
            raise RemoteDamaged(f"file://{self.path}: the ref {name!r} leads nowhere")
        return ObjectId(found)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self._at("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + PATIENCE
        try:
            while not _has_locked(fd):  # it takes another as long as to wait for the disk
                if time.monotonic() > until:
                    who = "somebody who swaps a ref does not come to an end"
                    raise RemoteUnreachable(f"file://{self.path}: it is locked: {who}")
                breathe()
                time.sleep(_PAUSE)
            yield
        finally:
            os.close(fd)

    def _sync(self) -> None:
        """See to it that all that was written is on the disk."""
        written, self._written = self._written, []
        if len(written) > FEW:
            _synced(self.path, syncfs)
            return
        paths = {above for path in written for above in self._up_to_ours(path)}
        with ThreadPoolExecutor(_AT_ONCE, "runner-fsync") as several:
            list(several.map(partial(_synced, sync=os.fsync), paths))

    def _up_to_ours(self, path: str) -> Iterator[str]:
        """A file, and the directories above it: each may be new."""
        while len(path) > len(self.path):
            yield path
            path = os.path.dirname(path)
        yield self.path

    def _write(self, path: str, data: bytes) -> None:
        directory = os.path.dirname(path)
        os.makedirs(directory, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=".runner-", dir=directory)
        try:
            with open(fd, "wb") as file:
                file.write(data)
            os.rename(temporary, path)
            self._written.append(path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise

    def _read(self, path: str, most: int = 1 << 16) -> bytes | None:
        """A file's bytes, None if there is none: who has written there need not be one of us."""
        try:  # without waiting: it may be a pipe
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_size > most:
                what = os.path.relpath(path, self.path)
                raise RemoteDamaged(f"file://{self.path}: {what} is none of our files")
            return file.read(most)

    def _object(self, each: ObjectId) -> str:
        name = each.hex()
        return self._at("objects", name[:2], name[2:])

    def _at(self, *names: str) -> str:
        return os.path.join(self.path, *names)


def _is_there(path: str) -> bool:
    """Whether a file has an object: one that was new at a power failure may have nothing in it."""
    try:
        return os.stat(path).st_size >= LEAST
    except FileNotFoundError:
        return False


def _has_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _synced(path: str, sync: Callable[[int], None]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(fd)
    finally:
        os.close(fd)
