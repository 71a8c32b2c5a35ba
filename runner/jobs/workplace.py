"""Where attempts work, as `attempt` and `scheduler` see it, whatever that is.

    Directories   a directory in the output directory for each attempt, or one for all of them
    Workspaces    a workspace for each attempt, of the project on the batch's source

Protocols only: see directories.py and workspaces.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias

import attrs

from runner.messages.isolation import Decided
from runner.scopes.scope import Scope
from runner.sessions.turn import Turn

Stays: TypeAlias = Callable[[str, int], bool]  # of a job's attempt


@attrs.frozen(kw_only=True)
class Kept:
    """Where the files of an attempt stay.

    Attributes:
        path: relative to the output directory, or absolute.
        name: of the workspace; None = it is a directory and no more.
        project: the directory that it is a workspace of.
    """

    path: str
    name: str | None = None
    project: str | None = None


class Workplace(Protocol):
    """Where one attempt works."""

    @property
    def scope(self) -> Scope:
        """In which setup, agent and verify commands run."""
        ...

    @property
    def snapshots(self) -> Literal["turn"] | None:
        """Whether the end of each turn is to be a snapshot."""
        ...

    @property
    def is_compared(self) -> bool:
        """Whether a patch can be made of what is changed here."""
        ...

    async def before_setup(self) -> None:
        """The setup commands are about to run: what they do is not the agent's."""
        ...

    async def after_setup(self) -> None:
        """The setup commands have run, all to a good end."""
        ...

    async def write_patch(self, turns: Sequence[Turn]) -> bool:
        """Write what the turns have changed as the job's patch; whether there is one.

        Raises:
            OperationError, WorkspaceError, OSError: it could not be made.
        """
        ...


class Workplaces(Protocol):
    """Makes and removes the workplaces of one batch."""

    @property
    def is_shared(self) -> bool:
        """Whether all attempts work in one place, which is nobody's own."""
        ...

    async def make(self, job: str, attempt: int, decided: Decided) -> Workplace:
        """Make an attempt's workplace; what a cut one has left of it goes first.

        Args:
            job: its id.
            attempt: the attempt's number.
            decided: told what the network's proxy decides, if the isolation lists hosts.

        Raises:
            RunnerError, OSError: it could not be made.
        """
        ...

    async def keep(self, job: str, attempt: int) -> Kept | None:
        """An attempt has ended, and its workplace stays; None if it has none of its own."""
        ...

    async def drop(self, job: str, attempt: int) -> None:
        """Remove an attempt's own workplace.

        Raises:
            OSError, WorkspaceError: it could not be removed.
        """
        ...

    async def sweep(self, stays: Stays) -> None:
        """Remove what a run that was killed has left, but for what stays."""
        ...

    def close(self) -> None:
        """Remove what was kept for further use."""
        ...
