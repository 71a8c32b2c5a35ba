"""Scopes for programs that are held inside, and who runs them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator

import attrs
import pytest
import trio

from runner.errors import ExecFailed
from runner.messages import Completed, Isolation
from runner.processes.host import ProcessHost

# As root we try both: what root does for programs, and what happens to everybody else.
# "program" is an ordinary user for whom the program bwrap has to make the namespaces.
USERS = ("ordinary", "program", "root") if os.geteuid() == 0 else ("ordinary", "program")
ENV = {"PATH": os.defpath, "HOME": "/home/somebody", "LANG": "C.UTF-8"}
BWRAP = Isolation(mode="bwrap", required=True)


@attrs.frozen
class Room:
    """A scope, and a host for programs in it."""

    host: ProcessHost
    base: str
    scope: str
    uid: int

    async def run(self, *argv: str, isolation: Isolation = BWRAP, **options: object) -> Completed:
        """Run a program in the scope; a line goes to the shell."""
        words = ("sh", "-c", *argv) if len(argv) == 1 else argv
        arguments = {"cwd": self.scope, "env": ENV, "timeout": 60.0, **options}
        return await self.host.run(words, isolation=isolation, **arguments)

    def path(self, name: str) -> str:
        return os.path.join(self.scope, name)


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def room(user, as_ordinary, by_program) -> AsyncIterator[Room]:
    """A room; skipped where there are no namespaces."""
    base = tempfile.mkdtemp(prefix="runner-isolation-")
    scope = os.path.join(base, "scope")
    os.mkdir(scope)
    host = ProcessHost()
    try:
        entered = {"ordinary": as_ordinary, "program": by_program}
        with entered.get(user, lambda: contextlib.nullcontext(0))() as uid:
            for path in (base, scope):
                os.chown(path, uid, -1 if uid == os.geteuid() else uid)
            try:
                await host.choose(BWRAP)
            except ExecFailed as error:
                pytest.skip(str(error))
            yield Room(host, base, scope, uid)
    finally:
        with trio.CancelScope(shield=True), trio.fail_after(20):
            await host.aclose()
        shutil.rmtree(base)


@pytest.fixture
def bwrap() -> Isolation:
    return BWRAP
