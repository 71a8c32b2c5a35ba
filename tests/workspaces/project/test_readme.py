"""What the README says of workspaces: its examples run as they stand."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import trio

import runner
from runner.errors import HookVeto

README = (Path(__file__).parents[3] / "README.md").read_text()


def block(name: str) -> str:
    found = re.search(
        rf"<!-- {name} -->\n( *)```\w+\n(.*?)\n *```\n *<!-- /{name} -->", README, re.DOTALL
    )
    assert found is not None, name
    return textwrap.dedent(found[2])


def test_the_first_example_runs_by_itself(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block("workspaces")],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert "['A b.txt', 'D old.txt', 'A plan/a.txt']" in done.stdout


async def test_the_example_of_sync_runs(project, tmp_path, capsys):
    ws = await project.create("one", base="empty")
    other = await project.create("two", base="empty")
    await ws.write("a", "1")
    known: dict[str, Any] = {"runner": runner, "ws": ws, "other": other}
    text = block("sync").replace("/mnt/share/shop", f"{tmp_path}/share")
    code = compile(text, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with trio.fail_after(60):
        await eval(code, known)

    assert "synced\n" == capsys.readouterr().out
    assert "1" == await other.read("a")


async def test_the_second_example_runs(r, project, capsys):
    known: dict[str, Any] = {"trio": trio, "runner": runner, "r": r, "project": project}
    code = compile(
        block("workspaces-more"), "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    with trio.fail_after(60):
        await eval(code, known)
    said = capsys.readouterr().out
    ws = await project.get("feature")

    assert "hi.txt 3 None" in said
    assert "none None" in said
    assert "['copy', 'feature', 'from-nothing', 'from-snapshot']" in said
    assert "hi\n" == await ws.read("hi.txt")
    with pytest.raises(runner.Denied):
        await (await project.get("feature", permissions="read-only")).write("x", "y")
    await ws.write(".env", "SECRET=1")
    with pytest.raises(HookVeto):
        await ws.snapshots.create("with-secrets")
