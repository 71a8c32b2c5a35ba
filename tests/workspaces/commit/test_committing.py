"""Commits to a directory: what was changed, and nothing else, all of it or nothing."""

from __future__ import annotations

import os

import pytest
import trio

import runner
from runner.errors import CommitError, ConfigError, HookVeto, WorkspaceError
from runner.workspaces.base_locks import hold_base, lock_base
from runner.workspaces.lookups import change_workspace
from runner.workspaces.origins import Origin, keep


async def test_a_commit_applies_the_changes_to_the_base_and_status_is_clean_then(
    project, base, way, files
):
    ws = await project.create("one", way=way)
    await ws.write("src/a.py", "two\n")
    await ws.remove("b.txt")
    await ws.write("deep/er/c", "c")
    await ws.exec(["ln", "-s", "src/a.py", "link"])
    await ws.exec(["chmod", "755", "docs/a.md"])
    changes = [each.path for each in (await ws.status()).changes]
    record = await ws.commit("what was done", author="A <a@b>")

    assert {
        "src/a.py": "two\n",
        "docs/a.md": "# a\n",
        "deep/er/c": "c",
        "link": "src/a.py",
    } == files(base)
    assert os.access(base / "docs/a.md", os.X_OK)
    assert not (await ws.status()).has_changes
    assert not (await ws.status(verify=True)).has_changes
    assert ("what was done", "A <a@b>", "") == (record.message, record.author, record.git_commit)
    assert changes == list(record.paths)
    assert [record] == await ws.commits()
    await project.delete("one")  # nothing is lost by it


async def test_what_is_changed_after_a_commit_is_all_that_status_shows_and_the_next_one_applies(
    project, base, way, said
):
    ws = await project.create("one", way=way)
    await ws.write("src/a.py", "two\n")
    await ws.write("new/file", "1")
    first = await ws.commit("first")
    await ws.write("src/a.py", "three\n")
    await ws.remove("new/file")
    await ws.write("new/other", "2")

    assert ["D new/file", "A new/other", "M src/a.py"] == said((await ws.status()).changes)
    second = await ws.commit("second")
    assert "three\n" == (base / "src/a.py").read_text()
    assert ["other"] == os.listdir(base / "new")
    assert not (await ws.status()).has_changes
    assert first.base_after == second.base_before
    assert [first, second] == await ws.commits()


async def test_what_was_committed_stays_what_it_is_when_the_tree_is_mounted_anew(
    tmp_path, base, way, said
):
    for step in range(3):
        async with runner.open_runner(state=tmp_path / "state") as opened:
            project = opened.project(base)
            if step == 0:
                ws = await project.create("one", way=way)
                await ws.write("new/dir/file", "1")
                await ws.write("new/dir/kept", "1")
                await ws.commit("first")
                await ws.remove("new/dir/file")
            ws = await project.get("one")
            if step < 2:
                assert ["D new/dir/file"] == said((await ws.status()).changes)
                assert not await ws.exists("new/dir/file")
            if step == 1:
                await ws.commit("second")
            if step == 2:
                assert not (await ws.status()).has_changes
                assert ["kept"] == os.listdir(base / "new/dir")


async def test_a_base_that_moved_elsewhere_is_merged(project, base, way, files):
    ws = await project.create("one", way=way)
    await ws.write("src/a.py", "two\n")
    await ws.status()  # the base is known by now
    (base / "b.txt").write_text("by the user\n")
    (base / "docs/a.md").unlink()
    (base / "docs/new.md").write_text("new\n")
    await ws.commit("mine")

    expected = {"src/a.py": "two\n", "b.txt": "by the user\n", "docs/new.md": "new\n"}
    assert expected == files(base)
    assert not (await ws.status()).has_changes
    await ws.write("src/a.py", "three\n")
    await ws.commit("more")
    assert {**expected, "src/a.py": "three\n"} == files(base)


async def test_a_base_that_moved_at_the_same_path_is_a_conflict_and_nothing_is_applied(
    project, base, way, files
):
    ws = await project.create("one", way=way)
    await ws.write("src/a.py", "two\n")
    await ws.remove("b.txt")
    await ws.write("new", "mine")
    await ws.write("fine", "fine")
    await ws.status()
    (base / "src/a.py").write_text("by the user\n")
    (base / "b.txt").write_text("by the user\n")
    (base / "new").write_text("by the user\n")
    before, changes = files(base), await ws.status()
    for options in ({}, {"dry_run": True}):
        with pytest.raises(CommitError, match="nothing was applied") as caught:
            await ws.commit("mine", **options)
        assert {
            "b.txt": "deleted by us, modified by them",
            "new": "both added",
            "src/a.py": "both modified",
        } == {each.path: each.kind for each in caught.value.conflicts}

    assert before == files(base)
    assert changes == await ws.status()
    assert [] == await ws.commits()
    await ws.commit("what can be", include=["fine"])
    assert {**before, "fine": "fine"} == files(base)


@pytest.mark.parametrize(
    ("strategy", "a", "b"),
    [
        ("ours", "one\ntwo\nby the workspace\n", None),
        ("theirs", "by the user\none\ntwo\n", "by the user\n"),
    ],
)
async def test_a_strategy_says_whose_a_path_is_that_both_changed(
    project, base, way, strategy, a, b
):
    (base / "src/a.py").write_text("one\ntwo\n")
    ws = await project.create("one", way=way)
    await ws.write("src/a.py", "one\ntwo\nby the workspace\n")
    await ws.remove("b.txt")
    await ws.write("fine", "fine")
    await ws.status()
    (base / "src/a.py").write_text("by the user\none\ntwo\n")
    (base / "b.txt").write_text("by the user\n")
    await ws.commit("mine", strategy=strategy)

    assert a == (base / "src/a.py").read_text()
    assert b == ((base / "b.txt").read_text() if (base / "b.txt").exists() else None)
    assert "fine" == (base / "fine").read_text()
    assert not (await ws.status()).has_changes
    with pytest.raises(CommitError, match="nothing was changed"):
        await ws.commit("again")


async def test_texts_are_merged_by_their_lines_if_that_is_wanted_and_stay_so(project, base, way):
    (base / "src/a.py").write_text("one\n\ntwo\n")
    ws = await project.create("one", way=way)
    await ws.write("src/a.py", "one\n\ntwo\nby the workspace\n")
    await ws.status()
    (base / "src/a.py").write_text("by the user\none\n\ntwo\n")
    with pytest.raises(CommitError):
        await ws.commit("mine")
    await ws.commit("mine", strategy="merge")

    assert "by the user\none\n\ntwo\nby the workspace\n" == (base / "src/a.py").read_text()
    assert not (await ws.status()).has_changes
    await ws.write("other", "x")
    await ws.commit("the next one leaves it alone")
    assert "by the user\none\n\ntwo\nby the workspace\n" == (base / "src/a.py").read_text()


async def test_only_what_globs_include_and_do_not_exclude_is_committed(project, base, said):
    ws = await project.create("one", way="copy")
    for path in ("README.md", "docs/x.md", "docs/deep/y.txt", "docs/z.log", "src/n.md", "src/n.py"):
        await ws.write(path, "x")
    await ws.move("b.txt", "docs/b.txt")
    await ws.commit("docs", include=["docs/**"], exclude=["*.log"])

    assert (base / "docs/deep/y.txt").exists()
    assert (base / "docs/b.txt").exists()
    assert (base / "b.txt").exists()
    left = ["A README.md", "D b.txt", "A docs/z.log", "A src/n.md", "A src/n.py"]
    assert left == said((await ws.status()).changes)
    await ws.commit("markdown at any depth", include=["*.md"])
    assert ["D b.txt", "A docs/z.log", "A src/n.py"] == said((await ws.status()).changes)
    with pytest.raises(CommitError, match="nothing of these paths was changed"):
        await ws.commit("none", include=["*.md"])


async def test_a_dry_run_says_what_would_be_committed_and_does_nothing(project, base, files, said):
    ws = await project.create("one")
    await ws.write("src/a.py", "two\n")
    await ws.move("b.txt", "c.txt")
    before = files(base)

    assert ["R b.txt -> c.txt", "M src/a.py"] == said(await ws.commit("x", dry_run=True))
    assert ["M src/a.py"] == said(await ws.commit("x", dry_run=True, include=["src"]))
    assert [] == await ws.commit("x", dry_run=True, include=["nothing"])
    assert before == files(base)
    assert [] == await ws.commits()


async def test_a_hook_may_refuse_a_commit_and_others_are_told_of_it(project, base, files):
    ws = await project.create("one")
    await ws.write("src/a.py", "two\n")
    told, before = [], files(base)

    def asked(workspace, message):
        if message == "no":
            raise HookVeto("mine", "not that")

    project.hooks.on_before_commit = asked
    project.hooks.on_commit = lambda workspace, message: told.append((workspace.name, message))
    with pytest.raises(HookVeto, match="not that"):
        await ws.commit("no")
    assert before == files(base)
    await ws.commit("yes")

    assert [("one", "yes")] == told
    assert "two\n" == (base / "src/a.py").read_text()


async def test_a_commit_stands_in_the_audit(project):
    ws = await project.create("one")
    await ws.write("src/a.py", "two\n")
    record = await ws.commit("why", author="A <a@b>")
    (row,) = await ws.audit.logs(operation="commit")

    assert ("why", "A <a@b>", ["src/a.py"]) == tuple(
        row.details[each] for each in ("message", "author", "paths")
    )
    assert record.id == row.details["commit"]
    assert (await project.audit.verify()).ok


async def test_nothing_to_commit_and_values_that_are_none_are_refused(project, base):
    ws = await project.create("one")
    with pytest.raises(CommitError, match="nothing was changed in the workspace 'one'"):
        await ws.commit("x")
    await ws.write("x", "x")
    for message, options in [
        ("", {}),
        (" \n", {}),
        ("a\0b", {}),
        (7, {}),
        ("x", {"author": "a\nb"}),
        ("x", {"author": ""}),
        ("x", {"include": "*.md"}),
        ("x", {"include": ["../*"]}),
        ("x", {"include": [""]}),
        ("x", {"exclude": [7]}),
        ("x", {"branch": ""}),
        ("x", {"strategy": "mine"}),
        ("x", {"update": 1}),
    ]:
        with pytest.raises(ConfigError):
            await ws.commit(message, **options)
    assert not (base / "x").exists()
    with pytest.raises(CommitError, match="git finds no repository"):
        await ws.commit("x", branch="main")


async def test_what_cannot_change_is_no_place_for_a_commit_and_what_can_be_done_is_said(project):
    one = await project.create("one", base="empty")
    await one.write("x", "x")
    await one.snapshots.create("s")
    two = await project.create("two", snapshot="one/s")
    await two.write("x", "y")

    for ws, said in ((one, "from nothing"), (two, "from the snapshot 'one/s'")):
        for options in ({}, {"dry_run": True}):
            with pytest.raises(CommitError, match=f"{said}.*`merge`.*`export`"):
                await ws.commit("x", **options)


async def test_two_workspaces_of_one_base_commit_one_after_the_other(project, base, way):
    async def change(number):
        ws = await project.create(f"w{number}", way=way)
        for at in range(5):
            await ws.write(f"file{number}-{at}", "x")
            await ws.commit("more")

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(change, number)

    assert 20 == len([each for each in os.listdir(base) if each.startswith("file")])
    checked = await project.check()
    assert () == tuple(checked.problems)


async def test_commits_at_once_of_one_workspace_commit_everything_once(project, base):
    ws = await project.create("one")
    await ws.write("x", "x")
    ends = []

    async def commit():
        try:
            await ws.commit("x")
        except CommitError as error:
            ends.append(str(error))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(commit)

    assert ["nothing was changed in the workspace 'one'"] * 2 == ends
    assert 1 == len(await ws.commits())
    assert "x" == (base / "x").read_text()


async def test_a_base_that_somebody_commits_to_is_waited_for_but_not_for_ever(base, tmp_path):
    place = str(tmp_path / "place")
    fd = lock_base(str(base), place)
    with pytest.raises(WorkspaceError, match="others have been committing"):
        async with hold_base(str(base), place, patience=0.05):
            raise AssertionError
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def wait():
                async with hold_base(str(base), place):
                    pass

            nursery.start_soon(wait)
            await trio.lowlevel.checkpoint()
            os.close(fd)
    assert not os.path.exists(place)


async def test_a_base_that_cannot_be_written_to_is_said_and_is_as_it_was(project, base, files):
    ws = await project.create("one", way="copy")
    await ws.write("src/a.py", "two\n")
    await ws.write("z", "z")
    await ws.status()
    os.rename(base / "src", base / "elsewhere")
    before = files(base)
    with pytest.raises(CommitError):
        await ws.commit("x")

    assert before == files(base)


async def test_empty_directories_fifos_and_odd_names_reach_the_base(project, base, way):
    ws = await project.create("one", way=way)
    await ws.mkdir("empty/dir")
    await ws.exec(["mkfifo", "-m", "600", "fifo"])
    odd = os.fsdecode(b"\xff\n-" + b"n" * 252)
    await ws.write(odd, "odd")
    await ws.exec(["rm", "-r", "docs"])
    await ws.commit("odd")

    assert os.path.isdir(base / "empty/dir")
    assert (base / "fifo").is_fifo()
    assert "odd" == (base / odd).read_text()
    assert not (base / "docs").exists()
    assert not (await ws.status()).has_changes


async def test_what_git_has_in_the_base_is_no_part_of_a_commit_to_its_files(
    project, repository, git, untouched
):
    ws = await project.create("one", way="copy")
    await ws.write("src/a.py", "two\n")
    index = untouched(repository)["index"]
    await ws.commit("x")

    assert index == untouched(repository)["index"]
    assert "1" == git(repository, "rev-list", "--count", "HEAD")
    assert " M src/a.py" == git(repository, "status", "--porcelain")


async def test_what_the_user_changes_before_the_base_was_looked_at_is_not_undone(
    tmp_path, base, files
):
    async with runner.open_runner(state=tmp_path / "state") as opened:
        ws = await opened.project(base).create("one", way="copy")
        await ws.write("src/a.py", "two\n")
        (base / "b.txt").write_text("by the user\n")
        (base / "new").write_text("by the user\n")
        (base / "docs/a.md").unlink()
        await ws.commit("x")

    assert {"src/a.py": "two\n", "b.txt": "by the user\n", "new": "by the user\n"} == files(base)


@pytest.mark.parametrize("strategy", ["manual", "ours", "theirs"])
async def test_what_nobody_knows_of_the_base_is_a_conflict_unless_it_is_said_whose_it_is(
    project, base, strategy
):
    ws = await project.create("one", way="copy")
    await ws.status()
    store = ws._shared.store
    await ws.write("src/a.py", "two\n")
    await ws.write("fine", "x")
    (base / "src/a.py").write_text("by the user\n")
    root = ws._shared.look_at_base(store.workspaces.get(ws.id))
    change_workspace(store, ws.id, base_root=root)
    keep(store, ws.id, Origin(root=root, unsure=("src/a.py",)))

    assert ("src/a.py",) == (await ws.status()).unsure
    await ws.commit("what is known", include=["fine"])
    assert ("src/a.py",) == (await ws.status()).unsure
    if strategy == "manual":
        with pytest.raises(CommitError) as caught:
            await ws.commit("x")
        assert ["src/a.py"] == [each.path for each in caught.value.conflicts]
        return
    await ws.commit("x", strategy=strategy)
    text = "two\n" if strategy == "ours" else "by the user\n"
    assert text == (base / "src/a.py").read_text()
    assert () == (await ws.status()).unsure
    assert not (await ws.status()).has_changes


async def test_a_directory_with_hard_links_becomes_a_file_in_the_base_as_well(project, base, way):
    os.link(base / "src/a.py", base / "src/b.py")
    ws = await project.create("one", way=way)
    await ws.exec("chmod 700 docs; echo more >> src/a.py")
    await ws.commit("modes and contents")
    assert 0o700 == (base / "docs").stat().st_mode & 0o777
    await ws.exec("rm -r src; echo now a file > src; rm b.txt; mkdir b.txt; echo x > b.txt/in")
    await ws.commit("other types")

    assert "now a file\n" == (base / "src").read_text()
    assert "x\n" == (base / "b.txt/in").read_text()
    assert not (await ws.status(verify=True)).has_changes
