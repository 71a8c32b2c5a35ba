"""A synchronous program: the whole API blocks, and Ctrl-C puts things down."""

from __future__ import annotations

import contextvars
import gc
import inspect
import signal
import threading
import time

import pytest

import runner
from runner import blocking
from runner.backends.memory import MemoryBackend
from runner.jobs.spec import Data


def test_files_programs_and_sessions_from_a_synchronous_program(tmp_path):
    with blocking.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(str(tmp_path / "x"))
        scope.write("notes/a.txt", "hi\n")
        with scope.batch() as batch:
            batch.write("b.txt", "one")
            batch.move("notes/a.txt", "c.txt")
        done = scope.exec("cat c.txt")
        with r.session(scope, agent="shell") as session, session.events() as events:
            turn = session.send("echo one > two.txt; echo done")
            first = next(iter(events))

        assert scope.read("b.txt") == "one"
        assert scope.read("c.txt", encoding=None) == b"hi\n"
        assert (done.ok, done.stdout) == (True, "hi\n")
        assert (turn.ok, turn.final_message) == (True, "done")
        assert [str(path) for path in turn.files_created] == ["two.txt"]
        assert first.turn == 1
        assert scope.scope("notes").path == scope.path + "/notes"


def test_a_batch_of_jobs_tells_its_observer_in_the_callers_thread(tmp_path):
    seen = []
    rows = [{"n": 1}, {"n": 2}]
    batch = runner.Batch(name="b", prompt="echo {{ row.n }}", data=Data(rows=rows))

    with blocking.open_runner(state=tmp_path / "state") as r:
        report = r.run_batch(
            batch,
            output=tmp_path / "out",
            observer=lambda what: seen.append((type(what).__name__, threading.get_ident())),
        )

    assert report.counts == {"ok": 2}
    assert seen[0][0] == "BatchStarted"
    assert seen[-1][0] == "BatchDone"
    assert {thread for _, thread in seen} == {threading.get_ident()}


def test_errors_cross_bare_with_their_type_and_facts(tmp_path):
    with blocking.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(str(tmp_path / "x"))
        scope.mkdir(".")

        with pytest.raises(runner.NotFound) as missing:
            scope.read("nope")
        with pytest.raises(runner.PathEscapes):
            scope.read("../x")
        with pytest.raises(runner.InvalidPath):
            scope.scope("/etc")

    assert (missing.value.op, missing.value.path) == ("read", "nope")


def test_what_was_opened_refuses_when_it_is_closed(tmp_path):
    with blocking.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(str(tmp_path))

    with pytest.raises(runner.SupervisorClosed, match="closed"):
        scope.exists("a")
    with pytest.raises(runner.SupervisorClosed, match="closed"):
        r.scope("b")


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_error_of_the_block_leaves_it_as_it_is(tmp_path, kind):
    error = kind("mine")

    with pytest.raises(kind, match="mine") as raised:
        with blocking.open_runner(state=tmp_path / "state"):
            raise error

    assert raised.value is error


def test_an_unusable_argument_is_an_error_at_the_beginning_of_the_block(tmp_path, trio_threads):
    (tmp_path / "file").write_text("")

    with pytest.raises(runner.ConfigError):
        with blocking.open_runner(state=tmp_path / "file" / "state"):
            pass

    assert trio_threads() == 0


def test_values_pass_as_they_are_and_objects_of_trio_as_stand_ins(thing):
    stand_in = blocking.wrap(thing)

    assert stand_in.twice(2, plus=1) == 5
    assert stand_in.plain("a") == "A"
    assert thing.thread != threading.get_ident()
    assert stand_in.name == "thing"
    assert stand_in.another().another().name == "thing's's"
    a, others = stand_in.others()
    assert stand_in.names(a, others["b"], stand_in.another()) == ["a", "b", "thing's"]
    assert stand_in == blocking.wrap(thing)
    assert len({stand_in, blocking.wrap(thing)}) == 1
    assert stand_in != stand_in.another()
    assert repr(stand_in) == f"<blocking {thing!r}>"
    stand_in.close()


def test_stand_ins_can_be_looked_at_as_their_targets(thing):
    stand_in = blocking.wrap(thing)

    assert str(inspect.signature(stand_in.twice)) == "(number: 'int', *, plus: 'int' = 0) -> 'int'"
    assert stand_in.twice.__doc__ == "Twice a number."
    assert not inspect.iscoroutinefunction(stand_in.twice)
    assert type(stand_in).__doc__ == "Something of trio's, as scopes and sessions are."
    assert {"twice", "plain", "name", "close"} <= set(dir(stand_in))
    with pytest.raises(AttributeError, match="_private"):
        _ = stand_in._private
    with pytest.raises(AttributeError):
        _ = stand_in.no_such_name


def test_async_iterators_and_generators_are_iterators(thing):
    stand_in = blocking.wrap(thing)

    assert list(stand_in.ticker()) == [1, 2, 3]
    assert list(stand_in.generated()) == [0, 1, 2]
    begun = stand_in.generated()
    assert next(begun) == 0
    begun.close()
    with pytest.raises(StopIteration):
        next(begun)
    stand_in.close()


def test_a_context_manager_is_left_by_the_task_that_entered_it_and_sees_the_error(thing):
    stand_in = blocking.wrap(thing)

    with stand_in.opened() as opened:
        assert opened.name == "opened"
    with pytest.raises(KeyError, match="mine"):
        with stand_in.opened():
            raise KeyError("mine")

    assert thing.seen == ["entering", "left", "entering", "KeyError"]
    stand_in.close()


def test_a_context_manager_that_breaks_in_the_background_says_so_when_it_is_left(thing):
    stand_in = blocking.wrap(thing)

    with pytest.raises(LookupError, match="in the background"):
        with stand_in.breaking() as same:
            assert same == stand_in

    stand_in.close()


def test_context_variables_of_the_caller_go_with_the_call(thing):
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("mine")
    stand_in = blocking.wrap(thing)

    assert stand_in.context(variable) == "mine"
    stand_in.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), StopAsyncIteration()])
def test_any_exception_of_the_work_crosses_and_the_thread_lives_on(thing, error):
    stand_in = blocking.wrap(thing)

    with pytest.raises(type(error)):
        stand_in.fail(error)

    assert stand_in.twice(1) == 2
    stand_in.close()


# ---------------------------------------------------------------- interrupts


def interrupt_when(fact, until):
    """Send this thread a Ctrl-C when something has become true."""

    def send():
        until(fact)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def later(seconds, which):
    """Send this thread a signal after a while; as Ctrl-C, it is this thread that it interrupts."""
    main = threading.main_thread().ident
    return threading.Timer(seconds, signal.pthread_kill, [main, which])


def test_ctrl_c_puts_a_program_down_before_it_propagates(tmp_path, until, is_alive):
    pid_file = tmp_path / "x" / "pid"
    with blocking.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(str(tmp_path / "x"))
        scope.mkdir(".")
        sender = interrupt_when(lambda: pid_file.exists() and pid_file.read_text(), until)

        with pytest.raises(KeyboardInterrupt):
            scope.exec("echo $$ > pid.new; mv pid.new pid; exec sleep 1000")

        assert not is_alive(int(pid_file.read_text()))
        assert scope.read("pid")
    sender.join()


@pytest.mark.parametrize("attempt", range(30))
def test_an_interrupt_at_any_moment_leaves_nothing_running(thing, until, attempt):
    stand_in = blocking.wrap(thing)
    stand_in.twice(1)
    timer = later(attempt * 2e-5, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):  # also if it comes before the call, or in its return
        timer.start()
        stand_in.hang()

    timer.join()
    assert not thing.is_waiting.is_set() or thing.was_put_down.is_set()
    stand_in.close()


def test_ctrl_c_waits_for_what_takes_long_to_be_put_down_but_a_second_one_does_not(thing, until):
    stand_in = blocking.wrap(thing)
    sender = interrupt_when(thing.is_waiting.is_set, until)
    with pytest.raises(KeyboardInterrupt):
        stand_in.hang(slow=0.2)
    sender.join()
    assert thing.was_put_down.is_set()

    thing.is_waiting.clear()
    thing.was_put_down.clear()
    sender = interrupt_when(thing.is_waiting.is_set, until)
    second = later(0.3, signal.SIGINT)
    second.start()
    with pytest.raises(KeyboardInterrupt):
        stand_in.hang(slow=1.0)
    assert not thing.was_put_down.is_set()
    sender.join()
    second.join()
    until(thing.was_put_down.is_set)
    stand_in.close()


def test_an_exception_of_a_signal_handler_puts_the_call_down_too(thing):
    class OutOfTime(Exception):
        pass

    def handler(*_args):
        raise OutOfTime

    stand_in = blocking.wrap(thing)
    before = signal.signal(signal.SIGUSR1, handler)
    timer = later(0.1, signal.SIGUSR1)
    timer.start()
    try:
        with pytest.raises(OutOfTime):
            stand_in.hang()
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)

    assert thing.was_put_down.is_set()
    stand_in.close()


def test_ctrl_c_while_a_block_is_being_left_cuts_the_leaving_short(thing, until):
    stand_in = blocking.wrap(thing)
    block = stand_in.opened(slow=0.3)
    block.__enter__()
    sender = interrupt_when(lambda: "left" in thing.seen, until)

    with pytest.raises(KeyboardInterrupt):
        block.__exit__(None, None, None)

    assert thing.was_put_down.is_set()
    sender.join()
    stand_in.close()


# ---------------------------------------------------------------- callbacks


def test_a_callback_is_called_in_the_waiting_thread_and_may_use_the_api(thing, wish):
    stand_in = blocking.wrap(thing)

    def answer(text):
        return text, threading.get_ident(), stand_in.twice(4)

    assert stand_in.ask(wish(ask=answer)) == ("?", threading.get_ident(), 8)
    stand_in.close()


def test_a_callback_that_fails_fails_for_who_awaits_it_or_else_the_call(thing, wish):
    def broken(_text):
        raise ZeroDivisionError("mine")

    stand_in = blocking.wrap(thing)

    with pytest.raises(ZeroDivisionError, match="mine"):
        stand_in.ask(wish(ask=broken))
    with pytest.raises(ZeroDivisionError, match="mine"):
        stand_in.tell(broken, hang=True)

    stand_in.close()


def test_callbacks_come_in_order_and_nobody_waits_for_them(thing):
    seen = []
    stand_in = blocking.wrap(thing)

    assert stand_in.tell(seen.append) == "told"
    assert seen == [0, 1, 2, 3, 4]
    stand_in.close()


def test_a_callback_on_behalf_of_nobody_is_called_in_trios_thread(thing, until):
    seen = []
    stand_in = blocking.wrap(thing)

    stand_in.tell_in_the_background(lambda _number: seen.append(threading.get_ident()))

    until(lambda: len(seen) == 5)
    assert threading.get_ident() not in seen
    stand_in.close()


def test_a_coroutine_function_that_is_handed_in_is_trios(thing, wish):
    async def answer(text):
        return await thing.twice(len(text)), threading.get_ident()

    stand_in = blocking.wrap(thing)
    value, thread = stand_in.ask(wish(ask=answer))

    assert value == 2
    assert thread != threading.get_ident()
    stand_in.close()


def test_a_call_from_trios_own_thread_is_refused_instead_of_waiting_for_itself(thing, wish):
    stand_in = blocking.wrap(thing)

    async def answer(_text):
        stand_in.twice(1)

    with pytest.raises(RuntimeError, match="would wait for itself"):
        stand_in.ask(wish(ask=answer))
    stand_in.close()


# ---------------------------------------------------------------- the thread


def test_one_thread_serves_all_and_ends_with_the_last(tmp_path, trio_threads):
    with blocking.open_runner(state=tmp_path / "1") as one:
        with blocking.open_runner(state=tmp_path / "2") as two:
            assert trio_threads() == 1
            two.scope(str(tmp_path)).exists("a")
        assert one.scope(str(tmp_path)).exists("1")
        assert trio_threads() == 1
    assert trio_threads() == 0


def test_there_is_no_thread_for_a_call_and_many_threads_may_call(tmp_path):
    with blocking.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(str(tmp_path / "x"))
        scope.write("n", "0")
        before = threading.active_count()
        most = []

        def work():
            for _ in range(50):
                scope.append("n", "1")
                most.append(threading.active_count())

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert scope.read("n") == "0" + "1" * 400
    assert max(most) <= before + 8


def test_a_backend_by_itself_holds_the_thread_until_it_is_closed_or_forgotten(trio_threads, until):
    backend = blocking.wrap(MemoryBackend())
    assert trio_threads() == 0
    backend.write("a/b", "c")
    assert trio_threads() == 1
    backend.close()
    assert trio_threads() == 0
    assert backend.read("a/b") == "c"
    assert trio_threads() == 1

    del backend
    gc.collect()
    until(lambda: trio_threads() == 0)


def test_a_backend_that_is_opened_and_forgotten_often_leaves_nothing(trio_threads, until):
    for _ in range(50):
        blocking.wrap(MemoryBackend()).write("a", "b")
    gc.collect()

    until(lambda: trio_threads() == 0)


def test_a_call_costs_less_than_a_millisecond(thing):
    stand_in = blocking.wrap(thing)
    took = []
    for _ in range(200):
        begin = time.perf_counter()
        stand_in.twice(1)
        took.append(time.perf_counter() - begin)

    assert sorted(took)[100] < 0.005
    stand_in.close()
