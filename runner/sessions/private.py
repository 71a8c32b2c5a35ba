"""The private directory of a session: who may look, and what is put there.

Everything is the owner's only (0700, 0600): prompts, configuration and copied credentials are in
it. What is not here: the session's record (store.py), and what a program wants where (the drivers).
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import trio

from runner.agents.driver import AcpAgent, Agent, ClaudeAgent, CodexAgent

# Where a program's configuration is (a variable, or else below HOME), and what of it is a
# credential. Only that is copied: settings, history and hooks that are shared get corrupted.
CREDENTIALS = {
    "claude": ("CLAUDE_CONFIG_DIR", ".claude", (".credentials.json",)),
    "codex": ("CODEX_HOME", ".codex", ("auth.json",)),
}


# The time in the name of a file, such as gemini's.
_MINUTE = "%Y-%m-%dT%H-%M"
_IN_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d")


def make_private(path: str) -> bool:
    """Make a session's private directory and the home in it; whether it was not there."""
    home, is_new = os.path.join(path, "home"), False
    if os.path.isdir(home):
        return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
        is_new = True
    with contextlib.suppress(FileExistsError):
        os.mkdir(home, 0o700)
    return is_new


def remove_unused(path: str) -> None:
    """Remove a session's private directory, if nothing is in it but who its owner is."""
    home, owner = os.path.join(path, "home"), os.path.join(path, "owner")
    with contextlib.suppress(OSError):
        if os.listdir(home) or not {"home", "owner"}.issuperset(os.listdir(path)):
            return
        os.rmdir(home)
        os.unlink(owner)
        os.rmdir(path)


def write_files(private: str, files: Iterable[tuple[str, bytes]]) -> None:
    """Write what a program is to find, each 0600; parents are made, 0700."""
    for path, content in files:
        assert path.startswith(private + "/"), "a driver writes to the session's own directory only"
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            _make_parents(private, os.path.dirname(path))
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(file, "wb", buffering=0) as stream:
            rest = memoryview(content)
            while rest:  # one write takes 2 GiB at most
                rest = rest[stream.write(rest) :]


def copy_files(copies: Iterable[tuple[str, str]]) -> None:
    """Copy files, and directories with all that is in them, whose places are the owner's only.

    In a thread of trio's: who waits for it may be cancelled.
    """
    for there, here in copies:
        os.makedirs(os.path.dirname(here), mode=0o700, exist_ok=True)
        if os.path.isdir(there):
            shutil.copytree(there, here, dirs_exist_ok=True, copy_function=_copy)
        else:
            _copy(there, here)


def _copy(there: str, here: str) -> None:
    trio.from_thread.check_cancelled()
    shutil.copyfile(there, here)


def age_files(pattern: str) -> None:
    """Give files that have this minute (UTC) in their names that of the day before, if it is free.

    For programs that begin a file anew that has the name of one they are to go on with.
    """
    now = datetime.now(UTC).strftime(_MINUTE)
    for path in glob.glob(pattern) if pattern else ():
        directory, name = os.path.split(path)
        found = _IN_NAME.search(name)
        if found is None or found[0] < now:
            continue
        with contextlib.suppress(ValueError):  # no time at all
            before = datetime.strptime(found[0], _MINUTE).replace(tzinfo=UTC) - timedelta(days=1)
            aged = os.path.join(directory, name.replace(found[0], before.strftime(_MINUTE), 1))
            if not os.path.exists(aged):
                os.rename(path, aged)


def remove_files(files: Iterable[tuple[str, bytes]]) -> None:
    """Remove what was written for one turn only."""
    for path, _ in files:
        with contextlib.suppress(OSError):
            os.unlink(path)


async def remove_private(path: str, limiter: trio.CapacityLimiter) -> None:
    """Remove a session's private directory, with all that is in it."""
    remove = partial(shutil.rmtree, path, ignore_errors=True)
    await trio.to_thread.run_sync(remove, limiter=limiter)


def seed(agent: Agent, env: Mapping[str, str]) -> None:
    """Copy the credentials that the agent's record names into a program's own configuration.

    A copy that is newer than its source stays: the program has renewed it.

    Args:
        agent: whose `seed` says where from.
        env: the program's environment, which says where its configuration is.
    """
    for there, here in _seeds(agent, env):
        with contextlib.suppress(FileNotFoundError):
            renewed = os.stat(there).st_mtime
            if not os.path.exists(here) or os.stat(here).st_mtime < renewed:
                os.makedirs(os.path.dirname(here), mode=0o700, exist_ok=True)
                shutil.copyfile(there, here + ".tmp")
                os.chmod(here + ".tmp", stat.S_IRUSR | stat.S_IWUSR)
                os.replace(here + ".tmp", here)


def _seeds(agent: Agent, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is copied, and where to."""
    if isinstance(agent, AcpAgent):
        for path, there in agent.seed.items():
            yield os.path.expanduser(there), os.path.join(env["HOME"], path)
    elif isinstance(agent, ClaudeAgent | CodexAgent) and agent.seed:
        variable, default, names = CREDENTIALS[agent.kind]
        directory = env.get(variable) or os.path.join(env["HOME"], default)
        for name in names:
            there = os.path.join(os.path.expanduser(agent.seed), name)
            yield there, os.path.join(directory, name)


def _make_parents(private: str, directory: str) -> None:
    os.makedirs(os.path.dirname(private), exist_ok=True)
    for each in reversed([directory, *_above(directory)]):
        if each.startswith(private):
            with contextlib.suppress(FileExistsError):
                os.mkdir(each, 0o700)


def _above(path: str) -> list[str]:
    found = []
    while (parent := os.path.dirname(path)) != path:
        found.append(parent)
        path = parent
    return found
