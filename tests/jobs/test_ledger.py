from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runner.errors import LedgerError
from runner.jobs import statements as changes
from runner.jobs.group_commit import GroupCommit
from runner.jobs.ledger import open_ledger
from runner.jobs.output import Identity, Output
from runner.jobs.statements import FINAL

NOW = "2026-01-01T00:00:00+00:00"


def identity(count=3, name="b"):
    return Identity(name=name, common={}, jobs={f"j{n}": f"d{n}" for n in range(1, count + 1)})


@pytest.fixture
def output(tmp_path):
    place = Output(str(tmp_path / "out"))
    place.claim(identity())
    return place


def rows(output, sql):
    with sqlite3.connect(output.ledger) as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


async def test_a_new_ledger_has_its_jobs_queued(output):
    async with open_ledger(output, identity(), NOW) as ledger:
        assert [(job.number, job.state, job.attempts) for job in ledger.past] == [
            (1, "queued", ()),
            (2, "queued", ()),
            (3, "queued", ()),
        ]
        assert ledger.revision is None
        assert list(ledger.results()) == []


async def test_what_was_written_is_there_when_it_is_opened_again(output):
    async with open_ledger(output, identity(), NOW) as ledger:
        await ledger.set_revision("abc")
        await ledger.write(changes.attempt_began(2, 1, "s", NOW))
        await ledger.write(changes.phase_entered(2, 1, "turns"))
        await ledger.write(changes.turn_ended(2, 1, 1, "{}"))
        await ledger.write(changes.attempt_ended(2, 1, "unverified", '{"a": 1}', NOW))
        await ledger.write(changes.attempt_began(2, 2, "s", NOW))
        await ledger.write(changes.attempt_ended(2, 2, "ok", "{}", NOW))
        await ledger.write(changes.job_finished(2, "ok", '{"id": "j2"}', NOW))
        await ledger.write(changes.attempt_began(1, 1, "s", NOW))
        await ledger.write(changes.attempt_ended(1, 1, "failed", "{}", NOW))
        assert list(ledger.results()) == ['{"id": "j2"}']

    async with open_ledger(output, identity(), NOW) as ledger:
        assert ledger.revision == "abc"
        assert [job.state for job in ledger.past] == ["queued", "ok", "queued"]
        states = [[(each.attempt, each.state) for each in job.attempts] for job in ledger.past]
        assert states == [[(1, "failed")], [(1, "unverified"), (2, "ok")], []]
        assert ledger.past[1].attempts[0].record == '{"a": 1}'


async def test_an_attempt_found_running_was_cut_and_leaves_nothing_but_the_count(output):
    async with open_ledger(output, identity(), NOW) as ledger:
        await ledger.write(changes.attempt_began(1, 1, "s1", NOW))
        await ledger.write(changes.turn_ended(1, 1, 1, "{}"))
    async with open_ledger(output, identity(), NOW) as ledger:
        assert ledger.past[0].state == "queued"
        assert ledger.past[0].attempts == ()
        await ledger.write(changes.attempt_began(1, 1, "s2", NOW))
        await ledger.write(changes.turn_ended(1, 1, 1, "{}"))
        await ledger.write(changes.attempt_ended(1, 1, "ok", "{}", NOW))

    assert rows(output, "SELECT attempt, session, cuts, state FROM attempts") == [
        (1, "s2", 1, "ok")
    ]


async def test_a_job_gets_its_final_state_once(output):
    with pytest.raises(LedgerError, match="job 1 has its final state already"):
        async with open_ledger(output, identity(), NOW) as ledger:
            await ledger.write(changes.job_finished(1, "ok", "{}", NOW))
            await ledger.write(changes.job_finished(1, "failed", "{}", NOW))

    assert rows(output, "SELECT state FROM jobs")[0] == ("ok",)


async def test_callbacks_come_after_the_commit_and_in_the_order_of_posting(output):
    told = []
    async with open_ledger(output, identity(), NOW) as ledger:

        def tell(n):
            [(found,)] = rows(output, "SELECT count(*) FROM attempts")
            assert found >= n
            told.append(n)

        for n in range(1, 101):
            ledger.post(changes.attempt_began(1, n, "s", NOW), lambda n=n: tell(n))
        assert told == []
        await ledger.write()

        assert told == list(range(1, 101))
        assert ledger.commits < 50


async def test_many_callers_share_a_commit(output):
    async with open_ledger(output, identity(), NOW) as ledger, trio.open_nursery() as nursery:
        for n in range(1, 201):
            nursery.start_soon(ledger.write, changes.attempt_began(1, n, "s", NOW))

    assert ledger.commits <= 10
    assert rows(output, "SELECT count(*) FROM attempts") == [(200,)]


async def test_after_a_failed_write_everybody_is_told_and_nothing_is_written(output):
    told = []
    async with open_ledger(output, identity(), NOW) as ledger:
        with pytest.raises(LedgerError, match="cannot be written: no such table: gone"):
            await ledger.write([("INSERT INTO gone VALUES (1)", ())])
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.post(changes.attempt_began(1, 1, "s", NOW), lambda: told.append(1))
        with pytest.raises(LedgerError, match="cannot be written"):
            await ledger.write(changes.attempt_began(1, 1, "s", NOW))

    assert told == []
    assert rows(output, "SELECT count(*) FROM attempts") == [(0,)]


async def test_what_waits_with_a_failed_write_is_told_too(output):
    told = []
    with pytest.raises(LedgerError):
        async with open_ledger(output, identity(), NOW) as ledger:
            ledger.post([("nonsense", ())])
            ledger.post(changes.attempt_began(1, 1, "s", NOW), lambda: told.append(1))
            await ledger.write()

    assert told == []


async def test_a_second_process_is_refused_and_told_who_is_at_work(output):
    code = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
os.pwrite(descriptor, str(os.getpid()).encode(), 0)
print("locked", flush=True)
sys.stdin.read()
"""
    lock = os.path.join(output.hidden, "lock")
    with subprocess.Popen(  # it only has to hold the lock
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(LedgerError, match=rf"another process \({other.pid}\) is at work in"):
            async with open_ledger(output, identity(), NOW):
                pass
        other.stdin.close()
        other.wait()

    async with open_ledger(output, identity(), NOW):
        pass


async def test_the_same_process_cannot_open_it_twice(output):
    async with open_ledger(output, identity(), NOW):
        with pytest.raises(LedgerError, match=f"another process \\({os.getpid()}\\)"):
            async with open_ledger(output, identity(), NOW):
                pass


async def test_another_batchs_ledger_is_refused(output):
    async with open_ledger(output, identity(), NOW):
        pass
    with pytest.raises(LedgerError, match="belongs to another batch"):
        async with open_ledger(output, identity(name="c"), NOW):
            pass


async def test_a_newer_versions_ledger_is_refused(output):
    rows(output, "PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="of a newer version of runner \\(99; this one"):
        async with open_ledger(output, identity(), NOW):
            pass


@pytest.fixture
def spoilt(output):
    Path(output.ledger).write_text("x" * 5000)
    return output


async def test_a_file_that_is_no_ledger_is_refused(spoilt):
    with pytest.raises(LedgerError, match=r"cannot be opened: file is not a database"):
        async with open_ledger(spoilt, identity(), NOW):
            pass


async def test_what_was_posted_is_written_before_it_is_closed(output):
    with trio.CancelScope() as cancel_scope:
        async with open_ledger(output, identity(), NOW) as ledger:
            for n in range(1, 50):
                ledger.post(changes.attempt_began(1, n, "s", NOW))
            cancel_scope.cancel()
            await trio.lowlevel.checkpoint()

    assert rows(output, "SELECT count(*) FROM attempts") == [(49,)]


def test_a_writing_thread_that_outlives_trio_tells_nobody():
    committed = []
    made = []

    async def main():
        made.append(GroupCommit(committed.extend, "test"))
        made[0].post([1], lambda: committed.append("told"))

    trio.run(main)
    made[0]._is_open = False
    made[0]._wakes.put(True)
    made[0]._thread.join()

    assert committed[0] == 1


KILLED = """
import sys, trio
from runner.jobs import statements as changes
from runner.jobs.ledger import open_ledger
from runner.jobs.output import Identity, Output

async def main():
    output = Output(sys.argv[1])
    identity = Identity(name="b", common={}, jobs={f"j{n}": "d" for n in range(1, 1001)})
    output.claim(identity)
    async with open_ledger(output, identity, "now") as ledger:
        for past in ledger.past:
            if past.state != "queued":
                continue
            n = past.number
            await ledger.write(changes.attempt_began(n, 1, "s", "now"))
            ledger.post(changes.attempt_ended(n, 1, "ok", "{}", "now"))
            ledger.post(
                changes.job_finished(n, "ok", '{"number": %d}' % n, "now"),
                lambda n=n: print(n, flush=True),
            )
        await ledger.write()
trio.run(main)
"""


@pytest.mark.parametrize("attempt", range(5))
def test_what_was_told_before_a_sigkill_is_there_after_it(tmp_path, template, attempt):
    told = []
    while True:
        ours, its = os.pipe()
        args = [str(tmp_path / "out")]
        process = template.fork(args, KILLED, tmp_path, os.environ, (its, its, 2))
        os.close(its)
        with open(ours) as said:
            for line in said:
                told.append(int(line))
                if len(told) % (150 + attempt) == 0:
                    process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        assert process.returncode == -signal.SIGKILL

    output = Output(str(tmp_path / "out"))
    found = [json.loads(result)["number"] for (result,) in rows(output, "SELECT result FROM jobs")]
    assert found == list(range(1, 1001))
    assert len(told) == len(set(told))  # nothing is finished twice
    [(cuts,)] = rows(output, "SELECT sum(cuts) FROM attempts")
    assert cuts <= len(told) // 150 * 2


class LedgerMachine(RuleBasedStateMachine):
    """Any order of changes and reopenings, beside a model of plain dictionaries."""

    def __init__(self):
        super().__init__()
        import tempfile

        self.directory = tempfile.TemporaryDirectory()
        self.output = Output(os.path.join(self.directory.name, "out"))
        self.output.claim(identity())
        self.jobs = dict.fromkeys((1, 2, 3), "queued")
        self.ended = {1: [], 2: [], 3: []}
        self.running = {}
        self.pending = []
        self.past = None

    def teardown(self):
        self.directory.cleanup()

    def flush(self):
        async def main():
            async with open_ledger(self.output, identity(), NOW) as ledger:
                for statements in self.pending:
                    ledger.post(statements)
            self.past = ledger.past

        trio.run(main)
        self.pending = []

    @rule(job=st.integers(1, 3))
    def begin(self, job):
        if self.jobs[job] not in FINAL and job not in self.running:
            attempt = len(self.ended[job]) + 1
            self.running[job] = attempt
            self.jobs[job] = "running"
            self.pending.append(changes.attempt_began(job, attempt, "s", NOW))
            self.pending.append(changes.turn_ended(job, attempt, 1, "{}"))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), state=st.sampled_from(FINAL), final=st.booleans())
    def end(self, data, state, final):
        job = data.draw(st.sampled_from(sorted(self.running)))
        attempt = self.running.pop(job)
        self.ended[job].append((attempt, state))
        self.pending.append(changes.attempt_ended(job, attempt, state, "{}", NOW))
        if final:
            self.jobs[job] = state
            self.pending.append(changes.job_finished(job, state, "{}", NOW))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def cut(self, data):
        job = data.draw(st.sampled_from(sorted(self.running)))
        self.pending.append(changes.attempt_cut(job, self.running.pop(job)))
        self.jobs[job] = "queued"

    @rule()
    def reopen(self):
        self.flush()
        self.flush()
        for job in self.running:
            self.jobs[job] = "queued"
        for job, state in self.jobs.items():
            if state == "running":
                self.jobs[job] = "queued"
        self.running = {}

        assert {job.number: job.state for job in self.past} == self.jobs
        assert {
            job.number: [(each.attempt, each.state) for each in job.attempts] for job in self.past
        } == self.ended
        [(turns,)] = rows(self.output, "SELECT count(*) FROM turns")
        assert turns == sum(len(ended) for ended in self.ended.values())


def test_the_ledger_agrees_with_its_model_after_any_changes():
    run_state_machine_as_test(
        LedgerMachine, settings=settings(max_examples=15, stateful_step_count=20, deadline=None)
    )
