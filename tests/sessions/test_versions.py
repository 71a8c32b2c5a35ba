"""The version of an agent's program: asked once, of what is really there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import trio

from runner.agents.driver import Agent, ClaudeAgent, CodexAgent, ShellAgent
from runner.errors import AgentUnavailable
from runner.messages import Isolation
from runner.processes.host import ProcessHost
from runner.sessions import versions
from runner.sessions.versions import Versions, find_program, least_version

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(says: str, name: str = "claude") -> str:
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho x >> "{path}.asked"\n{says}\n')
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
async def known() -> Versions:
    return Versions(ProcessHost(), os.environ)


@pytest.mark.parametrize(
    ("said", "agent"),
    [
        ("1.9.99 (Claude Code)", ClaudeAgent()),
        ("codex-cli 0.1.999", CodexAgent()),
        ("v0.9.0-beta.1", CodexAgent()),
    ],
)
async def test_one_that_is_too_old_is_refused(
    known: Versions, write: Write, tmp_path: Path, said: str, agent: Agent
) -> None:
    with pytest.raises(AgentUnavailable, match="needs version .* is [01]"):
        await known.check(agent, write(f"echo '{said}'"), str(tmp_path), None)
    await known.host.aclose()


@pytest.mark.parametrize(
    "says",
    [
        "echo '2.1.197 (Claude Code)'",
        "echo '10.0.0'",
        "echo 'a wrapper of my own'",
        "echo '1.0.0'; exit 3",
        "echo '1.0.0' >&2",
        "echo 127.0.0.1",
        "exit 1",
        "kill -9 $$",
    ],
)
async def test_what_is_new_enough_or_does_not_say_is_taken(
    known: Versions, write: Write, tmp_path: Path, says: str
) -> None:
    await known.check(ClaudeAgent(), write(says), str(tmp_path), None)
    await known.host.aclose()


async def test_one_that_cannot_be_started_is_said_by_its_start(
    known: Versions, tmp_path: Path
) -> None:
    (tmp_path / "claude").write_text("#!/no/such/interpreter\n")
    (tmp_path / "claude").chmod(0o755)
    await known.check(ClaudeAgent(), str(tmp_path / "claude"), str(tmp_path), None)
    await known.host.aclose()


async def test_one_that_does_not_answer_is_taken_after_a_while(
    known: Versions, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "PATIENCE", 0.3)
    await known.check(ClaudeAgent(), write("echo 1.0.0; sleep 60"), str(tmp_path), None)
    await known.host.aclose()


async def test_a_file_is_asked_once_however_many_begin_and_again_when_it_is_another(
    known: Versions, write: Write, tmp_path: Path
) -> None:
    path = write("echo 3.0.0")
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(known.check, ClaudeAgent(), path, str(tmp_path), None)
    assert "x\n" == (tmp_path / "claude.asked").read_text()

    write("echo 1.0.0 # another")
    with pytest.raises(AgentUnavailable, match=r"is 1\.0\.0"):
        await known.check(ClaudeAgent(), path, str(tmp_path), None)
    assert "x\nx\n" == (tmp_path / "claude.asked").read_text()
    await known.host.aclose()


async def test_what_needs_no_version_is_not_asked(
    known: Versions, write: Write, tmp_path: Path
) -> None:
    path = write("echo 0.0.1")
    for agent in (ShellAgent(), CodexAgent(protocol="exec")):
        assert least_version(agent) is None
        await known.check(agent, path, str(tmp_path), None)
    await known.check(ClaudeAgent(), str(tmp_path / "gone"), str(tmp_path), None)

    assert not (tmp_path / "claude.asked").exists()
    await known.host.aclose()


async def test_it_says_its_version_inside_of_what_is_to_hold_it(
    known: Versions, write: Write, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    held = Isolation(mode="auto", required=True, network=("pypi.org",))
    probe = await known.host.choose(attrs.evolve(held, required=False))
    if probe.mode == "none":
        pytest.skip("nothing can be held here: " + "; ".join(probe.lacking))
    (work / "agent").write_text(f'#!/bin/sh\necho x > "{tmp_path}/escaped"\necho 1.0.0\n')
    (work / "agent").chmod(0o755)
    with pytest.raises(AgentUnavailable, match=r"is 1\.0\.0"):
        await known.check(ClaudeAgent(), str(work / "agent"), str(work), held)

    assert not (tmp_path / "escaped").exists()
    await known.host.aclose()


def test_a_relative_path_is_the_directorys_own(tmp_path: Path) -> None:
    (tmp_path / "agent").write_text("#!/bin/sh\n")
    (tmp_path / "agent").chmod(0o755)

    assert str(tmp_path / "agent") == os.path.normpath(
        find_program("x", "./agent", str(tmp_path), "/usr/bin")
    )
    with pytest.raises(AgentUnavailable, match=r"'\./agent', which is not there"):
        find_program("x", "./agent", str(tmp_path / "other"), "/usr/bin")
