"""What all tests share: where the real agent programs are, a template, and ordinary users."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import pytest

from runner.agents.driver import Access, AcpAgent, Agent, ClaudeAgent, CodexAgent
from runner.config import load_record
from runner.processes import guardian, guardian_link
from runner.processes.isolation import limiting, probe, users
from runner.testing.model_server import Served
from runner.workspaces import mounts
from runner.workspaces.store import Store

# Not that of another worker's tests: the kernel counts the processes of a user, wherever they run.
ORDINARY = 1_800_000_000 + os.getpid() if os.geteuid() == 0 else os.geteuid()
PYTHON = "/usr/bin/python3"
CONFIGS = pathlib.Path(__file__).parents[1] / "configs" / "agents"
GET_PYTHON = "programs inside see what stands in /usr only: install python3 from the distribution"


def find_program(name: str, variable: str, package: str) -> str:
    """Find a program, or skip the test and say how to get it."""
    found = shutil.which(os.environ.get(variable) or name)
    if found is None:
        pytest.skip(f"no {name} program: npm install -g {package}, or let {variable} name it")
    return found


@pytest.fixture
def killing() -> None:
    """A process of this test is killed: what it has mounted stays behind."""


@pytest.fixture(autouse=True)
def _nothing_stays_mounted(request: pytest.FixtureRequest) -> Iterator[None]:
    """Unmount what a test leaves mounted below its directory: pytest could not remove that.

    Only the tree of a workspace that is there may be left; and anything by who kills a process
    (`killing`).
    """
    if "tmp_path" not in request.fixturenames:
        yield
        return
    place = os.path.realpath(request.getfixturevalue("tmp_path"))
    yield
    left = [each.point for each in mounts.mounted_in(place)]
    forgotten = [each for each in left if not _is_live_tree(each)]
    for each in reversed(left):  # also from under those who still use it
        mounts.unmount(each, in_use=True)
    if forgotten and "killing" not in request.fixturenames:
        pytest.fail(f"left mounted: {', '.join(forgotten)}")


def _is_live_tree(point: str) -> bool:
    """Whether that is where the tree of a workspace belongs that is not only temporary."""
    above, id_ = os.path.split(os.path.dirname(point))
    path = os.path.join(os.path.dirname(above), "store.db")
    if os.path.basename(point) != "tree" or not os.path.exists(path):
        return False
    store = Store.open(path)
    try:
        return any(
            each.id == id_ and each.state == "ready" and not each.name.startswith("temporary")
            for each in store.workspaces.list()
        )
    finally:
        store.close()


@pytest.fixture(scope="session")
def claude_program() -> str:
    """The path of the real claude program."""
    return find_program("claude", "RUNNER_TEST_CLAUDE", "@anthropic-ai/claude-code")


@pytest.fixture(scope="session")
def codex_program() -> str:
    """The path of the real codex program."""
    return find_program("codex", "RUNNER_TEST_CODEX", "@openai/codex")


@pytest.fixture(scope="session")
def gemini_program() -> str:
    """The path of the real gemini program."""
    return find_program("gemini", "RUNNER_TEST_GEMINI", "@google/gemini-cli")


@pytest.fixture(scope="session")
def opencode_program() -> str:
    """The path of the real opencode program."""
    return find_program("opencode", "RUNNER_TEST_OPENCODE", "opencode-ai")


@pytest.fixture
def real_agent(request: pytest.FixtureRequest, model_server: Served) -> Callable[..., Agent]:
    """Make the record of the real claude or codex, which asks this test's model server.

    A `subscriber` is told more by its provider: when a limit is over.
    """

    def make(kind: str, *, subscriber: bool = False, **fields: Any) -> Agent:
        program = request.getfixturevalue(f"{kind}_program")  # or skip
        env = model_server.claude_env() if kind == "claude" else model_server.codex_env()
        if subscriber and kind == "claude":
            env["CLAUDE_CODE_OAUTH_TOKEN"] = env.pop("ANTHROPIC_API_KEY")
        env |= fields.pop("env", {})
        if kind == "claude":
            return ClaudeAgent(program=program, env=env, **fields)
        fields.setdefault("config", model_server.codex_config())
        return CodexAgent(program=program, env=env, **fields)

    return make


@pytest.fixture
def acp_agent(request: pytest.FixtureRequest, model_server: Served) -> Callable[..., AcpAgent]:
    """Make the record of the real gemini or opencode, as its file in configs says.

    It asks this test's model server. With the access "workspace-write" it asks before everything.
    """

    def make(kind: str, access: Access = "danger-full-access", **fields: Any) -> AcpAgent:
        program = request.getfixturevalue(f"{kind}_program")  # or skip
        agent = load_record(CONFIGS / f"{kind}.toml", Agent)
        agent = attrs.evolve(agent, argv=(program, *agent.argv[1:]), access=access)
        if kind == "gemini":
            env = {"GEMINI_API_KEY": "dummy", "GOOGLE_GEMINI_BASE_URL": model_server.url}
            modes = {**agent.modes, "workspace-write": "default"}
            return attrs.evolve(agent, env={**agent.env, **env}, modes=modes, **fields)
        ((path, text),) = agent.files.items()
        files = {path: json.dumps(_opencode(json.loads(text), model_server.url))}
        modes = {**agent.modes, "workspace-write": "asking"}
        env = {"OPENCODE_DISABLE_MODELS_FETCH": "1"}  # it has a list of its own
        return attrs.evolve(agent, **{"files": files, "modes": modes, "env": env, **fields})

    return make


def _opencode(config: dict[str, Any], url: str) -> dict[str, Any]:
    """Its configuration, with our provider, and without the model that makes titles."""
    provider = {"anthropic": {"options": {"baseURL": f"{url}/v1", "apiKey": "dummy"}}}
    config["agent"]["title"] = {"disable": True}
    asking = {"mode": "primary", "permission": {"edit": "ask", "bash": "ask"}}
    config["agent"]["asking"] = asking
    return {**config, "model": "anthropic/claude-sonnet-4-5", "provider": provider}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Where every part must be there, a test that is skipped has failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("RUNNER_CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but RUNNER_CI allows no skip: {report.longrepr}"
    return report


@contextlib.contextmanager
def _unmeasured() -> Iterator[None]:
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


@pytest.fixture
def unmeasured() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """While it is entered, coverage is not measured: what runs a million times would wait for that."""
    return _unmeasured


# ------------------------------------------------------------ processes that have all imported


@attrs.define(eq=False)
class Forked:
    """A process that was forked from the template: what its tests use of `subprocess.Popen`."""

    pid: int
    control: socket.socket
    returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self.control.settimeout(timeout)
            self.returncode = int(self.control.recv(64))
        return self.returncode

    def poll(self) -> int | None:
        with contextlib.suppress(BlockingIOError):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)


@attrs.define
class Template:
    """Forks one process after the other from one that has imported everything: see template.py."""

    control: socket.socket
    last: Forked | None = None

    def fork(
        self,
        args: Sequence[str],
        code: str | None,
        cwd: os.PathLike[str],
        env: Mapping[str, str],
        streams: Sequence[int],
    ) -> Forked:
        """Have a process run some code, or `runner` itself, with these three as its streams."""
        assert self.last is None or self.last.poll() is not None, "one after the other"
        asked = {"args": args, "code": code, "cwd": str(cwd), "env": dict(env)}
        self.control.settimeout(60)
        socket.send_fds(self.control, [json.dumps(asked).encode()], streams)
        self.last = Forked(int(self.control.recv(64)), self.control)
        return self.last


@pytest.fixture(scope="session")
def template() -> Iterator[Template]:
    """A process that others are forked from."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    here = pathlib.Path(__file__)
    command = [sys.executable, str(here.with_name("template.py"))]
    devnull = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=its, stdout=devnull, cwd=here.parents[1]), ours:
        its.close()
        yield Template(ours)


# ------------------------------------------------------------ isolation


@pytest.fixture(scope="session")
def python() -> str:
    """A Python that is there inside as well."""
    if not os.path.exists(PYTHON):
        pytest.skip(GET_PYTHON)
    return PYTHON


def _readable_copy(stack: contextlib.ExitStack) -> str:
    """What the guardian loads, where everybody can read it: a checkout may be root's alone."""
    base = stack.enter_context(tempfile.TemporaryDirectory(prefix="runner-copy-"))
    here = os.path.dirname(guardian_link.__file__)
    shutil.copytree(
        here,
        os.path.join(base, "runner", "processes"),
        ignore=shutil.ignore_patterns("__pycache__"),
        copy_function=shutil.copyfile,
    )
    for directory, _, _ in os.walk(base):
        os.chmod(directory, 0o755)
    return base


@contextlib.contextmanager
def _as_ordinary() -> Iterator[int]:
    """Have the guardian, and so all programs, run as an ordinary user."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("needs setpriv: apt-get install util-linux")
            ids = f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups"
            command = ["setpriv", *ids, PYTHON, "-I", "-S", "-c", guardian.BOOT]
            patch.setattr(guardian_link, "HERE", _readable_copy(stack))
            patch.setattr(guardian_link.GuardianLink, "command", staticmethod(lambda: command))
            patch.setattr(users, "own_ids", lambda: (ORDINARY, ORDINARY))
            patch.setattr(limiting, "_tree", [None])  # groups would be root's
        yield ORDINARY


@pytest.fixture(scope="session")
def as_ordinary() -> Callable[[], contextlib.AbstractContextManager[int]]:
    """While it is entered, programs are those of an ordinary user, whose uid it gives."""
    return _as_ordinary


@contextlib.contextmanager
def _by_program() -> Iterator[int]:
    """As an ordinary user on a machine that lets only the program bwrap make namespaces."""
    with _as_ordinary() as uid:
        identity = "\0".join((str(os.geteuid()), *guardian_link.GuardianLink.command()))
        refused = probe.Probe(works=False, reason="clone: Operation not permitted")
        known = probe._known  # which a test may patch: so it is changed and mended in its place
        before = known.copy()
        known["bwrap", identity] = refused
        try:
            yield uid
        finally:
            known.clear()
            known.update(before)


@pytest.fixture(scope="session")
def by_program() -> Callable[[], contextlib.AbstractContextManager[int]]:
    """While it is entered, the program bwrap makes all namespaces, for an ordinary user."""
    return _by_program
