"""What the tests of the live agents share: recordings, and a rig that plays them back.

A recording is what a real program wrote, with what was done in between: its first line says how
the conversation was made; then come `line` (a message), `send`, `steer`, `decide`, `give` and
`interrupt` (what we did at that point), `end` (the process ended). Paths, ports and long lists were
replaced.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import threading
import uuid
from functools import partial

import attrs
import pytest
import trio

from runner.agents.claude import ClaudeDriver
from runner.agents.codex import CodexDriver
from runner.agents.driver import (
    PLAIN,
    UNATTENDED,
    AcpAgent,
    Agent,
    ClaudeAgent,
    CodexAgent,
    Conversation,
    Driver,
    Origin,
    Setting,
    TurnOptions,
)
from runner.agents.events import (
    ApprovalAsked,
    ConversationStarted,
    Decision,
    Event,
    FileAnswer,
    TurnEnded,
)
from runner.agents.registry import make_driver as make_agent_driver
from runner.sessions.linking import make_links, remove_links
from runner.sessions.private import copy_files

RECORDINGS = sorted((pathlib.Path(__file__).parent / "recordings").glob("*.jsonl"))


@attrs.frozen
class Recording:
    """What a program wrote, cut into pieces by what was done in between."""

    header: dict
    steps: list[dict]

    @classmethod
    def load(cls, name: str) -> Recording:
        """Read a recording."""
        path = pathlib.Path(__file__).parent / "recordings" / f"{name}.jsonl"
        header, *steps = [json.loads(line) for line in path.read_text().splitlines()]
        return cls(header, steps)

    def conversation(self) -> Conversation:
        """The state of the recorded process, at its start."""
        origin = self.header.get("origin")
        setting = Setting(
            cwd="/home/user/project",
            private="/home/user/private",
            conversation=self.header["conversation"],
            resume=self.header["resume"],
            approvals=self.header.get("approvals", False),
            files=self.header.get("files", False),
            options=TurnOptions(schema=self.header.get("schema")),
            origin=None if origin is None else Origin(**origin),
        )
        return make_agent_driver(self.agent).conversation(setting)

    @property
    def agent(self) -> Agent:
        """The record of the agent that was recorded."""
        access = self.header["access"]
        match self.header["agent"]:
            case "claude":
                return ClaudeAgent(access=access)
            case "codex":
                return CodexAgent(access=access)
            case _:
                modes = self.header["modes"]
                return AcpAgent(argv=("recorded",), access=access, modes=modes)

    def play(self, cut=lambda data: [data], between=b"") -> list[Event]:
        """Do what was done and hear what was said, in pieces as `cut` makes them.

        Args:
            cut: makes pieces of the bytes that came without anything done in between.
            between: written before every line, as some library would.
        """
        talk = self.conversation()
        talk.data_to_send()
        events, pending = [], b""
        for step in self.steps:
            if "line" in step:
                pending += between + json.dumps(step["line"], ensure_ascii=False).encode() + b"\n"
                continue
            for piece in cut(pending):
                events += talk.receive(piece)
            pending = b""
            events += self.do(talk, step)
        return events

    @staticmethod
    def do(talk: Conversation, step: dict) -> list[Event]:
        """Do what was done at a step."""
        match step:
            case {"send": turn, "prompt": prompt}:
                talk.send_turn(turn, prompt, TurnOptions(**step.get("options", {})))
            case {"steer": prompt}:
                assert talk.steer(prompt)
            case {"decide": approval, "allow": allow}:
                keys = {"input", "message", "answers"} & step.keys()
                talk.decide(approval, Decision(allow=allow, **{key: step[key] for key in keys}))
            case {"give": asked}:
                keys = {"text", "refusal", "is_missing"} & step.keys()
                talk.give(asked, FileAnswer(**{key: step[key] for key in keys}))
            case {"interrupt": _}:
                talk.interrupt()
            case {"end": code, "stderr": stderr}:
                return talk.receive_end(code, stderr.encode())
        return []


@pytest.fixture(params=[path.stem for path in RECORDINGS])
def recording(request) -> Recording:
    """Every recording, one after the other."""
    return Recording.load(request.param)


@pytest.fixture
def load_recording():
    """Load a recording by its name."""
    return Recording.load


# ---------------------------------------------------------------- real programs, over plain pipes


class Program:
    """A real program under a driver: blocking, for one test."""

    def __init__(self, driver: Driver, setting: Setting, env: dict[str, str]):
        launch = driver.launch(setting)
        for path, content in ((f"{setting.private}/home/.keep", b""), *launch.files):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            pathlib.Path(path).write_bytes(content)
        trio.run(partial(trio.to_thread.run_sync, copy_files, launch.copies))
        self.links = launch.links
        make_links(self.links)
        self.setting = setting
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

    def end(self):
        """End it politely; its conversation stays."""
        self.process.stdin.close()
        self.process.wait(10)

    @property
    def conversation(self) -> str:
        """The id by which it knows the conversation."""
        said = [each for each in self.events if isinstance(each, ConversationStarted)]
        return said[-1].conversation

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
        places = {"cwd": str(tmp_path / "cwd"), "private": str(tmp_path / "private")}
        setting = Setting(**{**places, **options})
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
            program.process.wait(0.5)  # some do not end by that
        except subprocess.TimeoutExpired:
            program.process.kill()
            program.process.wait()
        program.process.stdout.close()
        remove_links(program.links)


@pytest.fixture
def run_turn(tmp_path, model_server):
    """Carry out a turn of a program that serves one only; its events."""
    (tmp_path / "cwd").mkdir()

    def run(driver, prompt, **changes):
        options = {"conversation": "c", "resume": False, "prompt": prompt, **changes}
        setting = Setting(cwd=str(tmp_path / "cwd"), private=str(tmp_path / "private"), **options)
        launch = driver.launch(setting)
        for path, content in launch.files:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            pathlib.Path(path).write_bytes(content)
        done = subprocess.run(
            launch.argv,
            cwd=setting.cwd,
            env={"PATH": os.environ["PATH"], **dict(launch.env), "STUB_KEY": "dummy"},
            input=launch.stdin,
            capture_output=True,
            timeout=60,
            check=False,
        )
        talk = driver.conversation(setting)
        return talk.receive(done.stdout) + talk.receive_end(done.returncode, done.stderr)

    return run


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
