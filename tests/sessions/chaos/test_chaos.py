"""Chaos: hundreds of turns of many sessions at once, to which faults, kills and callers happen.

Every turn ends in exactly one state, a right one; every conversation goes on, and forgets nothing
that was settled; ledger and transcript say the same; nothing is left over. What happens is drawn
from a seed, which stands in the report of a failure: `RUNNER_CHAOS_SEED` gives it again (when it
happens within a turn is the machine's affair). `RUNNER_CHAOS_ROUNDS` makes it longer.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio

from runner.runtime import open_runner
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.lines import read_lines
from runner.testing.model_server import Served

PROGRAM = Path(__file__).with_name("life.py")
_spec = importlib.util.spec_from_file_location("life", PROGRAM)
life = importlib.util.module_from_spec(_spec)
sys.modules["life"] = life
_spec.loader.exec_module(life)

SEED = int(os.environ.get("RUNNER_CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
ROUNDS = int(os.environ.get("RUNNER_CHAOS_ROUNDS") or 3)
# How many lives there are, and how many turns each has in a round, about.
LIVES = {"claude": (3, 6), "codex": (3, 6), "scripted": (9, 11)}
# Of each kind, how many are in the hands of the supervisor that is killed.
KILLED = {"claude": 1, "codex": 1, "scripted": 3}
KILLED_WITHIN = (1.5, 8.0)


@pytest.fixture
def fields(request: pytest.FixtureRequest) -> dict[str, dict[str, object]]:
    """The agents' records: of all together, or of the scripted one where the others are not there."""
    try:
        programs = [request.getfixturevalue(f"{kind}_program") for kind in ("claude", "codex")]
    except pytest.skip.Exception:
        return {"scripted": {}}
    server: Served = request.getfixturevalue("model_server")
    full = {"access": "danger-full-access"}
    claude = {"program": programs[0], "env": server.claude_env()}
    codex = {"program": programs[1], "env": server.codex_env()}
    config = server.codex_config(request_max_retries=1, stream_max_retries=1)
    return {
        "claude": {**full, **claude, "max_retries": 1},
        "codex": {**full, **codex, "config": config},
        "scripted": {},
    }


@pytest.fixture
def lives(fields: dict[str, dict[str, object]], tmp_path: Path) -> list[life.Life]:
    drawn = random.Random(SEED)
    found = []
    for kind, record in fields.items():
        for number in range(LIVES[kind][0]):
            name = f"{kind}-{number}"
            (tmp_path / name).mkdir()
            word = f"word{drawn.randrange(1 << 64):016x}"
            found.append(
                life.Life(
                    name=name,
                    kind=kind,
                    fields=record,
                    directory=str(tmp_path / name),
                    word=word,
                    seed=drawn.randrange(1 << 32),
                )
            )
    return found


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made."""
    path = tmp_path / "tmp"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    return path


@attrs.define
class Supervisor:
    """Another supervisor, in a process of its own, which is going to be killed."""

    process: subprocess.Popen[bytes]
    lives: dict[str, life.Life]

    async def kill_within(self, seconds: float) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, self._read)
            await trio.sleep(seconds)
            ended = self.process.poll()
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self.process.stdout.close()
        assert ended in (None, 0), f"the supervisor ended by itself with {ended}"

    def _read(self) -> None:
        for line in self.process.stdout:
            if not line.endswith(b"\n"):
                return
            said = json.loads(line)
            one = self.lives[said["name"]]
            if "kept" in said:
                one.kept.append(said["kept"])
            elif "left" in said:
                one.left.append(said["left"])
            else:
                one.ended[said["number"]] = said["state"]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[object]:
    started = []

    def start(lives: list[life.Life]) -> Supervisor:
        names = (
            "name",
            "kind",
            "fields",
            "directory",
            "word",
            "seed",
            "acts",
            "kept",
            "ended",
            "left",
        )
        asked = [{name: getattr(each, name) for name in names} for each in lives]
        argv = [sys.executable, str(PROGRAM)]
        text = json.dumps({"state": str(tmp_path / "state"), "lives": asked})
        process = subprocess.Popen([*argv, text], stdout=subprocess.PIPE)
        started.append(process)
        return Supervisor(process, {each.name: each for each in lives})

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.real_agents
@pytest.mark.timeout(60 + 60 * ROUNDS)
async def test_whatever_happens_every_turn_has_one_right_end_and_every_conversation_goes_on(
    lives: list[life.Life], supervise: object, tmp_path: Path, temporary: Path
) -> None:
    print(f"RUNNER_CHAOS_SEED={SEED}")
    drawn, state = random.Random(SEED), tmp_path / "state"
    before = Counter(descriptors())
    began = time.monotonic()
    for number in range(ROUNDS):
        for each in lives:
            each.acts, each.seed = LIVES[each.kind][1], drawn.randrange(1 << 32)
            each.random.seed(each.seed)
        if number == 0:
            for each in lives:
                each.acts = 1
        taken = [each for kind in LIVES for each in some(drawn, lives, kind)] if number else []
        supervisor = supervise(taken) if taken else None
        async with trio.open_nursery() as nursery:
            if supervisor is not None:
                nursery.start_soon(supervisor.kill_within, drawn.uniform(*KILLED_WITHIN))
            others = [each for each in lives if each not in taken]
            await life.live_all(str(state), others, drawn.choice([1.0, 300.0]))
        print(f"round {number}: {time.monotonic() - began:.1f} s")
    async with open_runner(state=state) as runner, trio.open_nursery() as nursery:
        for each in lives:
            nursery.start_soon(each.remember, runner)
    print(f"end: {time.monotonic() - began:.1f} s")
    turns = agree(state, lives)
    print(turns)

    assert [] == sorted((Counter(descriptors()) - before).elements())
    assert [] == left_over(state)
    # claude has a directory there that all of its processes share, and that it leaves.
    assert [] == [each.name for each in temporary.iterdir() if not each.name.startswith("claude-")]
    assert sum(turns.values()) >= (200 if len(lives) > LIVES["scripted"][0] else 80)


def some(drawn: random.Random, lives: list[life.Life], kind: str) -> list[life.Life]:
    of_kind = [each for each in lives if each.kind == kind]
    return drawn.sample(of_kind, min(KILLED[kind], len(of_kind)))


def agree(state: Path, lives: list[life.Life]) -> Counter[tuple[str, str]]:
    """See whether what was answered, the ledger and the transcript say the same."""
    ledger = SessionLedger(ledger_of(str(state)))
    found: Counter[tuple[str, str]] = Counter()
    for each in lives:
        turns = ledger.turns(each.name)
        states = {turn.number: turn.state for turn in turns}
        assert list(states) == list(range(1, len(turns) + 1)), each.name
        assert "begun" not in states.values(), (each.name, states)
        answered = {number: states[number] for number in each.ended}
        assert answered == each.ended, each.name
        assert {"interrupted"} >= {states[number] for number in each.left}, each.name
        results: dict[int, list[str]] = {number: [] for number in states}
        prompts = Counter()
        for line in read_lines(str(state / "sessions" / each.name / "transcript.jsonl")):
            if "prompt" in line.value:
                prompts[line.turn] += 1
            if result := line.value.get("result"):
                results[line.turn].append(result["error"] or "ok")
        assert dict.fromkeys(states, 1) == prompts, each.name
        for number, ends in results.items():
            if number in each.ended or ends:
                assert [states[number]] == ends, (each.name, number)
        assert [] == ledger.processes(each.name), each.name
        found += Counter((each.kind, end) for end in states.values())
    return found


def descriptors() -> list[str]:
    """What this process has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return sorted(each for each in found if not each.startswith(("anon_inode", "/proc")))


def left_over(state: Path) -> list[str]:
    """Processes that have to do with the sessions of a state directory."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environ = Path(f"/proc/{name}/environ").read_bytes()
            line = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if b"RUNNER_RUN=" in environ and str(state).encode() in environ + line:
            found.append(line.replace(b"\0", b" ").decode("utf-8", "replace"))
    return found
