"""What is done at once comes into the store by itself, shortly after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from runner.scopes.who import Who
from runner.workspaces import writing_down
from runner.workspaces.audit_acts import Doing
from runner.workspaces.settling import settle
from runner.workspaces.store import Store
from runner.workspaces.trail import Trail
from runner.workspaces.witness import Witness
from runner.workspaces.writing_down import keep_writing_down


async def in_thread(work: Callable[[], Any]) -> Any:
    return await trio.to_thread.run_sync(work)


async def until_there_are(store: Store, count: int) -> None:
    with trio.fail_after(20):
        while len(list(store.audit.rows())) < count:
            await trio.sleep(0.01)


async def test_what_is_done_at_once_is_in_the_store_shortly_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing_down, "_PATIENCE", 0.02)
    store = Store.open(str(tmp_path / "store.db"))
    trail = Trail(store, "w-1")
    settle(trail, Witness(str(tmp_path)))

    def do() -> None:
        begun = trail.begin_now(Doing(operation="write"), Who(), {})
        assert begun is not None
        trail.end_now(begun, {}, True)

    async with trio.open_nursery() as nursery:
        do()  # before anybody waits for it
        nursery.start_soon(keep_writing_down, trail, in_thread)
        await until_there_are(store, 1)
        do()
        assert 0 <= trail.behind < 60
        await until_there_are(store, 2)
        with store.transaction():  # others write: then it is tried again
            store.facts.set("x", b"y")
            do()
            assert not await in_thread(lambda: trail.write_down(0))
        await until_there_are(store, 3)
        nursery.cancel_scope.cancel()
    trail.close()
    store.close()
