"""What the flags of the real programs hold, tried out: without a session, over plain pipes.

Whole turns, revival and failures of the real programs are tested with sessions (tests/sessions).
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import threading
import time
import uuid

import pytest

from runner.agents.claude import ClaudeDriver
from runner.agents.codex import CodexDriver
from runner.agents.driver import (
    PLAIN,
    UNATTENDED,
    ClaudeAgent,
    CodexAgent,
    Driver,
    Setting,
    TurnOptions,
)
from runner.agents.events import ApprovalAsked, Decision, TurnEnded

pytestmark = pytest.mark.real_agents


class Program:
    """A real program under a driver: blocking, for one test."""

    def __init__(self, driver: Driver, setting: Setting, env: dict[str, str]):
        launch = driver.launch(setting)
        for path, content in ((f"{setting.private}/home/.keep", b""), *launch.files):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            pathlib.Path(path).write_bytes(content)
        self.talk = driver.conversation(setting)
        self.events = []
        self.decision = lambda asked: Decision(allow=False, message=UNATTENDED)
        self.process = subprocess.Popen(
            launch.argv,
            cwd=setting.cwd,
            env={"PATH": os.environ["PATH"], **dict(launch.env), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def until(self, condition):
        """Talk until a condition holds, or the program ends."""
        timer = threading.Timer(60, self.process.kill)
        timer.start()
        try:
            while not condition():
                self.process.stdin.write(self.talk.data_to_send())
                self.process.stdin.flush()
                data = os.read(self.process.stdout.fileno(), 65536)
                assert data, "the program ended, or took a minute"
                self.hear(self.talk.receive(data))
        finally:
            timer.cancel()

    def hear(self, events):
        """Note what it says, and decide what it asks for."""
        self.events += events
        for event in events:
            if isinstance(event, ApprovalAsked):
                self.talk.decide(event.id, self.decision(event))

    def turn(self, prompt: str, options: TurnOptions = PLAIN) -> TurnEnded:
        """Carry out one turn."""
        turn = str(uuid.uuid4())
        self.until(lambda: self.talk.ready)
        self.talk.send_turn(turn, prompt, options)
        self.until(lambda: self.talk.ready)
        return self.ends()[-1]

    def ends(self) -> list[TurnEnded]:
        """The ends of all turns so far."""
        return [event for event in self.events if isinstance(event, TurnEnded)]


@pytest.fixture
def start(tmp_path, model_server):
    """Start a program in a directory of its own; it is ended with the test."""
    started = []
    (tmp_path / "cwd").mkdir()

    def start_program(driver, **changes):
        options = {"conversation": str(uuid.uuid4()), "resume": False, **changes}
        setting = Setting(cwd=str(tmp_path / "cwd"), private=str(tmp_path / "private"), **options)
        env = {
            "ANTHROPIC_BASE_URL": model_server.url,
            "ANTHROPIC_API_KEY": "dummy",
            "STUB_KEY": "dummy",
        }
        started.append(Program(driver, setting, env))
        return started[-1]

    yield start_program
    for program in started:
        program.process.stdin.close()
        try:
            program.process.wait(10)
        except subprocess.TimeoutExpired:
            program.process.kill()
            program.process.wait()
        program.process.stdout.close()


@pytest.fixture
def make_driver(request, model_server):
    """Make the driver of a real program with an access."""

    def make(kind, access):
        if access == "workspace-write" and not (shutil.which("bwrap") and shutil.which("socat")):
            pytest.skip(
                "the programs' sandbox needs bwrap and socat: apt-get install bubblewrap socat"
            )
        if kind == "claude":
            program = request.getfixturevalue("claude_program")
            return ClaudeDriver(ClaudeAgent(program=program, access=access, max_retries=0))
        config = (
            'model_provider = "stub"\n[model_providers.stub]\nname = "stub"\n'
            f'base_url = "{model_server.url}/v1"\nwire_api = "responses"\nenv_key = "STUB_KEY"\n'
        )
        program = request.getfixturevalue("codex_program")
        return CodexDriver(CodexAgent(program=program, access=access, config=config))

    return make


KINDS = ["claude", "codex"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("access", "inside", "outside"),
    [
        ("read-only", False, False),
        ("workspace-write", True, False),
        ("danger-full-access", True, True),
    ],
)
def test_access_holds_for_files_and_for_commands(
    kind, access, inside, outside, make_driver, start, tmp_path
):
    cwd, other = tmp_path / "cwd", tmp_path / "other"
    other.mkdir()
    program = start(make_driver(kind, access))
    end = program.turn(
        f"!write {cwd}/a.txt: x\n!run touch {cwd}/b.txt\n"
        f"!write {other}/c.txt: x\n!run touch {other}/d.txt\n!say done"
    )

    assert (end.ok, end.message) == (True, "done")
    assert {"a.txt": inside, "b.txt": inside} == {
        name: (cwd / name).exists() for name in ("a.txt", "b.txt")
    }
    assert {"c.txt": outside, "d.txt": outside} == {
        name: (other / name).exists() for name in ("c.txt", "d.txt")
    }
    if access == "workspace-write" and kind == "claude":
        assert [event.tool for event in program.events if isinstance(event, ApprovalAsked)] == [
            "Write"
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_reaches_the_model_as_it_is(kind, make_driver, start):
    program = start(make_driver(kind, "read-only"))
    prompts = [
        "/clear the table",
        "/nosuch",
        "-p --help",
        "--",
        "!say @file.txt",
        "two\n\nlines  \n",
    ]
    ends = [program.turn(prompt) for prompt in prompts]
    recalled = program.turn("!recall").message

    assert all(end.ok for end in ends)
    for prompt in prompts:
        assert prompt.strip() in recalled
    assert len({end.raw.get("session_id", "") for end in ends}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_at_any_moment_ends_the_turn_at_once(kind, make_driver, start):
    program = start(make_driver(kind, "danger-full-access"))
    for attempt in range(6):
        program.until(lambda: program.talk.ready)
        program.talk.send_turn(str(uuid.uuid4()), f"!run sleep 30\n!say {attempt}")
        heard = len(program.events)
        began = time.monotonic()
        if attempt % 2:  # even: in one write with the prompt; odd: as soon as anything is said
            program.until(lambda heard=heard: len(program.events) > heard)
        program.talk.interrupt()
        program.until(lambda: program.talk.ready)

        assert program.ends()[-1].error == "interrupted"
        assert time.monotonic() - began < 20
    assert program.turn("!say usable").message == "usable"


@pytest.mark.parametrize("kind", KINDS)
def test_usage_and_cost_are_the_turns_own_also_after_a_resume(kind, make_driver, start):
    driver = make_driver(kind, "read-only")
    first = start(driver)
    ends = [first.turn(f"!usage input=100 output=10\n!say {number}") for number in range(2)]
    conversation = next(e.conversation for e in first.events if hasattr(e, "conversation"))
    first.process.stdin.close()
    first.process.wait(10)
    second = start(driver, conversation=conversation, resume=True)
    ends += [second.turn(f"!usage input=100 output=10\n!say again {number}") for number in range(2)]

    assert [(end.usage.input_tokens, end.usage.output_tokens) for end in ends] == [(100, 10)] * 4
    assert len({end.cost_usd and round(end.cost_usd, 6) for end in ends}) == 1
