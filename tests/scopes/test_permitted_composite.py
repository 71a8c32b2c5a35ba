"""Permissions around a composite: rules see one tree by the caller's names, and hold the places."""

from __future__ import annotations

import pytest

import runner
from runner.backends.composite import CompositeBackend
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.backends.read_only import ReadOnlyBackend
from runner.errors import (
    ConfigError,
    Denied,
    ExecFailed,
    InvalidPath,
    NotFound,
    PathEscapes,
    ReadOnly,
    WrongType,
)
from runner.messages import Batch, Write
from runner.operations import Asking
from runner.scopes.permissions import Rule, Rules, Ruleset
from runner.scopes.permitted import PermittedBackend
from runner.scopes.scope import Ground, Scope


def denying(*patterns):
    rules = Rules(rules=tuple(Rule(pattern=each, action="deny") for each in patterns))
    return Ruleset(
        default="allow",
        read=rules,
        write=rules,
        edit=rules,
        remove=rules,
        ls=rules,
        glob=rules,
        grep=rules,
    )


@pytest.fixture(params=[True, False], ids=["stripped", "kept"])
def strip(request):
    return request.param


@pytest.fixture
def place(tmp_path, strip):
    """Where what stands at the route `notes` is kept."""
    return tmp_path / ("kept" if strip else "kept/notes")


@pytest.fixture
async def composite(tmp_path, strip, place):
    """Directories at the top and at `notes`, memory at `notes/draft`."""
    members = {"notes": LocalBackend(tmp_path / "kept"), "notes/draft": MemoryBackend()}
    backend = CompositeBackend(LocalBackend(tmp_path / "work"), members, strip=strip)
    for path in ("a", "notes/a", "notes/private/key", "notes/draft/a", "notes/draft/private/key"):
        await backend.write(path, "needle\n")
    (place / "way").symlink_to("private")
    yield backend
    await backend.aclose()


@pytest.mark.parametrize("path", ["notes/private/key", "a/../notes/private/key", "notes/way/key"])
async def test_rules_count_from_the_top_of_the_composite(composite, path):
    backend = PermittedBackend(composite, denying("notes/private/**"))
    if ".." in path:
        path = path.replace("a/..", "notes/..")

    with pytest.raises(Denied) as caught:
        await backend.read(path)

    assert caught.value.path == path
    assert caught.value.rule == "notes/private/**"
    assert caught.value.scope == composite.name
    assert await backend.read("notes/draft/private/key") == "needle\n"


async def test_rules_for_absolute_paths_see_where_the_parts_are_kept(composite, place):
    backend = PermittedBackend(composite, denying(f"{place}/private/**", f"{place}/a"))

    for path in ("notes/a", "notes/private/key", "notes/way/key"):
        with pytest.raises(Denied):
            await backend.write(path, "x")
    assert (await backend.glob("**")).paths == (
        "a",
        "notes",
        "notes/draft",
        "notes/draft/a",
        "notes/draft/private",
        "notes/draft/private/key",
    )


async def test_denied_entries_are_in_no_list_that_is_put_together(composite):
    backend = PermittedBackend(composite, denying("**/private/**"))
    shown = ("a", "notes", "notes/a", "notes/draft", "notes/draft/a")

    assert (await backend.glob("**")).paths == shown
    assert tuple(each.name for each in (await backend.tree(depth=None)).entries) == shown
    assert (await backend.list_keys()).paths == ("a", "notes/a", "notes/draft/a")
    assert [each.path for each in (await backend.grep("needle")).matches] == [
        "a",
        "notes/a",
        "notes/draft/a",
    ]
    assert [each.name for each in (await backend.ls("notes")).entries] == ["a", "draft"]
    for limit in range(6):
        found = await backend.glob("**", limit=limit)
        assert (len(found.paths), found.omitted) == (min(limit, 5), max(5 - limit, 0))


async def test_a_route_that_is_denied_is_not_there(composite):
    backend = PermittedBackend(composite, denying("notes/draft/**"))

    assert "draft" not in [each.name for each in (await backend.ls("notes")).entries]
    with pytest.raises(Denied):
        await backend.ls("notes/draft")
    with pytest.raises(Denied):
        await backend.copy("notes", "elsewhere")
    assert not await composite.exists("elsewhere")


async def test_what_goes_from_one_member_to_another_is_one_question(composite):
    questions = []
    ask = Rules(default="ask")
    rules = Ruleset(default="allow", read=ask, write=ask, remove=ask)

    def yes(question):
        questions.append(question)
        return True

    backend = PermittedBackend(composite, rules, ask=yes)
    await backend.move("notes/draft/private", "moved")

    assert [each.op for each in questions] == ["move"]
    assert {path.rpartition("/")[2] for _, path in questions[0].targets} == {
        "private",
        "key",
        "moved",
    }
    assert await composite.read("moved/key") == "needle\n"


async def test_a_copy_to_another_member_does_not_need_leave_for_its_temporary_names(composite):
    write = Rules(default="deny", rules=(Rule(pattern="only/**", action="allow"),))
    backend = PermittedBackend(composite, Ruleset(default="allow", write=write))
    await backend.copy("notes/draft", "only")

    assert await composite.read("only/private/key") == "needle\n"
    with pytest.raises(Denied):
        await backend.copy("notes/draft", "other")


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_a_link_does_not_go_to_another_member(composite, operation):
    backend = PermittedBackend(composite, "permissive")

    for each in (composite, backend):
        with pytest.raises(WrongType, match="is a link"):
            await getattr(each, operation)("notes/way", "there")


async def test_what_a_route_hides_is_not_reached_by_a_link_or_by_its_absolute_path(
    composite, tmp_path
):
    work = tmp_path / "work"
    (work / "notes").mkdir()
    (work / "notes/hidden").write_text("x")
    (work / "link").symlink_to("notes")
    backend = PermittedBackend(composite, "permissive")

    for path in ("link/hidden", f"{work}/notes/hidden"):
        assert await composite.read(path) == "x"
        with pytest.raises(PathEscapes, match="no name here"):
            await backend.read(path)
    assert await backend.read(f"{work}/a") == "needle\n"


async def test_a_link_that_is_swapped_in_while_it_is_asked_about_leads_nowhere(composite, place):
    (place / "turn").mkdir()
    (place / "turn/key").write_text("open")

    def swap(_):
        (place / "turn").rename(place / "turned")
        (place / "turn").symlink_to("private")
        return True

    rules = Rules(rules=(Rule(pattern="**/turn/**", action="ask"),))
    backend = PermittedBackend(composite, Ruleset(default="allow", write=rules), ask=swap)
    with pytest.raises(Denied, match="led elsewhere"):
        await backend.write("notes/turn/key", "x")

    assert (place / "private/key").read_text() == "needle\n"
    assert (place / "turned/key").read_text() == "open"


async def test_permissions_of_a_member_count_as_well_and_follow_no_link_behind_ours(
    tmp_path, strip
):
    member = PermittedBackend(LocalBackend(tmp_path / "kept"), denying("**/own/**"))
    composite = CompositeBackend(MemoryBackend(), {"notes": member}, strip=strip)
    backend = PermittedBackend(composite, denying("notes/ours/**"))
    await backend.write("notes/free", "x")

    for path in ("notes/ours/x", "notes/own/x"):
        with pytest.raises(Denied):
            await backend.write(path, "x")


async def test_a_link_that_comes_between_two_permissions_leads_nowhere(tmp_path):
    root = tmp_path / "scope"
    inner = PermittedBackend(LocalBackend(root), "permissive")
    await inner.write("dir/key", "open")
    await inner.write("denied/key", "x")

    def swap(_):
        (root / "dir").rename(root / "old")
        (root / "dir").symlink_to("denied")
        return True

    rules = Ruleset(
        default="allow",
        read=Rules(
            rules=(Rule(pattern="denied/**", action="deny"), Rule(pattern="dir/**", action="ask"))
        ),
    )
    outer = PermittedBackend(inner, rules, ask=swap)
    with pytest.raises(Denied):
        await outer.read("dir/key")
    with pytest.raises(InvalidPath, match="follows none"):
        await inner.straight().read("dir/key")
    with pytest.raises(Denied):
        await outer.read("dir/key")
    assert await inner.read("dir/key") == "x"


async def test_programs_are_judged_as_where_the_default_is(composite):
    rules = denying("secrets/**")
    backend = PermittedBackend(composite, rules)

    assert (await backend.exec("cat a")).stdout == "needle\n"
    with pytest.raises(Denied):
        await backend.exec("cat secrets/key")
    with pytest.raises(ExecFailed, match="is in a route"):
        await backend.exec("true", cwd="notes")


async def test_streams_batches_and_many_at_once_go_through(composite):
    backend = PermittedBackend(composite, denying("**/private/**"))

    async with backend.open_stream("notes/streamed", "wb") as stream:
        await stream.send(b"x")
    async with backend.batch() as batch:
        await batch.write("notes/b", "x")
        await batch.write("notes/c", "x")
    stored = await backend.upload([("d", "x"), ("notes/private/x", "x"), ("notes/draft/d", "x")])
    loaded = await backend.download(["notes/b", "notes/streamed", "notes/draft/private/key"])

    assert [each.error and each.error.kind for each in stored] == [None, "Denied", None]
    assert [each.content for each in loaded] == [b"x", b"x", None]
    with pytest.raises(Denied):
        await backend.ask(Batch(effects=(Write(path="notes/private/x", content=b""),)))


async def test_what_leads_out_of_a_member_is_said_in_the_callers_words(composite, place):
    (place / "out").symlink_to("../../../elsewhere")
    backend = PermittedBackend(composite, "permissive")

    for path in ("notes/out/x", "../x"):
        with pytest.raises(PathEscapes) as caught:
            await backend.read(path)
        assert (caught.value.path, caught.value.scope) == (path, composite.name)


async def test_a_kept_route_is_left_by_no_link(tmp_path):
    kept = LocalBackend(tmp_path / "kept")
    await kept.write("other/x", "x")
    await kept.write("notes/a", "x")
    (tmp_path / "kept/notes/link").symlink_to("../other")
    composite = CompositeBackend(MemoryBackend(), {"notes": kept}, strip=False)

    assert await composite.read("notes/link/x") == "x"
    with pytest.raises(PathEscapes, match="no name here"):
        await PermittedBackend(composite, "permissive").read("notes/link/x")


async def test_composites_in_composites_are_one_tree(tmp_path, strip):
    deep = LocalBackend(tmp_path / "deep")
    middle = CompositeBackend(LocalBackend(tmp_path / "middle"), {"deep": deep}, strip=strip)
    outer = CompositeBackend(middle, {"in": middle, "deep/over": MemoryBackend()}, strip=True)
    for path in ("a", "deep/a", "in/a", "in/deep/a", "deep/over/a"):
        await outer.write(path, path)
    place = tmp_path / "deep" if strip else tmp_path / "deep/deep"
    backend = PermittedBackend(outer, denying(f"{place}/**"))

    for path in ("deep/a", "in/deep/a"):
        with pytest.raises(Denied):
            await backend.read(path)
    assert await backend.read("deep/over/a") == "deep/over/a"
    assert (await PermittedBackend(outer, "permissive").glob("**")).paths == (
        await outer.glob("**")
    ).paths


async def test_standing_directories_are_where_they_are_whatever_a_member_has_there(tmp_path):
    work = LocalBackend(tmp_path / "work")
    await work.write("other/x", "x")
    (tmp_path / "work/shared").symlink_to("other")
    composite = CompositeBackend(work, {"shared/docs": MemoryBackend({"a": "x"})})
    backend = PermittedBackend(composite, "permissive")

    assert (await backend.stat("shared")).type == "directory"
    assert await backend.read("shared/docs/a") == "x"
    with pytest.raises(NotFound):
        await backend.read("shared/docs/none")


# ---------------------------------------------------------------- scopes as members


async def test_scopes_can_stand_in_it_with_their_own_permissions_and_order(tmp_path, strip):
    place = tmp_path / ("kept" if strip else "kept/notes")
    async with runner.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(tmp_path / "kept", permissions=denying("**/own/**"))
        composite = CompositeBackend(r.scope(tmp_path / "work"), {"notes": scope}, strip=strip)
        backend = PermittedBackend(composite, denying("notes/ours/**", f"{place}/abs"))
        await backend.write("a", "x")
        await backend.write("notes/free", "x")
        (place / "ours").mkdir()
        (place / "ours/key").write_text("x")
        (place / "way").symlink_to("ours")

        for path in ("notes/ours/x", "notes/own/x", "notes/way/key", "notes/abs"):
            with pytest.raises(Denied) as caught:
                await backend.write(path, "x")
            assert caught.value.path == path
        assert (await backend.glob("**")).paths == ("a", "notes", "notes/free")
        assert await composite.read("notes/way/key") == "x"
        with pytest.raises(PathEscapes):
            await backend.read("notes/../../x")
        with pytest.raises(InvalidPath):
            await scope.straight().read("notes/way/key" if not strip else "way/key")
        backend = PermittedBackend(ReadOnlyBackend(scope), "permissive")
        with pytest.raises(ReadOnly):
            await backend.write("x", "x")


async def test_a_destroyed_scope_refuses_behind_permissions_too(tmp_path):
    async with runner.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(tmp_path / "kept")
        backend = PermittedBackend(
            CompositeBackend(MemoryBackend(), {"notes": scope}), "permissive"
        )
        await backend.write("notes/a", "x")
        await scope.destroy()

        with pytest.raises(runner.errors.Destroyed):
            await backend.read("notes/a")


def test_a_scope_that_is_elsewhere_cannot_have_permissions_around_it():
    async def asker(message, /):
        raise AssertionError

    scope = Scope("far", Ground(root="/far"), {}, lambda _: asker)
    with pytest.raises(ConfigError, match="not on this machine"):
        PermittedBackend(CompositeBackend(MemoryBackend(), {"notes": scope}), "permissive")


def test_a_member_that_cannot_say_where_its_links_lead_is_refused_at_once():
    class Remote(Asking):
        name = "remote"

        async def ask(self, message):
            raise NotImplementedError

    with pytest.raises(ConfigError, match="remote cannot be used with permissions"):
        PermittedBackend(CompositeBackend(MemoryBackend(), {"notes": Remote()}), "permissive")
