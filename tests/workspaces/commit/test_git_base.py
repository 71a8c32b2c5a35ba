"""Commits to a branch: by the git program, as the user set it up, and nothing of theirs touched."""

from __future__ import annotations

import os
import pathlib
import subprocess
from functools import partial

import pytest
import trio

from runner.errors import CommitError
from runner.workspaces.directory_base import place_of


def hook(repository, name, script):
    path = repository / ".git/hooks" / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


async def test_a_commit_to_the_branch_that_is_checked_out_touches_neither_index_nor_files(
    project, repository, git, untouched
):
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "two\n")
    await ws.remove("b.txt")
    await ws.write("new/file", "new")
    await ws.exec(["chmod", "+x", "docs/a.md"])
    before = untouched(repository)
    record = await ws.commit("subject\n\nbody", author="An Author <an@author>")

    assert before == untouched(repository)
    assert record.git_commit == git(repository, "rev-parse", "main")
    assert ("main", (str(repository),)) == (record.branch, record.behind)
    shown = git(repository, "log", "-1", "--format=%an|%ae|%cn|%ce|%B")
    assert "An Author|an@author|Some One|some@one|subject\n\nbody" == shown.strip()
    assert ["D\tb.txt", "M\tdocs/a.md", "A\tnew/file", "M\tsrc/a.py"] == git(
        repository, "diff", "--name-status", "main~", "main"
    ).splitlines()
    assert "100755" == git(repository, "ls-tree", "main", "docs/a.md").split()[0]
    assert not (await ws.status()).has_changes
    assert "" == git(repository, "fsck", "--strict")
    assert ["main"] == git(repository, "branch", "--format=%(refname:short)").splitlines()
    assert not (repository / ".git/worktrees").exists()


async def test_what_gitignore_names_stays_behind_unless_it_is_named(project, repository, git):
    (repository / "known.log").write_text("1")
    git(repository, "add", "-f", "known.log")
    (repository / ".gitignore").write_text("*.log\nbuild/\n")
    git(repository, "add", ".gitignore")
    git(repository, "commit", "-qm", "rules")
    ws = await project.create("one", ref="main")
    await ws.write("known.log", "2")
    await ws.write("src/new.log", "new")
    await ws.write("build/deep/x", "x")
    await ws.write("build/y", "y")
    with pytest.raises(CommitError, match=r"names: 'build'"):
        await ws.commit("none", exclude=["known.log"])
    assert ["M known.log"] == [str(each) for each in await ws.commit("said", dry_run=True)]
    record = await ws.commit("one")

    assert ("known.log",) == record.paths
    assert ["build", "src/new.log"] == [path for path, _ in record.left_out]
    assert "M\tknown.log" == git(repository, "diff", "--name-status", "main~", "main")
    status = await ws.status()
    assert {"build/deep/x", "build/y", "src/new.log"} == {each.path for each in status.added}

    await ws.commit("two", include=["*.log"])
    assert "A\tsrc/new.log" == git(repository, "diff", "--name-status", "main~", "main")


async def test_commits_follow_each_other_and_what_the_branch_got_elsewhere_is_kept(
    project, repository, git
):
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "two\n")
    await ws.commit("first")
    git(repository, "reset", "-q", "--hard")
    (repository / "by-the-user").write_text("x")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "by the user")
    await ws.write("src/a.py", "three\n")
    record = await ws.commit("second")

    assert "second\nby the user\nfirst\nfirst" == git(repository, "log", "--format=%s", "main")
    assert "x" == git(repository, "show", "main:by-the-user")
    assert ("src/a.py",) == record.paths


async def test_a_branch_that_changed_the_same_path_is_a_conflict_and_gets_no_commit(
    project, repository, git, untouched
):
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "one\nby the workspace\n")
    await ws.remove("b.txt")
    await ws.write("new", "mine")
    (repository / "src/a.py").write_text("by the user\none\n")
    (repository / "b.txt").write_text("by the user\n")
    (repository / "new").write_text("by the user")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "by the user")
    before, tip = untouched(repository), git(repository, "rev-parse", "main")
    for is_dry in (True, False):
        with pytest.raises(CommitError, match="nothing was committed") as caught:
            await ws.commit("mine", dry_run=is_dry)

        assert {
            "b.txt": "deleted by us, modified by them",
            "new": "both added",
            "src/a.py": "both modified",
        } == {each.path: each.kind for each in caught.value.conflicts}
    assert (before, tip) == (untouched(repository), git(repository, "rev-parse", "main"))
    with pytest.raises(CommitError):
        await ws.commit("mine", strategy="merge")  # one of them has no lines in common
    await ws.commit("mine", strategy="merge", include=["a.py"])
    assert "by the user\none\nby the workspace" == git(repository, "show", "main:src/a.py")
    await ws.commit("mine", strategy="theirs", include=["b.txt"])
    assert "by the user" == git(repository, "show", "main:b.txt")
    await ws.commit("mine", strategy="ours")
    assert "mine" == git(repository, "show", "main:new")
    assert not (await ws.status()).has_changes


async def test_a_file_where_the_branch_got_a_directory_is_a_conflict(project, repository, git):
    ws = await project.create("one", ref="main")
    await ws.write("x", "a file")
    await ws.write("y/file", "in a directory")
    (repository / "x").mkdir()
    (repository / "x/file").write_text("x")
    (repository / "y").write_text("y")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "by the user")
    with pytest.raises(CommitError) as caught:
        await ws.commit("mine", strategy="ours")

    assert ["x", "y/file"] == sorted(each.path for each in caught.value.conflicts)


async def test_a_commit_to_another_branch_makes_it_of_what_the_workspace_was_made_from(
    project, repository, git, untouched
):
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "two\n")
    before = untouched(repository)
    record = await ws.commit("on a branch", branch="agent/one")
    await ws.write("src/a.py", "three\n")
    await ws.commit("more", branch="agent/one")

    assert before == untouched(repository)
    assert ("agent/one", ()) == (record.branch, record.behind)
    assert "more\non a branch\nfirst" == git(repository, "log", "--format=%s", "agent/one")
    assert "first" == git(repository, "log", "--format=%s", "main")
    assert "three" == git(repository, "show", "agent/one:src/a.py")


@pytest.mark.parametrize("name", ["-x", "a..b", "a b", "@{-1}", "x\n", "x.lock"])
async def test_what_can_be_no_branch_is_refused(project, repository, git, name):
    ws = await project.create("one", ref="main")
    await ws.write("x", "x")
    with pytest.raises(CommitError, match="no branch can be called"):
        await ws.commit("x", branch=name)
    assert "main" == git(repository, "branch", "--format=%(refname:short)")


async def test_files_and_index_are_brought_along_on_request_and_what_was_changed_there_stays(
    project, repository, git
):
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "two\n")
    await ws.write("new", "new")
    (repository / "b.txt").write_text("not committed\n")
    record = await ws.commit("x", update=True)

    assert () == record.behind
    assert " M b.txt" == git(repository, "status", "--porcelain")
    assert "two\n" == (repository / "src/a.py").read_text()
    assert "new" == (repository / "new").read_text()
    await ws.write("b.txt", "by the workspace\n")
    tip = git(repository, "rev-parse", "main")
    with pytest.raises(CommitError, match="cannot be brought along.*b.txt"):
        await ws.commit("y", update=True)
    assert tip == git(repository, "rev-parse", "main")
    assert "not committed\n" == (repository / "b.txt").read_text()
    assert (await ws.status()).has_changes


async def test_hooks_of_the_repository_see_the_files_and_may_refuse_the_commit(
    project, repository, git, untouched
):
    hook(repository, "pre-commit", "git diff --cached --name-only; grep -q good src/a.py || exit 3")
    hook(repository, "commit-msg", 'echo "by: a hook" >> "$1"')
    hook(repository, "post-commit", 'git rev-parse HEAD > "$(git rev-parse --git-common-dir)/told"')
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "bad\n")
    before, tip = untouched(repository), git(repository, "rev-parse", "main")
    for options in ({}, {"branch": "other"}):
        with pytest.raises(CommitError, match=r"git made no commit: (?s:.*)src/a.py"):
            await ws.commit("x", **options)
    assert (before, tip) == (untouched(repository), git(repository, "rev-parse", "main"))
    assert "main" == git(repository, "branch", "--format=%(refname:short)")
    assert (await ws.status()).has_changes
    await ws.write("src/a.py", "good\n")
    record = await ws.commit("x")

    assert before == untouched(repository)
    assert "x\nby: a hook" == git(repository, "log", "-1", "--format=%B", "main").strip()
    assert record.git_commit == (repository / ".git/told").read_text().strip()


async def test_what_a_hook_makes_of_files_is_the_base_then_and_no_conflict_later(
    project, repository, git, said
):
    hook(repository, "pre-commit", "sed -i s/x/formatted/ src/a.py; git add src/a.py")
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "x\n")
    await ws.write("b.txt", "x\n")
    await ws.commit("one")

    assert "formatted" == git(repository, "show", "main:src/a.py")
    assert ["M src/a.py"] == said((await ws.status()).changes)
    assert "-formatted\n+x\n" in (await ws.diff()).text
    await ws.write("src/a.py", "y\nx\n")
    await ws.commit("two")
    assert "y\nformatted" == git(repository, "show", "main:src/a.py")


async def test_without_an_identity_the_author_is_it_or_else_it_is_said(
    project, repository, git, who
):
    (who / ".gitconfig").write_text("[user]\n useConfigOnly = true\n")
    ws = await project.create("one", ref="main")
    await ws.write("x", "x")
    with pytest.raises(CommitError, match="git made no commit"):
        await ws.commit("x")
    await ws.commit("x", author="A Name <a@b>")

    assert "A Name|a@b" == git(repository, "log", "-1", "--format=%cn|%ce", "main")
    await ws.write("x", "y")
    await ws.commit("y", author="Only a name")
    assert "Only a name|" == git(repository, "log", "-1", "--format=%an|%ae", "main")


async def test_with_a_detached_head_the_branch_has_to_be_named(project, repository, git, untouched):
    git(repository, "checkout", "-q", "--detach")
    ws = await project.create("one", ref="HEAD")
    await ws.write("x", "x")
    before = untouched(repository)
    with pytest.raises(CommitError, match="HEAD is detached.*branch="):
        await ws.commit("x")
    await ws.commit("x", branch="new")

    assert "x" == git(repository, "show", "new:x")
    assert before == untouched(repository)


async def test_of_a_tag_a_commit_goes_to_the_branch_that_is_checked_out(project, repository, git):
    git(repository, "tag", "v1")
    (repository / "more").write_text("more")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "more")
    ws = await project.create("one", ref="v1")
    await ws.write("src/a.py", "two\n")
    record = await ws.commit("a fix")

    assert "main" == record.branch
    assert "more" == git(repository, "show", "main:more")
    assert "two" == git(repository, "show", "main:src/a.py")


async def test_submodules_stay_and_what_is_in_them_is_left_out_and_said(
    project, repository, git, tmp_path
):
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", str(other))
    (other / "x").write_text("x")
    git(other, "add", ".")
    git(other, "commit", "-qm", "x")
    allow = "-c", "protocol.file.allow=always"
    git(repository, *allow, "submodule", "--quiet", "add", str(other), "sub")
    git(repository, "commit", "-qm", "with a submodule")
    link = git(repository, "ls-tree", "main", "sub")
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "two\n")
    await ws.write("sub/file", "x")
    record = await ws.commit("x")

    assert link == git(repository, "ls-tree", "main", "sub")
    assert ["sub/file"] == [path for path, why in record.left_out if "submodule" in why]
    assert ["A sub/file"] == [str(each) for each in (await ws.status()).changes]


async def test_what_git_has_no_words_for_is_left_out_and_said(project, repository, git):
    ws = await project.create("one", ref="main")
    await ws.mkdir("empty")
    await ws.exec(["mkfifo", "fifo"])
    await ws.write("sub/.git/config", "x")
    await ws.exec(["ln", "-s", "nowhere", "link"])
    odd = os.fsdecode(b'\xff\n\t-"')
    await ws.write(odd, "odd")
    record = await ws.commit("x")

    assert ["empty", "fifo", "sub/.git/config"] == [path for path, _ in record.left_out]
    assert all(why for _, why in record.left_out)
    status = await ws.status()
    assert ["empty", "fifo", "sub/.git/config"] == [each.path for each in status.added]
    assert sorted([odd, "link"]) == sorted(record.paths)
    assert "120000" == git(repository, "ls-tree", "main", "link").split()[0]
    with pytest.raises(CommitError, match="git has no words"):
        await ws.commit("again")


@pytest.mark.parametrize("crlf", ["true", "input"])
async def test_line_ends_are_as_the_repository_has_them(project, repository, git, crlf):
    git(repository, "config", "core.autocrlf", crlf)
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", b"one\r\ntwo\r\n")
    await ws.write("new", b"one\r\n")
    await ws.commit("x")

    assert b"one\ntwo\n" == show(repository, "main:src/a.py")
    assert b"one\n" == show(repository, "main:new")
    await ws.write("src/a.py", b"one\r\ntwo\r\nthree\r\n")
    (repository / "other").write_text("x")
    git(repository, "reset", "-q", "--hard")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "other")
    await ws.commit("y")
    assert b"one\ntwo\nthree\n" == show(repository, "main:src/a.py")


def show(repository, what):
    done = subprocess.run(
        ["git", "-C", str(repository), "show", what], check=True, stdout=subprocess.PIPE
    )
    return done.stdout


async def test_in_a_linked_work_tree_it_is_the_branch_of_that_one(
    r, repository, git, untouched, tmp_path
):
    linked = tmp_path / "linked"
    git(repository, "worktree", "add", "-q", "-b", "side", str(linked))
    before = untouched(repository)
    index = git(linked, "rev-parse", "--path-format=absolute", "--git-path", "index")
    content = pathlib.Path(index).read_bytes()
    ws = await r.project(linked).create("one", ref="HEAD")
    await ws.write("src/a.py", "two\n")
    record = await ws.commit("x")

    assert ("side", (str(linked),)) == (record.branch, record.behind)
    assert "two" == git(repository, "show", "side:src/a.py")
    assert "one" == git(repository, "show", "main:src/a.py")
    assert before == untouched(repository)
    assert content == pathlib.Path(index).read_bytes()
    assert "one\n" == (linked / "src/a.py").read_text()


async def test_of_a_work_tree_s_files_a_branch_gets_what_the_workspace_changed_and_no_more(
    r, repository, git, untouched
):
    (repository / "b.txt").write_text("not committed\n")
    (repository / "src/a.py").write_text("zero\none\n")
    ws = await r.project(repository / "src").create("inner", way="copy")
    whole = await r.project(repository).create("whole", way="copy")
    await whole.write("docs/a.md", "# b\n")
    await ws.write("new.py", "new\n")
    before = untouched(repository)
    await ws.commit("of a directory in it", branch="topic")
    await whole.commit("of all of it", branch="topic")

    assert before == untouched(repository)
    assert ["M\tdocs/a.md", "A\tsrc/new.py"] == git(
        repository, "diff", "--name-status", "main", "topic"
    ).splitlines()
    await ws.write("a.py", "zero\none\ntwo\n")
    with pytest.raises(CommitError) as caught:
        await ws.commit("on what was never committed", branch="topic")
    assert ["a.py"] == [each.path for each in caught.value.conflicts]


async def test_a_branch_without_commits_and_a_bare_repository_get_commits_too(
    r, project, base, git, tmp_path
):
    git(base, "init", "-q", "-b", "main")
    ws = await project.create("one", way="copy")
    await ws.write("x", "x")
    await ws.commit("the first there is", branch="main")
    assert ["the first there is", "x"] == git(
        base, "log", "--format=%s", "--name-only", "main"
    ).split("\n\n")
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(base), str(bare))
    two = await r.project(bare).create("two", ref="main")
    await two.write("y", "y")
    await two.commit("in a bare one")

    assert "in a bare one" == git(bare, "log", "-1", "--format=%s")
    assert "y" == git(bare, "show", "main:y")


async def test_what_the_branch_has_already_needs_no_commit(project, repository, git):
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "two\n")
    (repository / "src/a.py").write_text("two\n")
    git(repository, "commit", "-qam", "the same by the user")
    tip = git(repository, "rev-parse", "main")
    record = await ws.commit("x")

    assert tip == record.git_commit == git(repository, "rev-parse", "main")
    assert not (await ws.status()).has_changes


async def test_git_s_configuration_decides_where_hooks_are_and_a_dry_run_runs_none(
    project, repository, git, tmp_path
):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\ntouch ran; exit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    git(repository, "config", "core.hooksPath", str(hooks))
    ws = await project.create("one", ref="main")
    await ws.write("x", "x")

    assert ["A x"] == [str(each) for each in await ws.commit("x", dry_run=True)]
    with pytest.raises(CommitError, match="git made no commit"):
        await ws.commit("x")
    git(repository, "config", "--unset", "core.hooksPath")
    await ws.commit("x")


async def test_a_branch_that_moves_while_a_commit_is_made_keeps_what_it_got(
    project, repository, git
):
    git(repository, "checkout", "-q", "-b", "other")
    (repository / "by-the-user").write_text("x")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "by the user")
    git(repository, "checkout", "-q", "main")
    moved = git(repository, "rev-parse", "other")
    (repository / ".git/info/attributes").write_text("*.py filter=slow\n")
    git(repository, "config", "filter.slow.clean", f"git update-ref refs/heads/main {moved}; cat")
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "two\n")
    with pytest.raises(CommitError, match="moved meanwhile: try again"):
        await ws.commit("x")

    assert moved == git(repository, "rev-parse", "main")
    assert [] == await ws.commits()
    await ws.commit("x")
    assert "x\nby the user\nfirst" == git(repository, "log", "--format=%s", "main")
    assert "x" == git(repository, "show", "main:by-the-user")


async def test_a_commit_that_is_cancelled_in_a_hook_leaves_nothing_behind(
    project, repository, git, untouched, tmp_path
):
    hook(repository, "pre-commit", f"echo $$ > {tmp_path}/started; sleep 1000")
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "two\n")
    before, tip = untouched(repository), git(repository, "rev-parse", "main")
    started = tmp_path / "started"
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(ws.commit, "x", branch="new"))
            while not (started.exists() and started.read_text()):
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    assert (before, tip) == (untouched(repository), git(repository, "rev-parse", "main"))
    assert "main" == git(repository, "branch", "--format=%(refname:short)")
    assert not os.path.exists(f"/proc/{started.read_text().strip()}")
    assert [] == os.listdir(place_of(project.directory, str(repository)))
    (repository / ".git/hooks/pre-commit").unlink()
    await ws.commit("x", branch="new")


async def test_a_work_tree_s_own_branch_is_brought_along_with_its_files(
    project, repository, git, said
):
    ws = await project.create("one", way="copy")
    await ws.write("src/a.py", "two\n")
    record = await ws.commit("x", branch="main", update=True)

    assert ("main", ()) == (record.branch, record.behind)
    assert "two\n" == (repository / "src/a.py").read_text()
    assert "" == git(repository, "status", "--porcelain")
    assert [] == said((await ws.status()).changes)


async def test_links_and_modes_come_from_and_go_to_a_branch_both_ways(project, repository, git):
    (repository / "link").symlink_to("b.txt")
    (repository / "tool").write_text("#!/bin/sh\n")
    (repository / "tool").chmod(0o755)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "more")
    ws = await project.create("one", ref="main")
    await ws.exec("rm link && cp tool link && chmod 644 tool && rm b.txt && ln -s tool b.txt")
    await ws.exec("rm docs/a.md && rmdir docs && echo x > docs && rm src/a.py && mkdir src/a.py")
    await ws.write("src/a.py/in", "x")
    await ws.commit("x")
    listed = git(repository, "ls-tree", "-r", "main").splitlines()

    assert {
        "b.txt": "120000",
        "docs": "100644",
        "link": "100755",
        "src/a.py/in": "100644",
        "tool": "100644",
    } == {each.split("\t")[1]: each.split()[0] for each in listed}
    assert not (await ws.status()).has_changes


async def test_without_git_or_its_repository_it_is_said(
    project, repository, git, monkeypatch, tmp_path
):
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "two\n")
    os.rename(repository / ".git", tmp_path / "away")
    with pytest.raises(CommitError, match="git finds no repository"):
        await ws.commit("x")
    os.rename(tmp_path / "away", repository / ".git")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        with pytest.raises(CommitError, match="needs the program git"):
            await ws.commit("x")
    await ws.commit("x")


async def test_a_hook_that_does_not_end_is_ended(project, repository, git, monkeypatch):
    hook(repository, "pre-commit", "sleep 1000")
    monkeypatch.setattr("runner.workspaces.git_program.PATIENCE", 2.0)
    ws = await project.create("one", ref="main")
    await ws.write("src/a.py", "two\n")
    with pytest.raises(CommitError, match="git commit was ended after 2 seconds"):
        await ws.commit("x")

    assert "first" == git(repository, "log", "--format=%s", "main")
