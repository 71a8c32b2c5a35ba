"""One workspace's changes in another one's live tree; commits to a workspace; exports of one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tarfile

import pytest
import trio

from runner.errors import AlreadyExists, CommitError, ConfigError, ReadOnly, StoreError


async def test_what_was_changed_in_another_workspace_is_merged_into_the_live_tree(
    project, base, way, said
):
    one = await project.create("one", way=way)
    two = await project.create("two", way=way)
    await one.write("src/a.py", "by one\n")
    await one.remove("b.txt")
    await one.mkdir("empty")
    await two.write("by-two", "2")
    made = await two.merge(one)

    assert ["D b.txt", "A empty", "M src/a.py"] == said(made)
    assert "by one\n" == await two.read("src/a.py")
    assert "2" == await two.read("by-two")
    assert ["D b.txt", "A by-two", "A empty", "M src/a.py"] == said((await two.status()).changes)
    assert "one\n" == (base / "src/a.py").read_text()
    (undo,) = await two.snapshots.list()
    assert "undo" == undo.kind
    await two.snapshots.restore(undo.name, force=True)
    assert "one\n" == await two.read("src/a.py")
    (row,) = await two.audit.logs(operation="merge")
    assert ("one", ["b.txt", "empty", "src/a.py"]) == (row.details["source"], row.details["paths"])


async def test_a_second_merge_brings_what_came_since_the_first(project, said):
    one, two = await project.create("one"), await project.create("two")
    await one.write("src/a.py", "1\n")
    await two.merge(one)
    await one.write("src/a.py", "2\n")
    assert ["M src/a.py"] == said(await two.merge(one))
    assert [] == said(await two.merge(one))
    await two.write("src/a.py", "by two\n")
    assert [] == said(await two.merge(one))  # nothing came since
    await one.write("src/a.py", "3\n")
    with pytest.raises(CommitError):
        await two.merge(one)


async def test_where_both_changed_the_same_nothing_is_merged_unless_a_strategy_says_how(project):
    async def pair(name):
        one, two = await project.create(f"{name}-1"), await project.create(f"{name}-2")
        await one.write("src/a.py", "by one\none\n")
        await two.write("src/a.py", "one\nby two\n")
        await one.write("b.txt", "by one")
        await two.remove("b.txt")
        await one.write("fine", "x")
        return one, two

    one, two = await pair("manual")
    before = await two.status()
    with pytest.raises(CommitError, match="nothing was merged") as caught:
        await two.merge(one)
    assert ["b.txt", "src/a.py"] == [each.path for each in caught.value.conflicts]
    assert before == await two.status()
    assert [] == await two.snapshots.list()
    one, two = await pair("ours")
    await two.merge(one, strategy="ours")
    assert ("one\nby two\n", False, "x") == (
        await two.read("src/a.py"),
        await two.exists("b.txt"),
        await two.read("fine"),
    )
    one, two = await pair("theirs")
    await two.merge(one, strategy="theirs")
    assert ("by one\none\n", "by one") == (await two.read("src/a.py"), await two.read("b.txt"))
    one, two = await pair("merge")
    with pytest.raises(CommitError) as caught:
        await two.merge(one, strategy="merge")
    assert ["b.txt"] == [each.path for each in caught.value.conflicts]
    await two.write("b.txt", "by one")
    await two.merge(one, strategy="merge")
    assert "by one\none\nby two\n" == await two.read("src/a.py")


async def test_what_cannot_be_merged_is_refused(project):
    one = await project.create("one")
    two = await project.create("two", read_only=True)
    await one.write("x", "x")
    with pytest.raises(CommitError, match="into itself"):
        await one.merge(one)
    with pytest.raises(ReadOnly):
        await two.merge(one)
    with pytest.raises(ConfigError, match="strategy='mine'"):
        await one.merge(two, strategy="mine")
    assert not await two.exists("x")


async def test_what_is_no_workspace_of_the_project_is_not_merged_or_compared(project, r, tmp_path):
    one = await project.create("one")
    (tmp_path / "elsewhere").mkdir()
    stranger = await r.project(tmp_path / "elsewhere").create("two")
    for each in ("two", None, stranger):
        with pytest.raises(ConfigError, match="^source=.*a workspace, .*of the same project"):
            await one.merge(each)
    for each in (3, stranger):
        with pytest.raises(ConfigError, match="^against=.*a snapshot, .*of the same project"):
            await one.diff(each)


async def test_files_of_two_inodes_of_one_number_stay_two_files(project, way):
    one, two = await project.create("one", way=way), await project.create("two", way=way)
    for ws in (one, two):
        await ws.write(f"{ws.name}-a", ws.name)
        await ws.exec(["ln", f"{ws.name}-a", f"{ws.name}-b"])
    await two.merge(one)

    assert ["one", "one", "two", "two"] == [
        await two.read(each) for each in ("one-a", "one-b", "two-a", "two-b")
    ]
    assert os.path.samefile(two.path + "/two-a", two.path + "/two-b")


async def test_a_workspace_of_a_workspace_is_committed_to_that_one(project, base, said, way):
    parent = await project.create("parent", way=way)
    await parent.write("src/a.py", "by the parent\n")
    child = await project.create("child", workspace="parent")
    await child.write("src/a.py", "by the child\n")
    await child.write("new", "x")
    await parent.rename("renamed")
    await parent.write("other", "y")
    record = await child.commit("done", include=["new"])

    assert ("new",) == record.paths
    assert ("x", "by the parent\n") == (await parent.read("new"), await parent.read("src/a.py"))
    assert ["M src/a.py"] == said((await child.status()).changes)
    assert ["M src/a.py"] == said(await child.commit("more", dry_run=True))
    assert "by the parent\n" == await parent.read("src/a.py")
    await child.commit("more")
    assert "by the child\n" == await parent.read("src/a.py")
    assert not (await child.status()).has_changes
    await parent.commit("all of it")
    assert "by the child\n" == (base / "src/a.py").read_text()
    await child.write("other", "by the child")
    for is_dry in (True, False):
        with pytest.raises(CommitError, match="nothing was merged"):
            await child.commit("both added", dry_run=is_dry)
    with pytest.raises(CommitError, match="no branches"):
        await child.commit("x", branch="main")
    await project.delete("renamed", force=True)
    with pytest.raises(CommitError, match="'parent', from which 'child' was made, is gone"):
        await child.commit("x")


async def test_a_merge_brings_a_workspace_up_to_the_one_that_it_was_made_from(project, said):
    parent = await project.create("parent")
    child = await project.create("child", workspace="parent")
    await child.write("mine", "x")
    await parent.write("src/a.py", "newer\n")
    await child.merge(parent)

    assert ["A mine"] == said((await child.status()).changes)
    await child.write("src/a.py", "newest\n")
    await child.commit("x")
    assert "newest\n" == await parent.read("src/a.py")
    await child.write("mine", "y")
    await parent.merge(child)
    assert "y" == await parent.read("mine")
    assert not (await child.status()).has_changes


# ---------------------------------------------------------------- exports


@pytest.fixture
async def ws(project):
    made = await project.create("one", way="copy")
    await made.write("src/a.py", "two\n")
    await made.write("bin", b"\0\xff")
    await made.remove("b.txt")
    await made.mkdir("empty")
    return made


async def test_a_patch_of_what_was_changed_is_what_git_applies(ws, base, tmp_path):
    done = await ws.export(tmp_path / "x.patch")

    subprocess.run(["git", "apply", str(tmp_path / "x.patch")], cwd=base, check=True)
    assert "two\n" == (base / "src/a.py").read_text()
    assert b"\0\xff" == (base / "bin").read_bytes()
    assert not (base / "b.txt").exists()
    assert ["empty"] == [path for path, _ in done.left_out]
    await ws.snapshots.create("s")
    await ws.write("more", "x")
    await ws.export(tmp_path / "y", format="patch", against="s")
    assert b"src/a.py" not in (tmp_path / "y").read_bytes()
    with pytest.raises(ConfigError, match="against"):
        await ws.export(tmp_path / "z.tar", against="s")


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tgz"])
async def test_a_tar_has_the_tree(ws, tmp_path, name):
    await ws.export(tmp_path / name)
    with tarfile.open(tmp_path / name) as archive:
        names = sorted(archive.getnames())

    assert ["bin", "docs", "docs/a.md", "empty", "src", "src/a.py"] == names


async def test_a_bundle_has_the_commits_and_what_is_not_committed(ws, tmp_path, git):
    await ws.commit("the first\n", author="A <a@b>")
    await ws.write("src/a.py", "three\n")
    await ws.export(tmp_path / "x.bundle")
    git(tmp_path, "clone", "-q", "-b", "main", str(tmp_path / "x.bundle"), "cloned")

    subjects = ["Uncommitted changes of one", "the first", "What one was made from"]
    assert subjects == git(tmp_path / "cloned", "log", "--format=%s").splitlines()
    assert "A|a@b" == git(tmp_path / "cloned", "log", "-1", "--skip=1", "--format=%an|%ae")
    assert "three\n" == (tmp_path / "cloned/src/a.py").read_text()


async def test_an_agentfs_database_is_written_and_read_back(ws, project, tmp_path, said):
    await ws.export(tmp_path / "x.db")
    with pytest.raises(AlreadyExists):
        await ws.export(tmp_path / "x.db")
    await ws.export(tmp_path / "x.db", overwrite=True)
    database = sqlite3.connect(tmp_path / "x.db")
    (version,) = database.execute("SELECT value FROM fs_config WHERE key = 'schema_version'")
    database.close()
    back = await project.import_agentfs("back", tmp_path / "x.db", description="from a file")

    assert ("0.4",) == version
    assert "from a file" == back.description
    assert [] == said(await back.diff(ws))
    assert not (await back.status()).has_changes
    (tmp_path / "y.db").write_text("no database")
    with pytest.raises(StoreError):
        await project.import_agentfs("other", tmp_path / "y.db")
    assert not await project.exists("other")


async def test_a_format_that_is_none_or_is_not_said_is_refused(ws, tmp_path):
    for name, options in (("x", {}), ("x.zip", {}), ("x.tar", {"format": "zip"})):
        with pytest.raises(ConfigError, match="bundle"):
            await ws.export(tmp_path / name, **options)
    assert not os.path.lexists(tmp_path / "x.tar")


@pytest.mark.parametrize("name", ["x.patch", "x.tar.gz", "x.db", "x.bundle"])
async def test_an_export_that_is_cancelled_ends_soon_and_leaves_nothing(project, tmp_path, name):
    ws = await project.create("one")
    await ws.exec("truncate -s 64G zeros")  # minutes, if all of it is written
    (tmp_path / "out").mkdir()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ws.export, tmp_path / "out" / name)
            while not os.listdir(tmp_path / "out"):
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    assert [] == os.listdir(tmp_path / "out")
    assert await ws.exists("zeros")
