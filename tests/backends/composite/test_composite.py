"""What a composite does that no single backend does."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner import open_runner
from runner.backends.composite import CompositeBackend
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.operations import Asking


class Heard(Asking):
    """Passes everything on, and keeps what was asked."""

    def __init__(self, inner):
        self.inner = inner
        self.messages = []

    @property
    def name(self):
        return self.inner.name

    async def ask(self, message, /):
        self.messages.append(message)
        return await self.inner.ask(message)

    def of(self, kind):
        return [each for each in self.messages if isinstance(each, kind)]


@pytest.fixture(params=[True, False], ids=["stripped", "kept"])
def strip(request):
    return request.param


@pytest.fixture
def default():
    return Heard(MemoryBackend())


@pytest.fixture
def memories():
    return Heard(MemoryBackend())


@pytest.fixture
def deep():
    return Heard(MemoryBackend())


@pytest.fixture
def composite(default, memories, deep, strip):
    routes = {"memories": memories, "memories/way/deep": deep}
    return CompositeBackend(default, routes, strip=strip)


def inner(path, prefix, strip):
    """What a member calls a path below its prefix."""
    return path if strip else f"{prefix}/{path}"


async def test_the_longest_prefix_counts(composite, default, memories, deep, strip):
    for path in ("a", "memories/a", "memories/way/a", "memories/way/deep/a", "memoriesx/a"):
        await composite.write(path, path)

    assert [each.path for each in default.of(m.Write)] == ["a", "memoriesx/a"]
    assert [each.path for each in memories.of(m.Write)] == [
        inner("a", "memories", strip),
        inner("way/a", "memories", strip),
    ]
    assert [each.path for each in deep.of(m.Write)] == [inner("a", "memories/way/deep", strip)]
    for path in ("a", "memories/a", "memories/way/deep/a"):
        assert await composite.read(path) == path


async def test_going_up_from_one_member_into_another_goes_by_names(composite):
    await composite.write("memories/../top", "top")
    await composite.write("memories/way/deep/../../x", "x")

    assert await composite.read("top") == "top"
    assert await composite.read("memories/x") == "x"
    assert [each.name for each in (await composite.ls("memories/..")).entries] == [
        "memories",
        "top",
    ]
    with pytest.raises(e.PathEscapes) as caught:
        await composite.read("memories/../../x")
    assert caught.value.scope == composite.name


async def test_absolute_paths_go_to_the_default_as_written(tmp_path):
    composite = CompositeBackend(LocalBackend(tmp_path), {"mem": MemoryBackend()})
    await composite.write(f"{tmp_path}/mem/f", "the default's")

    assert (tmp_path / "mem/f").read_text() == "the default's"
    assert await composite.read(f"{tmp_path}/mem/f") == "the default's"
    assert not await composite.exists("mem/f")
    with pytest.raises(e.PathEscapes):
        await composite.read("/mem/f")
    await composite.aclose()


@pytest.mark.parametrize("prefix", ["", "/", "/mem", ".", "a/..", "../a", "a\0"])
def test_routes_that_cannot_be_are_refused(prefix):
    with pytest.raises(e.ConfigError, match="route"):
        CompositeBackend(MemoryBackend(), {prefix: MemoryBackend()})


def test_two_routes_at_one_place_are_refused():
    with pytest.raises(e.ConfigError, match="two routes at one place: a/b, a/b/"):
        CompositeBackend(MemoryBackend(), {"a/b": MemoryBackend(), "a/b/": MemoryBackend()})


async def test_a_directory_lists_one_entry_for_each_next_name_of_routes(composite, default):
    await default.inner.write("memories/hidden", "by the route")
    await default.inner.write("z", "")

    assert [each.name for each in (await composite.ls()).entries] == ["memories", "z"]
    assert [each.name for each in (await composite.ls("memories")).entries] == ["way"]
    assert [each.name for each in (await composite.ls("memories/way")).entries] == ["deep"]
    assert (await composite.ls("memories/way/deep")).entries == ()
    assert await composite.ls(limit=1) == m.Listing(
        entries=(await composite.ls()).entries[:1], omitted=1
    )
    assert (await composite.ls(limit=0)).omitted == 2
    for path in ("memories", "memories/way", "memories/way/deep/"):
        assert (await composite.stat(path)).type == "directory"
        assert await composite.exists(path)
        await composite.mkdir(path)
        with pytest.raises(e.AlreadyExists):
            await composite.mkdir(path, exist_ok=False)


async def test_a_route_is_no_file(composite):
    for path in ("memories", "memories/way", "memories/way/deep"):
        for message in (
            m.Read(path=path),
            m.ReadLines(path=path),
            m.Digest(path=path),
            m.Write(path=path, content=b""),
            m.Append(path=path, content=b""),
            m.Touch(path=path),
        ):
            with pytest.raises(e.WrongType) as caught:
                await composite.ask(message)
            assert (caught.value.path, caught.value.scope) == (path, composite.name)


async def test_a_search_asks_no_member_that_cannot_have_part_in_it(composite, memories, deep):
    await composite.glob("src/**/*.py")
    await composite.grep("x", glob="src/*.py")
    await composite.list_keys("src/")
    await composite.glob("*", "memories/way/deep")

    assert memories.messages == []
    assert len(deep.messages) == 1


@pytest.mark.parametrize("kind", ["memory", "local"])
async def test_a_file_filter_means_below_a_route_what_it_means_from_above(tmp_path, strip, kind):
    member = MemoryBackend() if kind == "memory" else LocalBackend(tmp_path)
    composite = CompositeBackend(MemoryBackend(), {"mem": member}, strip=strip)
    files = ("a.py", "deep/a.py", "mem/a.py", "mem/b.md", "mem/deep/a.py", "mem/x/deep/a.py")
    for path in files:
        await composite.write(path, "hit\n")
    for glob, expected in (
        ("*.py", ("a.py", "deep/a.py", "mem/a.py", "mem/deep/a.py", "mem/x/deep/a.py")),
        ("mem/*.py", ("mem/a.py",)),
        ("*/*.py", ("deep/a.py", "mem/a.py")),
        ("mem/deep/*", ("mem/deep/a.py",)),
        ("**/deep/*.py", ("deep/a.py", "mem/deep/a.py", "mem/x/deep/a.py")),
        ("{mem,x}/**/a.*", ("mem/a.py", "mem/deep/a.py", "mem/x/deep/a.py")),
        ("other/*.py", ()),
    ):
        assert (await composite.grep("hit", glob=glob, output="files")).files == expected, glob
    await composite.aclose()


async def test_caps_are_shared_over_routes_and_counts_are_exact(composite):
    for path in ("a", "memories/b", "memories/c", "memories/way/deep/d", "z"):
        await composite.write(path, "hit\nhit\n")
    every = ("a", "memories/b", "memories/c", "memories/way/deep/d", "z")
    for limit in range(7):
        found = await composite.grep("hit", output="files", limit=limit)
        assert (found.files, found.omitted) == (every[:limit], max(5 - limit, 0))
        lines = await composite.grep("hit", limit=limit)
        assert len(lines.matches) + lines.omitted == 10
        keys = await composite.list_keys(limit=limit)
        assert (keys.paths, keys.omitted) == (every[:limit], max(5 - limit, 0))
        drawn = await composite.tree(depth=None, limit=limit)
        assert len(drawn.entries) + drawn.omitted == 8
    assert (await composite.tree(depth=1)).text == ".\n├── a\n├── memories/\n└── z\n"


async def test_upload_and_download_ask_each_member_once_and_keep_the_order(
    composite, default, memories, deep
):
    files = [
        ("memories/1", b"1"), ("2", b"2"), ("memories/way/deep/3", b"3"), ("memories/4", b"4"),
        ("memories", b"no file"), ("../5", b""), ("2", b"again"), ("new/", b""),
    ]  # fmt: skip
    stored = await composite.upload(files)
    found = await composite.download([path for path, _ in files])

    assert [each.path for each in stored] == [each.path for each in found]
    assert [each.path for each in stored] == [path for path, _ in files]
    kinds = [None if each.error is None else each.error.kind for each in stored]
    assert kinds == [None] * 4 + ["WrongType", "PathEscapes", None, "WrongType"]
    assert [each.content for each in found] == [
        b"1",
        b"again",
        b"3",
        b"4",
        None,
        None,
        b"again",
        None,
    ]
    assert [each.path for each in found if each.error is not None] == ["memories", "../5", "new/"]
    for member in (default, memories, deep):
        assert len(member.of(m.Upload)) == len(member.of(m.Download)) == 1


@pytest.mark.parametrize("verb", ["copy", "move"])
async def test_files_and_trees_go_from_one_member_to_another_whole(composite, memories, verb):
    transfer = composite.copy if verb == "copy" else composite.move
    large = bytes(range(256)) * 40_000
    await composite.write("tree/sub/f", large)
    await composite.write("tree/empty", "")
    await composite.mkdir("tree/bare")
    await composite.chmod("tree/sub/f", 0o640)
    await transfer("tree", "memories/new/tree")
    await transfer("memories/new/tree/sub/f", "memories/way/deep/f")

    assert await composite.read("memories/way/deep/f", encoding=None) == large
    assert (await composite.stat("memories/way/deep/f")).mode == 0o640
    assert (await composite.stat("memories/new/tree/bare")).type == "directory"
    assert await composite.exists("tree") == (verb == "copy")
    assert await composite.exists("memories/new/tree/sub/f") == (verb == "copy")
    assert not [path for path in (await composite.list_keys()).paths if ".runner" in path]
    listed = await memories.inner.ls(
        "new" if await memories.inner.exists("new") else "memories/new"
    )
    assert [each.name for each in listed.entries] == ["tree"]


async def test_copying_what_contains_a_route_copies_it_too(composite):
    await composite.write("memories/a", "a")
    await composite.write("memories/way/deep/b", "b")
    await composite.copy("memories", "all")

    assert await composite.read("all/a") == "a"
    assert await composite.read("all/way/deep/b") == "b"
    with pytest.raises(e.InvalidPath):
        await composite.copy("memories", "memories/way/deep/self")


@pytest.mark.parametrize("verb", ["copy", "move"])
async def test_what_may_replace_what_across_members(composite, verb):
    transfer = composite.copy if verb == "copy" else composite.move
    await composite.write("f", "f")
    await composite.write("tree/y", "y")
    await composite.write("memories/g", "g")
    await composite.write("memories/full/x", "x")
    await composite.mkdir("memories/empty")
    for source, target, error, overwrite in (
        ("f", "memories/g", e.AlreadyExists, False),
        ("f", "memories/empty", e.WrongType, True),
        ("tree", "memories/g", e.WrongType, True),
        ("tree", "memories/full", e.NotEmpty, True),
        ("f", "memories/new/", e.WrongType, True),
        ("f", "memories/full/..", e.PermissionDenied, True),
        ("f", "memories/full/x/..", e.InvalidPath, True),
        ("memories/g", ".", e.PermissionDenied, True),
        ("missing", "memories/new", e.NotFound, True),
        ("f", "memories", e.PermissionDenied, True),
        ("f", "memories/way", e.PermissionDenied, True),
        ("f", "memories/../../out", e.PathEscapes, True),
    ):
        with pytest.raises(error) as caught:
            await transfer(source, target, overwrite=overwrite)
        about = source if error is e.NotFound else target
        assert (caught.value.op, caught.value.path) == (verb, about), (source, target)
        assert caught.value.scope == composite.name
    before = (await composite.list_keys()).paths
    assert before == ("f", "memories/full/x", "memories/g", "tree/y")
    await transfer("tree", "memories/empty", overwrite=True)
    await transfer("f", "memories/g", overwrite=True)

    assert await composite.read("memories/empty/y") == "y"
    assert await composite.read("memories/g") == "f"
    assert await composite.exists("f") == (verb == "copy")


@pytest.mark.parametrize(
    "path", ["memories", "memories/way", "memories/way/deep/", "memories/way/."]
)
async def test_a_routes_top_and_what_contains_one_stay(composite, path):
    await composite.write("memories/way/deep/f", "f")
    for attempt in (
        composite.remove(path, recursive=True),
        composite.remove(path, missing_ok=True),
        composite.move(path, "elsewhere"),
        composite.move("memories/way/deep/f", path, overwrite=True),
        composite.copy("memories/way/deep/f", path, overwrite=True),
    ):
        with pytest.raises(e.PermissionDenied, match="a route stands there"):
            await attempt

    assert await composite.read("memories/way/deep/f") == "f"


async def test_a_link_does_not_go_from_one_member_to_another(tmp_path):
    composite = CompositeBackend(LocalBackend(tmp_path), {"mem": MemoryBackend()})
    await composite.write("tree/f", "f")
    (tmp_path / "tree/l").symlink_to("f")
    for source in ("tree", "tree/l"):
        with pytest.raises(e.WrongType, match="a link, and cannot go") as caught:
            await composite.copy(source, "mem/new")
        assert caught.value.path == source
    await composite.copy("tree/../tree/f", "mem/f")

    assert (await composite.list_keys()).paths == ("mem/f", "tree/f")
    await composite.aclose()


@pytest.mark.parametrize("size", [0, (1 << 20) - 1, 1 << 20, (5 << 20) + 3])
async def test_files_of_any_size_go_from_one_member_to_another(tmp_path, size):
    composite = CompositeBackend(LocalBackend(tmp_path), {"mem": MemoryBackend()})
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    await composite.write("f", content)
    await composite.move("f", "mem/f")
    await composite.copy("mem/f", "new/f")

    assert (tmp_path / "new/f").read_bytes() == content
    assert [each.name for each in (await composite.tree(depth=None)).entries] == [
        "mem", "mem/f", "new", "new/f",
    ]  # fmt: skip
    assert not composite.holds()
    await composite.aclose()


async def test_a_pipe_does_not_go_from_one_member_to_another(tmp_path):
    composite = CompositeBackend(LocalBackend(tmp_path), {"mem": MemoryBackend()})
    (tmp_path / "tree").mkdir()
    os.mkfifo(tmp_path / "tree/pipe")
    for source in ("tree", "tree/pipe"):
        with pytest.raises(e.WrongType, match="neither a regular file nor a directory"):
            await composite.copy(source, "mem/new")
    await composite.aclose()


class Vanishing(MemoryBackend):
    """Has no content any more when it is asked for."""

    async def carry_out(self, message, /):
        if isinstance(message, m.Read):
            raise e.NotFound("read", message.path, scope=self.name)
        return await super().carry_out(message)


async def test_a_transfer_says_whether_its_source_or_its_target_is_at_fault():
    composite = CompositeBackend(Vanishing({"tree/f": "f"}), {"mem": MemoryBackend()})
    for verb in (composite.copy, composite.move):
        with pytest.raises(e.NotFound) as caught:
            await verb("tree", "mem/tree")
        assert (caught.value.op, caught.value.path) == (verb.__name__, "tree")
    assert (await composite.ls("mem")).entries == ()


class Failing(MemoryBackend):
    """Runs full in the middle."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    async def carry_out(self, message, /):
        if isinstance(message, m.Write | m.Append):
            self.room -= 1
            if self.room < 0:
                raise e.NoSpace("write", message.path, scope=self.name)
        return await super().carry_out(message)


@pytest.mark.parametrize("verb", ["copy", "move"])
async def test_a_transfer_that_fails_is_taken_back(verb):
    full = Failing(2)
    composite = CompositeBackend(MemoryBackend(), {"mem": full})
    for name in "abc":
        await composite.write(f"tree/{name}", name)
    with pytest.raises(e.NoSpace) as caught:
        await (composite.copy if verb == "copy" else composite.move)("tree", "mem/tree")

    assert (caught.value.op, caught.value.path) == (verb, "mem/tree")
    assert (await full.ls()).entries == ()
    assert len((await composite.list_keys()).paths) == 3


@attrs.define
class Slow(Asking):
    """Waits at the n-th write until it is cancelled."""

    inner: MemoryBackend
    writes: int

    @property
    def name(self):
        return self.inner.name

    async def ask(self, message, /):
        if isinstance(message, m.Write):
            self.writes -= 1
            if not self.writes:
                await trio.sleep_forever()
        return await self.inner.ask(message)


async def test_a_transfer_that_is_cancelled_is_taken_back(autojump_clock):
    slow = Slow(MemoryBackend(), 2)
    composite = CompositeBackend(MemoryBackend({"tree/a": "a", "tree/b": "b"}), {"mem": slow})
    with trio.move_on_after(1) as cancel_scope:
        await composite.move("tree", "mem/tree")

    assert cancel_scope.cancelled_caught
    assert (await slow.inner.ls()).entries == ()
    assert (await composite.list_keys()).paths == ("tree/a", "tree/b")


class Keeping(MemoryBackend):
    """Lets nothing be removed."""

    async def carry_out(self, message, /):
        if isinstance(message, m.Remove):
            raise e.PermissionDenied("remove", message.path, scope=self.name)
        return await super().carry_out(message)


async def test_a_move_that_cannot_remove_its_source_says_that_it_was_copied():
    composite = CompositeBackend(Keeping({"f": "f"}), {"mem": MemoryBackend()})
    with pytest.raises(e.PermissionDenied, match="copied whole, but") as caught:
        await composite.move("f", "mem/f")

    assert (caught.value.op, caught.value.path) == ("move", "f")
    assert await composite.read("f") == await composite.read("mem/f") == "f"


async def test_a_batch_within_one_member_is_all_or_none(composite):
    await composite.write("memories/a", "a")
    async with composite.batch() as batch:
        await batch.write("memories/b", "b")
        await batch.move("memories/a", "memories/c")
    with pytest.raises(e.NotFound, match="effect 2 of a batch") as caught:
        async with composite.batch() as batch:
            await batch.write("memories/b", "new")
            await batch.edit("memories/missing", "x", "y")

    assert caught.value.path == "memories/missing"
    assert (await composite.list_keys()).paths == ("memories/b", "memories/c")
    assert await composite.read("memories/b") == "b"
    assert await composite.ask(m.Batch(effects=())) == ()


async def test_a_batch_over_two_members_is_refused_before_anything_changed(
    composite, default, memories
):
    for effects in (
        (m.Touch(path="a"), m.Touch(path="memories/a")),
        (m.Touch(path="a"), m.Move(source="b", target="memories/b")),
        (m.Copy(source="memories/a", target="b"),),
    ):
        with pytest.raises(e.OperationError, match="a batch is all or none within one member"):
            await composite.ask(m.Batch(effects=effects))
    with pytest.raises(e.PermissionDenied):
        await composite.ask(m.Batch(effects=(m.Touch(path="a"), m.Remove(path="memories"))))

    assert default.messages == memories.messages == []


async def test_programs_run_where_the_default_is(tmp_path, strip):
    composite = CompositeBackend(LocalBackend(tmp_path), {"mem": MemoryBackend()}, strip=strip)
    await composite.write("sub/f", "f")
    await composite.write("mem/f", "f")
    done = await composite.exec("ls", cwd="sub")

    assert done.stdout == "f\n"
    for cwd in ("mem", "mem/", "sub/../mem/sub"):
        with pytest.raises(e.ExecFailed, match=f"cwd='{cwd}' is in a route") as caught:
            await composite.exec(["ls", "-l"], cwd=cwd)
        assert (caught.value.path, caught.value.scope) == ("ls -l", composite.name)
    with pytest.raises(e.ExecFailed, match="in memory"):
        await CompositeBackend(MemoryBackend(), {}).exec("ls")
    await composite.aclose()


async def test_errors_carry_the_callers_path_and_the_composites_name(composite):
    await composite.write("memories/f", "f")
    for message in (
        m.Read(path="memories/./missing"),
        m.Read(path="memories//f/x"),
        m.Ls(path="memories/missing/"),
        m.Stat(path="memories/way/../missing"),
        m.Glob(pattern="*", path="memories/missing"),
        m.Grep(pattern="x", path="./memories/missing"),
        m.Remove(path="memories/missing"),
        m.Edit(path="memories/f", replacements=(m.Replacement(old=b"x", new=b""),)),
        m.Realpath(path="memories/x/../f"),
    ):
        with pytest.raises(e.OperationError) as caught:
            await composite.ask(message)
        assert (caught.value.path, caught.value.scope) == (message.path, composite.name), message
    for message in (m.Glob(pattern="*["), m.Glob(pattern="*[", path="memories")):
        found = await composite.ask(message)
        assert found.paths == ()
    with pytest.raises(e.InvalidPattern) as caught:
        await composite.grep("(", "memories")
    assert (caught.value.path, caught.value.scope) == ("(", composite.name)


async def test_a_real_path_in_a_route_counts_from_the_top(tmp_path, strip):
    local = LocalBackend(tmp_path)
    composite = CompositeBackend(MemoryBackend(), {"here/loc": local}, strip=strip)
    await composite.write("here/loc/d/f", "f")
    top = tmp_path if strip else tmp_path / "here/loc"
    (top / "l").symlink_to("d/f")
    (tmp_path / "outer").write_text("")

    assert await composite.realpath("here/loc/l") == "here/loc/d/f"
    assert await composite.realpath("here/loc") == "here/loc"
    assert await composite.realpath("here") == "here"
    if not strip:
        (top / "out").symlink_to("../../outer")
        with pytest.raises(e.PathEscapes, match="another part"):
            await composite.realpath("here/loc/out")
    await composite.aclose()


async def test_a_member_may_be_a_scope_or_a_composite(tmp_path):
    async with open_runner(state=tmp_path / "state") as runner:
        scope = runner.scope(tmp_path / "work")
        inside = CompositeBackend(MemoryBackend(), {"scope": scope})
        composite = CompositeBackend(runner.scope(tmp_path / "top"), {"inner": inside})
        await composite.write("inner/scope/f", "f")
        await composite.move("inner/scope/f", "g")

        assert (tmp_path / "top/g").read_text() == "f"
        assert (await composite.exec("cat g")).stdout == "f"
        with pytest.raises(e.NotFound) as caught:
            await composite.read("inner/scope/f")
        assert (caught.value.path, caught.value.scope) == ("inner/scope/f", composite.name)
        assert [each.name for each in (await composite.tree(depth=None)).entries] == [
            "g", "inner", "inner/scope",
        ]  # fmt: skip
        await composite.aclose()


async def test_what_a_member_has_where_another_stands_is_hidden_and_not_counted(strip):
    default = MemoryBackend({f"mem/{number}": "hit\n" for number in range(50)})
    await default.write("z", "hit\n")
    composite = CompositeBackend(default, {"mem": MemoryBackend()}, strip=strip)
    await composite.write("mem/own", "hit\n")

    for limit in (0, 1, 2, 9):
        found = await composite.grep("hit", limit=limit)
        assert len(found.matches) + found.omitted == 2
        paths = await composite.glob("**", limit=limit)
        assert len(paths.paths) + paths.omitted == 3
        listing = await composite.ls(limit=limit)
        assert len(listing.entries) + listing.omitted == 2
    assert (await composite.glob("**/*")).paths == ("mem", "mem/own", "z")


async def test_each_member_has_its_own_gitignore(strip):
    composite = CompositeBackend(MemoryBackend(), {"mem": MemoryBackend()}, strip=strip)
    for path in ("a.log", "mem/a.log", "mem/a.md"):
        await composite.write(path, "")
    await composite.write(".gitignore", "*.log\n")
    await composite.write("mem/.gitignore", "*.md\n")

    assert (await composite.glob("**/*.*", gitignore=True)).paths == ("mem/a.log",)


async def test_a_composite_says_what_it_is(composite):
    assert composite.name == "composite of memory:"
    assert repr(composite).endswith(" with memories/way/deep, memories>")
    assert not composite.holds()


def test_the_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    code = readme.partition("<!-- backends -->\n```python\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # it is ours

    assert "TODO: prices" in capsys.readouterr().out
    assert (tmp_path / "work/shop/plan.md").read_text() == "TODO: prices\n"
