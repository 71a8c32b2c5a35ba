"""An access that cannot be held is refused before anything is started."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from runner.actors.supervisor import Supervisor
from runner.agents.driver import ClaudeAgent, CodexAgent, ShellAgent, TurnOptions
from runner.errors import AgentUnavailable, ExecFailed
from runner.messages import Isolation
from runner.processes.host import ProcessHost
from runner.processes.isolation.choosing import Choice
from runner.sessions.confining import check_confinement
from runner.sessions.making import Sessions
from runner.testing.model_server import Served

PLAIN = TurnOptions()
READING = TurnOptions(access="read-only")
FULL = TurnOptions(access="danger-full-access")


@pytest.fixture
async def bwrap(host: ProcessHost) -> Isolation:
    """An isolation of namespaces, or a skip."""
    isolation = Isolation(mode="bwrap", required=True, network="full")
    try:
        await host.choose(isolation)
    except ExecFailed as error:
        pytest.skip(str(error))
    return isolation


async def test_a_sandbox_that_cannot_be_made_inside_an_isolation_is_refused(
    host: ProcessHost, bwrap: Isolation
) -> None:
    nesting = attrs.evolve(bwrap, nesting=True)
    for agent, options, isolation, said in (
        (ClaudeAgent(), PLAIN, bwrap, "to the isolation alone"),
        (ClaudeAgent(), PLAIN, nesting, "to the isolation alone"),
        (CodexAgent(), PLAIN, bwrap, "nesting=True"),
        (CodexAgent(access="danger-full-access"), READING, bwrap, "nesting=True"),
    ):
        with pytest.raises(AgentUnavailable, match=said):
            await check_confinement(agent, options, isolation, host)
    for agent, options, isolation in (
        (ClaudeAgent(), READING, bwrap),
        (ClaudeAgent(), FULL, bwrap),
        (CodexAgent(), FULL, bwrap),
        (CodexAgent(), PLAIN, nesting),
        (CodexAgent(), PLAIN, None),
        (CodexAgent(), PLAIN, Isolation(mode="none")),
        (ShellAgent(), PLAIN, bwrap),
    ):
        await check_confinement(agent, options, isolation, host)


class RulesOnly(ProcessHost):
    """A machine on which rules on files are all that holds a program."""

    async def choose(self, isolation: Isolation) -> Choice:
        return Choice(mode="landlock")


async def test_no_sandbox_can_be_made_inside_rules_on_files() -> None:
    isolation = Isolation(network="full")
    with pytest.raises(AgentUnavailable, match="mode='bwrap'"):
        await check_confinement(ClaudeAgent(), PLAIN, isolation, RulesOnly())


class Nowhere(ProcessHost):
    """A machine that lets nobody make namespaces."""

    hint = ""

    async def choose(self, isolation: Isolation) -> object:
        raise ExecFailed("exec", None, "no namespaces here", hint=self.hint)


@pytest.mark.parametrize("hint", ["", "ask its owner"])
async def test_a_machine_without_namespaces_is_said(hint: str) -> None:
    nowhere = Nowhere()
    nowhere.hint = hint
    with pytest.raises(AgentUnavailable, match=f"on|no namespaces here.*{hint}"):
        await check_confinement(ClaudeAgent(), PLAIN, None, nowhere)


async def test_nothing_is_started_for_a_turn_that_cannot_be_held(
    sessions: Sessions, work: Path, fake: Callable[..., object], bwrap: Isolation
) -> None:
    agent = CodexAgent(access="danger-full-access")
    async with sessions.make_session(
        str(work), agent, driver=fake(), isolation=bwrap, durable=False
    ) as session:
        with pytest.raises(AgentUnavailable, match="nesting=True"):
            await session.send("say one", access="read-only")
        assert (0, 0) == (session.statistics().starts, session.statistics().turns)


@pytest.mark.real_agents
async def test_codex_makes_its_sandbox_inside_an_isolation_that_lets_it(
    supervisor: Supervisor,
    host: ProcessHost,
    model_server: Served,
    bwrap: Isolation,
    codex_program: str,
) -> None:
    package = Path(os.path.realpath(codex_program)).parents[3]
    beside = (str(Path(codex_program).parent), str(package))
    agent = CodexAgent(
        program=codex_program, env=model_server.codex_env(), config=model_server.codex_config()
    )
    held = attrs.evolve(bwrap, nesting=True, readable=beside)
    # Not below /tmp, which is TMPDIR inside: codex makes no sandbox with a home below that.
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as here:
        work = Path(here, "work")
        work.mkdir()
        sessions = Sessions(supervisor, host, f"{here}/state")
        async with sessions.make_session(str(work), agent, isolation=held, timeout=60.0) as session:
            turn = await session.send("!run touch inside\n!say done")
            reading = await session.send("!run touch more\n!say done", access="read-only")
        sessions.ledger.close()

        assert (True, True) == (turn.ok, reading.ok), (turn, reading)
        assert ["inside"] == os.listdir(work)
