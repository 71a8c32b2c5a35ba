"""Every code block of agent-backend's page for Python, with only the import line changed.

Not here: the two blocks with `RemoteFilesystemBackend` ("Timeouts", "Multi-tenant SaaS"), and the
shell commands of the project's own development.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import textwrap
from pathlib import Path

import pytest
import trio

from runner.compat import agent_backend

ENVIRONMENT = """
from agent_backend import ScopeConfig

scoped_backend = backend.scope("projects/my-app", ScopeConfig(
    env={
        "PYTHONPATH": "/workspace/lib",
        "API_KEY": "secret",
        "DATABASE_URL": "postgres://...",
    }
))

await scoped_backend.exec("python -m build")  # uses custom env
"""
LOGGING = """
from agent_backend import ConsoleOperationsLogger, ScopeConfig

scoped_backend = backend.scope("project", ScopeConfig(
    operations_logger=ConsoleOperationsLogger()
))

await scoped_backend.exec("pip install -r requirements.txt")
# Logs: [AgentBackend] exec: pip install -r requirements.txt
"""
BINARY = """
from agent_backend import ReadOptions

image_data = await backend.read("logo.png", ReadOptions(encoding="buffer"))
tarball = await backend.exec("tar -czf - .", ExecOptions(encoding="buffer"))
"""
SANDBOX = """
from agent_backend import LocalFilesystemBackend, LocalFilesystemBackendConfig, IsolationMode

sandbox = LocalFilesystemBackend(LocalFilesystemBackendConfig(
    root_dir="/tmp/agentbe-workspace",
    isolation=IsolationMode.AUTO,
))

user_code_backend = sandbox.scope(f"users/{user_id}")
await user_code_backend.write("script.py", untrusted_code)
result = await user_code_backend.exec("python script.py")
"""
STATE = """
from agent_backend import MemoryBackend

state = MemoryBackend()

await state.write("agents/agent1/current-task", "building")
await state.write("agents/agent1/progress", "50%")

all_agents = await state.list_keys("agents/")
"""
ERRORS = """
from agent_backend import BackendError, DangerousOperationError, PathEscapeError

try:
    await backend.exec("rm -rf /")
except DangerousOperationError as e:
    # Command blocked by safety validation
    print("Blocked:", e.operation)
except PathEscapeError:
    # Path attempted to escape scope
    pass
except BackendError as e:
    # General backend error (check e.code)
    print("Error:", e.code, str(e))
"""
FIXTURE = """
@pytest.fixture
def local_backend(tmp_workspace):
    config = LocalFilesystemBackendConfig(
        root_dir=tmp_workspace,
        prevent_dangerous=True,
    )
    return LocalFilesystemBackend(config)
"""


def main_of(block, names):
    """The block as a coroutine function that gives its names, with its import line changed."""
    code = block.replace("from agent_backend import", "from runner.compat.agent_backend import")
    body = textwrap.indent(code, "    ")
    source = f"async def main():\n{body}\n    return dict(locals())\n"
    exec(compile(source, "<the page>", "exec"), names)
    return names["main"]


@pytest.fixture
def backend(tmp_path):
    config = agent_backend.LocalFilesystemBackendConfig(
        root_dir=str(tmp_path / "root"), isolation=agent_backend.IsolationMode.NONE
    )
    made = agent_backend.LocalFilesystemBackend(config)
    yield made
    trio.run(made.destroy)


@pytest.fixture(autouse=True)
def python_in_the_path(monkeypatch):
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")


def test_environment_variables(run, backend, tmp_path):
    place = tmp_path / "root" / "projects" / "my-app"
    place.mkdir(parents=True)
    told = "import os; print(*(os.environ[n] for n in ('PYTHONPATH', 'API_KEY', 'DATABASE_URL')))"
    (place / "build.py").write_text(f"{told}; open('built', 'w').write(os.getcwd())")
    found = run(main_of(ENVIRONMENT, {"backend": backend}))

    async def more():
        command = "python -m build"
        return await found["scoped_backend"].exec(command), await backend.destroy()

    assert run(more) == ("/workspace/lib secret postgres://...", None)
    assert (place / "built").read_text() == str(place)


def test_operations_logging(run, backend, tmp_path, capsys):
    (tmp_path / "root" / "project").mkdir(parents=True)
    (tmp_path / "root" / "project" / "requirements.txt").write_text("")
    if shutil.which("pip") is None:
        pytest.skip("needs pip in the PATH: python -m ensurepip")
    run(main_of(LOGGING, {"backend": backend}))

    assert "/project] ✓ exec: pip install -r requirements.txt (" in capsys.readouterr().err


def test_binary_data(run, backend, tmp_path):
    picture = bytes(range(256)) * 100
    (tmp_path / "root" / "logo.png").write_bytes(picture)
    found = run(main_of(BINARY, {"backend": backend, "ExecOptions": agent_backend.ExecOptions}))

    assert found["image_data"] == picture
    assert found["tarball"].startswith(b"\x1f\x8b")


def test_code_execution_sandbox():
    place = Path("/tmp/agentbe-workspace")  # one test for trio and asyncio: there is one such place
    if place.exists():
        pytest.skip(f"{place} is somebody's, and the page names just this directory: remove it")
    code = "open('out', 'w').write('here'); print(sum(range(10)))"
    try:
        for run in (trio.run, lambda main: asyncio.run(main())):
            found = run(main_of(SANDBOX, {"user_id": "u1", "untrusted_code": code}))

            assert found["result"] == "45"
            assert (place / "users" / "u1" / "out").read_text() == "here"
            run(found["sandbox"].destroy)
            shutil.rmtree(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_agent_state_management(run):
    found = run(main_of(STATE, {}))

    assert found["all_agents"] == ["agents/agent1/current-task", "agents/agent1/progress"]


def test_error_handling(run, backend, capsys):
    run(main_of(ERRORS, {"backend": backend}))

    assert capsys.readouterr().out == "Blocked: rm -rf /\n"


def test_the_pages_own_fixture(tmp_path):
    names = {**vars(agent_backend), "pytest": pytest}
    exec(FIXTURE.replace("@pytest.fixture\n", ""), names)

    made = names["local_backend"](str(tmp_path))

    assert (made.root_dir, made.status) == (str(tmp_path), "connected")
