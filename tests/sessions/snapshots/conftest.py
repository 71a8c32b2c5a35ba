"""What the tests of sessions in workspaces share: a runner, a project, a session in a workspace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runner.runner import Runner
from runner.runtime import open_runner
from runner.sessions.session import Session
from runner.testing.scripted import ScriptedAgent
from runner.workspaces.project import Project
from runner.workspaces.workspace import Workspace


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "app"
    (path / "src").mkdir(parents=True)
    (path / "src/a.txt").write_text("as it was\n")
    return path


@pytest.fixture
async def r(state: Path) -> AsyncIterator[Runner]:
    async with open_runner(state=state) as opened:
        yield opened


@pytest.fixture
def project(r: Runner, base: Path) -> Project:
    return r.project(base)


@pytest.fixture
async def ws(project: Project) -> Workspace:
    return await project.create("ws", way="copy")


@pytest.fixture
def make(r: Runner, ws: Workspace) -> Callable[..., Session]:
    def make(where: object = None, **options: object) -> Session:
        options.setdefault("id", "mine")
        options.setdefault("snapshots", "turn")
        return r.session(where or ws, options.pop("agent", None) or ScriptedAgent(), **options)

    return make


@pytest.fixture
def text(ws: Workspace) -> Callable[..., str]:
    """What a file of the live tree says; empty if it is not there."""

    def read(name: str = "src/a.txt", directory: str = "") -> str:
        path = Path(directory or ws.path, name)
        return path.read_text() if path.exists() else ""

    return read
