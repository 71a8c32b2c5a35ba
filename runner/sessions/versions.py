"""Whether an agent's program is there, and new enough: found out before anything is begun.

A program is asked for its version (`--version`: 0.1 s of processor time, and nothing is written),
once for a file as it is now. One that does not say it in these words is taken as it is: what is
named may be a wrapper of the user's own, and one that turns out not to work is said by its turn.

What is not here: how a program is started (starting.py), and what it can do (agents/).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from typing import TypeAlias

import attrs
import trio

from runner.agents.driver import Agent, ClaudeAgent, CodexAgent
from runner.errors import AgentUnavailable, RunnerError
from runner.messages import Isolation
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost
from runner.sessions.builds import Stamp, stamp_of

Version: TypeAlias = tuple[int, ...]

# The least versions with which all was seen to work. claude 2.1.68 cannot be forked at a turn, and
# does not answer by a schema; 2.1.0 does not say when a turn is over. A fork by codex 0.96.0 cannot
# be rolled back to a turn.
CLAUDE: Version = (2, 1, 90)
APP_SERVER: Version = (0, 115, 0)
PATIENCE = 15.0  # seconds: a cold start of claude on a busy machine takes some
_SAID = re.compile(r"(?<![\w.])v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})")
_INSTALL = {
    "claude": "npm install -g @anthropic-ai/claude-code",
    "codex": "npm install -g @openai/codex",
}
_OR_ELSE = {"codex": ', or give the agent protocol = "exec"'}


@attrs.define(eq=False)
class Versions:
    """The versions of programs, as far as they have said them.

    Attributes:
        environ: where allow-listed variables are taken from.
    """

    host: ProcessHost
    environ: Mapping[str, str]
    _known: dict[Stamp, Version] = attrs.field(factory=dict, init=False)
    _lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def check(
        self, agent: Agent, path: str, directory: str, isolation: Isolation | None
    ) -> None:
        """See whether an agent's program is new enough, where that is known.

        Args:
            agent: its record.
            path: of its program.
            directory: where it is to work.
            isolation: what is to hold it there, also when it says its version.

        Raises:
            AgentUnavailable: it is too old; it says how that is mended.
        """
        least = least_version(agent)
        if least is None:
            return
        found = await self._version(path, directory, isolation)
        if found and found < least:
            or_else = _OR_ELSE.get(agent.kind, "")
            raise AgentUnavailable(
                f"the agent {agent.kind!r} needs version {_text(least)} of its program or a later"
                f" one, but {path} is {_text(found)}: {_INSTALL[agent.kind]}{or_else}"
            )

    async def said(
        self, agent: Agent, path: str, directory: str, isolation: Isolation | None
    ) -> str:
        """The version that an agent's program says; empty if it does not, or need not be asked.

        Args:
            agent: as for `check`, and the rest.
            path: of its program.
            directory: where it is to work.
            isolation: what is to hold it there.
        """
        if least_version(agent) is None:
            return ""
        return _text(await self._version(path, directory, isolation))

    async def _version(self, path: str, directory: str, isolation: Isolation | None) -> Version:
        """What the program says; empty if it says nothing of the kind."""
        known = stamp_of(path)
        if known is None:
            return ()  # gone again: its start says so
        async with self._lock:  # many may begin at once: one asks
            if known not in self._known:
                self._known[known] = await self._ask(path, directory, isolation)
            return self._known[known]

    async def _ask(self, path: str, directory: str, isolation: Isolation | None) -> Version:
        held = None if isolation is None else attrs.evolve(isolation, network="none")
        env = base_environment(self.environ, extra={"HOME": os.devnull})
        try:
            done = await self.host.run(
                (path, "--version"), cwd=directory, env=env, timeout=PATIENCE, isolation=held
            )
        except RunnerError:
            return ()
        said = _SAID.search(done.out.data().decode("utf-8", "replace"))
        return tuple(map(int, said.groups())) if said and done.exit_code == 0 else ()


def least_version(agent: Agent) -> Version | None:
    """The least version of an agent's program that is good enough; None = any."""
    if isinstance(agent, ClaudeAgent):
        return CLAUDE
    if isinstance(agent, CodexAgent) and agent.protocol == "app-server":
        return APP_SERVER
    return None


def find_program(agent: str, program: str, directory: str, path: str | None) -> str:
    """Where a program is.

    Args:
        agent: the name of its agent.
        program: a name, or a path, which may be relative to the directory.
        directory: where it is to work.
        path: the PATH of its environment.

    Raises:
        AgentUnavailable: it is not there; it says how that is mended.
    """
    named = os.path.join(directory, program) if "/" in program else program
    found = shutil.which(named, path=path)
    if found is None:
        where = "not there" if "/" in program else "not in the PATH"
        how = _INSTALL.get(program)
        raise AgentUnavailable(
            f"the agent {agent!r} needs the program {program!r}, which is {where}, or cannot be"
            f" executed: {how + ', or ' if how else ''}let the agent's record name it"
        )
    return found


def _text(version: Version) -> str:
    return ".".join(map(str, version))
