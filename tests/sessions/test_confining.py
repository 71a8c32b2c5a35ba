"""An access that cannot be held is refused before anything is started."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import pytest

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
        (ClaudeAgent(), PLAIN, bwrap, "nesting=True"),
        (CodexAgent(), PLAIN, bwrap, "nesting=True"),
        (CodexAgent(access="danger-full-access"), READING, bwrap, "nesting=True"),
    ):
        with pytest.raises(AgentUnavailable, match=said):
            await check_confinement(agent, options, isolation, host)
    for agent, options, isolation, is_nested in (
        (ClaudeAgent(), READING, bwrap, False),
        (ClaudeAgent(), FULL, bwrap, False),
        (ClaudeAgent(), PLAIN, nesting, True),
        (ClaudeAgent(), PLAIN, Isolation(mode="none", nesting=True), False),
        (CodexAgent(), FULL, bwrap, False),
        (CodexAgent(), PLAIN, nesting, True),
        (CodexAgent(), PLAIN, None, False),
        (ShellAgent(), PLAIN, bwrap, False),
    ):
        assert is_nested == await check_confinement(agent, options, isolation, host)


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


async def test_nothing_is_started_in_advance_for_turns_that_cannot_be_held(
    sessions: Sessions, work: Path, fake: Callable[..., object], bwrap: Isolation
) -> None:
    async with sessions.make_session(
        str(work), CodexAgent(), driver=fake(), isolation=bwrap, durable=False
    ) as session:
        with pytest.raises(AgentUnavailable, match="nesting=True"):
            await session.prewarm()
        assert 0 == session.statistics().starts


@pytest.mark.parametrize("lacking", ["bwrap", "socat"])
async def test_what_claude_makes_its_sandbox_with_is_looked_for_before_anything_is_started(
    sessions: Sessions, work: Path, tmp_path: Path, bwrap: Isolation, lacking: str
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in {"claude", "bwrap", "socat"} - {lacking}:
        (programs / name).write_text(f"#!/bin/sh\ntouch {work}/started\n")
        (programs / name).chmod(0o755)
    agent = ClaudeAgent(env={"PATH": str(programs)})

    async with sessions.make_session(str(work), agent, durable=False) as session:
        for start in (partial(session.send, "hi"), session.prewarm):
            with pytest.raises(AgentUnavailable, match=f"needs the program '{lacking}'.*install"):
                await start()
        assert (0, 0) == (session.statistics().starts, session.statistics().turns)
    assert [] == os.listdir(work)


def beside(program: str) -> tuple[str, ...]:
    """What of a program has to be seen inside."""
    packages = {
        str(each) for each in Path(os.path.realpath(program)).parents if each.name == "node_modules"
    }
    return (str(Path(program).parent), *packages)


@pytest.mark.real_agents
async def test_codex_makes_its_sandbox_inside_an_isolation_that_lets_it(
    sessions: Sessions,
    work: Path,
    state: Path,
    model_server: Served,
    bwrap: Isolation,
    codex_program: str,
) -> None:
    agent = CodexAgent(
        program=codex_program, env=model_server.codex_env(), config=model_server.codex_config()
    )
    held = attrs.evolve(bwrap, nesting=True, readable=beside(codex_program))

    async with sessions.make_session(str(work), agent, isolation=held, timeout=60.0) as session:
        turn = await session.send("!run touch inside; touch $TMPDIR/it\n!say done")
        reading = await session.send("!run touch more\n!say done", access="read-only")

    assert (True, True) == (turn.ok, reading.ok), (turn, reading)
    assert ["inside"] == os.listdir(work)
    assert 1 == len(list(state.rglob("scratch/it")))


@pytest.mark.real_agents
async def test_claude_makes_its_sandbox_inside_an_isolation_that_lets_it(
    sessions: Sessions,
    work: Path,
    state: Path,
    model_server: Served,
    bwrap: Isolation,
    claude_program: str,
) -> None:
    agent = ClaudeAgent(program=claude_program, env=model_server.claude_env())
    held = attrs.evolve(bwrap, nesting=True, sockets=True, readable=beside(claude_program))
    (work / "given").write_text("as it was")
    private = state / "sessions" / "one"

    async with sessions.make_session(
        str(work), agent, id="one", isolation=held, timeout=60.0
    ) as session:
        turn = await session.send("!run cp given taken\n!write written: x\n!say done")
        # What the isolation would let it do.
        await session.send(f"!run touch {private}/out\n!write {private}/out: x\n!say done")

    assert turn.ok, turn
    # 2.1.329 makes a directory for settings, too.
    assert {"given", "taken", "written"} == set(os.listdir(work)) - {".claude"}
    assert "as it was" == (work / "taken").read_text()
    assert not (private / "out").exists()
