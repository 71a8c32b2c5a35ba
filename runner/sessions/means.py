"""What many sessions work with: the process host, limits, and what is known of programs.

What is not here: how a session's program is started (starting.py).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

import attrs
import trio

from runner.agents.agent import program_of
from runner.agents.driver import Agent
from runner.agents.secret import Value
from runner.messages import Isolation
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost
from runner.sessions.admission import Admission
from runner.sessions.builds import Build, Digests
from runner.sessions.credentials import plain_of
from runner.sessions.reading import Pace
from runner.sessions.versions import Versions


@attrs.frozen(kw_only=True)
class Means:
    """What sessions work with.

    Attributes:
        environ: where allow-listed variables are taken from, such as `os.environ`.
        admission: who may start.
        scans: limits the threads that look at directories.
        pace: how often is read what programs say.
        digests: of the programs' files, as far as they were read.
        versions: of the programs, as far as they have said them.
    """

    host: ProcessHost
    environ: Mapping[str, str]
    admission: Admission
    scans: trio.CapacityLimiter
    pace: Pace = attrs.field(factory=Pace)
    digests: Digests = attrs.field(factory=Digests)
    versions: Versions = attrs.field(
        default=attrs.Factory(lambda self: Versions(self.host, self.environ), takes_self=True)
    )
    _bases: dict[tuple[str, ...], dict[str, str]] = attrs.field(factory=dict, init=False)

    async def build_of(
        self,
        agent: Agent,
        directory: str,
        env: Mapping[str, str],
        isolation: Isolation | None,
    ) -> Build | None:
        """The build of an agent's program; None if it has none of its own, or it is not there.

        One that is named relative to the directory is not looked for: each has its own.

        Args:
            agent: its record.
            directory: where it is to work.
            env: variables of its scope.
            isolation: what is to hold it there.
        """
        program = program_of(agent)
        if program is None or ("/" in program and not os.path.isabs(program)):
            return None
        variables = {**env, **plain_of(getattr(agent, "env", {}))}
        path = shutil.which(program, path=variables.get("PATH") or self.environ.get("PATH"))
        if path is None:
            return None
        version = await self.versions.said(agent, path, directory, isolation)
        return Build(version=version, sha256=await self.digests.of(path))

    def environment(
        self, pass_env: tuple[str, ...], extra: Mapping[str, Value]
    ) -> dict[str, Value]:
        """The environment of a program; `environ` is gone through once for the same names."""
        if pass_env not in self._bases:
            self._bases[pass_env] = base_environment(self.environ, pass_env=pass_env)
        return {**self._bases[pass_env], **extra}
