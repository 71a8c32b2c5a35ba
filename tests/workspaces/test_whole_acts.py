"""Acts on a workspace as a whole: their intents, their ends, and what a kill cuts off."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from runner.errors import HookVeto
from runner.scopes.who import Who
from runner.workspaces import kept_glimpses
from runner.workspaces.audit_acts import Doing
from runner.workspaces.beside import PROCESS, is_at_work
from runner.workspaces.settling import settle
from runner.workspaces.store import Store
from runner.workspaces.trail import Trail
from runner.workspaces.whole_acts import acting
from runner.workspaces.witness import Witness

WHO = Who(agent="a-7")


async def in_thread(work: Callable[[], Any]) -> Any:
    return await trio.to_thread.run_sync(work)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(str(tmp_path / "store.db"))
    yield made
    made.close()


@pytest.fixture
def trail(store: Store) -> Iterator[Trail]:
    made = Trail(store, "w-1")
    yield made
    made.close()
    assert [] == [*store.intents.rows()]


async def test_an_act_has_its_intent_before_it_and_its_row_when_it_has_ended(
    store: Store, trail: Trail
) -> None:
    async with acting(trail, in_thread, WHO, "sync", direction="push") as act:
        (intent,) = store.intents.rows()
        assert [] == [*store.audit.rows()]
        act.details["changes"] = 3
    (row,) = store.audit.rows()

    assert ("sync", "a-7") == (intent.operation, intent.agent)
    assert (True, {"direction": "push", "changes": 3}) == (row.ok, dict(row.details))
    assert intent.time_ns == row.time_ns


async def test_an_act_that_fails_or_is_cancelled_says_so(store: Store, trail: Trail) -> None:
    with pytest.raises(HookVeto):
        async with acting(trail, in_thread, WHO, "hook"):
            raise HookVeto("mine")
    with trio.CancelScope() as cancel_scope:
        async with acting(trail, in_thread, WHO, "sync"):
            cancel_scope.cancel()
            await trio.lowlevel.checkpoint()
    failed, cancelled = store.audit.rows()

    assert (False, "HookVeto") == (failed.ok, failed.details["error"])
    assert (None, True) == (cancelled.ok, cancelled.details["cancelled"])


async def test_what_is_not_to_be_said_leaves_nothing_but_what_failed_in_it(
    store: Store, trail: Trail
) -> None:
    async with acting(trail, in_thread, WHO, "hook") as act:
        act.is_said = False
        act.parts.append({"hook": "h", "reason": "it failed"})
    with pytest.raises(HookVeto):
        async with acting(trail, in_thread, WHO, "sync") as act:
            act.is_failure_said = False
            raise HookVeto("mine")
    (row,) = store.audit.rows()

    assert (False, "it failed") == (row.ok, row.details["reason"])


def test_an_act_of_another_process_is_left_to_it_until_that_is_gone(
    tmp_path: Path, store: Store, trail: Trail
) -> None:
    witness, (said, say) = Witness(str(tmp_path)), os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - it is killed

        async def act() -> None:
            other = Trail(Store.open(store.path), "w-1")
            async with acting(other, in_thread, WHO, "sync", direction="pull"):
                os.write(say, b".")
                await trio.sleep_forever()

        trio.run(act)
        os._exit(1)
    os.read(said, 1)
    assert 0 == settle(trail, witness)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    assert 1 == settle(trail, witness)
    (row,) = store.audit.rows()
    assert ("sync", None, True) == (row.operation, row.ok, row.details["cut_off"])
    assert "pull" == row.details["direction"]
    os.close(said)
    os.close(say)


async def test_what_is_being_done_here_is_not_cut_off(
    tmp_path: Path, store: Store, trail: Trail
) -> None:
    async with acting(trail, in_thread, WHO, "sync"):
        assert 0 == await in_thread(lambda: settle(trail, Witness(str(tmp_path))))

    assert [True] == [each.ok for each in store.audit.rows()]


def test_what_is_no_process_or_no_glimpse_is_as_good_as_none(tmp_path: Path, trail: Trail) -> None:
    begun = trail.begin(Doing(operation="sync", details={PROCESS: "1 nothing"}), WHO, {})
    assert not is_at_work(begun)
    trail.end(begun, [])
    (tmp_path / "glimpse").write_bytes(b"nonsense")

    assert kept_glimpses.recall(str(tmp_path / "glimpse")).tree is None
