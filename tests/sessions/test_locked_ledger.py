"""Another process has the ledger to itself: the sessions that are kept wait, and nobody else."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from runner import database, runtime
from runner.errors import LedgerError, RunnerError
from runner.sessions import store
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.making import Sessions
from runner.sessions.session import Session

Make = Callable[..., Session]
Until = Callable[..., Awaitable[None]]

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
connection.execute(f"PRAGMA journal_mode = {sys.argv[2]}")
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


class Lock:
    """Another process that has the file to itself, until it is told to let it go."""

    def __init__(self, state: Path, mode: str = "WAL") -> None:
        state.mkdir(exist_ok=True)
        argv = [sys.executable, "-c", LOCK, ledger_of(str(state)), mode]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert b"locked\n" == self.process.stdout.readline()

    def release(self) -> None:
        self.process.communicate(timeout=20)


@pytest.fixture
def lock(state: Path) -> Iterator[Callable[..., Lock]]:
    locks = []

    def make(mode: str = "WAL") -> Lock:
        locks.append(Lock(state, mode))
        return locks[-1]

    yield make
    for each in locks:
        if each.process.poll() is None:
            each.release()


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    driver = fake()

    def make(name: str, **options: object) -> Session:
        return sessions.make_session(str(work), driver=driver, id=name, **options)

    return make


async def sent(session: Session, prompt: str, answers: list[object]) -> None:
    try:
        answers.append((await session.send(prompt)).final_message)
    except RunnerError as error:
        answers.append(error)


@pytest.mark.parametrize("is_new", [True, False], ids=["before it is there", "later"])
async def test_others_go_on_while_a_session_waits_for_the_ledger_and_then_it_is_said(
    make: Make,
    lock: Callable[..., Lock],
    monkeypatch: pytest.MonkeyPatch,
    is_new: bool,
) -> None:
    monkeypatch.setattr(store, "PATIENCE", 1.5)
    monkeypatch.setattr(database, "PATIENCE", 1.5)
    answers: list[object] = []
    async with make("kept") as kept, make("other", durable=False) as other:
        await other.send("say ready")
        if not is_new:
            await kept.send("say ready")
        # Before it is there, also who only reads is held up by a file that is no WAL yet.
        locked = lock("DELETE" if is_new else "WAL")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sent, kept, "write f x", answers)
            for _ in range(5):
                assert (await other.send("say on")).ok
            assert [] == answers
        starts = kept.statistics().starts
        locked.release()
        await sent(kept, "say again", answers)

    assert isinstance(answers[0], LedgerError)
    what = "opened: database is locked" if is_new else "locked by another process, which has been"
    assert what in str(answers[0])
    assert (0 if is_new else 1) == starts
    assert "say again" == f"say {answers[1]}"


async def test_a_lock_that_is_given_up_in_time_delays_a_turn_and_changes_nothing(
    make: Make, lock: Callable[..., Lock], state: Path, until: Until
) -> None:
    answers: list[object] = []
    async with make("kept") as kept:
        await kept.send("say ready")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sent, kept, "wait", answers)
            await until(lambda: kept.statistics().phase == "in turn")
            locked = lock()
            await kept.interrupt()
            await until(lambda: store._threads().borrowed_tokens)
            assert [] == answers  # the turn is over, and that cannot be noted yet
            locked.release()
        answers.append((await kept.send("say on")).final_message)
    ledger = SessionLedger(ledger_of(str(state)))
    turns = ledger.turns("kept")
    ledger.close()

    assert ["", "on"] == answers
    assert ["ok", "interrupted", "ok"] == [turn.state for turn in turns]


async def test_who_waits_for_the_ledger_can_be_cancelled_at_once(
    make: Make, lock: Callable[..., Lock]
) -> None:
    async with make("kept") as kept:
        await kept.send("say ready")
        locked = lock()
        with trio.move_on_after(0.1) as waited:
            await kept.send("write f x")
        locked.release()
        turn = await kept.send("say on")

    assert waited.cancelled_caught
    assert (2, "on") == (turn.number, turn.final_message)


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Callable[..., threading.Event]:
    """Let a function of a module wait until another task of the loop has told it to go on."""

    def slow_down(module: ModuleType, name: str) -> threading.Event:
        done, told = getattr(module, name), threading.Event()

        def wait(*args: object, **kwargs: object) -> object:
            assert told.wait(10), "nothing else goes on"
            return done(*args, **kwargs)

        monkeypatch.setattr(module, name, wait)
        return told

    return slow_down


async def tell(told: threading.Event) -> None:
    await wait_all_tasks_blocked()
    told.set()


async def test_what_a_killed_owner_left_is_ended_while_others_go_on(
    sessions: Sessions, make: Make, slowly: Callable[..., threading.Event]
) -> None:
    left = subprocess.Popen(
        ["sleep", "60"], env={"RUNNER_RUN": "run-of-a-dead-one", "RUNNER_SESSION": "kept"}
    )
    async with make("kept") as kept:
        await kept.send("say ready")
        sessions.ledger.begin_process("kept", "run-of-a-dead-one")
    told = slowly(store, "sweep_run")
    async with make("kept") as kept, trio.open_nursery() as nursery:
        nursery.start_soon(tell, told)
        turn = await kept.send("recall")

    assert -9 == left.wait(10)
    assert "say ready" == turn.final_message
    assert "run-of-a-dead-one" not in {each.run for each in sessions.ledger.processes("kept")}


async def test_a_runner_opens_and_closes_while_others_go_on(
    state: Path, slowly: Callable[..., threading.Event]
) -> None:
    (state / "sessions" / "_passing-dead-0" / "home").mkdir(parents=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, slowly(runtime, "sweep_stale_runs"))
        async with runtime.open_runner(state=state):
            nursery.start_soon(tell, slowly(runtime, "sweep_passing"))

    assert [] == list((state / "sessions").iterdir())
