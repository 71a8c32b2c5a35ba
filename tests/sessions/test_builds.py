"""Which build of a program a file is: told by what is in it, and looked at once."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import runner
from runner.agents.driver import AcpAgent, ClaudeAgent, CommandAgent, ReplayAgent, ShellAgent
from runner.sessions import builds
from runner.sessions.builds import Build, Digests
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.making import Sessions


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def program(path: Path, text: str = "echo one") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


async def test_a_file_is_known_until_it_changes(tmp_path: Path) -> None:
    digests, path = Digests(), program(tmp_path / "agent")
    (tmp_path / "link").symlink_to(path)
    first = await digests.of(str(tmp_path / "link"))
    assert sha256(path) == first == await digests.of(str(path))
    program(path, "echo another one")

    assert sha256(path) == await digests.of(str(path)) != first


async def test_what_cannot_be_read_or_is_too_large_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "agent")
    assert "" == await Digests().of(str(tmp_path / "none")) == await Digests().of(str(tmp_path))
    monkeypatch.setattr(builds, "LARGEST", 3)

    assert "" == await Digests().of(str(path))


async def test_few_files_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "KNOWN", 2)
    digests = Digests()
    for _ in range(2):
        for number in range(5):
            path = program(tmp_path / str(number), f"exit {number}")
            assert sha256(path) == await digests.of(str(path))

    assert len(digests._known) == 2


def test_builds_are_compared_by_what_is_known_of_both() -> None:
    one = Build(version="1.2.3", sha256="ab" * 32)

    assert not any(one.differs(each) for each in (one, Build(), Build(version="1.2.3")))
    assert one.differs(Build(version="1.2.4", sha256=one.sha256))
    assert one.differs(Build(sha256="cd" * 32))
    assert "1.2.3 (sha256 abababababab)" == str(one)
    assert "(sha256 not known)" == str(Build())


async def test_the_build_of_an_agents_program_is_that_of_its_file(tmp_path: Path) -> None:
    path = program(tmp_path / "bin" / "agent")
    found = Build(sha256=sha256(path))
    here = {"PATH": str(path.parent)}
    async with runner.open_runner(state=tmp_path / "state") as r:
        for agent, env, build in (
            (CommandAgent(argv=(str(path),)), {}, found),
            (CommandAgent(argv=("agent",)), here, found),
            (AcpAgent(argv=("agent",), env=here), {"PATH": "/nowhere"}, found),
            (ClaudeAgent(program="agent"), here, found),  # it does not say its version
            (CommandAgent(argv=("agent",)), {"PATH": "/nowhere"}, None),
            (CommandAgent(argv=("./agent",)), here, None),
            (CommandAgent(argv=("{cwd}/agent",)), here, None),
            (ShellAgent(), {}, None),
            (ReplayAgent(recording="x"), {}, None),
        ):
            assert build == await r.build_of(agent, str(tmp_path), env=env), agent


@pytest.mark.real_agents
async def test_a_real_program_is_known_by_its_version_as_well(
    claude_program: str, tmp_path: Path
) -> None:
    async with runner.open_runner(state=tmp_path / "state") as r:
        found = await r.build_of(ClaudeAgent(program=claude_program), str(tmp_path))

    assert found is not None
    assert found.version.startswith("2.")
    assert sha256(Path(claude_program)) == found.sha256


async def test_a_sessions_row_has_it(
    sessions: Sessions, work: Path, state: Path, fake: Callable[..., object]
) -> None:
    async with sessions.make_session(str(work), driver=fake(), id="mine") as session:
        assert (await session.send("say one")).ok
    record = SessionLedger(ledger_of(str(state))).load("mine")

    assert record is not None
    assert sha256(Path(os.path.realpath(sys.executable))) == record.program_sha256


async def test_the_memory_of_a_living_program_is_in_the_statistics(
    sessions: Sessions, work: Path, fake: Callable[..., object]
) -> None:
    async with sessions.make_session(str(work), driver=fake()) as session:
        assert session.statistics().memory is None
        assert (await session.send("say one")).ok
        memory = session.statistics().memory

    assert memory is not None
    assert 1 << 20 < memory < 200 << 20
    assert session.statistics().memory is None
