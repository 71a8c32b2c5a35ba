"""Single-file databases: what we write agentfs-sdk reads, and what it writes we read."""

from __future__ import annotations

import asyncio

import pytest

from runner.workspaces.comparing import compare
from runner.workspaces.exporting_agentfs import export_agentfs
from runner.workspaces.importing_agentfs import import_agentfs

theirs = pytest.importorskip(
    "agentfs_sdk", reason="needs agentfs-sdk: pip install -e '.[test-integrations]'"
)

LARGE = b"0123456789" * 200_000


@pytest.fixture
def opened(tmp_path):
    """Carries a coroutine function out on a database that agentfs-sdk has opened."""

    def opened(body):
        async def main():
            options = theirs.AgentFSOptions(path=str(tmp_path / "files.db"))
            async with await theirs.AgentFS.open(options) as agent:
                return await body(agent)

        return asyncio.run(main())

    return opened


@pytest.fixture
def imported(trees, tmp_path):
    def imported():
        return import_agentfs(
            tmp_path / "files.db", lambda objects: [trees.put(each) for each in objects]
        )

    return imported


@pytest.fixture
def tree(trees):
    return {
        b"plain.txt": b"text\n",
        "é 漢字".encode(): b"\0binary\xff",
        b"large": LARGE,
        b"empty": b"",
        b"program": trees.File(b"#!/bin/sh\n", 0o755),
        b"d": {b"e": {b"f": b"deep"}, b"empty": trees.Directory({}, 0o700)},
        b"link": trees.Link(b"d/e"),
        b"one": trees.File(b"same", group=7),
        b"two": trees.File(b"same", group=7),
    }


def test_it_reads_what_we_wrote(trees, tmp_path, opened, tree):
    export_agentfs(trees, trees.root(tree), tmp_path / "files.db", mtime=1_700_000_000)

    async def look(agent):
        files = agent.fs
        assert sorted(await files.readdir("/")) == sorted(each.decode() for each in tree)
        assert await files.readdir("/d") == ["e", "empty"]
        assert await files.readdir("/d/empty") == []
        for path, data in (("/plain.txt", b"text\n"), ("/é 漢字", b"\0binary\xff"),
                           ("/large", LARGE), ("/empty", b""), ("/d/e/f", b"deep")):  # fmt: skip
            assert await files.read_file(path, encoding=None) == data
            assert (await files.stat(path)).size == len(data)
        program, one, two = [await files.stat(each) for each in ("/program", "/one", "/two")]
        assert (program.is_file(), program.mode & 0o777) == (True, 0o755)
        assert (program.mtime, program.nlink) == (1_700_000_000, 1)
        assert (one.ino, one.nlink) == (two.ino, 2)
        assert (await files.stat("/d/empty")).mode == 0o40700
        assert (await files.stat("/link")).is_symbolic_link()
        assert await agent.kv.list("") == []
        assert await agent.tools.get_recent(0) == []

    opened(look)


def test_it_goes_on_with_what_we_wrote_and_we_read_that(trees, tmp_path, opened, imported, tree):
    export_agentfs(trees, trees.root(tree), tmp_path / "files.db")

    async def work(agent):
        await agent.fs.write_file("/new/file", b"\0new")
        await agent.fs.write_file("/plain.txt", "other")
        await agent.fs.unlink("/one")
        await agent.fs.rename("/d/e", "/e")
        await agent.fs.rm("/empty")
        await agent.kv.set("key", {"a": 1})

    opened(work)

    tree[b"new"], tree[b"plain.txt"] = {b"file": b"\0new"}, b"other"
    tree[b"e"], tree[b"d"] = {b"f": b"deep"}, {b"empty": trees.Directory({}, 0o700)}
    del tree[b"one"], tree[b"empty"]
    assert compare(trees.listing, trees.root(tree), imported()) == []


def test_we_read_what_it_wrote(trees, tmp_path, opened, imported):
    async def work(agent):
        await agent.fs.write_file("/a/b/c.txt", "text")
        await agent.fs.write_file("/large", LARGE)
        await agent.fs.mkdir("/empty")
        assert imported() != trees.root({})  # while it has the file open, too

    opened(work)

    assert imported() == trees.root(
        {b"a": {b"b": {b"c.txt": b"text"}}, b"large": LARGE, b"empty": {}}
    )
