"""Live trees of git refs: what is in the commit, and the repository as it was."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from runner.errors import WorkspaceError
from runner.processes.host import ProcessHost
from runner.workspaces import git_tree
from runner.workspaces.git_tree import find_revision, make_of_git

if shutil.which("git") is None:
    pytest.skip("needs git: apt-get install git", allow_module_level=True)

HOOKS = ("post-checkout", "post-index-change", "pre-commit", "post-commit")


def git(directory: Path, *words: str) -> str:
    names = ("-c", "user.name=n", "-c", "user.email=n@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *names, "-C", str(directory), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits, hooks, and work under way."""
    top = tmp_path / "repository"
    top.mkdir()
    git(top, "init", "-q")
    (top / "d").mkdir()
    (top / "d" / "file").write_text("first")
    (top / "program").write_text("#!/bin/sh\n")
    (top / "program").chmod(0o755)
    (top / "link").symlink_to("d/file")
    Path(os.fsdecode(os.fsencode(top) + b"/bad\xff\n")).write_bytes(b"\xff")
    (top / ".gitattributes").write_text("*.crlf text eol=crlf\n")
    (top / "lines.crlf").write_bytes(b"a\r\nb\r\n")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "first")
    git(top, "tag", "-a", "v1", "-m", "tag")
    (top / "d" / "file").write_text("second")
    git(top, "commit", "-q", "-a", "-m", "second")
    (top / "d" / "file").write_text("under way")
    (top / "staged").write_text("s")
    (top / "untracked").write_text("u")
    git(top, "add", "staged")
    for name in HOOKS:
        hook = top / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} >> '{tmp_path}/hooks-that-ran'\n")
        hook.chmod(0o755)
    git(top, "config", "core.splitIndex", "true")
    git(top, "config", "core.fsmonitor", f"{tmp_path}/no-such-program")
    return top


@pytest.fixture
async def host() -> AsyncIterator[ProcessHost]:
    host = ProcessHost()
    yield host
    with trio.fail_after(20):
        await host.aclose()


def contents(top: Path) -> dict[str, tuple[float, bytes]]:
    return {
        str(path.relative_to(top)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in top.rglob("*")
        if path.is_file()
    }


async def test_a_tree_has_what_the_ref_has_and_the_repository_is_as_it_was(
    host: ProcessHost, repository: Path, tmp_path: Path
) -> None:
    before = contents(repository)
    revision = await find_revision(host, str(repository / "d"), "v1")
    made = await make_of_git(host, revision, str(tmp_path / "ws" / "one"))
    tree = Path(made.tree)

    assert revision.commit == git(repository, "-c", "core.fsmonitor=", "rev-parse", "v1^{commit}")
    assert (made.way, made.tree) == ("copy", f"{tmp_path}/ws/one/tree")
    assert revision.commit[:12] in made.why
    assert sorted(os.listdir(os.fsencode(tree))) == [
        *(b".gitattributes", b"bad\xff\n", b"d", b"lines.crlf", b"link", b"program")
    ]
    assert (tree / "d" / "file").read_text() == "first"
    assert (tree / "lines.crlf").read_bytes() == b"a\r\nb\r\n"
    assert os.readlink(tree / "link") == "d/file"
    assert os.access(tree / "program", os.X_OK)
    assert contents(repository) == before
    assert os.listdir(tmp_path / "ws" / "one") == ["tree"]
    assert not (tmp_path / "hooks-that-ran").exists()


async def test_a_branch_a_commit_and_a_bare_repository_are_taken(
    host: ProcessHost, repository: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.git"
    git(repository, "-c", "core.fsmonitor=", "clone", "-q", "--bare", str(repository), str(bare))
    commit = git(bare, "rev-parse", "main")
    for number, (where, ref) in enumerate(
        ((repository, "main"), (repository, commit[:10]), (bare, "main"), (bare, "HEAD~1"))
    ):
        revision = await find_revision(host, str(where), ref)
        made = await make_of_git(host, revision, str(tmp_path / "ws" / str(number)))
        wanted = "first" if "~" in ref else "second"
        assert Path(made.tree, "d", "file").read_text() == wanted


@pytest.mark.parametrize(
    ("ref", "why"),
    [
        *(("nowhere", "git finds no 'nowhere' in it"), ("", "is no git ref")),
        *(("--all", "git finds no '--all'"), ("a\nb", "is no git ref")),
        *(("v1:d", "git finds no 'v1:d'"), ("a\0", "is no git ref")),
    ],
)
async def test_a_ref_that_is_none_is_an_error_that_says_so(
    host: ProcessHost, repository: Path, ref: str, why: str
) -> None:
    with pytest.raises(WorkspaceError, match=why):
        await find_revision(host, str(repository), ref)


async def test_where_there_is_no_repository_or_no_git_it_is_said(
    host: ProcessHost, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(WorkspaceError, match=r"finds no repository \('.*plain'\): .*not a git rep"):
        await find_revision(host, str(tmp_path / "plain"), "main")
    with pytest.raises(WorkspaceError, match="git cannot be run in .*: its working directory"):
        await find_revision(host, str(tmp_path / "nowhere"), "main")
    revision = await find_revision(host, str(repository), "main")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkspaceError, match="needs the program git"):
        await make_of_git(host, revision, str(tmp_path / "ws" / "one"))

    assert os.listdir(tmp_path / "ws" / "one") == []


async def test_what_cannot_be_made_leaves_nothing(
    host: ProcessHost, repository: Path, tmp_path: Path
) -> None:
    revision = await find_revision(host, str(repository), "main")
    with pytest.raises(WorkspaceError, match="would lie in its base"):
        await make_of_git(host, revision, str(repository / "ws" / "one"))
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="cannot be made: .*Not a directory"):
        await make_of_git(host, revision, str(tmp_path / "file" / "one"))
    gone = git_tree.Revision(
        repository=revision.repository, directory=revision.directory, commit="0" * 40
    )
    with pytest.raises(WorkspaceError, match="git cannot check it out"):
        await make_of_git(host, gone, str(tmp_path / "ws" / "one"))
    assert os.listdir(tmp_path / "ws" / "one") == []
    await make_of_git(host, revision, str(tmp_path / "ws" / "one"))
    with pytest.raises(WorkspaceError, match="a live tree at .* already"):
        await make_of_git(host, revision, str(tmp_path / "ws" / "one"))

    assert not (repository / "ws").exists()


async def test_cancelled_nothing_is_left(
    host: ProcessHost, repository: Path, tmp_path: Path
) -> None:
    revision = await find_revision(host, str(repository), "main")
    with trio.move_on_after(0.05) as scope:
        while True:
            await make_of_git(host, revision, str(tmp_path / "ws" / "one"))
            shutil.rmtree(tmp_path / "ws" / "one")

    assert scope.cancelled_caught
    assert not (tmp_path / "ws").exists() or os.listdir(tmp_path / "ws") in ([], ["one"])
    if (tmp_path / "ws" / "one").exists():
        assert os.listdir(tmp_path / "ws" / "one") in ([], ["tree"])
