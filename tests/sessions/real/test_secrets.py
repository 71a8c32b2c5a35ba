"""The real programs get their key by reference: while they work and afterwards it stands nowhere."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

import runner
from runner import Secret
from runner.agents.driver import Agent
from runner.testing.model_server import Served

pytestmark = pytest.mark.real_agents

Until = Callable[..., Awaitable[None]]

# As keys are: no character that JSON or TOML would write in another way.
KEY = "sk-ant-c4n4ry-7f3e0a5b9d1c4e2f8a6b-9f2d7c1e5a3b8f4d6e0c"
# claude keeps the end of a key that it was told to trust; nothing shorter says anything.
PART = KEY[-20:]
NAMES = {"claude": "ANTHROPIC_API_KEY", "codex": "STUB_KEY"}


@pytest.fixture(params=["environment", "file", "command"])
def reference(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Secret:
    """Each way of saying where the key is."""
    (tmp_path / "safe").mkdir()
    path = tmp_path / "safe" / "key"
    path.write_text(f"{KEY}\n")
    match request.param:
        case "environment":
            monkeypatch.setenv("THE_KEY", KEY)
            return Secret(env="THE_KEY")
        case "file":
            return Secret(file=str(path))
        case _:
            code = f"print(open({str(path)!r}).read())"
            return Secret(command=(sys.executable, "-c", code))


def shown() -> list[str]:
    """The command lines on this machine in which it stands."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if PART.encode() in line:
            found.append(line.decode("utf-8", "replace"))
    return found


def kept(*roots: Path) -> list[str]:
    """The files in which it stands: ledger, transcript, recording, configuration, all of them."""
    return [
        str(path)
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and PART.encode() in path.read_bytes()
    ]


async def test_a_key_by_reference_is_in_no_argument_no_file_and_no_log(
    real_agent: Callable[..., Agent],
    kind: str,
    reference: Secret,
    model_server: Served,
    tmp_path: Path,
    work: Path,
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    state, recording = tmp_path / "state", tmp_path / "recordings" / "r.jsonl"
    recording.parent.mkdir()
    agent = real_agent(kind, access="danger-full-access", env={NAMES[kind]: reference})
    seen: list[str] = []
    turns = []
    async with runner.open_runner(state=state) as r:
        made = r.session(r.scope(work), agent, id="one", recording=recording, timeout=60.0)
        async with made as session, trio.open_nursery() as nursery:

            async def send() -> None:
                prompt = "!run touch begun; while ! test -e go; do sleep 0.02; done\n!say done"
                turns.append(await session.send(prompt))

            nursery.start_soon(send)
            await until((work / "begun").exists, within=30)
            seen += shown() + kept(state, work, recording.parent)
            (work / "go").touch()
        seen += shown() + kept(state, work, recording.parent)
        said = f"{session!r} {turns!r} {agent!r} {made!r}"
    (turn,) = turns

    assert (True, "done") == (turn.ok, turn.final_message), turn
    # It was used, all the same.
    assert {"authorization", "x-api-key"} & {each.auth for each in model_server.requests}
    # Neither program needs it in its own configuration: both take it from their environment.
    assert [] == seen + kept(state, work, recording.parent)
    assert PART not in said + caplog.text
    assert recording.stat().st_size > 0
