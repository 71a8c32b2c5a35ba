"""AgentFS's `workspace.audit`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator
from datetime import datetime
from typing import Any

from runner.asyncio import ASYNCIO
from runner.blocking import BLOCKING
from runner.compat.agentfs.houses import Place
from runner.compat.agentfs.twins import Twinned, both
from runner.compat.agentfs.words import AuditEntry
from runner.workspaces.audit import Audit as OurAudit
from runner.workspaces.audit_export import Format
from runner.workspaces.chain import Verified

# AgentFS's words ──► ours, which may be several.
_OURS = {
    "run": ["exec", "start"],  # the latter of one whose output is streamed
    "delete": ["remove", "delete"],
    "rename": ["move", "rename"],
}


class Audit(Twinned):
    """What was done in a workspace, or in all of a project."""

    def __init__(self, place: Place, audit: OurAudit) -> None:
        """Nothing happens yet."""
        self._place, self._audit = place, audit

    @both
    async def logs(
        self,
        *,
        operation: str | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        path: str | None = None,
        agent_id: str | None = None,
        session_id: str | None = None,
        limit: int | None = None,
    ) -> list[AuditEntry]:
        """The entries for which all of that holds, the oldest first.

        Args:
            operation: "write", "delete", "rename", "run", "snapshot", …
            from_time: not before then; without a time zone it is local time.
            to_time: before then.
            path: from "/"; with `*` a pattern.
            agent_id: who.
            session_id: who.
            limit: at most so many.
        """
        rows = await self._audit.logs(
            **_filters(operation, path, agent_id, session_id),
            from_time=from_time,
            to_time=to_time,
            limit=limit,
        )
        return [AuditEntry.of(each) for each in rows]

    @both
    async def export(
        self,
        path: str | os.PathLike[str],
        format: Format = "json",  # noqa: A002 - the word of AgentFS
        *,
        operation: str | None = None,
    ) -> int:
        """Write them to a file of this machine: "json", "jsonl" or "csv"; how many there are."""
        return await self._audit.export(path, format, **_filters(operation))

    @both
    async def verify(self) -> Verified:
        """Whether an entry of the project was edited, taken away, or put in."""
        return await self._audit.verify()

    def stream(
        self, *, operation: str | None = None, path: str | None = None
    ) -> Generator[AuditEntry, None, None]:
        """New entries as they come, for ever."""
        follow = self._audit.stream(**_filters(operation, path))
        with BLOCKING.give(follow, self._place.home) as rows:
            for row in rows:
                yield AuditEntry.of(row)

    async def stream_async(
        self, *, operation: str | None = None, path: str | None = None
    ) -> AsyncGenerator[AuditEntry, None]:
        """New entries as they come, for ever."""
        follow = self._audit.stream(**_filters(operation, path))
        async with ASYNCIO.give(follow, self._place.home) as rows:
            async for row in rows:
                yield AuditEntry.of(row)  # noqa: ASYNC119 - asyncio closes generators


def _filters(
    operation: str | None,
    path: str | None = None,
    agent: str | None = None,
    session: str | None = None,
) -> dict[str, Any]:
    return {
        "operation": None if operation is None else _OURS.get(operation, [operation]),
        "path": None if path is None else path.lstrip("/"),
        "agent": agent,
        "session": session,
    }
