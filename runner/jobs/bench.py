"""What jobs need of the layers below: scopes, sessions, projects. `runner.Runner` is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from runner.agents.driver import Agent, McpServer
from runner.messages import InForce, Isolation
from runner.messages.isolation import Decided
from runner.scopes.scope import Scope
from runner.sessions.builds import Build
from runner.sessions.session import Session
from runner.workspaces.project import Project


class Bench(Protocol):
    """Where jobs get what they work with."""

    def scope(
        self,
        path: str,
        *,
        env: Mapping[str, str] | None = None,
        isolation: Isolation | None = None,
        decided: Decided | None = None,
    ) -> Scope:
        """A scope on a directory; nothing happens before its first operation."""
        ...

    def project(self, path: str) -> Project:
        """The project on a directory; nothing happens before its first use.

        Raises:
            ConfigError: its store would lie inside it.
        """
        ...

    async def try_isolation(self, isolation: Isolation) -> InForce:
        """What is in force for a program when this is asked for; ExecFailed if it cannot be had."""
        ...

    async def build_of(
        self,
        agent: Agent,
        directory: str,
        *,
        env: Mapping[str, str],
        isolation: Isolation | None,
    ) -> Build | None:
        """The build of an agent's program, as it is now; None if it is not known."""
        ...

    def session(
        self,
        scope: Scope,
        agent: Agent,
        *,
        id: str | None = None,  # noqa: A002  # the session's own word
        timeout: float | None = None,
        silence: float | None = None,
        max_park: float | None = None,
        ignore: Sequence[str] = (),
        watch: bool = True,
        servers: Sequence[McpServer] = (),
        durable: bool = True,
        snapshots: Literal["turn"] | None = None,
    ) -> Session:
        """A session with an agent in the directory of a scope."""
        ...
