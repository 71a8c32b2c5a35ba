"""The trio thread at the ends of processes: exit, forgotten runners, forks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time

import pytest

from runner.errors import SupervisorClosed

UNFINISHED = """
import sys, threading
from runner import blocking

manager = blocking.open_runner(state=sys.argv[1] + "/state")
r = manager.__enter__()
scope = r.scope(sys.argv[1] + "/x")

def work():
    scope.exec("echo $$ > pid.new; mv pid.new pid; exec sleep 1000")

threading.Thread(target=work, daemon=True).start()
while not scope.exists("pid"):
    threading.Event().wait(0.01)
{end}
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)", "1 / 0"])
def test_what_is_open_when_python_ends_is_put_down(tmp_path, is_alive, end):
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", UNFINISHED.format(end=end), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == (1 if end == "1 / 0" else 0), done.stderr
    assert not is_alive(int((tmp_path / "x" / "pid").read_text()))
    assert not list((tmp_path / "state").glob("run*/*.alive"))
    assert "sweeping" not in done.stderr  # nothing was closed under its hands
    assert time.monotonic() - begin < 30


LEFT_BESIDE = """
import sys
from runner import blocking

r = blocking.open_runner(state=sys.argv[1] + "/state").__enter__()
program = r.scope(sys.argv[1] + "/x").start("exec sleep 1000")
print(program.pid)
"""


@pytest.mark.parametrize("attempt", range(5))
def test_a_program_that_was_left_beside_is_ended_quietly_when_python_ends(
    tmp_path, is_alive, attempt
):
    done = subprocess.run(
        [sys.executable, "-c", LEFT_BESIDE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert not is_alive(int(done.stdout))


FORKED = """
import os, sys, warnings
from runner import SupervisorClosed
from runner.backends.memory import MemoryBackend
from runner import blocking

warnings.simplefilter("ignore", DeprecationWarning)
untouched = blocking.wrap(MemoryBackend())
used = blocking.wrap(MemoryBackend())
used.write("a", "b")
with blocking.open_runner(state=sys.argv[1] + "/state") as r:
    scope = r.scope(sys.argv[1] + "/x")
    scope.write("a", "parent")
    pid = os.fork()
    if pid == 0:
        for call in (lambda: scope.read("a"), lambda: r.scope("y"), lambda: used.read("a")):
            try:
                call()
            except SupervisorClosed as error:
                assert "forked" in str(error), error
            else:
                os._exit(2)
        untouched.write("a", "in the child")
        assert untouched.read("a") == "in the child"
        with blocking.open_runner(state=sys.argv[1] + "/state") as own:
            own_scope = own.scope(sys.argv[1] + "/x")
            own_scope.append("a", " and child")
            assert own_scope.exec("cat a").stdout == "parent and child"
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert scope.exec("cat a").stdout == "parent and child"
    pid = os.fork()
    if pid == 0:
        sys.exit(7)  # leaves the block, and Python: both are the parent's as well
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert scope.exec("cat a").stdout == "parent and child"
    with r.session(scope, agent="shell") as session:
        pid = os.fork()
        if pid == 0:
            try:
                session.send("echo from the child")
            except SupervisorClosed:
                sys.exit(8)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 8
        assert session.send("echo from the parent").final_message == "from the parent"
used.close()
print("all good")
"""


def test_a_forked_child_begins_anew_and_leaves_its_parents_things_alone(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "all good\n", "")


def test_a_thread_that_cannot_start_says_why(monkeypatch):
    import trio

    from runner.bridge.thread import TrioThread

    def refuse(*_args):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(trio, "run", refuse)

    with pytest.raises(OSError, match="Too many open files"):
        TrioThread()


def test_what_waits_for_a_thread_that_has_ended_is_called_at_once():
    from runner.bridge.thread import hold, let_go

    thread = hold()
    let_go(thread)
    thread.join()
    seen = []
    thread.when_ended(lambda: seen.append(1))

    assert seen == [1]


@pytest.fixture
def own():
    """A thread of the bridge that a test may end as it likes."""
    from runner.bridge.thread import TrioThread

    made = TrioThread()
    yield made
    with contextlib.suppress(SupervisorClosed):
        made.stop()
    made.join()


def test_who_waits_when_the_thread_ends_is_told_so(own, thing):
    from runner.bridge.calls import wait

    def stop():
        thing.is_waiting.wait()
        own.stop()

    ender = threading.Thread(target=stop)
    ender.start()
    with pytest.raises(SupervisorClosed, match="ended"):
        wait(own, lambda call: call.post(thing.hang))
    ender.join()
    own.join()

    assert thing.was_put_down.is_set()
    with pytest.raises(SupervisorClosed, match="ended"):
        own.post(print)


def test_what_is_asked_for_while_the_thread_ends_is_refused(own, thing):
    """It still puts something down: its nursery takes nothing new, but it hears."""
    from runner.bridge.calls import wait

    def hang():
        with pytest.raises(SupervisorClosed):
            wait(own, lambda call: call.post(lambda: thing.hang(slow=0.5)))

    first = threading.Thread(target=hang)
    first.start()
    thing.is_waiting.wait()
    own.stop()
    with pytest.raises(SupervisorClosed, match="ended"):
        wait(own, lambda call: call.post(lambda: thing.twice(1)))
    first.join()


def test_a_block_that_is_open_when_the_thread_ends_is_left(own, thing):
    from runner.bridge.calls import wait
    from runner.bridge.stay import Stay

    stay = Stay(own, thing.opened())
    wait(own, lambda call: call.post(stay.enter))
    assert stay.is_inside
    own.stop()
    own.join()

    assert thing.was_put_down.is_set()
    assert not stay.is_inside


def test_an_answer_for_an_event_loop_that_is_closed_is_dropped(own, thing):
    from runner.bridge.calls import wait_in_asyncio

    async def main():
        task = asyncio.ensure_future(
            wait_in_asyncio(own, lambda call: call.post(lambda: thing.hang(slow=0.1)))
        )
        while not thing.is_waiting.is_set():
            await asyncio.sleep(0.001)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(main())
    loop.close()
    own.stop()
    own.join()

    assert thing.was_put_down.is_set()
    assert not task.done()
    task._log_destroy_pending = False  # that is what this is about
    task.get_coro().close()


def test_a_callback_for_an_event_loop_that_is_closed_is_an_error_for_who_awaits_it(own):
    from runner.bridge.callbacks import InLoop
    from runner.bridge.calls import wait
    from runner.bridge.home import Home

    loop = asyncio.new_event_loop()
    callback = InLoop(print, lambda value: value, lambda value: value, Home(), loop)
    loop.close()

    async def ask():
        return await callback("?")

    with pytest.raises(RuntimeError, match="closed"):
        wait(own, lambda call: call.post(ask))


def test_what_a_callback_will_answer_cannot_be_taken_for_yes(own, thing):
    from runner.bridge.callbacks import Answer
    from runner.bridge.calls import wait

    async def take_for_yes():
        return bool(Answer(None, own))

    with pytest.raises(TypeError, match="awaited"):
        wait(own, lambda call: call.post(take_for_yes))


def test_a_callback_that_fails_on_behalf_of_nobody_is_logged(own, caplog, until):
    from runner.bridge.callbacks import Answer
    from runner.bridge.calls import wait

    async def fail():
        Answer(None, own).settle(None, ZeroDivisionError("mine"))

    wait(own, lambda call: call.post(fail))
    until(lambda: "a callback failed, and nobody waits for it" in caplog.text)
