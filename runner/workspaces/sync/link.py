"""The way to a remote: opened at the first use, closed when something is wrong, opened again.

It is that of the URL and the token which are written down: if another process says others, it is
closed. A token that was given as text is known here only, and only for what it was given for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs
import trio

from runner.agents.secret import Secret
from runner.errors import RunnerError
from runner.workspaces.sync.remote import Remote
from runner.workspaces.sync.settings import Settings

LEAVING = 5.0  # seconds to close connections


@attrs.define(eq=False)
class Link:
    """The way to a remote.

    Attributes:
        connect: the remote of settings, with a token as text or "" to look it up; not open yet.
            Whoever has the workspace has it alone, with what it keeps beside the store.
    """

    connect: Callable[[Settings, str], Awaitable[Remote]]
    _token: str = attrs.field(default="", repr=False)
    _where: tuple[str, Secret | None] = ("", None)
    _remote: Remote | None = None

    async def begin(self, settings: Settings, token: str) -> None:
        """Open the way to another remote, or with another token; there is none if that fails."""
        await self.close()
        self._remote = await self._opened(settings, token)
        self._token, self._where = token, (settings.url, settings.token)

    async def remote(self, settings: Settings) -> Remote:
        """The remote, open."""
        where = (settings.url, settings.token)
        if where != self._where:
            await self.close()
            self._token, self._where = "", where
        if self._remote is None:
            self._remote = await self._opened(settings, self._token)
        return self._remote

    async def close(self) -> None:
        """Let go of connections; the next use opens them again."""
        remote, self._remote = self._remote, None
        if remote is not None:
            with suppress(RunnerError):
                await remote.aclose()

    async def _opened(self, settings: Settings, token: str) -> Remote:
        remote = await self.connect(settings, token)
        try:
            await remote.open()
        except BaseException:
            with trio.move_on_after(LEAVING, shield=True):
                await remote.aclose()
            raise
        return remote
