"""The same calls on agentfs-sdk itself and on ours: the same answers and errors."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import time

import pytest

theirs = pytest.importorskip(
    "agentfs_sdk", reason="needs agentfs-sdk: pip install -e '.[test-integrations]'"
)

from runner.compat import agentfs as ours

BOTH = (theirs, ours)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("AGENTFS_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def said(place):
    """What both say to calls, each with its answer or its error."""

    def said(calls):
        found = []
        for module in BOTH:

            async def main(module=module):
                path = str(place / f"{module.__name__}.db")
                async with await module.AgentFS.open(module.AgentFSOptions(path=path)) as agent:
                    return [await told(agent, *each) for each in calls]

            found.append(asyncio.run(main()))
        return found

    return said


async def told(agent, name, *args, **kwargs):
    room, _, method = name.partition(".")
    try:
        answer = await getattr(getattr(agent, room), method)(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - it is what is compared
        known = {each: getattr(error, each, None) for each in ("code", "syscall", "path")}
        return (name, args, type(error).__name__, str(error), known)
    if hasattr(answer, "mtime"):
        answer = (
            answer.is_file(),
            answer.is_directory(),
            answer.is_symbolic_link(),
            answer.mode,
            answer.size if answer.is_file() else 0,
            abs(answer.mtime - time.time()) < 60,
            {type(each) for each in dataclasses.astuple(answer)},
        )
    return (name, args, answer)


def test_the_names_signatures_and_fields_are_the_same():
    for name in theirs.__all__:
        there, here = getattr(theirs, name), getattr(ours, name)
        if dataclasses.is_dataclass(there):
            assert [f.name for f in dataclasses.fields(there)] == [
                f.name for f in dataclasses.fields(here)
            ]
    for name in ("Filesystem", "KvStore", "ToolCalls"):
        methods = [m for m in vars(getattr(theirs, name)) if m[0] != "_" and m != "from_database"]
        for method in methods:
            known = [
                [
                    (p.name, p.kind, p.default)
                    for p in inspect.signature(
                        getattr(getattr(m, name), method)
                    ).parameters.values()
                ]
                for m in BOTH
            ]
            assert known[0] == known[1], (name, method)


FILES = [
    ("fs.write_file", "/a/b/c.txt", "text"),
    ("fs.write_file", "plain.bin", b"\xff\0"),
    ("fs.write_file", "/a/b/c.txt", "more é"),
    ("fs.write_file", "/latin", "é", "latin-1"),
    ("fs.write_file", "/a/b", "x"),
    ("fs.write_file", "/", "x"),
    ("fs.write_file", "/empty", ""),
    ("fs.read_file", "/a/b/c.txt"),
    ("fs.read_file", "a/b/c.txt/"),
    ("fs.read_file", "/plain.bin", None),
    ("fs.read_file", "/plain.bin"),
    ("fs.read_file", "/latin", "latin-1"),
    ("fs.read_file", "/empty"),
    ("fs.read_file", "/nope"),
    ("fs.read_file", "/a"),
    ("fs.read_file", "/plain.bin/x"),
    ("fs.readdir", "/"),
    ("fs.readdir", "a"),
    ("fs.readdir", "/nope"),
    ("fs.readdir", "/latin"),
    ("fs.stat", "/"),
    ("fs.stat", "/a"),
    ("fs.stat", "/a/b/c.txt"),
    ("fs.stat", "/nope"),
    ("fs.access", "/a/b"),
    ("fs.access", "/nope/x"),
    ("fs.mkdir", "/dir"),
    ("fs.mkdir", "/dir"),
    ("fs.mkdir", "/latin"),
    ("fs.mkdir", "/no/dir"),
    ("fs.mkdir", "/latin/dir"),
    ("fs.mkdir", "/"),
    ("fs.mkdir", "/dir/in"),
    ("fs.rmdir", "/"),
    ("fs.rmdir", "/nope"),
    ("fs.rmdir", "/latin"),
    ("fs.rmdir", "/dir"),
    ("fs.rmdir", "/dir/in"),
    ("fs.rmdir", "/dir"),
    ("fs.unlink", "/"),
    ("fs.unlink", "/nope"),
    ("fs.unlink", "/a"),
    ("fs.unlink", "/empty"),
    ("fs.delete_file", "/empty"),
    ("fs.copy_file", "/latin", "/copied"),
    ("fs.copy_file", "/latin", "/plain.bin"),
    ("fs.copy_file", "/latin", "/latin"),
    ("fs.copy_file", "/nope", "/x"),
    ("fs.copy_file", "/a", "/x"),
    ("fs.copy_file", "/latin", "/a"),
    ("fs.copy_file", "/latin", "/no/x"),
    ("fs.copy_file", "/latin", "/copied/x"),
    ("fs.copy_file", "/latin", "/"),
    ("fs.read_file", "/copied", None),
    ("fs.read_file", "/plain.bin", None),
    ("fs.rename", "/copied", "/moved"),
    ("fs.rename", "/moved", "/moved"),
    ("fs.rename", "/nope", "/x"),
    ("fs.rename", "/", "/x"),
    ("fs.rename", "/moved", "/"),
    ("fs.rename", "/moved", "/no/x"),
    ("fs.rename", "/moved", "/latin/x"),
    ("fs.rename", "/moved", "/a"),
    ("fs.rename", "/a", "/moved"),
    ("fs.rename", "/a", "/a/b/d"),
    ("fs.mkdir", "/target"),
    ("fs.rename", "/a", "/target"),
    ("fs.mkdir", "/full"),
    ("fs.write_file", "/full/x", "x"),
    ("fs.rename", "/target", "/full"),
    ("fs.rename", "/moved", "/latin"),
    ("fs.rm", "/"),
    ("fs.rm", "/nope"),
    ("fs.rm", "/nope", True),
    ("fs.rm", "/full"),
    ("fs.rm", "/full", False, True),
    ("fs.rm", "/latin"),
    ("fs.readdir", "/"),
    ("fs.readdir", "/target/b"),
]


def test_the_same_files_and_errors(said):
    there, here = said(FILES)

    assert there == here
    assert 30 < sum(len(each) == 5 for each in there)


def test_the_same_values(said):
    there, here = said(
        [
            ("kv.get", "user:1"),
            ("kv.get", "user:1", 7),
            ("kv.set", "user:2", {"name": "é", "more": [1, None, True]}),
            ("kv.set", "user:1", "one"),
            ("kv.set", "user:1", None),
            ("kv.set", "user_%", 1.5),
            ("kv.set", "other", object),
            ("kv.get", "user:1", 7),
            ("kv.get", "user:2"),
            ("kv.list", "user:"),
            ("kv.list", "user_%"),
            ("kv.list", ""),
            ("kv.list", "x"),
            ("kv.delete", "user:2"),
            ("kv.delete", "nobody"),
            ("kv.list", "user:"),
        ]
    )

    assert [str(each) for each in there] == [str(each) for each in here]


def test_the_same_calls_of_tools(said):
    now = int(time.time())
    there, here = said(
        [
            ("tools.record", "search", 10, 12, {"q": "x"}, [1, 2]),
            ("tools.record", "search", 20, 21, None, None, "it failed"),
            ("tools.record", "read", 30, 30),
            ("tools.start", "search", {"q": "y"}),
            ("tools.start", "read"),
            ("tools.success", 99, 1),
            ("tools.error", 99, "x"),
            ("tools.get", 1),
            ("tools.get", 2),
            ("tools.get", 99),
            ("tools.get_stats",),
            ("tools.success", 4, {"found": 1}),
            ("tools.error", 5, "no"),
            ("tools.get_by_name", "search", 2),
            ("tools.get_by_name", "nobody"),
            ("tools.get_recent", 15, 9),
            ("tools.get_recent", now + 1000),
            ("tools.record", "last", 50, 52),
            ("tools.get_recent", now - 1000),
        ]
    )

    def shown(rows):
        """A call of now is over within the second or not; in which order of two is nobody's."""
        for row in rows:
            found = row[2]
            for each in found if isinstance(found, list) else []:
                if getattr(each, "started_at", 0) > 1000:
                    each.started_at, each.completed_at, each.duration_ms = now, now, 0
            if isinstance(found, list) and hasattr(found[:1] and found[0], "id"):
                found.sort(key=lambda each: each.id)
        return [str(each) for each in rows]

    assert shown(there) == shown(here)


def test_the_same_refusals_to_open(place):
    said = []
    for module in BOTH:
        for options in ({}, {"id": ""}, {"id": "../x"}, {"id": "a b"}):
            with pytest.raises(ValueError) as caught:
                asyncio.run(module.AgentFS.open(module.AgentFSOptions(**options)))
            said.append(str(caught.value))

    assert said[:4] == said[4:]


def test_an_id_is_a_place_in_the_current_directory(place):
    async def main():
        options = ours.AgentFSOptions(id="agent-1")
        async with await ours.AgentFS.open(options) as agent:
            await agent.fs.write_file("/a", "1")
            await agent.kv.set("k", 1)
        async with await ours.AgentFS.open(options) as agent:
            return (
                await agent.fs.read_file("/a"),
                await agent.kv.get("k"),
                agent.fs.get_chunk_size(),
            )

    assert ("1", 1, 4096) == asyncio.run(main())
    assert (place / ".agentfs/agent-1.db").is_dir()


def test_what_a_database_of_theirs_has_is_taken_over_and_it_stays_as_it_is(place):
    async def write():
        async with await theirs.AgentFS.open(theirs.AgentFSOptions(id="mine")) as agent:
            await agent.fs.write_file("/d/f.txt", "hello")
            await agent.kv.set("k", {"a": 1})
            await agent.kv.set("j", [1])
            done = await agent.tools.start("search", {"q": "x"})
            await agent.tools.success(done, {"n": 2})
            await agent.tools.error(await agent.tools.start("search"), "no")
            await agent.tools.start("slow")

    async def read(module):
        async with await module.AgentFS.open(module.AgentFSOptions(id="mine")) as agent:
            calls = [dataclasses.asdict(await agent.tools.get(n)) for n in (1, 2, 3)]
            calls = [{n: v for n, v in each.items() if n != "duration_ms"} for each in calls]
            text = await agent.fs.read_file("/d/f.txt")
            return text, await agent.kv.list(""), calls

    async def change():
        async with await ours.AgentFS.open(ours.AgentFSOptions(id="mine")) as agent:
            await agent.fs.write_file("/d/f.txt", "ours")
            await agent.kv.set("k", "ours")
            await agent.tools.start("ours")

    asyncio.run(write())
    before = asyncio.run(read(theirs))
    assert before == asyncio.run(read(ours))
    asyncio.run(change())
    text, values, _ = asyncio.run(read(ours))
    assert ("ours", "ours") == (text, values[0]["value"])
    assert before == asyncio.run(read(theirs))


def test_a_file_that_is_no_database_of_theirs_is_said_and_left_alone(place):
    path = place / "notes.txt"
    path.write_text("mine")
    for _ in range(2):
        with pytest.raises(ours.AgentFSError, match="no AgentFS database"):
            asyncio.run(ours.AgentFS.open(ours.AgentFSOptions(path=str(path))))
    assert "mine" == path.read_text()


def test_what_leads_out_is_refused_and_links_inside_are_followed(place):
    async def main():
        async with await ours.AgentFS.open(ours.AgentFSOptions(id="a")) as agent:
            await agent.fs.write_file("/a/b", "1")
            workspace = await agent.workspace.get_async("default")
            await workspace.run_async("ln -s a/b link; ln -s /etc/passwd out; ln -s nowhere gone")
            answers = [await told(agent, "fs.read_file", path) for path in ("/link", "/gone")]
            for path in ("/out", "/../x", "/a/../../x"):
                with pytest.raises(ours.ErrnoException) as caught:
                    await agent.fs.read_file(path)
                answers.append(caught.value.code)
            return answers, await agent.fs.read_file("/a/../a/b")

    (link, gone, *outside), inside = asyncio.run(main())

    assert ("1", "1", "ENOENT") == (link[2], inside, gone[4]["code"])
    assert ["EPERM"] * 3 == outside
