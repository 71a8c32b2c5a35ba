"""Commands about projects: in this process, as a start of Python costs most; and the real command."""

from __future__ import annotations

import json
import os
from pathlib import Path

import attrs
import pytest

from runner.cli.app import run_command_line


@attrs.frozen
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str


@attrs.define
class InProcess:
    """Runs `runner` in this process, in the directory of a project."""

    cwd: Path
    outputs: pytest.CaptureFixture[str]

    def __call__(self, *args: str) -> Ended:
        self.outputs.readouterr()
        code = run_command_line(args)
        out, err = self.outputs.readouterr()
        return Ended(int(code), out, err)

    def json(self, *args: str, code: int = 0) -> list[dict[str, object]]:
        ended = self(*args, "--json")
        assert code == ended.code, ended.err
        return [json.loads(line) for line in ended.out.splitlines()]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> InProcess:
    """A directory with a few files, which is the current one; no project yet."""
    app = tmp_path / "app"
    (app / "src").mkdir(parents=True)
    (app / "src/a.py").write_text("one\n")
    (app / "b.txt").write_text("b\n")
    monkeypatch.chdir(app)
    (tmp_path / "state").mkdir()
    for name in ("RUNNER_CONFIG", "RUNNER_TRACEBACK", "PAGER", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return InProcess(app, capfd)


@pytest.fixture
def beside(runner, project: InProcess):
    """The real command in the same directory, with the same state."""
    runner.cwd = project.cwd
    (runner.home / "state").symlink_to(os.environ["XDG_STATE_HOME"])
    return runner
