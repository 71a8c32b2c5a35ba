"""Questions of scopes: they are asked before an operation takes its place in the order."""

from __future__ import annotations

import pytest
import trio

import runner
from runner import messages as m
from runner.errors import Denied, Destroyed
from runner.scopes.leave import kinds_asked, needs_leave
from runner.scopes.permissions import Grant, Permissions, Rule, Rules, Ruleset

ASKING = Ruleset(
    default="allow",
    write=Rules(default="ask", rules=(Rule(pattern="free/**", action="allow"),)),
    remove=Rules(default="ask"),
    execute=Rules(default="ask"),
)


@pytest.fixture
async def r(tmp_path):
    async with runner.open_runner(state=tmp_path / "state") as r:
        yield r


def asking(r, tmp_path, ask, **more):
    return r.scope(tmp_path / "w", permissions=Permissions(rules=ASKING, ask=ask, **more))


@pytest.mark.parametrize("attempt", range(10))
async def test_who_is_asked_may_use_the_scope(r, tmp_path, attempt):
    seen = []

    async def look(question):
        seen.append(await scope.read("free/a"))
        await scope.write("free/b", "by who was asked")
        seen.append([each.name for each in (await scope.ls("free")).entries])
        return True

    scope = asking(r, tmp_path, look, deadline=None)
    await scope.write("free/a", "x")
    with trio.fail_after(10):
        await scope.write("asked", "y")
        await scope.exec("true")
        await scope.remove("asked")
        assert [each.error for each in await scope.upload([("one", "1"), ("two", "2")])] == [
            None,
            None,
        ]

    assert seen == ["x", ["a", "b"]] * 4


async def test_what_who_is_asked_asks_for_cannot_be_asked_of_him_again(r, tmp_path):
    async def write(question):
        with pytest.raises(Denied, match="by who would have to be asked"):
            await scope.write("other", "x")
        return False

    scope = asking(r, tmp_path, write, deadline=None)
    with trio.fail_after(10):
        with pytest.raises(Denied, match="the answer was no"):
            await scope.write("asked", "y")


async def test_nobody_waits_for_an_answer_about_anothers_operation(r, tmp_path):
    answered, asked = trio.Event(), trio.Event()

    async def slow(question):
        asked.set()
        await answered.wait()
        return True

    scope = asking(r, tmp_path, slow)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scope.write, "asked", "y")
            await asked.wait()
            await scope.write("free/a", "x")
            assert not await scope.exists("asked")
            answered.set()

    assert await scope.read("asked") == "y"


async def test_each_question_is_asked_once_and_each_decision_recorded_once(r, tmp_path):
    questions, decisions = [], []

    def yes(question):
        questions.append(question)
        return True

    scope = asking(r, tmp_path, yes, record=decisions.append)
    await scope.write("free/a", "x")
    await scope.write("a", "x")
    await scope.move("a", "b")
    await scope.upload([("c", "x"), ("free/c", "x"), ("d", "x")])
    async with scope.batch() as batch:
        await batch.write("e", "x")
        await batch.write("free/e", "x")
    await scope.remove("free", recursive=True)

    assert [each.op for each in questions] == ["write", "move", "upload", "batch", "remove"]
    assert [(each.op, each.by, each.allowed) for each in decisions] == [
        ("write", "rule", True),
        ("write", "answer", True),
        ("move", "answer", True),
        ("upload", "answer", True),
        ("upload", "rule", True),
        ("batch", "answer", True),
        ("remove", "answer", True),
    ]


async def test_of_many_those_that_are_refused_fail_and_the_others_do_not(r, tmp_path):
    decisions = []
    (tmp_path / "w").mkdir()
    scope = asking(r, tmp_path, lambda _: False, record=decisions.append)
    stored = await scope.upload([("c", "x"), ("free/c", "x"), ("../d", "x")])

    assert [each.error and each.error.kind for each in stored] == ["Denied", None, "PathEscapes"]
    assert "the answer was no" in stored[0].error.reason
    assert [(each.by, each.allowed) for each in decisions] == [("answer", False), ("rule", True)]


async def test_what_is_denied_is_recorded_once_and_asks_nobody(r, tmp_path):
    decisions = []
    rules = Ruleset(
        default="allow",
        write=Rules(default="ask", rules=(Rule(pattern="no", action="deny"),)),
    )
    scope = r.scope(
        tmp_path / "w",
        permissions=Permissions(rules=rules, ask=lambda _: 1 / 0, record=decisions.append),
    )
    with pytest.raises(Denied):
        await scope.write("no", "x")

    assert [(each.op, each.allowed) for each in decisions] == [("write", False)]


async def test_what_leads_elsewhere_in_its_turn_is_denied_though_it_was_allowed(r, tmp_path):
    root = tmp_path / "w"
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()
    (root / "way").symlink_to("a")

    def turn(question):
        (root / "way").unlink()
        (root / "way").symlink_to("b")
        return True

    scope = asking(r, tmp_path, turn)
    with pytest.raises(Denied, match="led elsewhere after it was asked about"):
        await scope.write("way/x", "x")
    stored = await asking(r, tmp_path, lambda _: True).upload([("way/x", "x"), ("y", "x")])

    assert [each.error for each in stored] == [None, None]
    assert (root / "b/x").exists()
    assert not (root / "a/x").exists()


async def test_an_item_of_many_that_leads_elsewhere_in_its_turn_fails_alone(r, tmp_path):
    root = tmp_path / "w"
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()
    (root / "way").symlink_to("a")

    def turn(question):
        (root / "way").unlink()
        (root / "way").symlink_to("b")
        return True

    stored = await asking(r, tmp_path, turn).upload([("way/x", "x"), ("y", "x")])

    assert [each.error and each.error.kind for each in stored] == ["Denied", None]
    assert "led elsewhere" in stored[0].error.reason


async def test_a_scope_that_is_destroyed_while_somebody_is_asked_does_nothing_more(r, tmp_path):
    async def destroy(question):
        await scope.destroy()
        return True

    scope = asking(r, tmp_path, destroy)
    with pytest.raises(Destroyed):
        await scope.write("asked", "x")

    assert not (tmp_path / "w/asked").exists()


async def test_a_question_that_is_cancelled_was_about_nothing(r, tmp_path):
    asked = trio.Event()

    async def never(question):
        asked.set()
        await trio.sleep_forever()

    scope = asking(r, tmp_path, never)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scope.write, "asked", "x")
        with trio.fail_after(10):
            await asked.wait()
        nursery.cancel_scope.cancel()

    assert not (tmp_path / "w/asked").exists()
    await scope.write("free/a", "x")


def test_only_where_somebody_may_be_asked_is_there_a_question_to_foresee():
    write, many = m.Write(path="a", content=b""), m.Upload(files=(("a", b""),))
    batch = m.Batch(effects=(m.Touch(path="a"), m.Edit(path="a", replacements=())))
    kinds = kinds_asked([Grant(permissions=Permissions(rules=ASKING, ask=print))])

    assert kinds == {"write", "remove", "execute"}
    assert kinds_asked([Grant(permissions=Permissions(rules=ASKING))]) == frozenset()
    assert all(needs_leave(each, kinds) for each in (write, many, batch, m.Exec(command="x")))
    assert not any(
        needs_leave(each, kinds)
        for each in (
            m.Read(path="a"),
            m.Batch(effects=()),
            m.Download(paths=("a",)),
            m.Poll(id="1"),
        )
    )
