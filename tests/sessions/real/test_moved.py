"""A session whose directory was moved, or is reached by a link: its conversation goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.agents.driver import ClaudeAgent, CodexAgent
from runner.sessions.making import Sessions
from runner.testing.model_server import Served


@pytest.mark.real_agents
@pytest.mark.parametrize("kind", ["claude", "codex"])
async def test_a_conversation_goes_on_wherever_the_links_to_its_directory_lead(
    sessions: Sessions, work: Path, request: pytest.FixtureRequest, model_server: Served, kind: str
) -> None:
    program = request.getfixturevalue(f"{kind}_program")
    if kind == "claude":
        agent = ClaudeAgent(program=program, env=model_server.claude_env(), access="read-only")
    else:
        config = model_server.codex_config()
        agent = CodexAgent(program=program, env=model_server.codex_env(), config=config)
    async with sessions.make_session(str(work), agent, id="moved") as session:
        first = await session.send("!say one")
    work.rename(work.parent / "elsewhere")
    work.symlink_to("elsewhere")
    async with sessions.make_session(str(work), agent, id="moved") as session:
        linked = await session.send("!recall 1")
    work.unlink()
    work.mkdir()
    async with sessions.make_session(str(work), agent, id="moved") as session:
        back = await session.send("!recall 2")

    assert ["one", "!say one", "!say one\n!recall 1"] == [
        turn.final_message for turn in (first, linked, back)
    ], (linked, back)
    assert 1 == len({turn.conversation for turn in (first, linked, back)})
