"""A scope or a backend that was destroyed refuses everything; others are untouched."""

from __future__ import annotations

import contextlib
import typing

import attrs
import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner import open_runner
from runner.backends.composite import CompositeBackend
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.backends.read_only import ReadOnlyBackend
from runner.operations.op_names import op_name
from runner.operations.status import Status
from runner.scopes.permitted import PermittedBackend

FILLED = {
    "path": "f", "paths": ("f",), "files": (("f", b""),), "source": "f", "target": "g",
    "pattern": "x", "content": b"", "replacements": (), "changes": (), "mode": 0o600,
    "effects": (m.Touch(path="f"),), "command": ("echo", "hi"), "id": "1", "signal": 15,
}  # fmt: skip


def every_operation():
    """A message of each kind."""
    for kind in typing.get_args(m.Operation):
        needed = [each.name for each in attrs.fields(kind) if each.default is attrs.NOTHING]
        yield kind(**{name: FILLED.get(name, b"") for name in needed})


@pytest.fixture(params=["local", "memory", "composite", "read-only"])
def backend(request, tmp_path):
    return {
        "local": lambda: LocalBackend(tmp_path / "w"),
        "memory": MemoryBackend,
        "composite": lambda: CompositeBackend(MemoryBackend(), {"a": MemoryBackend()}),
        "read-only": lambda: ReadOnlyBackend(MemoryBackend()),
    }[request.param]()


async def test_a_destroyed_backend_refuses_everything(backend):
    told = []
    backend.on_status_change(told.append)
    assert backend.status is Status.CONNECTED
    await backend.destroy()
    await backend.destroy()

    assert backend.status is Status.DESTROYED
    assert [each.new for each in told] == [Status.DESTROYED]
    for message in every_operation():
        for way in (backend.ask, backend.carry_out):
            with pytest.raises(e.Destroyed, match="takes nothing more") as caught:
                await way(message)
            assert caught.value.op == op_name(type(message))
            assert caught.value.scope == backend.name
        with pytest.raises(e.Destroyed):
            backend.answer_now(message)
    with pytest.raises(e.Destroyed):
        await backend.read("f")


async def test_a_backend_in_a_composite_or_a_view_is_refused_there_too(tmp_path):
    inner = MemoryBackend({"f": "f"})
    composite = CompositeBackend(MemoryBackend(), {"in": inner})
    view = ReadOnlyBackend(inner)
    local = LocalBackend(tmp_path)
    permitted = PermittedBackend(local, "permissive")
    await permitted.write("f", "f")
    await inner.destroy()
    await local.destroy()

    with pytest.raises(e.Destroyed) as caught:
        await composite.read("in/f")
    assert (caught.value.path, caught.value.scope) == ("in/f", composite.name)
    for each in (view, permitted):
        with pytest.raises(e.Destroyed):
            await each.read("f")


async def test_destroying_a_backend_ends_its_programs(tmp_path):
    backend = LocalBackend(tmp_path)
    async with trio.open_nursery() as nursery:

        async def run():
            with contextlib.suppress(e.ExecFailed):  # or it is answered as ended by a signal
                assert not (await backend.exec("echo $$ > pid; sleep 1000")).ok
            nursery.cancel_scope.cancel()

        nursery.start_soon(run)
        with trio.fail_after(20):
            while not (tmp_path / "pid").exists():
                await trio.sleep(0.01)
            await backend.destroy()
            await trio.sleep_forever()


async def test_a_destroyed_scope_refuses_everything_and_so_do_those_inside_it(tmp_path):
    async with open_runner(state=tmp_path / "state") as runner:
        scope = runner.scope(tmp_path / "w")
        inner = scope.scope("a").scope("b")
        other = runner.scope(tmp_path / "w")
        below = runner.scope(tmp_path / "w/a")
        told = []
        scope.on_status_change(told.append)
        inner.on_status_change(told.append)
        await scope.write("f", "f")
        await inner.write("g", "g")
        assert inner.status is scope.status is Status.CONNECTED
        await scope.destroy()
        await scope.destroy()

        for destroyed in (scope, inner, scope.scope("new")):
            assert destroyed.status is Status.DESTROYED
            for message in every_operation():
                with pytest.raises(e.Destroyed) as caught:
                    await destroyed.ask(message)
                assert caught.value.scope == destroyed.path
        with pytest.raises(e.Destroyed):
            runner.session(scope, "shell")
        assert [each.new for each in told] == [Status.DESTROYED] * 2
        assert await other.read("f") == "f"
        assert await below.read("b/g") == "g"
        await other.write("a/b/g", "new")


async def test_a_scope_inside_is_destroyed_alone(tmp_path):
    async with open_runner(state=tmp_path / "state") as runner:
        scope = runner.scope(tmp_path)
        inner = scope.scope("a")
        await inner.destroy()

        with pytest.raises(e.Destroyed, match=f"write 'f' in scope '{inner.path}'"):
            await inner.write("f", "")
        await scope.write("a/f", "f")
        await scope.scope("a").write("f", "again")


async def test_programs_that_were_started_in_a_scope_end_with_it(tmp_path):
    async with open_runner(state=tmp_path / "state") as runner:
        scope, other = runner.scope(tmp_path), runner.scope(tmp_path)
        inner = scope.scope("in")
        await inner.mkdir(".")
        for each in (scope, inner, other):
            await each.ask(m.Start(command="sleep 1000"))
        with trio.fail_after(20):
            await scope.destroy()

        assert [each.is_running for each in await other.ask(m.ListProcesses())].count(True) == 1
        ground = runner.scope(tmp_path).scope("in")
        assert not any(each.is_running for each in await ground.ask(m.ListProcesses()))


async def test_what_was_asked_for_before_comes_to_its_end(tmp_path):
    async with open_runner(state=tmp_path / "state") as runner:
        scope = runner.scope(tmp_path)
        async with trio.open_nursery() as nursery:

            async def run():
                done = await scope.exec("touch began; until test -e go; do sleep 0.01; done")
                assert done.ok

            nursery.start_soon(run)
            with trio.fail_after(20):
                while not (tmp_path / "began").exists():
                    await trio.sleep(0.01)
                await scope.destroy()
                (tmp_path / "go").touch()


async def test_streams_that_were_opened_in_a_scope_are_closed_with_it(tmp_path):
    async with open_runner(state=tmp_path / "state") as runner:
        outer = runner.scope(tmp_path)
        scope = outer.scope("in")
        await scope.write("f", "old")
        for _ in range(3):
            async with scope.open_stream("f") as whole:
                assert await whole.receive() == b"old"
        assert not scope._left
        with pytest.raises(e.Destroyed):
            async with scope.open_stream("f", "wb") as stream:
                await stream.send(b"new")
                assert len(scope._left) == len(outer._left) == 1
                await outer.destroy()
                await stream.send(b"more")

        other = runner.scope(tmp_path).scope("in")
        assert await other.read("f") == "old"
        assert [each.name for each in (await other.ls(".")).entries] == ["f"]


async def test_a_program_that_was_forgotten_is_not_kept_in_mind(tmp_path):
    async with open_runner(state=tmp_path / "state") as runner:
        scope = runner.scope(tmp_path)
        started = await scope.ask(m.Start(command="sleep 1000"))
        assert len(scope._left) == 1
        await scope.ask(m.Kill(id=started.id))
        assert len(scope._left) == 1
        await scope.ask(m.Kill(id=started.id, forget=True))
        assert not scope._left
