"""A session by itself, with an agent that is chosen by name, by a variable, or by chance.

    async with runner.make_session("work/shop", env_var="SHOP_AGENT") as session:
        turn = await session.send("Write hello.txt")

The order is agent_session's: what is said outright; else the variable that is named, if it is set;
else one of those whose programs are installed here, at random. A name that nobody has is an error
wherever it comes from, never another agent.

What is opened for the session is closed with it. A program with many sessions opens a runner
(`open_runner`), whose sessions share their limits.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from runner.agents.billing import Billing
from runner.agents.driver import Agent, ClaudeAgent, CodexAgent, Driver
from runner.agents.registry import BUILT_IN, known_name
from runner.agents.secret import Value
from runner.agents.servers import McpServer
from runner.agents.varying import NO_ENV
from runner.errors import AgentUnavailable, ConfigError
from runner.messages import Isolation
from runner.runtime import open_runner
from runner.sessions.session import Session
from runner.sessions.state import OnLost
from runner.strict import kind_of

# What may be picked at random: each is of use without options, but for its program.
CHOICES: Mapping[str, str] = {"claude": ClaudeAgent().program, "codex": CodexAgent().program}


def pick_agent(*, env_var: str | None = None, rng: random.Random | None = None) -> str:
    """The name of an agent: what a variable says, or else one at random.

    Args:
        env_var: the variable's name; its case and the blanks around it do not count.
        rng: chooses among the agents whose programs are in the PATH; None = Python's own.

    Raises:
        ConfigError: the variable names no agent, or one of these is none.
        AgentUnavailable: it is not set, and no agent's program is installed.
    """
    if env_var is not None and not isinstance(env_var, str):
        raise ConfigError(f"`env_var` must be a text, not {kind_of(env_var)}")
    if rng is not None and not isinstance(rng, random.Random):
        raise ConfigError(f"`rng` must be a random.Random, not {kind_of(rng)}")
    said = os.environ.get(env_var, "").strip().lower() if env_var else ""
    if said:
        return said if said in BUILT_IN else _named(said, f"agent in the variable {env_var}:")
    there = [name for name, program in CHOICES.items() if shutil.which(program) is not None]
    if not there:
        programs = " nor ".join(repr(each) for each in CHOICES.values())
        raise AgentUnavailable(f"there is no agent to pick: neither {programs} is in the PATH")
    return (rng or random).choice(there)


def _named(said: str, what: str) -> str:
    from runner.agents.plugins import plugin_names  # noqa: PLC0415 - few need it

    found = [name for name in plugin_names() if name.lower() == said]
    return found[0] if found else known_name(said, what)


@asynccontextmanager
async def make_session(
    cwd: str | os.PathLike[str],
    *,
    agent: Agent | Driver | str | None = None,
    backend: str | None = None,
    env_var: str | None = None,
    rng: random.Random | None = None,
    sandbox: str | None = None,
    model: str | None = None,
    timeout: float | None = None,
    silence: float | None = None,
    max_park: float | None = None,
    extra_args: Sequence[str] = (),
    extra_env: Mapping[str, Value] = NO_ENV,
    billing: Billing | None = None,
    isolation: Isolation | None = None,
    id: str | None = None,  # noqa: A002 - the session's own word
    durable: bool = True,
    state: str | os.PathLike[str] | None = None,
    ignore: Sequence[str] | None = None,
    watch: bool = True,
    servers: Iterable[McpServer] = (),
    on_lost: OnLost = "error",
) -> AsyncGenerator[Session, None]:
    """A session with an agent in a directory, and all that it needs, for as long as a block lasts.

    Args:
        cwd: where the agent works; made if it is not there.
        agent: its name, its record, or a driver of your own.
        backend: another word for the same.
        env_var: a variable that says the name, if neither of them does.
        rng: picks one, if that is not set either; see `pick_agent`.
        sandbox: what the agent may do: "read-only", "workspace-write" or "danger-full-access"; None
            = as its record says.
        model: as the program calls it; None = as its record says.
        timeout: seconds for a turn that does not say otherwise; None = no limit.
        silence: seconds that its program may be silent, likewise (see `Session.send`).
        max_park: seconds that a turn may wait for its provider, likewise.
        extra_args: more arguments for the program.
        extra_env: more variables for it, on top of the allow-listed ones.
        billing: which kind of credential the program has to say that it uses; None = as its record
            says.
        isolation: what is to hold the program inside the directory besides; None = nothing.
        id: of a session to go on with, or for a new one; None = a new one.
        durable: whether it is kept, so that it can be gone on with later.
        state: where it is kept; None = the platform's directory for application state.
        ignore: patterns of files whose changes do not count; None = `.git/**`.
        watch: whether a large directory may be watched for changes.
        servers: of tools (MCP), which the program is handed; they end with it.
        on_lost: what is done where the program does not have the conversation any more: "error"
            (`ConversationLost`), or a "fresh" one is begun, which is told the turns so far.

    Raises:
        ConfigError: there is no such agent, or an option cannot be used.
        AgentUnavailable: none was named, and none is installed; or it takes no servers.
    """
    if agent is not None and backend is not None:
        raise ConfigError("`agent` and `backend` are two words for the same: give one of them")
    chosen = agent if backend is None else backend
    if chosen is None:
        chosen = pick_agent(env_var=env_var, rng=rng)
    async with open_runner(state=state) as runner:
        scope = runner.scope(cwd)
        made = runner.session(
            scope,
            chosen,
            id=id,
            timeout=timeout,
            silence=silence,
            max_park=max_park,
            durable=durable,
            sandbox=sandbox,
            model=model,
            extra_args=extra_args,
            extra_env=extra_env,
            billing=billing,
            ignore=ignore,
            watch=watch,
            isolation=isolation,
            servers=servers,
            on_lost=on_lost,
        )
        await scope.mkdir(".")
        async with made as session:
            yield session
