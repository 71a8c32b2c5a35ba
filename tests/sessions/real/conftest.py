"""What the tests with the real claude and codex share: sessions, kills, and what is left of them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from runner.agents.driver import Access, Agent
from runner.processes.host import ProcessHost
from runner.sessions.making import Sessions
from runner.sessions.session import Session

Until = Callable[..., Awaitable[None]]

# Lines of claude's file by which a resumed conversation does not know a prompt yet.
NOT_KEPT = (b'"type":"queue-operation"', b'"type":"last-prompt"')


@pytest.fixture
def make(
    kind: str, real_agent: Callable[..., Agent], sessions: Sessions, work: Path
) -> Callable[..., Session]:
    """Make a session with the real program, which may do everything unless it is said.

    `agent` has more fields of the agent's record.
    """

    def make(
        access: Access = "danger-full-access",
        *,
        agent: dict[str, Any] | None = None,
        directory: object = None,
        **options: Any,
    ) -> Session:
        record = real_agent(kind, access=access, **(agent or {}))
        options.setdefault("timeout", 60.0)
        return sessions.make_session(str(directory or work), record, **options)

    return make


@pytest.fixture
def ask_leave(kind: str) -> Callable[[Path], str]:
    """Write a prompt for which leave is asked: to make a file outside of the directory."""

    def write(path: Path) -> str:
        if kind == "claude":
            return f"!write {path}: x\n!say went on"
        script = (
            f"text(JSON.stringify(await tools.exec_command({{cmd: {json.dumps(f'touch {path}')},"
            ' sandbox_permissions: "require_escalated", justification: "please"})));'
        )
        return f"!tool exec {json.dumps({'input': script})}\n!say went on"

    return write


@pytest.fixture
def has_kept() -> Callable[[Path, str], bool]:
    """Whether a program has a text in its own history, by which a resumed conversation knows it."""

    def look(private: Path, text: str) -> bool:
        files = (*(private / "home").rglob("*.jsonl"), *private.glob("scripted-*"))
        lines = (line for each in files for line in each.read_bytes().splitlines())
        return any(
            text.encode() in line and not any(no in line for no in NOT_KEPT) for line in lines
        )

    return look


@pytest.fixture
def settled(
    state: Path, until: Until, has_kept: Callable[[Path, str], bool]
) -> Callable[[Session, str], Awaitable[None]]:
    """Wait until a session's program has a text in its own history.

    claude writes that up to 100 ms after it was said: killed in between, it does not know it any
    more, and nobody could tell it.
    """

    async def wait(session: Session, text: str) -> None:
        await until(lambda: has_kept(state / "sessions" / session.id, text), within=30)

    return wait


@pytest.fixture
def kill(
    settled: Callable[[Session, str], Awaitable[None]], until: Until
) -> Callable[[Session, str], Awaitable[None]]:
    """Kill a session's program as soon as its own history has a text in it."""

    async def kill(session: Session, text: str) -> None:
        await settled(session, text)
        pid = session.statistics().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        # Its end takes a moment: a turn that begins before that is cut by it.
        await until(lambda: session.statistics().pid != pid)

    return kill


@pytest.fixture
def tree(host: ProcessHost) -> Callable[[], dict[int, str]]:
    """Find what lives below the host's guardian, but for its own keepers: pid and command line."""

    def find() -> dict[int, str]:
        guardian = host._keepers.guardian
        if guardian is None:
            return {}
        below, children = [guardian.pid], children_of_all()
        for pid in below:
            below += children.get(pid, [])
        lines = {pid: command_line(pid) for pid in below}
        return {pid: line for pid, line in lines.items() if line not in ("", lines[guardian.pid])}

    return find


def children_of_all() -> dict[int, list[int]]:
    """The children of every process on this machine."""
    found: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        found.setdefault(int(parent), []).append(int(name))
    return found


def command_line(pid: int) -> str:
    """How a process was started; empty if it lives no more."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return line.replace(b"\0", b" ").decode("utf-8", "replace")
