"""What the API has beyond plain calls goes across, too: streams, programs beside, pools, questions."""

from __future__ import annotations

import asyncio
import threading

import pytest

import runner
import runner.asyncio
from runner import BackendPool, LocalBackend, MemoryBackend, blocking
from runner.jobs.spec import Data
from runner.scopes.permissions import Permissions
from runner.scopes.presets import STRICT_RULESET


def test_streams_and_programs_beside_from_a_synchronous_program(tmp_path):
    with blocking.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(str(tmp_path / "x"))
        with scope.open_stream("a", "wb") as out:
            out.send(b"one")
            out.send(b"two")
        with scope.open_stream("a", encoding="utf-8") as pieces:
            assert "".join(pieces) == "onetwo"
        program = scope.start("echo begun; cat; exit 4", writes=True)
        lines = iter(program)
        assert next(lines).text == "begun"
        program.write("line\n")
        assert next(lines).text == "line"
        assert program.wait(0.0) is None
        program.close_input()
        assert program.done().exit_code == 4
        with scope.stream("seq 3") as counted:
            assert [line.text for line in counted] == ["1", "2", "3"]
        assert [each.id for each in scope.processes()] == [program.id]


def test_a_pool_is_used_from_a_synchronous_program(tmp_path):
    pool = blocking.wrap(BackendPool(lambda key, _config: LocalBackend(tmp_path / key)))
    with pool:
        with pool.use("k") as backend:
            backend.write("a", "b")
        lease = pool.acquire("k")
        with lease as same:
            assert same.read("a") == "b"
            assert pool.statistics().in_use == 1
        assert pool.statistics().in_use == 0


def test_who_is_asked_for_permission_answers_where_the_program_is(tmp_path):
    asked = []

    def answer(question):
        asked.append((question.op, threading.get_ident()))
        return question.op == "write"

    async def slow(question):
        await asyncio.sleep(0.001)
        return answer(question)

    async def main():
        async with runner.asyncio.open_runner(state=tmp_path / "state") as r:
            permissions = Permissions(rules=STRICT_RULESET, ask=slow)
            scope = r.scope(str(tmp_path / "x"), permissions=permissions)
            await scope.write("b", "x")
            with pytest.raises(runner.Denied):
                await scope.read("b")

    with blocking.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(
            str(tmp_path / "x"), permissions=Permissions(rules=STRICT_RULESET, ask=answer)
        )
        scope.write("a", "x")
        with pytest.raises(runner.Denied):
            scope.read("a")
    asyncio.run(main())

    here = threading.get_ident()
    assert asked == [("write", here), ("read", here)] * 2


def test_who_is_told_of_a_dangerous_command_may_let_it_pass(tmp_path):
    told = []
    command = "test -e /nothing && rm -rf / || echo fine"
    with blocking.open_runner(state=tmp_path / "state") as r:
        path = str(tmp_path)
        passing = r.scope(path, on_dangerous=lambda danger: not told.append(danger.rule))
        assert passing.exec(command).stdout == "fine\n"
        with pytest.raises(runner.DangerousCommand):
            r.scope(path).exec(command)

    assert told == ["rm"]


def test_a_status_change_is_told(tmp_path):
    seen = []
    backend = blocking.wrap(MemoryBackend())
    unwatch = backend.on_status_change(seen.append)
    backend.destroy()
    unwatch()

    assert len(seen) == 1
    with pytest.raises(runner.Destroyed):
        backend.read("a")
    backend.close()


def test_a_batch_is_ended_early_from_any_thread(tmp_path):
    rows = [{"n": n} for n in range(4)]
    batch = blocking.Batch(name="b", prompt="exec sleep 1000", data=Data(rows=rows))

    def after(number, end, control):
        def observe(_told):
            observe.seen += 1
            if observe.seen == number:
                end(control)

        observe.seen = 0
        return observe

    def in_a_thread(control):
        ender = threading.Thread(target=control.kill)
        ender.start()
        ender.join()

    for number, end in ((2, blocking.Control.interrupt), (3, in_a_thread)):
        control = blocking.Control()
        with blocking.open_runner(state=tmp_path / "state") as r:
            report = r.run_batch(
                batch,
                output=tmp_path / f"out{number}",
                observer=after(number, end, control),
                control=control,
            )
        assert report.counts.keys() <= {"cancelled", "queued"}
        assert sum(report.counts.values()) == 4
        control.kill()  # it is over: nothing happens
