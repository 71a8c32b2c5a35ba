"""A Turso or libSQL database as a remote, spoken to by the Hrana protocol over HTTP.

Each request is one pipeline of statements that stand for themselves: no transaction is held open
between two requests, so a connection that breaks leaves nothing locked. Objects are kept by
`insert or ignore`, a ref is swapped by an `update … where` that says which version it replaces.

Blobs are base64 in the requests, of which each has a megabyte at most.

Source: docs/HRANA_3_SPEC.md of tursodatabase/libsql, "Hrana over HTTP", of which servers that know
`execute` only are used as well: the streams that a server may open for us are closed by themselves
(`baton`).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import httpx  # noqa: ASYNC127 - what the extra "turso" installs
import trio

from runner.errors import RemoteDamaged, RemoteRefused, RemoteUnreachable
from runner.scopes.redaction import HIDDEN
from runner.workspaces.objects import NO_ID, Object, ObjectId
from runner.workspaces.sync.remote import PATIENCE, lacking
from runner.workspaces.sync.wire import pack, unpack

MOST_BYTES = 700_000  # of blobs in a request; base64 makes a megabyte of them
_MOST_ROWS = 100
_LONGEST = 256 << 20  # bytes of an answer; eight objects, of which one may list millions of files
_DEADLINE = 20  # times the patience for all of an answer: a slow line has eight objects by then

_TABLES = (
    "create table if not exists runner_objects (id blob primary key, data blob not null)",
    "create table if not exists runner_refs (name text primary key, version blob not null)",
)

Arg = str | bytes


@attrs.define(eq=False)
class HranaRemote:
    """A Turso or libSQL database as a remote; see `Remote`.

    Attributes:
        url: `https://…` or `http://…`, without a path; `libsql://` is `https://`.
        token: of the database; empty = none. It is in no message and in no repr.
    """

    url: str
    token: str = attrs.field(default="", repr=False)
    patience: float = PATIENCE
    _client: httpx.AsyncClient | None = attrs.field(default=None, init=False, repr=False)

    async def open(self) -> None:
        """Reach it, and make the two tables."""
        await self._all([(each, ()) for each in _TABLES])

    async def get_ref(self, name: str) -> ObjectId | None:
        """The newest version of a workspace."""
        rows = await self._one("select version from runner_refs where name = ?", [name])
        return self._id(rows[0]) if rows else None

    async def swap_ref(self, name: str, before: ObjectId | None, after: ObjectId) -> bool:
        """Say which version is the newest now, if it was that one."""
        if before is None:
            sql = "insert or ignore into runner_refs values (?, ?) returning name"
            rows = await self._one(sql, [name, after])
        else:
            sql = "update runner_refs set version = ? where name = ? and version = ? returning name"
            rows = await self._one(sql, [after, name, before])
        return bool(rows)

    async def list_refs(self) -> tuple[str, ...]:
        """The workspaces that have a version."""
        names = await self._one("select name from runner_refs", [])
        return tuple(sorted(each for each in names if isinstance(each, str)))

    async def missing(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Which of them it does not have."""
        found: set[ObjectId] = set()
        wanted = list(dict.fromkeys(ids))
        for at in range(0, len(wanted), _MOST_ROWS):
            some = wanted[at : at + _MOST_ROWS]
            sql = f"select id from runner_objects where id in ({_marks(some)})"  # noqa: S608 - "?, ?" only
            found.update(map(self._id, await self._one(sql, some)))
        return {*wanted} - found

    async def put(self, objects: Sequence[Object]) -> None:
        """Keep them."""
        for group in _groups([(each.id, pack(each)) for each in objects]):
            rows = ", ".join(["(?, ?)"] * len(group))
            sql = f"insert or ignore into runner_objects values {rows}"  # noqa: S608 - "(?, ?)" only
            await self._one(sql, [value for pair in group for value in pair])

    async def get(self, ids: Sequence[ObjectId]) -> list[Object]:
        """Those objects."""
        found = []
        for at in range(0, len(ids), 8):
            some = ids[at : at + 8]
            sql = f"select id, data from runner_objects where id in ({_marks(some)})"  # noqa: S608 - "?, ?" only
            (rows,) = await self._all([(sql, some)], columns=2)
            for said, data in rows:
                if not isinstance(data, bytes):
                    raise RemoteDamaged(f"{self.url}: an object of it is no blob")
                if (id_ := self._id(said)) not in some:
                    raise RemoteDamaged(f"{self.url}: it gives what nobody asked for")
                found.append(unpack(id_, data))
        if {each.id for each in found} != {*ids}:
            raise lacking(ids, found)
        return found

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _one(self, sql: str, args: Sequence[Arg]) -> list[Arg | None]:
        """The only column of what a statement gives."""
        (rows,) = await self._all([(sql, args)])
        return [row[0] for row in rows]

    async def _all(
        self, statements: Sequence[tuple[str, Sequence[Arg]]], *, columns: int = 1
    ) -> list[list[tuple[Arg | None, ...]]]:
        """The rows of each statement, of so many columns."""
        requests = [
            {"type": "execute", "stmt": {"sql": sql, "args": [_said(each) for each in args]}}
            for sql, args in statements
        ]
        answer = await self._send({"baton": None, "requests": requests})
        try:
            results = [self._rows(each, columns) for each in answer["results"]]
            baton = answer.get("baton")
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
            raise self._odd() from None
        if len(results) != len(statements):
            raise self._odd()
        if baton is not None:  # a stream was opened for us; it would be there for 10 seconds more
            await self._send({"baton": baton, "requests": [{"type": "close"}]})
        return results

    def _rows(self, result: dict[str, Any], columns: int) -> list[tuple[Arg | None, ...]]:
        if result["type"] == "error":
            said = self._excerpt(str(result["error"]["message"]))
            raise RemoteRefused(f"{self.url}: {said}")
        rows = result["response"]["result"]["rows"]
        found = [tuple(_meant(each) for each in row) for row in rows]
        if any(len(row) != columns for row in found):
            raise self._odd()
        return found

    async def _send(self, body: dict[str, object]) -> dict[str, Any]:
        if self._client is None:
            headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            # What the environment says of proxies counts; nobody else's certificates do.
            self._client = httpx.AsyncClient(headers=headers, timeout=self.patience)
        status, said = await self._answer(self._client, json.dumps(body).encode())
        if status in {401, 403}:
            how = "it refuses the token" if self.token else "it wants a token"
            raise RemoteRefused(f"{self.url}: {how} (HTTP {status})")
        if status != 200:
            text = f"{self.url}: HTTP {status}: {self._excerpt(said.decode(errors='replace'))}"
            is_later = status in {408, 425, 429} or status >= 500
            raise RemoteUnreachable(text) if is_later else RemoteRefused(text)
        try:
            found = json.loads(said)
        except (ValueError, RecursionError):
            raise self._odd() from None
        if not isinstance(found, dict):
            raise self._odd()
        return found

    async def _answer(self, client: httpx.AsyncClient, body: bytes) -> tuple[int, bytes]:
        """The status and the body of an answer; neither may go on for ever."""
        url = f"{self.url.rstrip('/')}/v2/pipeline"
        # As it is: what is compressed may be of any size, whatever comes.
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        whole = bytearray()
        try:
            with trio.move_on_after(self.patience * _DEADLINE) as cancel_scope:
                async with client.stream("POST", url, content=body, headers=headers) as answer:
                    async for piece in answer.aiter_raw():
                        whole += piece
                        if len(whole) > _LONGEST:
                            cancel_scope.cancel()  # raised here, it left generators open
                status, coding = answer.status_code, answer.headers.get("content-encoding")
        except httpx.InvalidURL as error:
            raise RemoteRefused(f"{self.url}: {error}") from None
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise RemoteUnreachable(f"{self.url}: it cannot be reached: {why}") from error
        if len(whole) > _LONGEST:
            raise RemoteDamaged(f"{self.url}: its answer has more than {_LONGEST >> 20} MiB")
        if cancel_scope.cancelled_caught:
            raise RemoteUnreachable(f"{self.url}: its answer comes too slowly")
        if coding not in {None, "identity"}:
            raise self._odd()
        return status, bytes(whole)

    def _excerpt(self, text: str) -> str:
        """What it says, on a line; the token is not told to others, whoever repeats it."""
        shown = text.replace(self.token, HIDDEN) if self.token else text
        return " ".join(shown.split())[:200]

    def _odd(self) -> RemoteDamaged:
        return RemoteDamaged(f"{self.url}: its answer is none of the Hrana protocol")

    def _id(self, said: Arg | None) -> ObjectId:
        if not isinstance(said, bytes) or len(said) != len(NO_ID):
            raise RemoteDamaged(f"{self.url}: an id of it is none")
        return ObjectId(said)


def _said(value: Arg) -> dict[str, str]:
    if isinstance(value, str):
        return {"type": "text", "value": value}
    return {"type": "blob", "base64": base64.b64encode(value).decode()}


def _meant(said: dict[str, Any]) -> Arg | None:
    match said["type"]:
        case "blob":
            text = said["base64"]
            return base64.b64decode(text + "=" * (-len(text) % 4))  # servers leave the padding out
        case "text":
            return str(said["value"])
        case _:
            return None


def _marks(some: Sequence[object]) -> str:
    return ", ".join("?" * len(some))


def _groups(pairs: Iterable[tuple[ObjectId, bytes]]) -> Iterable[list[tuple[ObjectId, bytes]]]:
    """Those that fit into a request together; one that fits into none goes alone."""
    group: list[tuple[ObjectId, bytes]] = []
    size = 0
    for pair in pairs:
        if group and (size + len(pair[1]) > MOST_BYTES or len(group) == _MOST_ROWS):
            yield group
            group, size = [], 0
        group.append(pair)
        size += len(pair[1])
    if group:
        yield group
