"""What the README says of commits: its example runs as it stands."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import trio

import runner

README = (Path(__file__).parents[3] / "README.md").read_text()


async def test_the_example_runs(project, repository, git, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = re.search(
        r"<!-- workspaces-commit -->\n```python\n(.*?)```\n<!-- /workspaces-commit -->",
        README,
        re.DOTALL,
    )
    assert found is not None
    code = compile(found[1], "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    known: dict[str, Any] = {"runner": runner, "project": project}
    with trio.fail_after(60):
        await eval(code, known)

    assert "two\n" == (repository / "src/a.py").read_text()
    assert "for me" == (repository / "notes.md").read_text()
    assert "three" == git(repository, "show", "agent/fix:src/a.py")
    assert "Fix a|In a branch." == git(repository, "log", "-1", "--format=%s|%b", "agent/fix")
    assert "path='notes.md'" in capsys.readouterr().out
    assert "three\n" == await (await project.get("imported")).read("src/a.py")
