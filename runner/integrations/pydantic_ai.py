"""A scope as a Pydantic AI workspace. Needs the extra: `pip install 'trio-runner[pydantic-ai]'`.

    async with runner.asyncio.open_runner() as r:
        agent = Agent(model, capabilities=[ScopeCapability(r.scope("project"))])
        result = await agent.run("...")  # a tool finds it as its context's `workspace`

With `runner.blocking` it is `agent.run_sync`. (Under trio, Pydantic AI's workspaces work, but its
agents do not: they start tasks of asyncio.)

`ScopeWorkspace` is a `WorkspaceBackend` with commands, files and real paths. What that protocol
calls an environment is the scope's directory: the first operation of a fresh workspace makes it,
one that was made with a `ref` only finds it, and once it is gone every operation says so.

What differs from Pydantic AI's own local workspace: nothing reaches outside the scope by a path (a
PermissionError), writes replace a file whole, operations that overlap have an order, and of a
command that is ended by its timeout or by cancellation no process is left. What a command that ends
by itself leaves behind goes on, and ends with the scope.

What it does not do: isolate commands; give the scope an `Isolation` for that.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeVar

from pydantic_ai import RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.tools import AgentDepsT
from pydantic_ai.workspaces import (
    CommandResult,
    FileEntry,
    SupportsCommands,
    SupportsFilesystem,
    SupportsRealpath,
    WorkspaceBackend,
    WorkspaceCommand,
    WorkspaceRef,
    WorkspaceUnavailableError,
)

from runner import errors as e
from runner.integrations.carrier import Carrier
from runner.integrations.errnos import as_os_error
from runner.integrations.links import reach, reach_entry, realpath
from runner.integrations.workspace_answers import MAX_OUTPUT, entry_of, result_of
from runner.messages import Entry, FileStat, FileType
from runner.operations import Done

PROVIDER = "runner"
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as sh ends if there is no such program, or it is none

T = TypeVar("T")


class ScopeWorkspace(WorkspaceBackend, SupportsCommands, SupportsFilesystem, SupportsRealpath):
    """A scope as the environment of an agent's run; nothing happens before the first operation.

    Args:
        scope: where it works: of a runner in a trio program, or of one that was opened
            through `runner.blocking` or `runner.asyncio` in any other.
        ref: of an earlier workspace on the same directory: it must still be there.

    Raises:
        ValueError: the ref names another directory, or is another provider's.
    """

    def __init__(self, scope: Any, *, ref: WorkspaceRef | None = None) -> None:
        self._carrier = Carrier(scope)
        self._scope = self._carrier.scope
        self._ref = ref
        if ref not in (None, self.identity):
            raise ValueError(f"{ref} is not of this scope, whose workspace is {self.identity}")

    @property
    def identity(self) -> WorkspaceRef:
        """The ref that it has once its directory is known to be there."""
        return WorkspaceRef(provider=PROVIDER, id=self._scope.directory)

    @property
    def ref(self) -> WorkspaceRef | None:
        """The directory's name; None before the first operation of a fresh workspace."""
        return self._ref

    async def working_dir(self) -> str:
        """The scope's directory, its links resolved."""
        return await self._carrier.carry(self._root)

    # ------------------------------------------------------------ commands

    async def run(
        self,
        command: WorkspaceCommand,
        *,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command with an empty standard input; all of its output, or an error."""
        if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
            raise ValueError("timeout must be a positive finite number or None")
        if isinstance(command, str) != shell:
            raise TypeError("a string needs shell=True, and a sequence of arguments shell=False")
        return await self._carrier.carry(lambda: self._run(command, env or {}, timeout))

    async def _run(
        self, command: WorkspaceCommand, env: Mapping[str, str], timeout: float | None
    ) -> CommandResult:
        await self._root()
        ended: Done[bytes] | e.OperationError
        try:
            ended = await self._scope.exec(
                command,
                env=env,
                timeout=timeout,
                max_output=MAX_OUTPUT,
                encoding=None,
                leftover="keep",
            )
        except e.OperationError as error:
            ended = error
        await self._require_directory()  # gone meanwhile: then this is no regular end
        if isinstance(ended, e.ExecFailed):
            return await self._not_started(command, ended)
        if isinstance(ended, e.OperationError):
            raise as_os_error(ended, self._scope.directory, "other") from ended
        return result_of(ended, timeout)

    async def _not_started(self, command: WorkspaceCommand, error: e.ExecFailed) -> CommandResult:
        """The answer for a program that is not there, or that is none."""
        if isinstance(command, str):
            raise OSError(error.reason) from error
        # The shell finds out which; it looks the name up as we do.
        probe = 'command -v -- "$1" >/dev/null 2>&1 || [ -e "$1" ]'
        found = await self._scope.exec(["sh", "-c", probe, "sh", command[0]])
        code = NOT_EXECUTABLE if found.exit_code == 0 else NOT_FOUND
        return CommandResult(exit_code=code, stdout="", stderr=f"{command[0]}: {error.reason}\n")

    # ------------------------------------------------------------ files

    async def read_bytes(self, path: str) -> bytes:
        """A file's content."""
        return await self._on(path, lambda at: self._scope.read(at, encoding=None))

    async def write_bytes(self, path: str, data: bytes) -> None:
        """Replace a file's content whole, through a link if one stands there; parents are made."""
        await self._on(path, lambda at: self._scope.write(at, data), changes=True)

    async def stat(self, path: str) -> FileEntry:
        """What stands at a path, links followed."""
        status = await self._on(path, self._scope.stat)
        name = path.rstrip("/").rpartition("/")[2]
        return entry_of(name, path, status)

    async def list_dir(self, path: str) -> Sequence[FileEntry]:
        """The entries of a directory, sorted by name."""
        listing = await self._on(path, self._list_dir)
        top = path.rstrip("/")
        return [entry_of(name, f"{top}/{name}", status) for name, status in listing]

    async def make_dir(self, path: str) -> None:
        """Make a directory and its parents."""
        await self._on(path, self._scope.mkdir, changes=True)

    async def remove(self, path: str) -> None:
        """Remove a file, a link, or a directory with what is in it."""
        await self._carry(path, lambda: self._remove(path), changes=True)

    async def exists(self, path: str) -> bool:
        """Whether something stands at a path, links followed."""
        return await self._carry(path, lambda: self._exists(path))

    async def realpath(self, path: str) -> str:
        """Where a path leads when all links are followed."""
        return await self._carry(path, lambda: realpath(self._scope, path))

    async def _list_dir(self, path: str) -> list[tuple[str, FileStat | Entry | None]]:
        listing = await self._scope.ls(path, limit=1 << 62)
        return [(each.name, await self._followed(path, each)) for each in listing.entries]

    async def _followed(self, above: str, entry: Entry) -> FileStat | Entry | None:
        if entry.type != "link":
            return entry
        try:
            return await reach(self._scope, f"{above.rstrip('/')}/{entry.name}", self._scope.stat)
        except e.OperationError:  # it leads nowhere, in a circle or out
            return None

    async def _remove(self, path: str) -> None:
        target = path.rstrip("/") or "/"
        for top in (await self._scope.realpath("."), self._scope.directory):
            if top == target or top.startswith(target.rstrip("/") + "/"):
                raise ValueError("the working directory and those above it cannot be removed")
        await reach_entry(self._scope, path, lambda at: self._scope.remove(at, recursive=True))

    async def _exists(self, path: str) -> bool:
        try:
            return await reach(self._scope, path, self._scope.exists)
        except (e.PathEscapes, e.InvalidPath):
            return False

    # ------------------------------------------------------------ common to all

    async def _on(
        self, path: str, work: Callable[[str], Awaitable[T]], *, changes: bool = False
    ) -> T:
        """Have work carried out on what stands at a path, links followed."""
        return await self._carry(path, lambda: reach(self._scope, path, work), changes=changes)

    async def _carry(
        self, path: str, work: Callable[[], Awaitable[T]], *, changes: bool = False
    ) -> T:
        """Have work on a path carried out, its errors put in Python's own words."""
        if not path.startswith("/"):
            raise ValueError(f"a path must be absolute, not {path!r}")

        async def carried() -> T:
            if self._ref is None or changes:
                await self._root()
            try:
                return await work()
            except e.OperationError as error:
                failed = error
            except (e.SupervisorClosed, e.ActorGaveUp) as error:
                raise WorkspaceUnavailableError(str(error)) from error
            await self._require_directory()
            raise as_os_error(failed, path, await self._type_of(path)) from failed

        return await self._carrier.carry(carried)

    async def _root(self) -> str:
        """The directory's real path. It is made by the first operation, and never again."""
        if self._ref is None:
            try:
                await self._scope.mkdir(".")
            except e.OperationError as error:
                raise WorkspaceUnavailableError(str(error)) from error
            self._ref = self.identity
        await self._require_directory()
        return await self._scope.realpath(".")

    async def _require_directory(self) -> None:
        try:
            await self._scope.stat(".")
        except e.RunnerError as error:
            reason = f"the directory {self._scope.directory} cannot be used: {error}"
            raise WorkspaceUnavailableError(reason) from error

    async def _type_of(self, path: str) -> FileType | None:
        try:
            return (await reach(self._scope, path, self._scope.stat)).type
        except e.WrongType:
            return "other" if await self._exists(path) else None
        except e.OperationError:
            return None


@dataclass
class ScopeCapability(AbstractCapability[AgentDepsT]):
    """Gives an agent's runs a scope as their workspace; of another ref it knows nothing."""

    scope: Any
    _: KW_ONLY
    id: str | None = "runner_scope"

    def get_workspace(
        self, ctx: RunContext[AgentDepsT], *, ref: WorkspaceRef | None
    ) -> WorkspaceBackend | None:
        """A workspace on the scope; None if the ref is of another one."""
        fresh = ScopeWorkspace(self.scope)
        if ref is None:
            return fresh
        return ScopeWorkspace(self.scope, ref=ref) if ref == fresh.identity else None
