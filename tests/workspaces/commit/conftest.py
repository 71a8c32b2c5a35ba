"""What the tests of commits share: git, and what of a repository is the user's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def base(base: Path) -> Path:
    """The project's directory, with documents."""
    (base / "docs").mkdir()
    (base / "docs/a.md").write_text("# a\n")
    return base


@pytest.fixture
def files():
    """All files of a directory but git's own, by their paths."""

    def look(top):
        found = {}
        for above, directories, names in os.walk(top):
            if ".git" in directories:
                directories.remove(".git")
            for name in names:
                path = Path(above, name)
                found[str(path.relative_to(top))] = (
                    os.readlink(path) if path.is_symlink() else path.read_text()
                )
        return found

    return look


@pytest.fixture(autouse=True)
def who(monkeypatch, tmp_path):
    """Nobody's configuration but ours."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("EMAIL", raising=False)
    for name in [each for each in os.environ if each.startswith(("GIT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (home / ".gitconfig").write_text(
        "[user]\n name = Some One\n email = some@one\n[init]\n defaultBranch = main\n"
    )
    return home


@pytest.fixture
def git():
    def run(where, *words, **options):
        done = subprocess.run(
            ["git", "-C", str(where), *words],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        return done.stdout.rstrip("\n")

    return run


@pytest.fixture
def repository(base, git):
    """The project's directory as a work tree, with one commit on `main`."""
    git(base, "init", "-q", "-b", "main")
    git(base, "add", ".")
    git(base, "commit", "-qm", "first")
    return base


@pytest.fixture
def untouched():
    """What of a work tree is the user's: its index, its HEAD, its files."""

    def look(top):
        found = {
            "index": (top / ".git/index").read_bytes(),
            "HEAD": (top / ".git/HEAD").read_text(),
        }
        for path in sorted(top.rglob("*")):
            inner = path.relative_to(top)
            if inner.parts[0] != ".git" and path.is_file():
                found[str(inner)] = (path.read_bytes(), path.stat().st_mtime_ns)
        return found

    return look
