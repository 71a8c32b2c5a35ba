"""A scope as a Pydantic AI workspace: the framework's own suite, on trio and on asyncio, and ours."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio

import runner

pytest.importorskip(
    "pydantic_ai", reason="needs Pydantic AI: pip install 'trio-runner[pydantic-ai]'"
)

from pydantic_ai import Agent, RunContext
from pydantic_ai.models.test import TestModel
from pydantic_ai.workspaces import (
    Workspace,
    WorkspaceBackend,
    WorkspaceOutputLimitError,
    WorkspaceRef,
    WorkspaceUnavailableError,
)
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite

import runner.asyncio
from runner.integrations.pydantic_ai import ScopeCapability, ScopeWorkspace


class TestWorkspace(WorkspaceBackendSuite):
    """Pydantic AI's rules for workspaces: in the scope's own trio, and on asyncio by the bridge."""

    @pytest.fixture(params=["trio", "asyncio"])
    def anyio_backend(self, request):
        return request.param

    @pytest.fixture
    async def opened(self, anyio_backend, tmp_path) -> AsyncIterator[runner.Runner]:
        made = runner if anyio_backend == "trio" else runner.asyncio
        async with made.open_runner(state=tmp_path / "state") as r:
            yield r

    @pytest.fixture
    def backend(self, opened, tmp_path) -> WorkspaceBackend:
        return ScopeWorkspace(opened.scope(tmp_path / "work"))

    @pytest.fixture
    def fresh_backend(self, opened, tmp_path) -> Callable[[], WorkspaceBackend]:
        return lambda: ScopeWorkspace(opened.scope(tmp_path / "fresh"))

    @pytest.fixture
    def attach_backend(self, opened) -> Callable[[WorkspaceRef], WorkspaceBackend]:
        return lambda ref: ScopeWorkspace(opened.scope(ref.id), ref=ref)

    @pytest.fixture
    def destroy_environment(self) -> Callable[[WorkspaceBackend], Awaitable[None]]:
        async def destroy(backend: WorkspaceBackend) -> None:
            assert backend.ref is not None
            shutil.rmtree(backend.ref.id)

        return destroy


# ---------------------------------------------------------------- on trio, by ourselves


@pytest.fixture
async def scope(tmp_path) -> AsyncIterator[runner.Scope]:
    async with runner.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(tmp_path / "work")
        await scope.write("f", "text")
        yield scope


async def test_nothing_outside_is_reached(scope, tmp_path) -> None:
    workspace = ScopeWorkspace(scope)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "work" / "out").symlink_to("../secret")
    (tmp_path / "work" / "far").symlink_to(tmp_path / "secret")

    for path in ("secret", "work/out", "work/far", "work/../secret"):
        with pytest.raises(PermissionError):
            await workspace.read_bytes(f"{tmp_path}/{path}")
        with pytest.raises(PermissionError):
            await workspace.write_bytes(f"{tmp_path}/{path}", b"")
    assert not await workspace.exists(f"{tmp_path}/secret")
    entries = await workspace.list_dir(f"{tmp_path}/work")
    assert [(each.name, each.is_dir, each.size) for each in entries] == [
        ("f", False, 4),
        ("far", False, None),
        ("out", False, None),
    ]
    with pytest.raises(ValueError, match="absolute"):
        await workspace.read_bytes("f")
    assert (tmp_path / "secret").read_text() == "x"


async def test_absolute_links_to_places_inside_are_followed(scope) -> None:
    workspace, top = ScopeWorkspace(scope), scope.directory
    await scope.mkdir("d")
    await scope.exec(["ln", "-s", f"{top}/d", "link"])
    await scope.exec(["ln", "-s", f"{top}/a", "b"])
    await scope.exec(["ln", "-s", f"{top}/b", "a"])
    await workspace.write_bytes(f"{top}/link/new", b"1")

    assert await workspace.read_bytes(f"{top}/d/new") == b"1"
    assert await workspace.realpath(f"{top}/link/../link/new") == f"{top}/d/new"
    with pytest.raises(OSError, match="links"):
        await workspace.realpath(f"{top}/a")
    await workspace.remove(f"{top}/link")
    assert await scope.exists("d/new")


async def test_a_remove_goes_by_the_directory_above_and_takes_the_link(scope) -> None:
    workspace, top = ScopeWorkspace(scope), scope.directory
    await scope.mkdir("d/deep")
    await scope.exec(["ln", "-s", f"{top}/d", "link"])
    await workspace.remove(f"{top}/link/deep")

    assert (await scope.ls("d")).entries == ()


async def test_output_that_is_not_complete_is_an_error_with_its_beginning(scope) -> None:
    with pytest.raises(WorkspaceOutputLimitError) as caught:
        await ScopeWorkspace(scope).run(["head", "-c", "11000000", "/dev/zero"])

    assert (caught.value.limit, len(caught.value.stdout)) == (10 << 20, 64 << 10)


async def test_a_program_that_cannot_be_executed_ends_with_126(scope) -> None:
    workspace = ScopeWorkspace(scope)
    ended = [(await workspace.run([f"./{name}"])).exit_code for name in ("f", "missing")]

    assert ended == [126, 127]
    with pytest.raises(ValueError, match="timeout"):
        await workspace.run("true", shell=True, timeout=0)
    assert (await workspace.run("kill -9 $$", shell=True)).exit_code == 128 + 9


async def test_what_a_command_leaves_behind_ends_with_the_scope(tmp_path) -> None:
    async with runner.open_runner(state=tmp_path / "state") as r:
        workspace = ScopeWorkspace(r.scope(tmp_path / "work"))
        await workspace.run("setsid sleep 1000 >/dev/null 2>&1 & echo $! > pid", shell=True)
        pid = int(await workspace.read_bytes(f"{tmp_path}/work/pid"))
        assert os.path.exists(f"/proc/{pid}")

    assert not os.path.exists(f"/proc/{pid}")


async def test_a_ref_of_another_place_is_none_of_ours(scope) -> None:
    mine = ScopeWorkspace(scope).identity
    other = WorkspaceRef(provider="local", id=scope.directory)
    capability = ScopeCapability(scope)

    assert capability.get_workspace(None, ref=None).ref is None
    assert capability.get_workspace(None, ref=mine).ref == mine
    assert capability.get_workspace(None, ref=other) is None
    with pytest.raises(ValueError, match="not of this scope"):
        ScopeWorkspace(scope, ref=other)


async def test_after_its_runner_it_cannot_be_used(tmp_path) -> None:
    async with runner.open_runner(state=tmp_path / "state") as r:
        workspace = ScopeWorkspace(r.scope(tmp_path / "work"))
        await workspace.working_dir()

    with pytest.raises(WorkspaceUnavailableError):
        await workspace.run(["true"])
    with pytest.raises(WorkspaceUnavailableError):
        await workspace.read_bytes(f"{tmp_path}/work/f")


def test_a_scope_of_a_trio_program_says_what_asyncio_needs(tmp_path) -> None:
    async def main() -> None:
        async with runner.open_runner(state=tmp_path / "state") as r:
            workspace = ScopeWorkspace(r.scope(tmp_path))
            await trio.to_thread.run_sync(asyncio.run, workspace.working_dir())

    with pytest.raises(RuntimeError, match="runner.asyncio"):
        trio.run(main)


# ---------------------------------------------------------------- an agent that works there


def test_an_agents_tools_work_in_the_scope(tmp_path) -> None:
    async def write_notes(ctx: RunContext[None]) -> str:
        """Write the notes, and count them."""
        workspace = ctx.workspace
        assert isinstance(workspace, Workspace)
        await workspace.write_text("notes.txt", "one\ntwo\n")
        return (await workspace.run(["wc", "-l", "notes.txt"])).stdout

    async def main() -> None:
        async with runner.asyncio.open_runner(state=tmp_path / "state") as r:
            agent = Agent(
                TestModel(),
                tools=[write_notes],
                capabilities=[ScopeCapability(r.scope(tmp_path / "work"))],
            )
            done = await agent.run("write the notes")
            assert "2 notes.txt" in done.output

    asyncio.run(main())

    assert (tmp_path / "work" / "notes.txt").read_text() == "one\ntwo\n"
