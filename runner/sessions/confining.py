"""Whether an agent's program can be held to an access here: found out before anything is started.

claude and codex hold the commands that they run by a sandbox of their own, which is made of
namespaces, as ours is. Where it cannot be made, neither of them says so: the program starts, and
every command fails, which only the model gets to know (tried with both). It cannot be made

* where the machine does not let them;
* inside an isolation of ours, unless that says `nesting`: then claude has to be told that it is
  inside another one, for it would mount a /proc of its own, which the kernel refuses there;
* inside rules on files only (landlock), under which nothing can be mounted.

What is not here: what holds a program (agents/, processes/isolation/).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping

from runner.agents.driver import Access, Agent, Need, TurnOptions
from runner.errors import AgentUnavailable, ExecFailed
from runner.messages import Isolation
from runner.messages.isolation import ModeInForce
from runner.processes.host import ProcessHost

# For which access which program needs a sandbox of its own. claude only reads by tools that can do
# nothing else; codex reads by commands.
_BY_SANDBOX: Mapping[str, tuple[Access, ...]] = {
    "claude": ("workspace-write",),
    "codex": ("read-only", "workspace-write"),
}


def check_needs(agent: str, needs: Iterable[Need], path: str | None) -> None:
    """See whether what a program cannot do without is there.

    Args:
        agent: its name.
        needs: what that is.
        path: the PATH that it gets.

    Raises:
        AgentUnavailable: something is not there; it says how to get it.
    """
    for need in needs:
        if shutil.which(need.program, path=path) is None:
            raise AgentUnavailable(
                f"the agent {agent!r} needs the program {need.program!r}, which is not in the"
                f" PATH: {need.why}"
            )


async def check_confinement(
    agent: Agent, options: TurnOptions, isolation: Isolation | None, host: ProcessHost
) -> bool:
    """See whether a turn's access can be held.

    Args:
        agent: its record.
        options: the turn's.
        isolation: what is to hold the program in any case.
        host: which knows what works here.

    Returns:
        Whether a sandbox of the program's own is made inside an isolation of ours.

    Raises:
        AgentUnavailable: it cannot be; it says why not, and what would help.
    """
    access = options.access or getattr(agent, "access", None)
    if access not in _BY_SANDBOX.get(agent.kind, ()):
        return False
    what = f"the agent {agent.kind!r} cannot be held to {access!r}"
    try:
        around = None if isolation is None else await host.choose(isolation)
        if around is None or around.mode == "none":
            await host.choose(Isolation(mode="bwrap", required=True))
            return False
    except ExecFailed as exc:
        hint = f" ({exc.hint})" if exc.hint else ""
        raise AgentUnavailable(f"{what}: {exc.reason}{hint}") from exc
    _check_inside(around.mode, what, nesting=isolation is not None and isolation.nesting)
    return True


def _check_inside(mode: ModeInForce, what: str, *, nesting: bool) -> None:
    if mode == "landlock":
        raise AgentUnavailable(
            f"{what} inside an isolation of mode 'landlock', in which it cannot make its sandbox:"
            " ask for mode='bwrap'"
        )
    if not nesting:
        raise AgentUnavailable(
            f"{what} inside an isolation that lets nobody make another one: allow it"
            " (nesting=True), or leave it to the isolation alone (the access 'danger-full-access')"
        )
