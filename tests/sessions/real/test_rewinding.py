"""The real claude and codex in a workspace: what their commands change is in the snapshots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.agents.driver import Agent
from runner.runtime import open_runner

pytestmark = pytest.mark.real_agents


async def test_files_and_conversation_are_set_back_together_and_forked(
    kind: str, real_agent: Callable[..., Agent], state: Path, tmp_path: Path
) -> None:
    base = tmp_path / "app"
    base.mkdir()
    (base / "a.txt").write_text("as it was\n")
    agent = real_agent(kind, access="danger-full-access")
    async with open_runner(state=state) as r:
        ws = await r.project(base).create("ws")
        file = Path(ws.path, "a.txt")
        async with r.session(ws, agent, id="mine", snapshots="turn", timeout=60.0) as session:
            for word in ("first", "second"):
                turn = await session.send(f"!run echo {word} > a.txt\n!say {word} answer")
                assert (turn.ok, turn.snapshot_note) == (True, ""), turn
            begun = turn.conversation
            assert "-second" in (await ws.snapshots.diff("turn-2-mine", "turn-1-mine")).text

            done = await session.rewind(1)
            assert ("first\n", True) == (file.read_text(), done.native)
            back = await session.send("!recall")
            assert (back.ok, back.number) == (True, 3), back
            assert "first answer" in back.final_message
            assert "second" not in back.final_message
            assert begun != back.conversation

            await session.rewind(2)  # forward again, into the other conversation
            assert "second\n" == file.read_text()
            again = await session.send("!recall")
            assert again.ok, again
            assert "second answer" in again.final_message

            await session.rewind(1, conversation=False)
            told = await session.send("!run cat a.txt\n!recall")
            assert told.ok, told
            assert "second answer" in told.final_message

            async with await session.fork(at=1, workspace="fork") as fork:
                copy = Path(fork.directory, "a.txt")
                assert "first\n" == copy.read_text()
                turn = await fork.send("!run echo fork > a.txt\n!recall")
                assert turn.ok, turn
                assert "first answer" in turn.final_message
                assert "second" not in turn.final_message
            assert ("fork\n", "first\n") == (copy.read_text(), file.read_text())
    assert "as it was\n" == (base / "a.txt").read_text()
