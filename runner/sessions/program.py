"""One process of an agent's program, and the conversation with it.

    new ──► started ──► ready ──► … ──► ended
                                   ▲ by itself, or by `end`: the driver's ladder, then by force

One task runs it (`run`), in the nursery of the session's actor, whoever sends. Its readers always
read, whatever becomes of the events; its writer is the only one that writes (writing.py). The end
of its leader is its end: the process host has ended the rest of its tree by then. What is in the
pipes is still read, but nothing waits for ever for an end of file that somebody may hold back.

What is not known here: what a turn is, and when to start or end a program.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import attrs
import trio

from runner.agents.billing import Billing, mismatch
from runner.agents.driver import Conversation, Launch, Rung
from runner.agents.events import Event
from runner.agents.secret import Value
from runner.credentials import look_up
from runner.errors import AgentUnavailable, ExecFailed
from runner.messages import Completed, InForce, Isolation, Limit, Outcome
from runner.messages.isolation import Decided
from runner.processes.host import ProcessHost
from runner.processes.process import Process
from runner.processes.usage import TreeUsage
from runner.sessions.credentials import Blanks, plain_of
from runner.sessions.descending import descend, interrupt_patience_of, patience_of
from runner.sessions.reading import Pace, read_all
from runner.sessions.remains import Remains
from runner.sessions.traffic import Traffic
from runner.sessions.writing import Writer

# How long reading what is in the pipes may take after the whole tree has ended.
DRAIN = 2.0
# How much output of a program that is run quietly is kept at most; as much as a message may be.
QUIET = 128 << 20
KILLED = -int(signal.SIGKILL)


def ignore(*_: object) -> None:
    """Nobody wants to know."""


@attrs.define(eq=False, kw_only=True)
class Program:
    """A process, from before its start until nothing is left of it.

    Attributes:
        isolation: what is to hold it inside its directory; None = nothing.
        decided: told what the network's proxy decides.
        billing: which kind of credential it has to say that it uses.
        hidden: secret values that are in `env` already; with those that it refers to, they are
            taken out of all that the program says.
        traffic: what passes between it and us.
        blanks: what is filled into what is written to it, and is not in the traffic.
        pace: how often is read what it says.
        together: entered around what was read at once.
        refusal: why it was ended: it says that it uses another kind.
        on_event: gets this and everything that the program says, in order; must not wait. It does
            not know this by itself: a cycle for every turn is much to collect.
        on_started: gets the pid of what was started.
        on_gone: told that nothing is left of it, or was ever started.
        started: it runs, or could not be started: then `failure` says why.
        ready: a turn can be sent; or it has ended.
        ended: it and all that it started are gone.
        exit_code: once it has ended.
        in_force: what holds it, once it has started; None = nothing was asked for.
    """

    host: ProcessHost
    launch: Launch
    ladder: tuple[Rung, ...]
    cwd: str
    env: Mapping[str, Value]
    conversation: Conversation
    on_event: Callable[[Program, Event], None]
    on_started: Callable[[int], None] = ignore
    on_gone: Callable[[], None] = ignore
    isolation: Isolation | None = None
    decided: Decided | None = None
    billing: Billing = "any"
    hidden: frozenset[str] = frozenset()
    traffic: Traffic = attrs.field(factory=Traffic)
    blanks: Blanks = attrs.field(factory=Blanks)
    pace: Pace = attrs.field(factory=Pace)
    together: AbstractContextManager[None] = attrs.field(factory=nullcontext)
    refusal: str = ""
    started: trio.Event = attrs.field(factory=trio.Event)
    ready: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)
    failure: AgentUnavailable | None = None
    exit_code: int | None = None
    in_force: InForce | None = None
    _secrets: frozenset[str] = frozenset()
    _process: Process | None = None
    _remains: Remains = attrs.field(factory=Remains)
    _cancel_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _writer: Writer = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._writer = Writer(self.traffic, self.blanks)

    async def run(self) -> None:
        """Be the program's task, from its start to its end."""
        try:
            with self._cancel_scope:
                env = await self._environment()
                async with self.host.open_process(
                    self.launch.argv,
                    cwd=self.cwd,
                    env=env,
                    stdin=self.launch.stdin,
                    isolation=self.isolation,
                    decided=self.decided,
                ) as process:
                    self._process = self._remains.process = process
                    self.on_started(process.pid)
                    self.traffic.begin(env, self._secrets)
                    self.in_force = process.isolation
                    self.started.set()
                    await self._serve(process)
        except AgentUnavailable as exc:
            self.failure = exc
        except ExecFailed as exc:
            self.failure = AgentUnavailable(str(exc))
            self.failure.__cause__ = exc
        finally:
            # one synchronous block: whoever waits for any of these finds all of them
            self.on_gone()
            try:
                if self._process is not None:
                    if self.exit_code is None:
                        self.exit_code = KILLED
                    self.traffic.end(self.exit_code)
                    stderr = self.traffic.stderr_tail()
                    self._tell(self.conversation.receive_end(self.exit_code, stderr))
            finally:  # also when who is told cannot take it: nobody may wait for ever
                self.started.set()
                self.ready.set()
                self.ended.set()

    async def run_quietly(self, timeout: float | None) -> bool:
        """Be run in the caller's task, for a program that serves one turn and is not followed.

        A third of what `run` costs, and the same in the end; but its output comes at its end, and a
        cancelled caller ends it by force at once.

        Args:
            timeout: seconds until it is ended, politely at first.

        Returns:
            Whether it was ended because of that.
        """
        try:  # around the secrets, too: one that cannot be had is an end like any other
            env = await self._environment()
            done = await self.host.run(
                self.launch.argv,
                cwd=self.cwd,
                env=env,
                input=self.launch.stdin,
                timeout=timeout,
                max_output=QUIET,
                grace=self.patience,
                isolation=self.isolation,
                decided=self.decided,
            )
            self._take_all(done)
        except ExecFailed as exc:
            raise AgentUnavailable(str(exc)) from exc
        except trio.Cancelled:
            self.conversation.interrupt()
            self.exit_code = KILLED
            raise
        finally:
            if self.exit_code is not None:
                stderr = self.traffic.stderr_tail()
                self._tell(self.conversation.receive_end(self.exit_code, stderr))
            self.ended.set()
        return done.outcome is Outcome.TIMEOUT

    def _take_all(self, done: Completed) -> None:
        self.exit_code, self.in_force = done.exit_code, done.isolation
        self._remains.left, self._remains.exceeded = done.leftovers, done.limit_exceeded
        output = done.out.data()
        self.traffic.take(output)
        self.traffic.take_stderr(done.err.data())
        self._tell(self.conversation.receive(output))

    async def _serve(self, process: Process) -> None:
        async with trio.open_nursery() as readers:
            readers.start_soon(read_all, process.stdout, self._take, self.pace)
            readers.start_soon(read_all, process.stderr, self.traffic.take_stderr, self.pace)
            async with trio.open_nursery() as writers:
                if process.stdin is not None:
                    self.flush()
                    writers.start_soon(self._writer.write_to, process.stdin)
                if self.conversation.ready:
                    self.ready.set()
                self.exit_code = await process.wait()
                self._remains.exceeded = process.limit_exceeded
                writers.cancel_scope.cancel(reason="the program has ended")
            readers.cancel_scope.deadline = trio.current_time() + DRAIN

    async def _environment(self) -> dict[str, str]:
        """The environment, with the values of secrets; from now on these are taken out."""
        found = await look_up(self.env, self.host)
        filled = await self.blanks.look_up(self.host)
        self._secrets = self.hidden.union(found.values(), filled)
        self.traffic.hide(self._secrets)
        return {**plain_of(self.env), **found}

    def _take(self, data: bytes) -> None:
        self.traffic.take(data)
        events = self.conversation.receive(data)
        if not self.refusal and self.billing != "any":
            self.refusal = mismatch(self.billing, getattr(self.conversation, "credential", ""))
        self._tell(events)
        if self.refusal:  # not a word more to it
            self._cancel_scope.cancel(reason=self.refusal)
            return
        self.flush()
        if self.conversation.ready:
            self.ready.set()

    def _tell(self, events: list[Event]) -> None:
        with self.together:
            for event in events:
                self.on_event(self, self.traffic.event(event))

    @property
    def pid(self) -> int | None:
        """The leader's process id while it lives."""
        return None if self._process is None or self.ended.is_set() else self._process.pid

    @property
    def is_dying(self) -> bool:
        """Whether it is about to end, or has: what is sent to it now is lost."""
        return self.ended.is_set() or (self._process is not None and self._process.is_dying)

    def flush(self) -> None:
        """Let the writer send what the conversation has to say."""
        self._writer.put(self.conversation.data_to_send())

    def begin_turn(self) -> None:
        """Keep the tails of what is written from now on."""
        self.traffic.begin_turn()

    def usage(self) -> TreeUsage | None:
        """What its processes have used so far; None if that is not known."""
        return None if self._process is None else self._process.usage()

    def tails(self) -> tuple[str, str]:
        """The ends of what was written since `begin_turn`."""
        return self.traffic.tails()

    async def sweep(self) -> None:
        """End what the program's dead children left behind, while it lives."""
        if self._process is not None and not self.ended.is_set():
            await self._process.sweep()

    def take_leftovers(self) -> int:
        """How many processes were left behind, and ended, that were not taken by this before."""
        return self._remains.take_left()

    def take_exceeded(self) -> Limit | None:
        """The limit that ended it or one of its processes, unless that was taken before."""
        return self._remains.take_exceeded(is_over=self.ended.is_set())

    async def end(self) -> None:
        """End it, politely at first; returns when nothing of it is left.

        Shield this, with a deadline of more than `patience`. Several may ask for it at once.
        """
        if self._process is not None:
            await descend(self.ladder, self._process, self._close_input, self.ended)
        self._cancel_scope.cancel(reason="the program did not end by itself")
        await self.ended.wait()

    @property
    def patience(self) -> float:
        """How long `end` waits at most before it uses force."""
        return patience_of(self.ladder)

    @property
    def interrupt_patience(self) -> float:
        """How long a turn may take to end after it was interrupted."""
        return interrupt_patience_of(self.ladder)

    async def _close_input(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self.traffic.close()
            await self._process.stdin.aclose()
