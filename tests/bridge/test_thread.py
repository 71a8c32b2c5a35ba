"""The trio thread at the ends of processes: exit, forgotten runners, forks."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

UNFINISHED = """
import sys, threading
from runner.bridge import blocking

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
    assert time.monotonic() - begin < 30


FORKED = """
import os, sys, warnings
from runner import SupervisorClosed
from runner.backends.memory import MemoryBackend
from runner.bridge import blocking

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

    assert (done.returncode, done.stdout) == (0, "all good\n"), done.stderr


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
