"""Ending a batch early: drain, interrupt, kill; SIGTERM; SIGKILL, and the same command again."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

# Each job says that it has begun, leaves a process behind, and waits to be let go.
BATCH = """
name = "b"
prompt = '''
{{ row.trap }}
setsid sleep 600 &
echo $! $$ > {{ row.place }}/{{ id }}.pids
mv {{ row.place }}/{{ id }}.pids {{ row.place }}/{{ id }}.begun
until [ -e {{ row.place }}/go ]; do sleep 0.02; done
'''
id = "{{ row.id }}"
limits.concurrency = 2
data.rows = [%s]
"""


class Batch:
    def __init__(self, runner, until, is_alive, trap: str = "") -> None:
        self.runner, self.until, self.is_alive = runner, until, is_alive
        self.place: Path = runner.cwd / "place"
        self.place.mkdir()
        rows = [f'{{ id = "{name}", place = "{self.place}", trap = "{trap}" }}' for name in "abcd"]
        (runner.cwd / "b.toml").write_text(BATCH % ", ".join(rows))

    def start(self, *begun: str):
        """Start it, and wait until these jobs have begun."""
        process = self.runner.start("batch", "run", "b.toml", "-o", "out", "--json")
        self.until(lambda: all((self.place / f"{name}.begun").exists() for name in begun), begun)
        return process

    def go(self) -> None:
        (self.place / "go").touch()

    def pids(self) -> list[int]:
        texts = [file.read_text() for file in self.place.glob("*.begun")]
        return [int(pid) for text in texts for pid in text.split()]

    def living(self) -> list[int]:
        return [pid for pid in self.pids() if self.is_alive(pid)]

    def results(self) -> dict[str, str]:
        lines = (self.runner.cwd / "out" / "results.jsonl").read_text().splitlines()
        results = [json.loads(line) for line in lines]
        return {result["id"]: result["state"] for result in results}


@pytest.fixture
def batch(runner, until, is_alive) -> Batch:
    return Batch(runner, until, is_alive)


def _lines_until(process, text: bytes) -> None:
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"{text!r} was never said")


def _done(out: bytes) -> dict[str, object]:
    return json.loads(out.splitlines()[-1])


def test_once_drains_what_runs_ends_and_no_more_begins(batch) -> None:
    process = batch.start("a", "b")

    process.send_signal(signal.SIGINT)
    _lines_until(process, b"draining: ")
    batch.go()
    out, err = process.communicate(timeout=60)

    done = _done(out)
    assert process.returncode == done["exit"] == 130
    assert (done["ok"], done["queued"], done["cancelled"]) == (2, 2, 0)
    assert b"the same command again goes on" in err
    assert batch.results() == {"a": "ok", "b": "ok"}
    assert batch.living() == []


def test_twice_interrupts_and_every_process_is_gone(batch) -> None:
    process = batch.start("a", "b")

    process.send_signal(signal.SIGINT)
    _lines_until(process, b"draining: ")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    done = _done(out)
    assert process.returncode == done["exit"] == 130
    assert (done["ok"], done["queued"], done["cancelled"]) == (0, 2, 2)
    assert b"interrupting running jobs" in err
    assert b"put down    a: it is queued again" in err
    assert batch.living() == []


def test_three_times_ends_also_what_does_not_want_to(runner, until, is_alive) -> None:
    batch = Batch(runner, until, is_alive, trap="trap '' INT TERM HUP")
    process = batch.start("a", "b")

    process.send_signal(signal.SIGINT)
    _lines_until(process, b"draining: ")
    process.send_signal(signal.SIGINT)
    _lines_until(process, b"interrupting ")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == _done(out)["exit"] == 130
    assert b"ending everything at once" in err
    assert batch.living() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_interrupt_at_once(batch, number: signal.Signals) -> None:
    process = batch.start("a", "b")

    process.send_signal(number)
    out, err = process.communicate(timeout=60)

    assert process.returncode == _done(out)["exit"] == 128 + number
    assert b"draining" not in err
    assert batch.living() == []


def test_what_was_put_down_goes_on_with_the_same_command(batch) -> None:
    process = batch.start("a", "b")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    batch.go()

    ended = batch.runner("batch", "run", "b.toml", "-o", "out")

    assert ended.code == 0
    assert batch.results() == dict.fromkeys("abcd", "ok")


@pytest.mark.parametrize("attempt", range(3))
def test_after_sigkill_nothing_is_left_and_the_same_command_goes_on(attempt, batch) -> None:
    process = batch.start("a", "b")

    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    batch.until(lambda: batch.living() == [], "all processes are gone")
    batch.go()
    ended = batch.runner("batch", "run", "b.toml", "-o", "out", "--json")

    assert ended.code == 0
    assert batch.results() == dict.fromkeys("abcd", "ok")
    assert json.loads(ended.out.splitlines()[-1])["finished"] == 4
    assert batch.living() == []


def test_a_second_runner_on_the_same_directory_is_refused(batch) -> None:
    process = batch.start("a", "b")

    second = batch.runner("batch", "run", "b.toml", "-o", "out")
    batch.go()
    process.communicate(timeout=60)

    assert (second.code, process.returncode) == (75, 0)  # try again later
    assert second.err.startswith("runner: ")
    assert "Traceback" not in second.err


def test_a_signal_that_comes_when_all_is_done_changes_nothing(batch) -> None:
    batch.go()
    process = batch.start()

    out, _ = process.communicate(timeout=60)

    assert (process.returncode, _done(out)["exit"]) == (0, 0)
