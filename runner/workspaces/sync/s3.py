"""A bucket of S3, or of a server that speaks like it, as a remote.

    PREFIX/objects/ab/cdef…    an object, packed
    PREFIX/refs/<name>         the id of a workspace's newest version, hexadecimal

A ref is swapped by a conditional PUT (`If-None-Match`, `If-Match`). Servers that take the header
and overwrite all the same would lose what another place has pushed: whether one compares is tried
when it is opened, and it is refused if it does not.

Where the bucket is and who we are is taken from the environment, as Amazon's own programs do
(`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`'s variables, an instance's role), and from the URL:
`s3://bucket/prefix?endpoint=https://minio.example&region=eu-central-1`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import attrs
import obstore
import trio
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from runner.errors import RemoteDamaged, RemoteRefused, RemoteUnreachable
from runner.workspaces.objects import NO_ID, Object, ObjectId
from runner.workspaces.sync.remote import PATIENCE, file_name_of, lacking, name_of
from runner.workspaces.sync.wire import LARGEST, pack, unpack

if TYPE_CHECKING:
    from obstore.store import S3Config

_QUERY = frozenset({"endpoint", "region"})
_SIDE_BY_SIDE = 8  # requests
_GONE = (FileNotFoundError, NotFoundError)

T = TypeVar("T")


@attrs.define(eq=False)
class S3Remote:
    """A bucket as a remote; see `Remote`.

    Attributes:
        url: `s3://bucket/prefix`, with `endpoint` and `region` in its query.
    """

    url: str
    _store: S3Store = attrs.field(init=False, repr=False)
    _limiter: trio.CapacityLimiter = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        parts = urlsplit(self.url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if not parts.netloc or {*query} - _QUERY:
            raise ValueError(
                f"{self.url!r} is no place in S3: s3://bucket/prefix?endpoint=…&region=…"
            )
        endpoint = query.get("endpoint", "")
        config: S3Config = {**query}  # type: ignore[typeddict-item]  # its two keys are theirs
        self._store = S3Store(
            parts.netloc,
            prefix=unquote(parts.path).strip("/") or None,
            config=config,
            client_options={
                "timeout": f"{PATIENCE:.0f}s",
                "allow_http": endpoint.startswith("http://"),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=PATIENCE)},
        )
        self._limiter = trio.CapacityLimiter(_SIDE_BY_SIDE)

    async def open(self) -> None:
        """Reach it, and see that it compares before it swaps."""
        await self._do(self._try)

    async def get_ref(self, name: str) -> ObjectId | None:
        """The newest version of a workspace."""
        found = await self._do(lambda: self._read_ref(name))
        return None if found is None else found[0]

    async def swap_ref(self, name: str, before: ObjectId | None, after: ObjectId) -> bool:
        """Say which version is the newest now, if it was that one."""

        def swap() -> bool:
            found = self._read_ref(name)
            if (None if found is None else found[0]) != before:
                return False
            mode = "create" if found is None else {"e_tag": found[1]}
            return self._put_if(_ref(name), after.hex().encode() + b"\n", mode)

        return await self._do(swap)

    async def list_refs(self) -> tuple[str, ...]:
        """The workspaces that have a version."""

        def listed() -> list[str]:
            return [each["path"] for group in self._store.list("refs") for each in group]

        paths = await self._do(listed)
        return tuple(sorted(name_of(each.rpartition("/")[2]) for each in paths))

    async def missing(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Which of them it does not have."""
        found: set[ObjectId] = set()

        def look(each: ObjectId) -> None:
            try:
                obstore.head(self._store, _path(each))
            except _GONE:
                found.add(each)

        await self._for_each(ids, look)
        return found

    async def put(self, objects: Sequence[Object]) -> None:
        """Keep them."""
        await self._for_each(
            objects, lambda each: obstore.put(self._store, _path(each.id), pack(each))
        )

    async def get(self, ids: Sequence[ObjectId]) -> list[Object]:
        """Those objects."""
        found: list[Object] = []

        def get(each: ObjectId) -> None:
            with suppress(*_GONE):
                said, _ = self._read(_path(each), LARGEST)
                found.append(unpack(each, said))

        await self._for_each({*ids}, get)
        if len(found) < len({*ids}):
            raise lacking(ids, found)
        return found

    async def aclose(self) -> None:
        """Nothing is held."""
        await trio.lowlevel.checkpoint()

    async def _for_each(self, items: Sequence[T] | set[T], work: Callable[[T], object]) -> None:
        failed: list[BaseException] = []

        async def carry_out(item: T) -> None:
            try:
                await self._do(lambda: work(item))
            except Exception as error:  # noqa: BLE001 - raised below: no group leaves this room
                failed.append(error)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for each in items:
                nursery.start_soon(carry_out, each)
        if failed:
            raise failed[0]

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await trio.to_thread.run_sync(
                work, limiter=self._limiter, abandon_on_cancel=True
            )
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise RemoteRefused(f"{self._named}: {_first_line(error)}") from None
        except (BaseError, OSError, ValueError) as error:
            raise RemoteUnreachable(f"{self._named}: {_first_line(error)}") from error

    @property
    def _named(self) -> str:
        return self.url.partition("?")[0]

    def _try(self) -> None:
        probe = f"probe-{uuid.uuid4().hex}"
        try:
            sound = (
                self._put_if(probe, b"1", "create")
                and not self._put_if(probe, b"2", "create")
                and not self._put_if(probe, b"3", {"e_tag": '"0123456789abcdef"'})
                and bytes(obstore.get(self._store, probe).bytes()) == b"1"
            )
        finally:
            with suppress(BaseError, OSError):
                obstore.delete(self._store, probe)
        if not sound:
            raise RemoteRefused(
                f"{self._named}: the server overwrites where it was told to compare first"
                " (conditional PUT), so two places would lose each other's work"
            )

    def _put_if(self, path: str, data: bytes, mode: object) -> bool:
        try:
            obstore.put(self._store, path, data, mode=mode)  # type: ignore[arg-type]
        except (AlreadyExistsError, PreconditionError, *_GONE):
            return False
        except NotSupportedError as error:
            raise RemoteRefused(f"{self._named}: {_first_line(error)}") from None
        return True

    def _read(self, path: str, most: int) -> tuple[bytes, str | None]:
        """A file's bytes, and what it is compared by."""
        answer = obstore.get(self._store, path)
        if answer.meta["size"] > most:
            raise RemoteDamaged(f"{self._named}: {path} is none of our files: it is too large")
        return bytes(answer.bytes()), answer.meta["e_tag"]

    def _read_ref(self, name: str) -> tuple[ObjectId, str] | None:
        try:
            said, tag = self._read(_ref(name), 1 << 16)
        except _GONE:
            return None
        try:
            found = bytes.fromhex(said.decode("ascii"))
        except ValueError:
            found = b""
        if len(found) != len(NO_ID) or not tag:
            raise RemoteDamaged(f"{self._named}: the ref {name!r} leads nowhere")
        return ObjectId(found), tag


def _ref(name: str) -> str:
    return f"refs/{file_name_of(name)}"


def _path(each: ObjectId) -> str:
    name = each.hex()
    return f"objects/{name[:2]}/{name[2:]}"


def _first_line(error: BaseException) -> str:
    """What went wrong: the library adds pages of how it came to it."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
