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
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import httpx  # noqa: ASYNC127 - what the extra "turso" installs

from runner.errors import RemoteDamaged, RemoteRefused, RemoteUnreachable
from runner.workspaces.objects import NO_ID, Object, ObjectId
from runner.workspaces.sync.remote import PATIENCE, lacking
from runner.workspaces.sync.wire import pack, unpack

MOST_BYTES = 700_000  # of blobs in a request; base64 makes a megabyte of them
_MOST_ROWS = 100

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
        return self._id(rows[0][0]) if rows else None

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
        rows = await self._one("select name from runner_refs", [])
        return tuple(sorted(str(name) for (name,) in rows))

    async def missing(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Which of them it does not have."""
        found: set[ObjectId] = set()
        wanted = list(dict.fromkeys(ids))
        for at in range(0, len(wanted), _MOST_ROWS):
            some = wanted[at : at + _MOST_ROWS]
            sql = f"select id from runner_objects where id in ({_marks(some)})"  # noqa: S608 - "?, ?" only
            found.update(self._id(row[0]) for row in await self._one(sql, some))
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
            for id_, data in await self._one(sql, some):
                if not isinstance(data, bytes):
                    raise RemoteDamaged(f"{self.url}: an object of it is no blob")
                found.append(unpack(self._id(id_), data))
        if {each.id for each in found} != {*ids}:
            raise lacking(ids, found)
        return found

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _one(self, sql: str, args: Sequence[Arg]) -> list[tuple[Arg | None, ...]]:
        return (await self._all([(sql, args)]))[0]

    async def _all(
        self, statements: Sequence[tuple[str, Sequence[Arg]]]
    ) -> list[list[tuple[Arg | None, ...]]]:
        """The rows of each statement."""
        requests = [
            {"type": "execute", "stmt": {"sql": sql, "args": [_said(each) for each in args]}}
            for sql, args in statements
        ]
        answer = await self._send({"baton": None, "requests": requests})
        try:
            results = [self._rows(each) for each in answer["results"]]
            baton = answer.get("baton")
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
            raise self._odd() from None
        if len(results) != len(statements):
            raise self._odd()
        if baton is not None:  # a stream was opened for us; it would be there for 10 seconds more
            await self._send({"baton": baton, "requests": [{"type": "close"}]})
        return results

    def _rows(self, result: dict[str, Any]) -> list[tuple[Arg | None, ...]]:
        if result["type"] == "error":
            said = str(result["error"]["message"])[:300]
            raise RemoteRefused(f"{self.url}: {said}")
        rows = result["response"]["result"]["rows"]
        return [tuple(_meant(each) for each in row) for row in rows]

    async def _send(self, body: dict[str, object]) -> dict[str, Any]:
        if self._client is None:
            headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            # What the environment says of proxies counts; nobody else's certificates do.
            self._client = httpx.AsyncClient(headers=headers, timeout=self.patience)
        url = f"{self.url.rstrip('/')}/v2/pipeline"
        try:
            answer = await self._client.post(url, json=body)
        except httpx.InvalidURL as error:
            raise RemoteRefused(f"{self.url}: {error}") from None
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise RemoteUnreachable(f"{self.url}: it cannot be reached: {why}") from error
        if answer.status_code in {401, 403}:
            how = "it refuses the token" if self.token else "it wants a token"
            raise RemoteRefused(f"{self.url}: {how} (HTTP {answer.status_code})")
        if answer.status_code in {408, 425, 429} or answer.status_code >= 500:
            raise RemoteUnreachable(f"{self.url}: HTTP {answer.status_code}: {_excerpt(answer)}")
        if answer.status_code != 200:
            raise RemoteRefused(f"{self.url}: HTTP {answer.status_code}: {_excerpt(answer)}")
        try:
            found = answer.json()
        except ValueError:
            raise self._odd() from None
        if not isinstance(found, dict):
            raise self._odd()
        return found

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


def _excerpt(answer: httpx.Response) -> str:
    return " ".join(answer.text.split())[:200]
