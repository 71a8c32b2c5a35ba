"""The handle of a scope, on a real supervisor and the memory backend."""

import typing

import pytest
import trio
import trio.testing

from runner import messages as m
from runner.actors import Lane, open_supervisor
from runner.backends.base import LATER
from runner.backends.memory import MemoryBackend
from runner.errors import (
    DecodeFailed,
    EditFailed,
    ExecFailed,
    InvalidPath,
    NotFound,
    PathEscapes,
    SupervisorClosed,
)
from runner.messages import Completed, Exec, Outcome, Output, Read, Write
from runner.scopes.scope import Ground, Scope
from runner.scopes.worker import LANES, WorkerAsker, lane_of


def scope_on(supervisor, make_backend, root="/shop", env=None):
    def asker_of(ground):
        return WorkerAsker(supervisor, ground, make_backend, idle_after=60.0)

    return Scope("shop", Ground(root=root), env or {}, asker_of)


async def test_what_is_written_is_read_as_text_or_as_bytes():
    async with open_supervisor() as supervisor:
        scope = scope_on(supervisor, lambda _: MemoryBackend())
        await scope.write("notes/a.txt", "hé\r\n")

        assert await scope.read("notes/a.txt") == "hé\r\n"
        assert await scope.read("notes/a.txt", encoding=None) == "hé\r\n".encode()
        assert await scope.read("notes/a.txt", offset=1, limit=2) == "é"
        assert await scope.exists("notes")
        assert (await scope.stat("notes/a.txt")).size == 5


async def test_every_file_operation_reaches_the_backend():
    async with open_supervisor() as supervisor:
        scope = scope_on(supervisor, lambda _: MemoryBackend())
        await scope.write("a.txt", "one\n")
        await scope.append("a.txt", "two\n")
        assert await scope.edit("a.txt", "one", "three") == 1
        await scope.mkdir("d")
        await scope.copy("a.txt", "d/b.txt")
        await scope.move("a.txt", "c.txt")

        assert [e.name for e in (await scope.ls()).entries] == ["c.txt", "d"]
        assert (await scope.glob("**/*.txt")).paths == ("c.txt", "d/b.txt")
        assert [m.path for m in (await scope.grep("^three$")).matches] == ["c.txt", "d/b.txt"]

        await scope.remove("d", recursive=True)

        assert not await scope.exists("d/b.txt")


async def test_errors_carry_operation_path_and_scope():
    async with open_supervisor() as supervisor:
        scope = scope_on(supervisor, lambda _: MemoryBackend())

        with pytest.raises(NotFound) as missing:
            await scope.read("nowhere.txt")
        with pytest.raises(PathEscapes) as outside:
            await scope.write("../x", "")
        with pytest.raises(EditFailed):
            await scope.write("e", "aa")
            await scope.edit("e", "a", "b")

    assert ("read", "nowhere.txt", "shop") == (
        missing.value.op,
        missing.value.path,
        missing.value.scope,
    )
    assert "shop" in str(outside.value)


async def test_text_that_is_none_is_a_clear_error_with_its_position():
    async with open_supervisor() as supervisor:
        scope = scope_on(supervisor, lambda _: MemoryBackend({"a": b"ab\xff"}))

        with pytest.raises(DecodeFailed, match="byte 0xff at 2"):
            await scope.read("a")
        with pytest.raises(DecodeFailed, match="byte 0xff at 2"):
            await scope.read("a", offset=1)
        with pytest.raises(DecodeFailed, match="no encoding 'klingon'"):
            await scope.read("a", encoding="klingon")
        with pytest.raises(DecodeFailed):
            await scope.write("b", "\ud800")

        assert not await scope.exists("b")


class Runs:
    """A backend for exec only: it keeps what it was asked and answers as told."""

    def __init__(self, completed):
        self.asked = []
        self.completed = completed

    def answer_now(self, operation):
        self.asked.append(operation)
        return self.completed

    async def aclose(self):
        pass


def ended(exit_code=0, outcome=Outcome.EXITED, out=b"", err=b"", omitted=0):
    return Completed(
        exit_code=exit_code,
        outcome=outcome,
        out=Output(head=out, omitted=omitted, tail=b"end" if omitted else b""),
        err=Output(head=err),
        duration=0.5,
    )


async def test_exec_gives_text_with_what_could_not_be_decoded_or_bytes():
    runs = Runs(ended(out=b"a\xff"))
    async with open_supervisor() as supervisor:
        scope = scope_on(supervisor, lambda _: runs, env={"A": "1"})
        done = await scope.exec("x", env={"B": "2"}, input="in")
        raw = await scope.exec(["x"], encoding=None)

    assert "a\udcff" == done.stdout
    assert b"a\xff" == raw.stdout
    assert done.ok
    assert not done.truncated
    assert (("A", "1"), ("B", "2")) == runs.asked[0].env
    assert b"in" == runs.asked[0].input
    assert ("x",) == runs.asked[1].command


async def test_output_that_was_not_kept_is_counted_and_said():
    async with open_supervisor() as supervisor:
        done = await scope_on(supervisor, lambda _: Runs(ended(out=b"start", omitted=7))).exec("x")

    assert done.truncated
    assert 7 == done.omitted
    assert "start\n[... 7 bytes left out ...]\nend" == done.stdout


@pytest.mark.parametrize(
    ("completed", "said"),
    [
        (ended(3, err=b"bad\n"), "exit code 3 (bad)"),
        (ended(-15, Outcome.TIMEOUT, out=b"half"), "timeout (half)"),
        (ended(-15, Outcome.SILENCE), "silent"),
    ],
)
async def test_check_makes_a_bad_end_an_error(completed, said):
    async with open_supervisor() as supervisor:
        scope = scope_on(supervisor, lambda _: Runs(completed))

        assert not (await scope.exec("x")).ok
        with pytest.raises(ExecFailed) as failed:
            await scope.exec(["x", "y"], check=True)

    assert said in str(failed.value)
    assert "x y" == failed.value.path


async def test_check_lets_a_good_end_pass():
    async with open_supervisor() as supervisor:
        assert (await scope_on(supervisor, lambda _: Runs(ended())).exec("x", check=True)).ok


async def test_a_scope_inside_a_scope_only_narrows():
    grounds = []

    def make_backend(ground):
        grounds.append(ground)
        return MemoryBackend()

    async with open_supervisor() as supervisor:
        outer = scope_on(supervisor, make_backend, env={"A": "1", "B": "1"})
        inner = outer.scope("x/y", env={"B": "2"}).scope("z")

        assert "/shop/x/y/z" == inner.directory
        assert {"A": "1", "B": "2"} == inner.env
        for bad in ("", "/etc", "..", "../x", "a/../../b"):
            with pytest.raises(InvalidPath):
                outer.scope(bad)
        await inner.exists("a")

    assert [Ground(root="/shop", inner="x/y/z")] == grounds
    assert "shop/x/y/z" in repr(inner)


async def test_nothing_happens_before_the_first_operation():
    async with open_supervisor() as supervisor:
        scope_on(supervisor, lambda _: pytest.fail("made")).scope("x")
        await trio.testing.wait_all_tasks_blocked()

        assert 0 == supervisor.statistics().mailboxes


async def test_after_shutdown_a_scope_says_so():
    async with open_supervisor() as supervisor:
        scope = scope_on(supervisor, lambda _: MemoryBackend())
        await scope.exists("a")

    with pytest.raises(SupervisorClosed):
        await scope.exists("a")


class Gated:
    """A backend whose operations last until their gate is opened; it keeps who runs."""

    def __init__(self):
        self.running = []
        self.gates = {}

    def answer_now(self, operation):
        return LATER

    async def carry_out(self, operation):
        name = getattr(operation, "path", None) or operation.command
        self.running.append(name)
        gate = self.gates.setdefault(name, trio.Event())
        try:
            await gate.wait()
        finally:
            self.running.remove(name)

    async def aclose(self):
        pass


async def start(nursery, *calls):
    for call in calls:
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("attempt", range(10))
async def test_overlapping_scopes_share_one_order_and_others_do_not(attempt):
    backend = Gated()
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        outer = scope_on(supervisor, lambda _: backend)
        inner = outer.scope("x")
        sibling = outer.scope("y")
        await start(
            nursery,
            lambda: supervisor.ask(_spec(inner), Write(path="w-in", content=b"")),
            lambda: supervisor.ask(_spec(sibling), Write(path="w-beside", content=b"")),
            lambda: supervisor.ask(_spec(outer), Write(path="w-out", content=b"")),
            lambda: supervisor.ask(_spec(inner), Read(path="r-in")),
        )
        assert ["w-in", "w-beside"] == backend.running

        backend.gates["w-in"].set()
        await trio.testing.wait_all_tasks_blocked()
        assert ["w-beside"] == backend.running

        backend.gates["w-beside"].set()
        await trio.testing.wait_all_tasks_blocked()
        assert ["w-out"] == backend.running

        backend.gates["w-out"].set()
        await trio.testing.wait_all_tasks_blocked()
        assert ["r-in"] == backend.running
        backend.gates["r-in"].set()


def _spec(scope):
    asker = scope._asker
    from runner.scopes.worker import worker_spec

    return worker_spec(asker.ground, asker.make_backend, idle_after=60.0)


@pytest.mark.parametrize("attempt", range(10))
async def test_reads_run_beside_each_other_and_beside_an_exec_but_after_earlier_writes(attempt):
    backend = Gated()
    async with open_supervisor() as supervisor, trio.open_nursery() as nursery:
        spec = _spec(scope_on(supervisor, lambda _: backend))
        await start(
            nursery,
            lambda: supervisor.ask(spec, Exec(command="exec")),
            lambda: supervisor.ask(spec, Read(path="r1")),
            lambda: supervisor.ask(spec, Read(path="r2")),
            lambda: supervisor.ask(spec, Write(path="w", content=b"")),
            lambda: supervisor.ask(spec, Read(path="r3")),
        )
        assert ["exec", "r1", "r2"] == backend.running

        for name in ("exec", "r1", "r2"):
            backend.gates[name].set()
        await trio.testing.wait_all_tasks_blocked()
        assert ["w"] == backend.running

        backend.gates["w"].set()
        await trio.testing.wait_all_tasks_blocked()
        assert ["r3"] == backend.running
        backend.gates["r3"].set()


def test_every_operation_has_a_lane():
    assert Lane.OBSERVATION is lane_of(Read(path="a"))
    assert Lane.EFFECT is lane_of(Write(path="a", content=b""))
    assert Lane.EXEC is lane_of(Exec(command="true"))
    assert set(LANES) == set(typing.get_args(m.Operation))
