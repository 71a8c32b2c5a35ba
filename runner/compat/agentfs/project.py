"""AgentFS's entry point: a project, its workspaces and hooks."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import platformdirs

from runner.compat.agentfs.config import Config
from runner.compat.agentfs.defaults import default_workspace
from runner.compat.agentfs.hooks import Hooks
from runner.compat.agentfs.houses import Place
from runner.compat.agentfs.rules import Rules, keep_rules
from runner.compat.agentfs.sdk import AgentFSOptions, directory_of
from runner.compat.agentfs.sdk_files import Filesystem
from runner.compat.agentfs.sdk_rows import KvStore, ToolCalls
from runner.compat.agentfs.twins import Block, Twinned, both
from runner.compat.agentfs.words import AgentFSError, Snapshot
from runner.compat.agentfs.workspace import Workspace, ruled
from runner.config import RunnerConfig, WorkspaceConfig
from runner.workspaces.records import SnapshotRecord, WayName
from runner.workspaces.workspace import Workspace as OurWorkspace


class Workspaces(Twinned):
    """The workspaces of a project: `AgentFS.workspace`."""

    def __init__(self, place: Place, config: Config) -> None:
        """Nothing happens yet."""
        self._place, self._config = place, config

    @both
    async def create(
        self,
        /,
        name: str,
        *,
        description: str = "",
        tags: Iterable[str] = (),
        tag: str | None = None,
        from_snapshot: str | None = None,
        from_workspace: str | None = None,
        base: str | os.PathLike[str] | None = None,
        ref: str | None = None,
        agent_id: str = "",
        read_only: bool = False,
        way: WayName | None = None,
        **rules: Any,
    ) -> Workspace:
        """Make a workspace.

        Args:
            name: unique in the project.
            description: for people.
            tags: for people and programs.
            tag: one more.
            from_snapshot: "workspace/snapshot", or a name that only one snapshot has.
            from_workspace: another workspace, as it is now.
            base: the directory that it is made from; None = the project's; "empty" = nothing.
            ref: a git ref of the base's repository.
            agent_id: on whose behalf.
            read_only: whether nothing is to be changed in it.
            way: how its files are made: "overlay", "reflink", "copy"; None = the fastest.
            rules: of its programs, as `Workspace.config` takes them: `network=False`, …

        Raises:
            ConfigError: a rule is not here, or cannot be used.
            WorkspaceExistsError: there is one of that name.
            SnapshotNotFoundError: there is no such snapshot, or there are several.
            WorkspaceNotFoundError: there is no such workspace to make it from.
            InvalidNameError: no workspace can have that name.
        """
        wanted = self._rules().changed(**rules)
        project = await self._place.project()
        most = self._config.setting("core.max_workspaces")
        if most is not None and len(await project.list()) >= most:
            raise AgentFSError(f"there are {most} workspaces: `core.max_workspaces` allows no more")
        made = await project.create(
            name,
            description=description,
            tags=(*tags, tag) if tag is not None else tags,
            base=base,
            ref=ref,
            snapshot=from_snapshot,
            workspace=from_workspace,
            way=way,
            read_only=read_only,
            agent_id=agent_id,
            **wanted.options(),
        )
        store = await project._shared.open()  # noqa: SLF001 - nobody else has such rules
        keep_rules(store, made.id, wanted)
        return self._workspace(made, wanted)

    @both
    async def get(self, name: str) -> Workspace:
        """One that is there.

        Raises:
            WorkspaceNotFoundError: there is none of that name.
        """
        project = await self._place.project()
        found = await project.get(name)
        return await ruled(self._place, project, found.record, self._config)

    @both
    async def list(self, *, tag: str | None = None) -> list[Workspace]:
        """All that are there, sorted by name; or those with a tag."""
        project = await self._place.project()
        return [
            await ruled(self._place, project, each, self._config)
            for each in await project.list()
            if tag is None or tag in each.tags
        ]

    @both
    async def exists(self, name: str) -> bool:
        """Whether there is one of that name."""
        return await (await self._place.project()).exists(name)

    @both
    async def rename(self, name: str, new: str) -> None:
        """Give one another name."""
        await (await self._place.project()).rename(name, new)

    @both
    async def delete(self, name: str, *, force: bool = False) -> None:
        """Delete one; its snapshots stay, and one of what it was last.

        Args:
            name: its name.
            force: whether changes may go that were not committed.

        Raises:
            WorkspaceNotFoundError: there is none of that name.
            UncommittedChangesError: there are such changes; nothing was done.
        """
        await (await self._place.project()).delete(name, force=force)

    def temp(
        self,
        name: str | None = None,
        *,
        from_snapshot: str | None = None,
        from_workspace: str | None = None,
        base: str | os.PathLike[str] | None = None,
    ) -> Block[Workspace]:
        """A workspace for as long as the block lasts; if its name is taken, it gets another."""
        how = {"snapshot": from_snapshot, "workspace": from_workspace, "base": base}
        return Block(self._place, partial(self._temp, name, how))

    @asynccontextmanager
    async def _temp(self, name: str | None, how: dict[str, Any]) -> AsyncGenerator[Workspace, None]:
        project = await self._place.project()
        rules = self._rules()
        async with project.temp(name, **how, **rules.options()) as made:
            yield self._workspace(made, rules)

    def _rules(self) -> Rules:
        """Those that hold if nobody says otherwise."""
        return Rules(sandbox=bool(self._config.setting("security.sandbox_execution")))

    def _workspace(self, workspace: OurWorkspace, rules: Rules) -> Workspace:
        return Workspace(self._place, workspace, self._config, rules)


class AgentFS(Twinned):
    """A directory whose workspaces have a history. Nothing happens before it is used.

    It is closed by `close`, at the end of `with`, when nobody has it any more, or with the program.

    Args:
        base_path: the directory; None = AGENTFS_BASE, `core.default_base`, or the current one.
        config: see `Config`; None = what the files and variables say that it names.

    Attributes:
        path: the directory.
        config: the options.
        hooks: what is told, or asked, when something is done.
    """

    _base: str | None = None  # what the workspace of `fs` is made from
    _imported: str | None = None  # a database of agentfs-sdk's, likewise

    def __init__(
        self,
        base_path: str | os.PathLike[str] | None = None,
        config: Config | Mapping[str, Any] | None = None,
        *,
        state: str | os.PathLike[str] | None = None,
    ) -> None:
        """Nothing happens yet; the state is where a runner of ours keeps it."""
        given = os.environ.get("AGENTFS_BASE") if base_path is None else os.fspath(base_path)
        if config is None:
            config = Config.found(given or ".")
        self.config = config if isinstance(config, Config) else Config(config)
        setting = self.config.setting
        self.path = os.path.abspath(Path(given or setting("core.default_base") or ".").expanduser())
        store = setting("storage.database_path")
        is_audited = setting("audit_enabled", "core.audit_enabled") is not False
        options = RunnerConfig(workspace=WorkspaceConfig(audit=is_audited))
        where = os.path.abspath(state or platformdirs.user_state_path("runner"))
        kept = os.path.abspath(Path(store).expanduser()) if store else None
        self._place = Place(self.path, kept, (options, where))
        self.hooks = Hooks(partial(_given, weakref.ref(self._place), self.config))
        self._place.prepared = self.hooks.put_on

    @property
    def workspace(self) -> Workspaces:
        """Its workspaces."""
        return Workspaces(self._place, self.config)

    # ------------------------------------------------------------ as agentfs-sdk has it

    @staticmethod
    async def open(options: AgentFSOptions) -> OpenedAgentFS:
        """A place of its own with files, values and tool calls, as agentfs-sdk's.

        If there is a database of agentfs-sdk's, what it has is taken over the first time, into the
        directory `….runner` beside it; it stays as it is, and what is written to it later is not
        seen.

        Raises:
            ValueError: there is neither an id nor a path, or the id cannot be one.
            AgentFSError: a file that is there is no such database.
        """
        made = OpenedAgentFS(options)
        await made._default_async()  # noqa: SLF001 - of the same class
        return made

    @cached_property
    def fs(self) -> Filesystem:
        """The files of the workspace "default", or AGENTFS_WORKSPACE; it is made if need be."""
        made = partial(default_workspace, self._place, self._base, self._imported)
        return Filesystem(self._place, made)

    @cached_property
    def kv(self) -> KvStore:
        """Values by key."""
        return KvStore(self._place)

    @cached_property
    def tools(self) -> ToolCalls:
        """Calls of tools."""
        return ToolCalls(self._place)

    @both
    async def _default(self) -> None:
        await default_workspace(self._place, self._base, self._imported)

    # ------------------------------------------------------------ its end

    def close(self) -> None:
        """End what it runs; it may be used again, with workspaces that are got anew."""
        self._place.close()

    async def close_async(self) -> None:
        """The same."""
        await self._place.close_in_asyncio()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._place.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close_async()  # noqa: ASYNC102 - of asyncio

    def __repr__(self) -> str:
        return f"<AgentFS {self.path!r}>"


class OpenedAgentFS(AgentFS):
    """What `AgentFS.open` gives: a directory with all that it keeps, for asyncio."""

    _base: str | None = "empty"

    def __init__(self, options: AgentFSOptions) -> None:
        """Make the directory."""
        directory, self._imported = directory_of(options)
        base = os.path.join(directory, "base")
        os.makedirs(base, exist_ok=True)
        super().__init__(base, {"storage": {"database_path": os.path.join(directory, "store")}})

    async def close(self) -> None:  # type: ignore[override]  # agentfs-sdk's is awaited
        """End what it runs."""
        await self.close_async()


def _given(place: weakref.ref[Place], config: Config, value: object) -> object:
    """What a hook of AgentFS's gets for an argument of ours."""
    here = place()
    if isinstance(value, OurWorkspace) and here is not None:
        return Workspace(here, value, config)
    return Snapshot.of(value) if isinstance(value, SnapshotRecord) else value
