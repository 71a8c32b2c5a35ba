"""Every code block of AgentFS's Python page, as it stands, with another import line."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import runner.compat.agentfs as ours
from runner.compat.agentfs import AgentFS

PAGE = (Path(__file__).parent / "agentfs_python.txt").read_text()
SOURCE = Path(__file__).read_text()
BLOCKS = dict(re.findall(r"\n#+ ([^\n]+)\n+```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A home and a state directory of the test's own, and no variables of AgentFS's."""
    for name, inner in (("HOME", "home"), ("XDG_STATE_HOME", "state")):
        (tmp_path / inner).mkdir()
        monkeypatch.setenv(name, str(tmp_path / inner))
    for name in ("CONFIG", "BASE", "WORKSPACE", "PROFILE"):
        monkeypatch.delenv(f"AGENTFS_{name}", raising=False)
    monkeypatch.delenv("TURSO_TOKEN", raising=False)
    return tmp_path


@pytest.fixture
def base(tmp_path):
    """What stands at /path/to/project."""
    path = tmp_path / "project"
    for name, text in {
        "script.py": "import os; print(os.environ['API_KEY'], os.environ['DEBUG'])",
        "src/Makefile": "test:\n\t@echo tested in `basename $$PWD`\n",
        "src/old.txt": "old\n",
        "src/temp.txt": "temp\n",
        "src/main.py": "print(1)\n",
        "path/to/file.txt": "there\n",
        "file.txt": "f\n",
        "large-file.bin": "x" * 20_000,
        "old-file.txt": "old\n",
        "README.md": "# one\n",
        "docs/a/guide.txt": "guide\n",
        "long-running-task": "#!/bin/sh\necho done",
        "build.sh": "#!/bin/sh\necho one\necho two\n",
        "task.sh": "#!/bin/sh\necho task > task.txt\n",
        "risky-operation.sh": "#!/bin/sh\nrm -r src; echo risk > risk.txt\n",
    }.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
        if text.startswith("#!"):
            (path / name).chmod(0o755)
    return path


@pytest.fixture
def afs(base):
    with AgentFS(base) as afs:
        yield afs


@pytest.fixture
def workspace(afs):
    return afs.workspace.create("work", description="for tests")


@pytest.fixture
def run(base, tmp_path, capsys):
    """Runs a block with names and other texts; gives what it made, and what it printed."""

    def run(section: str, *texts: tuple[str, str], **names: Any) -> tuple[dict[str, Any], str]:
        code = BLOCKS[section].replace("from agentfs", "from runner.compat.agentfs")
        for old, new in (("/path/to/project", str(base)), *texts):
            assert old in code or old == "/path/to/project", old
            code = code.replace(old, new)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        made = eval(compile(code, section, "exec", flags=flags), names)
        if made is not None:
            asyncio.run(made)
        return names, capsys.readouterr().out

    return run


def test_each_block_is_run_here():
    assert 19 == len(BLOCKS) == PAGE.count("```python")
    used = {*re.findall(r'(?<![.\w])run\(\s*"([^"]+)"|BLOCKS\["([^"]+)"', SOURCE)}
    assert {*BLOCKS} == {"".join(each) for each in used}


def test_quick_start(run, afs):
    found, out = run("Quick Start")

    assert "Hello from AgentFS\n\n" == out
    assert "my-workspace" == found["workspace"].name


def test_initializing(run, base):
    found, _ = run("AgentFS")

    assert (str(base), 256) == (found["afs"].path, found["afs"].config.cache_size)


def test_workspaces(run, afs):
    with afs.workspace.temp("before") as before:
        before.snapshot.create("checkpoint-v1")
    again = 'create(\n    "my-workspace",\n    from'
    found, out = run("Workspace", (again, again.replace("my-", "another-")), afs=afs)

    assert ["another-workspace: ", "my-workspace: "] == out.splitlines()
    assert "my-workspace" == found["workspace"].name
    assert not found["workspace"].exists()
    assert ["another-workspace"] == [each.name for each in afs.workspace.list()]


def test_running_commands(run, workspace):
    found, out = run("Running Commands", workspace=workspace)

    assert "0" == out.splitlines()[0]
    assert "README.md" in out
    assert out.endswith("\none\ntwo\n")
    assert ("done\n", "", 0) == (
        found["result"].stdout,
        found["result"].stderr,
        found["result"].returncode,
    )


def test_file_operations(run, workspace):
    # It asks for the status of the file that it has just deleted.
    gone = ('delete("/path/to/file.txt")', 'delete("/docs/a/guide.txt")')
    found, out = run("File Operations", gone, workspace=workspace)

    assert "there\n" == found["content"]
    assert "File exists\n" in out
    assert "main.py (9 bytes)\n" in out
    assert "Size: 13, Modified: " in out
    assert ["Makefile", "main.py", "new.txt", "old.txt"] == [
        each.name for each in workspace.list_dir("/src")
    ]
    assert "temp\n" == workspace.read_file("/dst/final.txt")
    assert not workspace.exists("/docs/a/guide.txt")


def test_snapshots(run, workspace):
    for name in ("checkpoint-v1", "checkpoint-v2"):
        workspace.write_file(f"/{name}.txt", name)
        workspace.snapshot.create(name)
    workspace.write_file("/kept.txt", "kept")
    found, out = run("Snapshots", workspace=workspace)

    assert ["checkpoint-v1", "checkpoint-v2", "checkpoint"] == [
        each.name for each in found["snapshots"]
    ]
    assert "Before major refactor" == found["snapshot"].description
    assert "checkpoint: 20" in out
    assert out.endswith("added: checkpoint-v2.txt\n")
    assert ["checkpoint-v1", "checkpoint-v2"] == [s.name for s in workspace.snapshot.list()]


def test_status_and_diff(run, workspace):
    workspace.snapshot.create("checkpoint")
    workspace.write_file("/file.txt", "g\n")
    workspace.write_file("/new.txt", "n\n")
    workspace.delete("/old-file.txt")
    found, out = run("Status and Diff", workspace=workspace)

    assert out.startswith("Modified: file.txt\nAdded: new.txt\nDeleted: old-file.txt\n")
    assert "-f\n+g\n" in out
    assert 3 == len(found["diff"])


def test_commit(run, workspace, base):
    """Each commit finds something to do."""
    texts = [
        (f"# {line}", f"workspace.write_file('/{path}', '{path}')")
        for line, path in {
            "Commit all changes": "all.txt",
            "Commit with author": "author.txt",
            "Commit specific files": "docs/b.md",
            "Dry run": "dry.txt",
        }.items()
    ]
    _, out = run("Commit", *texts, workspace=workspace)

    assert "Would commit 1 files\n" == out
    assert "author.txt" == (base / "author.txt").read_text()
    assert "docs/b.md" == (base / "docs/b.md").read_text()
    assert not (base / "dry.txt").exists()
    assert ["dry.txt"] == [each.path for each in workspace.status().added]


def test_audit_logging(run, workspace, tmp_path):
    workspace.write_file("/src/main.py", "print(2)\n")
    workspace.run("true")
    found, out = run("Audit Logging", ("/path/to/audit", f"{tmp_path}/audit"), workspace=workspace)

    assert ["write"] == [each.operation for each in found["logs"]]
    assert out.endswith(": write /src/main.py\n  Size: 9\n")
    assert {"write", "exec"} <= {
        each["operation"] for each in json.loads((tmp_path / "audit.json").read_text())
    }


def test_cloud_sync(run, workspace, turso):
    found, out = run("Cloud Sync", ("libsql://mydb-org.turso.io", turso()), workspace=workspace)

    assert found["status"].last_sync is not None
    assert out.endswith("Pending changes: 0\n")
    assert "off" == workspace.sync.status().state


def test_configuration(run, tmp_path):
    (tmp_path / "config.toml").write_text("[sync]\ninterval = 7\n[core]\naudit_enabled = false\n")
    found, _ = run(
        "Configuration",
        ("/path/to/config.toml", f"{tmp_path}/config.toml"),
        AgentFS=AgentFS,
    )

    config = found["afs"].config
    assert (512, True, "periodic", 300) == (
        config.cache_size,
        config["audit_enabled"],
        config.sync.default_mode,
        config["sync"]["interval"],
    )


def test_event_hooks(run, afs, capsys):
    told = []
    run("Event Hooks", afs=afs, send_notification=told.append)
    first = afs.workspace.create("first")
    first.write_file("/file.txt", "g\n")
    first.commit("why")

    assert "Created workspace: first\nCommitted: why\n" == capsys.readouterr().out
    assert ["Workspace first created"] == told
    assert "on_workspace_create" == afs.hooks.on_workspace_create.__name__
    assert "on_commit" == afs.hooks.on_commit.__name__


def test_error_handling(run, afs):
    afs.workspace.create("existing-workspace")
    _, out = run("Error Handling", afs=afs)

    assert ["Workspace already exists", "Snapshot not found"] == out.splitlines()[:2]
    assert "Sync failed: " in out
    assert "Conflict" not in out


def test_batch_operations(run, workspace):
    names = {"files": ["/file1.txt", "/nope"], "process_file": workspace.read_file}
    _, out = run("Batch Operations", workspace=workspace, **names)

    assert "Processed: /file1.txt\nProcessed: /nope\n" == out
    assert "content2" == workspace.read_file("/file2.txt")
    assert not workspace.exists("/old-file.txt")


def test_streaming(run, workspace):
    chunks: list[bytes] = []
    _, out = run("Streaming", workspace=workspace, process_chunk=chunks.append)

    assert [8192, 8192, 3616] == [len(each) for each in chunks]
    assert "one\ntwo\n" == out


def test_context_managers(run, afs, workspace):
    code = ("with workspace.snapshot", "workspace = kept\nwith workspace.snapshot")
    found, _ = run("Context Managers", code, afs=afs, kept=workspace, success=False)

    assert ["work"] == [each.name for each in afs.workspace.list()]
    assert workspace.exists("/src/main.py")
    assert not workspace.exists("/risk.txt")
    assert [] == workspace.snapshot.list()
    assert found["snapshot"].name not in [s.name for s in workspace.snapshot.list(all=True)]


def test_testing(place):
    code = BLOCKS["Testing"].replace("from agentfs", "from runner.compat.agentfs")
    (place / "tests").mkdir()
    (place / "tests" / "test_page.py").write_text(code)
    argv = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider"]
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "COVERAGE_"))}
    done = subprocess.run(
        [*argv, "-W", "error", f"--basetemp={place / 'base'}", str(place / "tests")],
        cwd=place,
        env={**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, True) == (done.returncode, "4 passed" in done.stdout), done.stdout + done.stderr


def test_type_hints(run, workspace):
    found, _ = run("Type Hints")

    assert found["create_snapshot"](workspace, "nothing") is None
    workspace.write_file("/file.txt", "g\n")
    assert ["file.txt"] == found["process_workspace"](workspace)
    assert isinstance(found["create_snapshot"](workspace, "something"), ours.Snapshot)


def test_async_support(run, place, monkeypatch):
    """A push needs a remote: here the configuration's."""
    (place / "config.toml").write_text(f'[sync]\nurl = "file://{place}/remote"\n')
    monkeypatch.setenv("AGENTFS_CONFIG", str(place / "config.toml"))
    run("Async Support")

    assert list((place / "remote").iterdir())
