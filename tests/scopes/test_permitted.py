"""A backend behind permissions: what is denied is neither done nor seen, whatever names lead to it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import attrs
import pytest
import trio
import trio.testing

from runner import messages as m
from runner.backends.base import Backend
from runner.backends.composite import CompositeBackend
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.errors import ConfigError, Denied, InvalidPath, NotFound, OperationError, PathEscapes
from runner.messages import Message
from runner.scopes.permissions import Grant, Permissions, Rule, Rules, Ruleset
from runner.scopes.permitted import PermittedBackend

DENY = (Rule(pattern="secrets/**", action="deny", description="keys"),)
ALL = Rules(rules=DENY)
HIDING = Ruleset(
    default="allow", read=ALL, write=ALL, edit=ALL, remove=ALL, ls=ALL, glob=ALL, grep=ALL
)
TREE = {
    "a.txt": "needle\n",
    "b.txt": "needle\nneedle\n",
    "src/app.py": "needle\n",
    "secrets/key": "needle\n",
    "secrets/deep/key": "needle\n",
}


@pytest.fixture(params=["openat2", "walk", "memory", "stripped", "kept"])
async def inner(request, tmp_path):
    if request.param == "memory":
        backend = MemoryBackend(TREE)
    elif request.param in {"stripped", "kept"}:
        members = {"secrets/deep": MemoryBackend(), "src": LocalBackend(tmp_path / "src")}
        default = LocalBackend(tmp_path / "default")
        backend = CompositeBackend(default, members, strip=request.param == "stripped")
        for path, text in TREE.items():
            await backend.write(path, text)
    else:
        root = tmp_path / "scope"
        root.mkdir()
        backend = LocalBackend(root, opener=request.param)
        for path, text in TREE.items():
            await backend.write(path, text)
    yield backend
    await backend.aclose()


@pytest.fixture(params=["openat2", "walk"])
async def local(request, tmp_path):
    """A directory with links: `link` to the secrets, `way` to src, `out` to the outside."""
    root = tmp_path / "scope"
    root.mkdir()
    backend = LocalBackend(root, opener=request.param)
    for path, text in TREE.items():
        await backend.write(path, text)
    (root / "link").symlink_to("secrets")
    (root / "key").symlink_to("secrets/key")
    (root / "way").symlink_to("src")
    (root / "out").symlink_to("../outside")
    (root / "absolute").symlink_to(root / "a.txt")
    (root / "loop").symlink_to("loop")
    (root / "new").symlink_to("src/new.txt")
    (root / "slash").symlink_to("a.txt/")
    yield backend
    await backend.aclose()


def under(inner, rules=HIDING, **more):
    return PermittedBackend(inner, rules, **more)


# ---------------------------------------------------------------- denied


OPERATIONS = {
    "read": lambda b, path: b.read(path),
    "read_lines": lambda b, path: b.read_lines(path),
    "digest": lambda b, path: b.digest(path),
    "stat": lambda b, path: b.stat(path),
    "exists": lambda b, path: b.exists(path),
    "write": lambda b, path: b.write(path, "x"),
    "append": lambda b, path: b.append(path, "x"),
    "edit": lambda b, path: b.edit(path, "needle", "x"),
    "touch": lambda b, path: b.touch(path),
    "chmod": lambda b, path: b.chmod(path, 0o600),
    "mkdir": lambda b, path: b.mkdir(path),
    "remove": lambda b, path: b.remove(path, recursive=True),
    "ls": lambda b, path: b.ls(path),
    "tree": lambda b, path: b.tree(path),
    "glob": lambda b, path: b.glob("*", path),
    "grep": lambda b, path: b.grep("needle", path),
    "copy": lambda b, path: b.copy(path, "copied"),
    "copy to": lambda b, path: b.copy("a.txt", path, overwrite=True),
    "move": lambda b, path: b.move(path, "moved"),
    "move to": lambda b, path: b.move("a.txt", path, overwrite=True),
    "realpath": lambda b, path: b.realpath(path),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("path", ["secrets/key", "./secrets//key", "src/../secrets/key", "secrets"])
async def test_what_is_denied_is_not_done(inner, name, path):
    backend = under(inner)
    before = [(e.name, e.size) for e in (await inner.tree(depth=None)).entries]

    with pytest.raises(Denied) as caught:
        await OPERATIONS[name](backend, path)

    error = caught.value
    assert error.op == name.split()[0]
    assert error.path == path
    assert error.rule == "secrets/**"
    assert "keys" in error.reason
    assert error.scope == inner.name
    assert error.hint
    assert [(e.name, e.size) for e in (await inner.tree(depth=None)).entries] == before


@pytest.mark.parametrize(
    "name",
    [each for each in OPERATIONS if each not in {"remove", "move", "copy", "copy to", "move to"}],
)
@pytest.mark.parametrize("path", ["link/key", "key", "way/../link/key", "$ROOT/link/key", "link"])
async def test_links_do_not_lead_around_the_rules(local, name, path, tmp_path):
    path = path.replace("$ROOT", local.root)
    with pytest.raises(Denied) as caught:
        await OPERATIONS[name](under(local), path)

    assert caught.value.path == path
    assert (tmp_path / "scope/secrets/key").read_text() == "needle\n"


async def test_rules_on_the_name_as_written_count_too(local):
    rules = Ruleset(default="allow", read=Rules(rules=(Rule(pattern="way/**", action="deny"),)))
    backend = under(local, rules)

    with pytest.raises(Denied):
        await backend.read("way/app.py")
    assert await backend.read("src/app.py") == "needle\n"


async def test_a_link_itself_may_be_removed_and_moved_where_its_name_may(local, tmp_path):
    backend = under(local)
    await backend.copy("link", "link2")
    await backend.move("link2", "link3")
    await backend.remove("link3")
    await backend.remove("key")

    assert (tmp_path / "scope/secrets/key").exists()
    with pytest.raises(Denied):
        await backend.remove("link/key")


async def test_what_is_allowed_is_done_through_links_as_without_rules(local, tmp_path):
    backend = under(local)
    await backend.write("way/more.py", "x")
    await backend.write("new", "made")
    await backend.write("way/d/e", "y")

    assert await backend.read("way/app.py") == "needle\n"
    assert (tmp_path / "scope/src/more.py").read_text() == "x"
    assert (tmp_path / "scope/src/new.txt").read_text() == "made"
    assert await backend.exists("way/d/e")
    assert (await backend.glob("*.py", "way")).paths == ("way/app.py", "way/more.py")
    assert [each.path for each in (await backend.grep("needle", "way")).matches] == ["way/app.py"]
    assert [each.path for each in (await backend.grep("needle", "way/app.py")).matches] == [
        "way/app.py"
    ]
    assert (await backend.grep("needle", "way", output="files")).files == ("way/app.py",)
    assert [
        each.path for each in (await backend.grep("needle", "way", output="counts")).counts
    ] == ["way/app.py"]
    assert (await backend.tree("way")).path == "way"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("out/x", PathEscapes),
        ("../x", PathEscapes),
        ("absolute", PathEscapes),
        ("src/../../x", PathEscapes),
        ("loop", InvalidPath),
        ("nothing", NotFound),
        ("a.txt/b", OperationError),
        ("slash", OperationError),
        ("nothing/../a.txt", NotFound),
        ("a.txt/../a.txt", OperationError),
        ("way/nothing", NotFound),
    ],
)
async def test_errors_are_those_without_rules_in_the_callers_words(local, path, error):
    with pytest.raises(error) as plain:
        await local.read(path)
    with pytest.raises(error) as caught:
        await under(local).read(path)

    assert type(caught.value) is type(plain.value)
    assert caught.value.path == path


async def test_a_path_with_too_many_names_is_refused_before_it_takes_long(local):
    with pytest.raises(InvalidPath):
        await under(local).read("a/../" * 5000)


async def test_what_does_not_exist_yet_is_judged_by_where_it_would_be(tmp_path):
    backend = under(LocalBackend(tmp_path / "missing"))
    with pytest.raises(Denied):
        await backend.write("x/../secrets/a", "x")
    with pytest.raises(NotFound):
        await backend.read("a")
    await backend.write("a", "x")

    assert await backend.read("a") == "x"


# ---------------------------------------------------------------- trees


async def test_a_tree_with_something_denied_in_it_is_neither_copied_moved_nor_removed(inner):
    await inner.write("d/secrets/key", "x")
    await inner.write("d/free", "x")
    rules = attrs.evolve(
        HIDING,
        read=Rules(rules=(Rule(pattern="d/secrets/**", action="deny"),)),
        remove=Rules(rules=(Rule(pattern="d/secrets/**", action="deny"),)),
    )
    backend = under(inner, rules)
    for operation in (
        backend.copy("d", "e"),
        backend.move("d", "e"),
        backend.remove("d", recursive=True),
    ):
        with pytest.raises(Denied) as caught:
            await operation
        assert caught.value.path == "d"

    assert await inner.read("d/secrets/key") == "x"
    assert not await inner.exists("e")
    await backend.copy("src", "e")
    await backend.remove("e", recursive=True)
    with pytest.raises(OperationError):
        await backend.remove("src")


async def test_a_tree_is_not_copied_to_where_a_part_of_it_must_not_be(inner):
    rules = Ruleset(default="allow", write=Rules(rules=(Rule(pattern="e/app.py", action="deny"),)))
    with pytest.raises(Denied):
        await under(inner, rules).copy("src", "e")

    await under(inner, rules).copy("src", "f")
    await under(inner, Ruleset(default="allow")).remove("f", recursive=True)
    assert not await inner.exists("f")


async def test_a_batch_is_judged_whole(inner):
    backend = under(inner)
    with pytest.raises(Denied):
        async with backend.batch() as batch:
            await batch.write("fine", "x")
            await batch.write("secrets/x", "x")

    assert not await inner.exists("fine")


async def test_what_a_batch_has_put_somewhere_is_judged_where_it_goes_next(inner):
    rules = Ruleset(default="allow", write=Rules(rules=(Rule(pattern="e/x", action="deny"),)))
    backend = under(inner, rules)
    await inner.write("own/app.py", "x")
    with pytest.raises(Denied):
        async with backend.batch() as batch:
            await batch.write("d/x", "x")
            await batch.move("d", "e")
    with pytest.raises(Denied):
        async with backend.batch() as batch:
            await batch.write("c/d/x", "x")
            await batch.move("c", "b")
            await batch.move("b/d", "e")
    async with backend.batch() as batch:
        await batch.write("d/y", "x")
        await batch.move("d", "e")
        await batch.move("own", "f")
        await batch.remove("f", recursive=True)

    assert [each.name for each in (await inner.ls("e")).entries] == ["y"]
    assert not await inner.exists("f")


async def test_uploads_and_downloads_are_judged_item_by_item(inner):
    backend = under(inner)
    stored = await backend.upload(
        [("one", "1"), ("secrets/two", "2"), ("../three", "3"), ("four", "4")]
    )
    loaded = await backend.download(["four", "secrets/key", "nothing", "one"])

    assert [(each.path, each.error and each.error.kind) for each in stored] == [
        ("one", None),
        ("secrets/two", "Denied"),
        ("../three", "PathEscapes"),
        ("four", None),
    ]
    assert [(each.path, each.content) for each in loaded] == [
        ("four", b"4"),
        ("secrets/key", None),
        ("nothing", None),
        ("one", b"1"),
    ]
    assert loaded[1].error.kind == "Denied"
    assert [each.path for each in loaded if each.error] == ["secrets/key", "nothing"]
    assert not await inner.exists("secrets/two")


# ---------------------------------------------------------------- seen


async def test_denied_entries_are_not_seen(inner):
    backend = under(inner)

    assert [each.name for each in (await backend.ls()).entries] == ["a.txt", "b.txt", "src"]
    assert (await backend.glob("**")).paths == ("a.txt", "b.txt", "src", "src/app.py")
    assert [each.name for each in (await backend.tree(depth=None)).entries] == [
        "a.txt",
        "b.txt",
        "src",
        "src/app.py",
    ]
    assert (await backend.list_keys()).paths == ("a.txt", "b.txt", "src/app.py")
    assert {each.path for each in (await backend.grep("needle")).matches} == {
        "a.txt",
        "b.txt",
        "src/app.py",
    }
    assert (await backend.grep("needle", output="files")).files == ("a.txt", "b.txt", "src/app.py")
    assert [each.path for each in (await backend.grep("needle", output="counts")).counts] == [
        "a.txt",
        "b.txt",
        "src/app.py",
    ]


async def test_counts_of_what_was_left_out_do_not_betray_what_is_denied(inner):
    plain = MemoryBackend({path: text for path, text in TREE.items() if "secrets" not in path})
    backend = under(inner)
    for limit in range(6):
        for ask in (
            lambda b, n: b.ls(limit=n),
            lambda b, n: b.glob("**", limit=n),
            lambda b, n: b.tree(limit=n, depth=None),
            lambda b, n: b.list_keys(limit=n),
            lambda b, n: b.grep("needle", limit=n),
            lambda b, n: b.grep("needle", limit=n, per_file=1),
            lambda b, n: b.grep("needle", limit=n, output="files"),
            lambda b, n: b.grep("needle", limit=n, output="counts"),
        ):
            expected, found = await ask(plain, limit), await ask(backend, limit)
            assert found.omitted == expected.omitted
            for name in ("paths", "matches", "files", "counts"):
                assert getattr(found, name, None) == getattr(expected, name, None)
            if hasattr(found, "entries"):
                assert [each.name for each in found.entries] == [
                    each.name for each in expected.entries
                ]


async def test_links_to_what_is_denied_are_not_seen_either(local):
    backend = under(local)

    shown = ["a.txt", "absolute", "b.txt", "loop", "new", "out", "slash", "src", "way"]
    assert [each.name for each in (await backend.ls()).entries] == shown
    assert (await backend.glob("*")).paths == tuple(shown)
    assert [each.name for each in (await backend.tree(depth=1)).entries] == shown
    assert "link" not in str((await backend.glob("**")).paths)


async def test_what_may_not_be_read_is_not_found_by_grep_and_not_listed_where_a_rule_says_so(inner):
    rules = Ruleset(default="allow", read=Rules(rules=(Rule(pattern="**/*.py", action="deny"),)))
    backend = under(inner, rules)

    assert "app.py" not in str((await backend.grep("needle")).matches)
    assert "src/app.py" not in (await backend.glob("**")).paths
    assert "src" in [each.name for each in (await backend.ls()).entries]


async def test_a_directory_may_be_listed_and_not_read_by_default(inner):
    backend = under(inner, Ruleset(default="allow", read=Rules(default="deny")))

    assert "a.txt" in [each.name for each in (await backend.ls()).entries]
    assert (await backend.grep("needle")).matches == ()
    with pytest.raises(Denied):
        await backend.read("a.txt")


async def test_what_has_to_be_asked_about_is_seen(inner):
    backend = under(
        inner, Ruleset(default="allow", ls=Rules(rules=(Rule(pattern="src/**", action="ask"),)))
    )

    assert "src" in [each.name for each in (await backend.ls()).entries]


async def test_dot_files_are_matched_by_rules_like_all_others(inner):
    await inner.write(".hidden/x", "needle\n")
    backend = under(
        inner, Ruleset(default="allow", ls=Rules(rules=(Rule(pattern="*", action="deny"),)))
    )
    with pytest.raises(Denied):
        await backend.ls()
    backend = under(
        inner, Ruleset(default="allow", ls=Rules(rules=(Rule(pattern=".h*", action="deny"),)))
    )
    assert ".hidden" not in [each.name for each in (await backend.ls()).entries]


async def test_many_entries_are_sifted_in_a_thread(tmp_path):
    (tmp_path / "secrets").mkdir()
    for number in range(400):
        (tmp_path / f"f{number:03}").touch()
    backend = under(LocalBackend(tmp_path))

    assert len((await backend.ls()).entries) == 400
    assert len((await backend.glob("*")).paths) == 400


# ---------------------------------------------------------------- asking

ASKING = Ruleset(
    default="allow",
    write=Rules(default="ask"),
    remove=Rules(default="ask"),
    read=Rules(rules=(Rule(pattern="ask/**", action="ask"),)),
)


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("is_async", [True, False])
async def test_exactly_one_question_is_asked_for_each_operation(inner, answer, is_async):
    questions, decisions = [], []

    def ask(question):
        questions.append(question)
        return answer

    async def ask_later(question):
        await trio.lowlevel.checkpoint()
        return ask(question)

    backend = under(inner, ASKING, ask=ask_later if is_async else ask, record=decisions.append)
    operations = [
        (backend.write, ("a.txt", "x")),
        (backend.move, ("b.txt", "c.txt")),
        (backend.copy, ("src", "d")),
        (backend.upload, ([("x", "1"), ("y", "2")],)),
    ]
    for call, args in operations:
        questions.clear()
        if answer:
            await call(*args)
        elif call == backend.upload:
            assert [each.error.kind for each in await call(*args)] == ["Denied", "Denied"]
        else:
            with pytest.raises(Denied, match="the answer was no"):
                await call(*args)
        assert len(questions) == 1
        assert isinstance(questions[0].message, Message)
    assert questions[0].targets[0][0] == "write"
    assert len(questions[0].targets) == 2  # both files in one question
    assert [each.by for each in decisions] == ["answer"] * 4
    assert {each.allowed for each in decisions} == {answer}


async def test_what_is_allowed_or_denied_asks_nobody(inner):
    def ask(question):
        raise AssertionError(question)

    decisions = []
    backend = under(inner, HIDING, ask=ask, record=decisions.append)
    await backend.read("a.txt")
    with pytest.raises(Denied):
        await backend.move("a.txt", "secrets/a")

    assert [(each.op, each.allowed, each.by) for each in decisions] == [
        ("read", True, "default"),
        ("move", False, "rule"),
    ]
    assert decisions[1].rule == DENY[0]


@pytest.mark.parametrize("default", ["allow", "deny"])
async def test_no_answer_within_the_deadline_is_the_default(default, autojump_clock):
    decisions = []

    async def never(_):
        await trio.sleep_forever()

    backend = under(
        MemoryBackend(TREE),
        ASKING,
        ask=never,
        deadline=5.0,
        default=default,
        record=decisions.append,
    )
    started = trio.current_time()
    if default == "deny":
        with pytest.raises(Denied, match="no answer came within 5 s"):
            await backend.write("a.txt", "x")
    else:
        await backend.write("a.txt", "x")

    assert trio.current_time() - started == 5
    assert [(each.by, each.allowed) for each in decisions] == [("deadline", default == "allow")]


@pytest.mark.parametrize("default", ["allow", "deny"])
async def test_where_nobody_is_there_to_ask_the_default_counts(inner, default):
    backend = under(inner, ASKING, default=default)
    if default == "deny":
        with pytest.raises(Denied, match="nobody is there to be asked"):
            await backend.write("a.txt", "x")
    else:
        await backend.write("a.txt", "x")


async def test_asking_that_fails_is_a_no_even_if_the_default_is_yes(inner):
    def broken(_):
        raise RuntimeError("no screen")

    with pytest.raises(Denied, match="no screen"):
        await under(inner, ASKING, ask=broken, default="allow", deadline=None).write("a.txt", "x")


async def test_a_question_that_is_cancelled_leaves_all_as_it_was(inner):
    asked = trio.Event()

    async def never(_):
        asked.set()
        await trio.sleep_forever()

    backend = under(inner, ASKING, ask=never)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backend.write, "a.txt", "x")
        with trio.fail_after(10):
            await asked.wait()
        nursery.cancel_scope.cancel()

    assert await inner.read("a.txt") == "needle\n"


async def test_what_was_asked_about_is_what_is_done_wherever_the_link_leads_now(local, tmp_path):
    root = tmp_path / "scope"

    def ask(question):
        assert question.targets == (
            ("write", f"{root}/way/app.py"),
            ("write", f"{root}/src/app.py"),
        )
        (root / "way").unlink()
        (root / "way").symlink_to("secrets")
        return True

    rules = Ruleset(default="allow", write=Rules(default="ask"))
    await under(local, rules, ask=ask).write("way/app.py", "x")

    assert (root / "src/app.py").read_text() == "x"
    assert not (root / "secrets/app.py").exists()


async def test_a_path_that_leads_elsewhere_after_it_was_asked_about_is_denied_without_asking_again(
    local, tmp_path
):
    root = tmp_path / "scope"
    questions = []

    def ask(question):
        questions.append(question)
        (root / "src").rename(root / "old")
        (root / "src").symlink_to("secrets")
        return True

    rules = Ruleset(default="allow", write=Rules(default="ask"))
    with pytest.raises(Denied, match="led elsewhere after it was asked about"):
        await under(local, rules, ask=ask).write("src/app.py", "x")

    assert len(questions) == 1
    assert (root / "old/app.py").read_text() == "needle\n"
    assert not (root / "secrets/app.py").exists()


async def test_a_link_put_in_the_way_after_the_judgement_leads_nowhere(local, tmp_path):
    root = tmp_path / "scope"
    await local.write("dir/f", "x")

    def swap(_):
        os.rename(root / "dir", root / "old")
        (root / "dir").symlink_to("secrets")
        return True

    rules = attrs.evolve(HIDING, edit=Rules(rules=(*DENY, Rule(pattern="dir/**", action="ask"))))
    with pytest.raises(Denied):
        await under(local, rules, ask=swap).edit("dir/f", "x", "y")

    assert (root / "old/f").read_text() == "x"


# ---------------------------------------------------------------- several grants


async def test_all_grants_must_allow_and_each_counts_from_its_own_directory(local, tmp_path):
    root = str(tmp_path / "scope")
    outer = Ruleset(
        default="allow", write=Rules(rules=(Rule(pattern="src/locked", action="deny"),))
    )
    inside = Ruleset(default="allow", write=Rules(rules=(Rule(pattern="own", action="deny"),)))
    grants = [
        Grant(permissions=Permissions(rules=outer), base=root),
        Grant(permissions=Permissions(rules=inside)),
    ]
    backend = PermittedBackend(LocalBackend(tmp_path / "scope/src", beneath=root), grants)

    await backend.write("free", "x")
    for path in ("locked", "own"):
        with pytest.raises(Denied):
            await backend.write(path, "x")


async def test_an_inner_scope_cannot_answer_for_the_outer_one(inner):
    asked = []

    def outer(question):
        asked.append("outer")
        return False

    def inside(question):
        asked.append("inner")
        return True

    ask = Ruleset(default="allow", write=Rules(default="ask"))
    allow = Ruleset(default="allow")

    def backend(*pairs):
        return PermittedBackend(
            inner, [Grant(permissions=Permissions(rules=r, ask=a)) for r, a in pairs]
        )

    with pytest.raises(Denied):
        await backend((ask, outer), (ask, inside)).write("a.txt", "x")
    assert asked == ["outer"]
    asked.clear()
    with pytest.raises(Denied):
        await backend((allow, outer), (ask, None)).write("a.txt", "x")
    assert asked == ["outer"]
    asked.clear()
    with pytest.raises(Denied, match="nobody"):
        await backend((ask, None), (ask, inside)).write("a.txt", "x")
    assert asked == []
    asked.clear()
    await backend((allow, outer), (ask, inside)).write("a.txt", "x")
    assert asked == ["inner"]


async def test_every_decision_is_recorded_once_by_each_who_records(inner):
    one, two = [], []
    grants = [
        Grant(permissions=Permissions(rules=HIDING, record=record))
        for record in (one.append, one.append, two.append, None)
    ]
    backend = PermittedBackend(inner, grants)
    await backend.write("x", "y")

    assert one == two
    assert [(each.op, each.allowed, each.targets[0][0]) for each in one] == [
        ("write", True, "write")
    ]


# ---------------------------------------------------------------- commands


async def test_commands_are_allowed_denied_and_asked_about(local):
    rules = attrs.evolve(
        HIDING,
        execute=Rules(
            default="deny",
            rules=(Rule(pattern="cat *", action="allow"), Rule(pattern="echo *", action="allow")),
        ),
    )
    backend = under(local, rules)

    assert (await backend.exec("cat a.txt")).stdout == "needle\n"
    assert (await backend.exec("cat app.py", cwd="way")).stdout == "needle\n"
    assert (await backend.exec(["cat", "a.txt", "/dev/null", "../x"])).stdout == "needle\n"
    for command in (
        "ls",
        "cat a.txt; ls",
        "cat secrets/key",
        "cat link/key",
        "cat key",
        "echo x > secrets/key",
        "cat $(ls)",
    ):
        with pytest.raises(Denied) as caught:
            await backend.exec(command)
        assert caught.value.path == command
    with pytest.raises(Denied):
        await backend.exec("cat ../secrets/key", cwd="src")


async def test_started_programs_are_judged_as_commands_are_and_their_logs_as_files(local):
    rules = attrs.evolve(
        HIDING, execute=Rules(default="deny", rules=(Rule(pattern="cat*", action="allow"),))
    )
    backend = under(local, rules)
    for message in (
        m.Start(command="ls"),
        m.Start(command="cat secrets/key"),
        m.Start(command="cat", log="secrets/log"),
    ):
        with pytest.raises(Denied):
            await backend.ask(message)
    assert not backend.holds()
    started = await backend.ask(m.Start(command="cat", log="way/log", writes=True))

    assert backend.holds()
    assert [each.id for each in await backend.ask(m.ListProcesses())] == [started.id]
    assert await backend.ask(m.Kill(id=started.id))
    assert await local.exists("src/log")


# ---------------------------------------------------------------- the rest


async def test_an_operation_that_no_table_knows_is_denied(inner):
    class Unknown(Message[None]):
        pass

    with pytest.raises(Denied, match="do not know"):
        await under(inner, Ruleset(default="allow")).ask(Unknown())


async def test_a_backend_without_a_straight_view_is_refused_at_once():
    class Other(Backend):
        name = "other"

        async def carry_out(self, message):
            raise NotImplementedError

        async def aclose(self):
            pass

    with pytest.raises(ConfigError, match="other cannot be used with permissions"):
        under(Other())
    with pytest.raises(ConfigError):
        Other().resolve("read", "a")


async def test_a_preset_may_be_named_and_permissions_may_be_nested(inner):
    backend = under(under(inner, "permissive"), "read-only")

    assert await backend.read("a.txt") == "needle\n"
    with pytest.raises(Denied):
        await backend.write("a.txt", "x")
    assert "PermittedBackend" in repr(backend)
    assert backend.name == inner.name
    await backend.aclose()


@pytest.mark.parametrize(
    ("rules", "more"),
    [
        ("nope", {}),
        ([], {}),
        ((), {}),
        (["default"], {}),
        (None, {}),
        (5, {}),
        ({}, {}),
        (Permissions(rules=HIDING), {"ask": print}),
        ([Grant(permissions=Permissions(rules=HIDING))], {"record": print}),
    ],
)
def test_what_are_no_permissions_is_refused(rules, more):
    with pytest.raises(ConfigError):
        PermittedBackend(MemoryBackend(), rules, **more)


async def test_who_is_asked_may_be_given_with_a_preset():
    asked, decisions = [], []

    def yes(question):
        asked.append(question.op)
        return True

    backend = PermittedBackend(MemoryBackend(), "default", ask=yes, record=decisions.append)
    await backend.write("a", "x")

    assert asked == ["write"]
    assert [each.by for each in decisions] == ["answer"]


async def test_words_of_commands_that_lead_out_of_here_are_judged_by_their_names(local):
    rules = Ruleset(
        default="allow",
        read=Rules(rules=(Rule(pattern="/etc/shadow", action="deny"),)),
        write=Rules(rules=(Rule(pattern="/opt/none/**", action="deny"),)),
    )
    backend = under(local, rules)
    for command in ("cat /etc/shadow", "cat /etc/../etc/shadow", "true > /opt/none/x"):
        with pytest.raises(Denied):
            await backend.exec(command)
    up = "../" * local.root.count("/")
    with pytest.raises(Denied):
        await backend.exec(f"cat {up}etc/shadow")
    assert (await backend.exec("cat a.txt > /dev/null")).exit_code == 0


async def test_an_empty_batch_has_nothing_to_judge(inner):
    assert await under(inner).ask(m.Batch(effects=())) == ()


async def test_a_path_that_leads_elsewhere_at_every_look_is_given_up(local, tmp_path):
    root = tmp_path / "scope"
    backend = under(local, Ruleset(default="allow"))
    straight = backend._examiner.inner
    turns = iter(range(100))

    class Turning:
        """The straight view, before which somebody always turns the link."""

        def __getattr__(self, name):
            return getattr(straight, name)

        def resolve(self, *args, **more):
            (root / "way").unlink()
            (root / "way").symlink_to(f"nowhere{next(turns)}")
            return straight.resolve(*args, **more)

    backend._examiner.inner = Turning()
    with pytest.raises(Denied, match="leads elsewhere at every look"):
        await backend.read("way/app.py")


SWAPPER = """
import os, sys, time
from runner.backends.syscalls import RENAME_EXCHANGE, renameat2
directory = os.open(sys.argv[1], os.O_PATH | os.O_DIRECTORY)
parent = os.getppid()
print("swapping", flush=True)
while os.getppid() == parent:
    for _ in range(10):
        renameat2(directory, "swap", directory, "turn", RENAME_EXCHANGE)
    time.sleep(1e-5)  # or the kernel has looks at names begin anew, again and again
"""


@pytest.fixture
def swapping(local, tmp_path):
    """`swap/` (a directory with `key`) and `turn` (a link to the secrets) change places."""
    root = tmp_path / "scope"
    (root / "secrets/key").write_text("SECRET")
    (root / "swap").mkdir()
    (root / "swap/key").write_text("open")
    (root / "turn").symlink_to("secrets")
    process = subprocess.Popen([sys.executable, "-c", SWAPPER, str(root)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"swapping\n"
        yield local
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def test_no_link_that_is_swapped_in_leads_to_what_is_denied(swapping, tmp_path):
    backend = under(swapping)
    done = denied = 0
    await backend.write("moved", "x")
    mode = os.stat(tmp_path / "scope/secrets/key").st_mode
    for number in range(200):
        name = ("swap", "turn")[number % 2]
        for operation in (
            lambda name=name: backend.read(f"{name}/key"),
            lambda name=name: backend.write(f"{name}/key", "open"),
            lambda name=name: backend.append(f"{name}/log", "x"),
            lambda name=name: backend.edit(f"{name}/key", "open", "open"),
            lambda name=name: backend.copy(f"{name}/key", "copied", overwrite=True),
            lambda name=name: backend.remove(f"{name}/log"),
            lambda name=name: backend.touch(f"{name}/touched"),
            lambda name=name: backend.chmod(f"{name}/key", 0o640),
            lambda name=name: backend.move("moved", f"{name}/moved", overwrite=True),
            lambda name=name: backend.move(f"{name}/moved", "moved", overwrite=True),
            lambda name=name: backend.mkdir(f"{name}/made/deep"),
            lambda name=name: backend.remove(f"{name}/made", recursive=True),
        ):
            try:
                answer = await operation()
            except Denied:
                denied += 1
            except OperationError:
                pass
            else:
                done += 1
                assert answer in (None, 1, "open")
        await backend.upload([(f"{name}/up", "x")])
        [loaded] = await backend.download([f"{name}/key"])
        assert loaded.content in (None, b"open")
    with contextlib.suppress(OperationError):
        assert await backend.read("copied") == "open"

    secrets = tmp_path / "scope/secrets"
    assert sorted(os.listdir(secrets)) == ["deep", "key"]
    assert (secrets / "key").read_text() == "SECRET"
    assert done > 100
    assert denied > 100
    assert os.stat(secrets / "key").st_mode == mode


async def test_no_link_that_is_swapped_in_shows_what_is_denied(swapping, tmp_path):
    os.chmod(tmp_path / "scope/secrets/key", 0o640)
    backend = under(swapping)
    seen = denied = 0
    for number in range(60):
        name = ("swap", "turn")[number % 2]
        for operation in (
            lambda name=name: backend.ls(name),
            lambda name=name: backend.tree(name),
            lambda name=name: backend.glob("**", name),
            lambda name=name: backend.grep("SECRET|open", name),
            lambda name=name: backend.grep("SECRET|open", f"{name}/key"),
            lambda name=name: backend.read_lines(f"{name}/key"),
            lambda name=name: backend.stat(f"{name}/key"),
        ):
            try:
                answer = await operation()
            except Denied:
                denied += 1
            except OperationError:
                pass
            else:
                seen += 1
                assert "SECRET" not in str(answer)
                assert "deep" not in str(answer)
                assert "mode=416" not in str(answer)
        assert "SECRET" not in str(await backend.grep("SECRET|open"))
        assert "secrets" not in str((await backend.glob("**")).paths)

    assert seen > 100
    assert denied > 100


@pytest.mark.parametrize("strip", [True, False], ids=["stripped", "kept"])
async def test_no_link_that_is_swapped_in_leads_around_rules_on_a_composite(
    swapping, strip, tmp_path
):
    # What is kept as it is keeps its whole path, so the route stands for one directory of it.
    prefix = "m/" if strip else ""
    routes = {"m": swapping} if strip else {"swap": swapping, "turn": swapping, "secrets": swapping}
    composite = CompositeBackend(MemoryBackend(), routes, strip=strip)
    rules = Rules(rules=(Rule(pattern=f"{prefix}secrets/**", action="deny"),))
    ruleset = attrs.evolve(
        HIDING, **dict.fromkeys(("read", "write", "edit", "remove", "ls", "glob", "grep"), rules)
    )
    backend = under(composite, ruleset)
    done = 0
    for number in range(60):
        name = prefix + ("swap", "turn")[number % 2]
        for operation in (
            lambda name=name: backend.read(f"{name}/key"),
            lambda name=name: backend.write(f"{name}/key", "open"),
            lambda name=name: backend.copy(f"{name}/key", "copied", overwrite=True),
            lambda name=name: backend.copy("copied", f"{name}/brought", overwrite=True),
            lambda name=name: backend.remove(f"{name}/brought"),
            lambda name=name: backend.grep("SECRET", name),
            lambda name=name: backend.ls(name),
        ):
            with contextlib.suppress(OperationError):
                answer = await operation()
                done += 1
                assert "SECRET" not in str(answer)
                assert "deep" not in str(answer)
        assert "SECRET" not in str(await backend.grep("SECRET|open"))
    with contextlib.suppress(OperationError):
        assert await backend.read("copied") == "open"

    secrets = tmp_path / "scope/secrets"
    assert sorted(os.listdir(secrets)) == ["deep", "key"]
    assert (secrets / "key").read_text() == "SECRET"
    assert done > 100
