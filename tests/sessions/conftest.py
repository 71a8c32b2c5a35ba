"""What the tests of sessions share: a supervisor with a host, and a small agent program of our own.

The program is a real one, speaks JSON lines, keeps its conversations in its private directory, and
does what the lines of a prompt say. So everything that can happen to a live program is tested with
a live program, without waiting for a model.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
import trio

from runner.actors.supervisor import Supervisor, open_supervisor
from runner.agents.driver import MAX_PROMPT, PLAIN, Launch, Rung, Setting, TurnOptions
from runner.agents.events import (
    ApprovalAsked,
    ApprovalClosed,
    ConversationStarted,
    Decision,
    ErrorClass,
    Event,
    RateLimited,
    Ready,
    Retry,
    Text,
    ToolCall,
    ToolResult,
    TurnEnded,
    TurnStarted,
    Usage,
    UsageChanged,
)
from runner.processes.host import ProcessHost
from runner.sessions.making import Sessions

PROGRAM = r"""
import json, os, signal, subprocess, sys, time

private, conversation, resume = sys.argv[1:4]
options = set(sys.argv[4:])
history = f"{private}/history-{conversation}"
earlier = []

def tell(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()

def end(ok=True, message="", **what):
    if "marks" in options:
        what["marker"] = earlier[-1].partition("\n")[0]
    tell(is_="ended", turn=turn, ok=ok, message=message, **what)

def wait_for_interrupt():
    while line := sys.stdin.readline():
        if "interrupt" in json.loads(line):
            return True
    return False

if "slow" in options:
    time.sleep(60)
if "dies" in options:
    sys.exit("no such option: dies")
if resume == "resume":
    if os.path.exists(history):
        earlier = json.load(open(history))
    elif "living" in options:
        tell(is_="forgot", text=f"no conversation {conversation}")
        sys.stdin.read()
    elif "forgets" in options:
        sys.exit(f"forgot: no conversation {conversation}")
    else:
        sys.exit(f"no conversation {conversation}")
while os.path.exists(f"{private}/hold"):
    time.sleep(0.001)
tell(is_="ready", conversation="another" if "stranger" in options else conversation)
while line := sys.stdin.readline():
    message = json.loads(line)
    if "turn" not in message:
        continue
    turn, prompt = message["turn"], message["prompt"]
    if prompt == "dead on arrival":
        os.kill(os.getpid(), 9)
    earlier.append(prompt)
    json.dump(earlier, open(history, "w"))
    tell(is_="started", turn=turn)
    said, done, usage, later = "", False, 0, False
    for step in prompt.splitlines():
        word, _, rest = step.partition(" ")
        if word == "say":
            said = rest
            tell(is_="text", text=rest)
        elif word == "part":
            tell(is_="text", text=rest, partial=True)
        elif word == "recall":
            said = " | ".join(earlier[:-1])
        elif word == "write":
            name, _, text = rest.partition(" ")
            open(name, "w").write(text)
        elif word == "ask":
            tell(is_="ask", id="a1", tool=rest.partition(" ")[0], text=rest.partition(" ")[2])
            answer = json.loads(sys.stdin.readline())
            if "interrupt" in answer:
                end(False, error="interrupted")
                done = True
                break
            said = json.dumps(answer["decision"])
            tell(is_="text", text=said)
        elif word == "pose":
            tell(is_="ask", id=rest, tool="Write", text=rest)
        elif word == "later":
            later = True
        elif word == "drag":
            wait_for_interrupt()
            time.sleep(0.1)
            end(False, error="interrupted")
            done = True
            break
        elif word == "unask":
            tell(is_="ask", id="a2", tool="Bash", text="rm -rf /")
            tell(is_="unask", id="a2")
        elif word == "options":
            said = json.dumps(message["options"])
        elif word == "steered":
            said = json.loads(sys.stdin.readline())["steer"]
            earlier[-1] += " + " + said
            json.dump(earlier, open(history, "w"))
        elif word == "stderr":
            print(rest, file=sys.stderr, flush=True)
        elif word == "usage":
            usage = int(rest)
            tell(is_="usage", tokens=usage)
        elif word == "retry":
            error, _, delay = rest.partition(" ")
            tell(is_="retry", error=error, delay=float(delay) if delay else None)
        elif word == "limited":
            tell(is_="limited")
        elif word == "limit":
            seconds, _, times = rest.partition(" ")
            if times in ("once", "exit"):
                is_limited = "was sent before" not in prompt
            else:
                is_limited = len(earlier) > 1 if times == "old" else len(earlier) <= int(times)
            if is_limited and (times == "exit" or "ends" in options):
                sys.exit(f"limited until {time.time() + float(seconds)}")
            if is_limited:
                end(False, error="rate_limited", resets=time.time() + float(seconds))
                done = True
                break
        elif word == "orphan":
            subprocess.run(["sh", "-c", "sleep 300 >/dev/null 2>&1 &"])
        elif word == "tool":
            tell(is_="tool", id="t1", name="Bash")
            child = subprocess.Popen(["sleep", "300"])
            if rest == "done":
                child.kill()
                child.wait()
                tell(is_="tooled", id="t1")
        elif word == "wait":
            if not wait_for_interrupt():
                sys.exit(0)
            end(False, error="interrupted")
            done = True
        elif word == "cross":
            wait_for_interrupt()
            tell(is_="tool", id="t3", name="Bash")
            subprocess.Popen(["sleep", "300"])
            tell(is_="tooled", id="t3")
            end(False, error="interrupted")
            done = True
            break
        elif word == "hush" and rest == "once":
            if "was sent before" not in prompt:
                wait_for_interrupt()
                end(False, error="interrupted")
                done = True
                break
        elif word in ("hush", "deaf", "spin", "noise") and len(earlier) <= int(rest):
            while word == "deaf":
                time.sleep(300)
            while word == "spin":
                pass
            while word == "noise":
                print("noise", file=sys.stderr, flush=True)
                time.sleep(0.02)
            wait_for_interrupt()
            end(False, error="interrupted")
            done = True
            break
        elif word == "work":
            tell(is_="tool", id="t2", name="Make")
            spin = "import time\nwhile time.process_time() < " + rest + ": pass"
            subprocess.run([sys.executable, "-I", "-S", "-c", spin])
            tell(is_="tooled", id="t2")
        elif word == "pause":
            time.sleep(float(rest))
        elif word == "unheard":
            time.sleep(300)
        elif word == "stubborn":
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, signal.SIG_IGN)
            while True:
                time.sleep(300)
        elif word == "exit":
            sys.exit(int(rest))
        elif word == "kill":
            os.kill(os.getpid(), 9)
        elif word == "fail":
            end(False, error=rest)
            done = True
        elif word == "last":
            end(True, "last words")
            sys.exit(0)
        elif word == "mute":
            done = True
    if not done:
        end(message=said, tokens=usage)
    while later and not os.path.exists("ask"):
        time.sleep(0.001)
    if later:
        os.remove("ask")
        tell(is_="ask", id="a3", tool="Write", text="later")
"""


@attrs.frozen
class FakeDriver:
    """How the program above is started and ended."""

    program: str
    options: tuple[str, ...] = ()
    process_per_turn: bool = False
    max_prompt: int = MAX_PROMPT
    ladder: tuple[Rung, ...] = (
        Rung(act="interrupt", wait=0.5),
        Rung(act="eof", wait=0.5),
        Rung(act="SIGTERM", wait=0.2),
    )
    name: str = "fake"
    abilities: frozenset[str] = frozenset({"steer", "interrupt", "approvals", "access", "schema"})
    keeps_history: bool = False

    def launch(self, setting: Setting) -> Launch:
        resume = "resume" if setting.resume else "new"
        return Launch(
            argv=(
                *(self.program.split()),
                setting.private,
                setting.conversation,
                resume,
                *self.options,
            ),
            files=((f"{setting.private}/config/deep/fake.toml", b"x = 1\n"),),
        )

    def conversation(self, setting: Setting) -> FakeConversation:
        return FakeConversation(setting.options, "per turn" in self.abilities)

    def history(self, private: str, conversation: str) -> str:
        return f"{private}/history-{conversation}" if self.keeps_history else ""


@attrs.define(eq=False)
class FakeConversation:
    options: TurnOptions = PLAIN
    is_flexible: bool = False
    ready: bool = False
    lost: str = ""
    turn: str = ""
    partial: bytes = b""
    out: bytes = b""

    def takes(self, options: TurnOptions) -> bool:
        return self.is_flexible or options == self.options

    def send_turn(self, turn: str, prompt: str, options: TurnOptions = PLAIN) -> None:
        assert self.ready
        assert self.takes(options)
        self.turn = turn
        self._say({"turn": turn, "prompt": prompt, "options": attrs.asdict(options)})

    def steer(self, prompt: str) -> bool:
        self._say({"steer": prompt})
        return True

    def decide(self, approval: str, decision: Decision) -> None:
        self._say({"decision": attrs.asdict(decision)})

    def _say(self, message: object) -> None:
        self.out += json.dumps(message).encode() + b"\n"

    def interrupt(self) -> None:
        if self.turn:
            self.out += b'{"interrupt": true}\n'

    def data_to_send(self) -> bytes:
        data, self.out = self.out, b""
        return data

    def receive(self, data: bytes) -> list[Event]:
        *lines, self.partial = (self.partial + data).split(b"\n")
        return [event for line in lines for event in self._event(json.loads(line))]

    def receive_end(self, exit_code: int, stderr: bytes) -> list[Event]:
        text = stderr.decode()
        self.lost = self.lost or text.partition("forgot: ")[2].strip()
        if not self.turn:
            return []
        turn, self.turn = self.turn, ""
        _, is_limited, resets = text.partition("limited until ")
        return [
            TurnEnded(
                turn=turn,
                ok=False,
                message="",
                stop=f"exit {exit_code}",
                error=ErrorClass.RATE_LIMITED if is_limited else ErrorClass.CRASHED,
                error_text=text,
                resets_at=datetime.fromtimestamp(float(resets), UTC) if is_limited else None,
            )
        ]

    def _event(self, message: dict[str, object]) -> list[Event]:  # noqa: C901 - a table
        match message.pop("is_"):
            case "ready":
                self.ready = True
                started = ConversationStarted(conversation=message["conversation"], version="1.2")
                return [Ready(), started]
            case "forgot":
                self.ready, self.lost = True, message["text"]
                return [Ready()]
            case "started":
                return [TurnStarted(turn=message["turn"])]
            case "text":
                return [Text(**message)]
            case "usage":
                return [UsageChanged(usage=Usage(output_tokens=message["tokens"]))]
            case "retry":
                error = ErrorClass(message["error"])
                return [Retry(attempt=1, error=error, delay=message["delay"], status=401)]
            case "limited":
                return [RateLimited(resets_at=None)]
            case "tool":
                return [ToolCall(id=message["id"], name=message["name"], input={})]
            case "ask":
                kind = {"Bash": "command", "Write": "edit"}.get(message["tool"], "question")
                paths = (message["text"],) if kind == "edit" else ()
                return [ApprovalAsked(**message, input={}, kind=kind, paths=paths)]
            case "unask":
                return [ApprovalClosed(**message)]
            case "tooled":
                return [ToolResult(id=message["id"], ok=True)]
            case "ended":
                self.turn = ""
                error, resets = message.get("error"), message.get("resets")
                return [
                    TurnEnded(
                        turn=message["turn"],
                        ok=message["ok"],
                        message=message["message"],
                        stop="ended",
                        error=ErrorClass(error) if error else None,
                        resets_at=datetime.fromtimestamp(resets, UTC) if resets else None,
                        usage=Usage(output_tokens=message.get("tokens", 0)),
                        cost_usd=0.25,
                        cost_source="program",
                        marker=message.get("marker", ""),
                    )
                ]
        raise AssertionError(message)


# ---------------------------------------------------------------- fixtures


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., FakeDriver]:
    """Make the driver of the program above."""
    program = tmp_path / "fake-agent.py"
    program.write_text(PROGRAM)

    def make(*options: str, **kwargs: object) -> FakeDriver:
        return FakeDriver(f"{sys.executable} -I -S {program}", options, **kwargs)

    return make


@pytest.fixture
async def host() -> AsyncIterator[ProcessHost]:
    """A process host; after the test nothing may be left of what it started."""
    host = ProcessHost()
    yield host
    with trio.fail_after(20):
        await host.aclose()
    assert tagged(host.run_id) == []


def tagged(run_id: str) -> list[int]:
    """The living processes of a run, by the tag in their environment."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if f"RUNNER_RUN={run_id}".encode() in file.read():
                    found.append(int(name))
        except OSError:
            pass
    return found


@pytest.fixture
def commands(host: ProcessHost) -> Callable[[str], list[int]]:
    """Find the living processes of this test's host by what is in their command lines."""

    def find(wanted: str) -> list[int]:
        found = []
        for pid in tagged(host.run_id):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if wanted.encode() in file.read().replace(b"\0", b" "):
                        found.append(pid)
            except OSError:
                pass
        return found

    return find


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with open_supervisor(grace=1.0) as supervisor:
        yield supervisor


@pytest.fixture(params=["claude", "codex"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which real program it is."""
    request.getfixturevalue(f"{request.param}_program")  # or skip
    return str(request.param)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The directory in which the agents work."""
    work = tmp_path / "work"
    work.mkdir()
    return work


@pytest.fixture
def sessions(supervisor: Supervisor, host: ProcessHost, state: Path) -> Iterator[Sessions]:
    sessions = Sessions(supervisor, host, str(state))
    yield sessions
    sessions.ledger.close()


@pytest.fixture
def until() -> Callable[..., object]:
    """Wait for a fact, as long as is bearable."""

    async def wait(fact: Callable[[], object], within: float = 15) -> None:
        with trio.fail_after(within):
            while not fact():
                await trio.sleep(0.002)

    return wait
