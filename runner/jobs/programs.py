"""Whether the attempts of a batch are all carried out by the same build of the agent's program.

    before the batch begins or goes on, and before each attempt ──► which build is it now?
        as in all attempts before ──► go on; it is in the attempt's record
        another one ──► nothing more is begun, unless `mixed_versions` allows it

What two builds answer cannot be compared, and programs update themselves. What is not known of both
(a package's own agent, a program of the workspace's) is not compared; nor is the shell.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from runner.errors import ConfigError
from runner.jobs.bench import Bench
from runner.jobs.plan import Plan
from runner.sessions.builds import Build


@attrs.define(eq=False)
class Programs:
    """The program of a batch's agent.

    Attributes:
        directory: where it says its version.
    """

    plan: Plan
    bench: Bench
    directory: str
    _known: list[Build] = attrs.field(factory=list)

    def remember(self, builds: Iterable[Build]) -> None:
        """These have carried out attempts."""
        self._known += builds

    async def look(self) -> Build | None:
        """The build that an attempt would be carried out by now; None if it is not known.

        Raises:
            ConfigError: it is another one than in the attempts before, which is not allowed.
        """
        plan = self.plan
        found = await self.bench.build_of(
            plan.agent, self.directory, env=plan.batch.env, isolation=plan.isolation
        )
        if found is None:
            return None
        other = next((each for each in self._known if each.differs(found)), None)
        if other is not None and not plan.batch.mixed_versions:
            text = (
                f"its program has changed: attempts of this batch were carried out by {other}, and"
                f" it is {found} now. Bring that one back, or let them be mixed:"
                " mixed_versions = true"
            )
            raise ConfigError(plan.document.problem(("agent",), text))
        if found not in self._known:
            self._known.append(found)
        return found
