"""An asyncio program: everything is awaited in its own event loop, and cancellation goes across."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading

import pytest

import runner
import runner.asyncio
from runner.backends.memory import MemoryBackend
from runner.jobs.spec import Data


async def until(fact, seconds=20.0):
    async with asyncio.timeout(seconds):
        while not fact():
            await asyncio.sleep(0.005)


async def cancelled(task):
    """Wait for a task that was cancelled."""
    with pytest.raises(asyncio.CancelledError):
        await task


def test_files_programs_and_sessions_from_an_asyncio_program(tmp_path):
    async def main():
        async with runner.asyncio.open_runner(state=tmp_path / "state") as r:
            scope = r.scope(str(tmp_path / "x"))
            await scope.write("notes/a.txt", "hi\n")
            async with scope.batch() as batch:
                await batch.write("b.txt", "one")
                await batch.move("notes/a.txt", "c.txt")
            done = await scope.exec("cat c.txt")
            async with (
                r.session(scope, agent="shell") as session,
                session.events() as events,
            ):
                turn = await session.send("echo one > two.txt; echo done")
                async for event in events:
                    assert event.turn == 1
                    break

            assert await scope.read("b.txt") == "one"
            assert await scope.read("c.txt", encoding=None) == b"hi\n"
            assert (done.ok, done.stdout) == (True, "hi\n")
            assert (turn.ok, turn.final_message) == (True, "done")
            with pytest.raises(runner.NotFound) as missing:
                await scope.read("nope")
            assert (missing.value.op, missing.value.path) == ("read", "nope")
        with pytest.raises(runner.SupervisorClosed, match="closed"):
            await scope.read("b.txt")

    asyncio.run(main())


def test_a_batch_of_jobs_tells_its_observer_in_the_event_loop(tmp_path):
    seen = []

    def observe(what):
        asyncio.get_running_loop()
        seen.append(type(what).__name__)

    async def main():
        batch = runner.Batch(name="b", prompt="true", data=Data(rows=[{"n": 1}, {"n": 2}]))
        async with runner.asyncio.open_runner(state=tmp_path / "state") as r:
            return await r.run_batch(batch, output=tmp_path / "out", observer=observe)

    assert asyncio.run(main()).counts == {"ok": 2}
    assert (seen[0], seen[-1]) == ("BatchStarted", "BatchDone")


def test_values_pass_as_they_are_and_objects_of_trio_as_stand_ins(thing):
    async def main():
        stand_in = runner.asyncio.wrap(thing)

        assert await stand_in.twice(2, plus=1) == 5
        assert stand_in.plain("a") == "A"
        assert thing.thread != threading.get_ident()
        a, others = await stand_in.others()
        assert await stand_in.names(a, others["b"], stand_in.another()) == ["a", "b", "thing's"]
        assert inspect.iscoroutinefunction(stand_in.twice)
        assert str(inspect.signature(stand_in.twice)).startswith("(number: 'int'")
        assert [number async for number in stand_in.ticker()] == [1, 2, 3]
        assert [number async for number in stand_in.generated()] == [0, 1, 2]
        assert repr(stand_in) == f"<asyncio {thing!r}>"
        await stand_in.aclose()

    asyncio.run(main())


def test_a_context_manager_is_left_by_the_task_that_entered_it_and_sees_the_error(thing):
    async def main():
        stand_in = runner.asyncio.wrap(thing)
        async with stand_in.opened() as opened:
            assert opened.name == "opened"
        with pytest.raises(KeyError, match="mine"):
            async with stand_in.opened():
                raise KeyError("mine")
        with pytest.raises(LookupError, match="in the background"):
            async with stand_in.breaking() as same:
                assert same == stand_in
        await stand_in.aclose()

    asyncio.run(main())
    assert thing.seen == ["entering", "left", "entering", "KeyError", "closed"]


def test_the_event_loop_goes_on_meanwhile_and_there_is_no_thread_for_a_call(thing):
    async def main():
        stand_in = runner.asyncio.wrap(thing)
        await stand_in.twice(1)
        before = threading.active_count()
        hanging = [asyncio.create_task(stand_in.hang()) for _ in range(100)]
        await until(thing.is_waiting.is_set)

        assert await asyncio.gather(*map(stand_in.twice, range(100))) == [*range(0, 200, 2)]
        assert threading.active_count() == before
        for task in hanging:
            task.cancel()
        for task in hanging:
            await cancelled(task)
        await stand_in.aclose()

    asyncio.run(main())


def test_context_variables_of_the_caller_go_with_the_call(thing):
    variable = contextvars.ContextVar("variable", default="unset")

    async def main():
        variable.set("mine")
        stand_in = runner.asyncio.wrap(thing)
        assert await stand_in.context(variable) == "mine"
        await stand_in.aclose()

    asyncio.run(main())


# ---------------------------------------------------------------- cancellation


def test_a_runners_block_that_is_cancelled_raises_just_that(tmp_path):
    async def main():
        begun = asyncio.Event()

        async def use():
            async with runner.asyncio.open_runner(state=tmp_path / "state") as r:
                await r.scope(str(tmp_path)).exists("a")
                begun.set()
                await asyncio.sleep(1000)

        task = asyncio.create_task(use())
        await begun.wait()
        task.cancel()
        await cancelled(task)

    asyncio.run(main())


def test_a_cancelled_task_leaves_when_its_program_has_been_put_down(tmp_path, is_alive):
    pid_file = tmp_path / "x" / "pid"

    async def main():
        async with runner.asyncio.open_runner(state=tmp_path / "state") as r:
            scope = r.scope(str(tmp_path / "x"))
            command = "echo $$ > pid.new; mv pid.new pid; exec sleep 1000"
            task = asyncio.create_task(scope.exec(command))
            await until(pid_file.exists)
            task.cancel()
            await cancelled(task)

            assert not is_alive(int(pid_file.read_text()))
            assert await scope.exists("pid")

    asyncio.run(main())


@pytest.mark.parametrize("attempt", range(30))
def test_a_cancellation_at_any_moment_leaves_nothing_running(thing, attempt):
    async def main():
        stand_in = runner.asyncio.wrap(thing)
        await stand_in.twice(1)
        task = asyncio.create_task(stand_in.hang())
        await asyncio.sleep(attempt * 2e-5)
        task.cancel()
        await cancelled(task)

        assert not thing.is_waiting.is_set() or thing.was_put_down.is_set()
        await stand_in.aclose()

    asyncio.run(main())


def test_cancelled_again_and_again_it_still_waits_until_the_work_is_put_down(thing):
    async def main():
        stand_in = runner.asyncio.wrap(thing)
        task = asyncio.create_task(stand_in.hang(slow=0.2))
        await until(thing.is_waiting.is_set)
        for _ in range(5):
            task.cancel()
            await asyncio.sleep(0.01)
        assert not task.done()
        await cancelled(task)

        assert thing.was_put_down.is_set()
        await stand_in.aclose()

    asyncio.run(main())


def test_a_timeout_is_a_cancellation(thing):
    async def main():
        stand_in = runner.asyncio.wrap(thing)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await stand_in.hang()

        assert thing.was_put_down.is_set()
        await stand_in.aclose()

    asyncio.run(main())


def test_a_call_is_not_heard_of_by_a_cancelled_taskgroup_before_it_is_put_down(thing):
    async def main():
        stand_in = runner.asyncio.wrap(thing)
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(stand_in.hang())
                await until(thing.is_waiting.is_set)
                group.create_task(stand_in.fail(KeyError("mine")))

        assert thing.was_put_down.is_set()
        await stand_in.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("attempt", range(30))
def test_cancelled_while_it_enters_or_leaves_a_context_manager_is_left(thing, attempt):
    async def main():
        stand_in = runner.asyncio.wrap(thing)
        await stand_in.twice(1)

        async def use():
            async with stand_in.opened(slow=0.01):
                await asyncio.sleep(0.001)

        task = asyncio.create_task(use())
        await asyncio.sleep(attempt * 1e-4)
        task.cancel()
        await asyncio.wait([task])

        assert not thing.is_waiting.is_set() or thing.was_put_down.is_set()
        await stand_in.aclose()

    asyncio.run(main())


def test_a_block_that_is_cancelled_is_left_before_the_task_ends(thing):
    async def main():
        stand_in = runner.asyncio.wrap(thing)

        async def use():
            async with stand_in.opened():
                await asyncio.sleep(1000)

        task = asyncio.create_task(use())
        await until(thing.is_waiting.is_set)
        task.cancel()
        await cancelled(task)

        assert thing.was_put_down.is_set()
        await stand_in.aclose()

    asyncio.run(main())


# ---------------------------------------------------------------- callbacks


def test_callbacks_and_coroutine_functions_are_called_in_the_event_loop(thing, wish):
    async def main():
        stand_in = runner.asyncio.wrap(thing)
        loop = asyncio.get_running_loop()

        def plain(text):
            return text, asyncio.get_running_loop()

        async def slow(text):
            await asyncio.sleep(0.01)
            return text, asyncio.get_running_loop(), await stand_in.twice(4)

        assert await stand_in.ask(wish(ask=plain)) == ("?", loop)
        assert await stand_in.ask(wish(ask=slow)) == ("?", loop, 8)
        await stand_in.aclose()

    asyncio.run(main())


def test_a_callback_that_fails_fails_for_who_awaits_it_or_else_the_call(thing, wish):
    def broken(_text):
        raise ZeroDivisionError("mine")

    async def slow(_text):
        await asyncio.sleep(0)
        raise ZeroDivisionError("mine")

    async def main():
        stand_in = runner.asyncio.wrap(thing)
        for function in (broken, slow):
            with pytest.raises(ZeroDivisionError, match="mine"):
                await stand_in.ask(wish(ask=function))
            with pytest.raises(ZeroDivisionError, match="mine"):
                await stand_in.tell(function, hang=True)
        await stand_in.aclose()

    asyncio.run(main())


def test_a_callback_that_is_awaited_is_cancelled_with_its_call(thing, wish):
    ends = []

    async def slow(_text):
        ends.append("begun")
        try:
            await asyncio.sleep(1000)
        finally:
            ends.append("ended")

    async def main():
        stand_in = runner.asyncio.wrap(thing)
        task = asyncio.create_task(stand_in.ask(wish(ask=slow)))
        await until(lambda: ends)
        task.cancel()
        await cancelled(task)
        await until(lambda: len(ends) == 2)
        await stand_in.aclose()

    asyncio.run(main())


def test_a_stand_in_may_be_used_from_one_event_loop_after_the_other(thing):
    async def first():
        stand_in = runner.asyncio.wrap(thing)
        await stand_in.twice(1)
        return stand_in

    stand_in = asyncio.run(first())

    async def second():
        assert await stand_in.twice(2) == 4
        await stand_in.aclose()

    asyncio.run(second())


# ---------------------------------------------------------------- the thread


def test_several_event_loops_share_one_thread_that_ends_with_the_last(tmp_path, trio_threads):
    async def main(number, others):
        async with runner.asyncio.open_runner(state=tmp_path / str(number)) as r:
            scope = r.scope(str(tmp_path / "x"))
            for _ in range(20):
                await scope.append("n", "1")
            others.wait(10)
            assert trio_threads() == 1

    barrier = threading.Barrier(3)
    threads = [threading.Thread(target=lambda n=n: asyncio.run(main(n, barrier))) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (tmp_path / "x" / "n").read_text() == "1" * 60
    assert trio_threads() == 0


def test_the_thread_has_ended_when_the_last_block_is_left(tmp_path, trio_threads):
    async def main():
        async with runner.asyncio.open_runner(state=tmp_path / "state"):
            assert trio_threads() == 1
        assert trio_threads() == 0

    asyncio.run(main())


def test_a_backend_by_itself_holds_the_thread_until_it_is_closed_or_forgotten(trio_threads):
    async def main():
        backend = runner.asyncio.wrap(MemoryBackend())
        await backend.write("a/b", "c")
        assert trio_threads() == 1
        await backend.aclose()
        assert trio_threads() == 0
        assert await backend.read("a/b") == "c"
        del backend
        gc.collect()
        await until(lambda: trio_threads() == 0)

    asyncio.run(main())
