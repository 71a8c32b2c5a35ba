"""One attempt of a job, from a fresh workspace to an outcome.

    workspace → setup → turns → patch → verify

The patch is made before the verify commands run, so that it holds the agent's changes and not what
a test run leaves behind. A phase that fails ends the attempt; what it came to is an `Outcome`,
never an exception. What raises: cancellation, and `Cut` when the batch was interrupted (the attempt
then does not count, and is carried out again when the batch goes on).

It writes nothing to the ledger: phases and turns are told to the caller.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import attrs
import trio

from runner.agents.events import ErrorClass
from runner.errors import (
    AgentUnavailable,
    ConfigError,
    LedgerError,
    OperationError,
    RunnerError,
    SupervisorClosed,
    WorkspaceError,
)
from runner.jobs.bench import Bench
from runner.jobs.outcome import JOB_TIMEOUT, UNAVAILABLE, Check, Outcome, of_turns, touched
from runner.jobs.patch import Patches
from runner.jobs.plan import Plan, PlannedJob, Rendered
from runner.jobs.programs import Programs
from runner.jobs.progress import Phase
from runner.jobs.workplace import Workplace, Workplaces
from runner.messages import NetworkDecision
from runner.scopes.scope import Scope
from runner.sessions.session import Session
from runner.sessions.turn import Turn

PartT = TypeVar("PartT")

MOST_REACHED = 100  # different answers of the network's proxy that are kept
TAIL = 4000  # characters of a command's output that are kept
INTERRUPT_GRACE = 10.0  # seconds that an interrupted turn gets before everything is put down


class Cut(Exception):  # named after what happened to the attempt
    """The batch was interrupted while the attempt ran."""


class Teller(Protocol):
    """Who is told what happens in an attempt."""

    def entered(self, phase: Phase) -> None:
        """The attempt has come to another phase."""
        ...

    async def opened(self, session: Session) -> None:
        """The session is about to get its first prompt."""
        ...

    def took_turn(self, prompt: str, turn: Turn) -> None:
        """A turn has come to an end."""
        ...


@attrs.frozen(kw_only=True)
class Tools:
    """What all attempts of a batch share."""

    plan: Plan
    bench: Bench
    workplaces: Workplaces
    patches: Patches
    programs: Programs


@attrs.define(eq=False)
class Attempt:
    """One attempt that is being carried out.

    Attributes:
        deadline: of the job, on trio's clock.
    """

    tools: Tools
    job: PlannedJob
    number: int
    session_id: str
    teller: Teller
    deadline: float = math.inf
    cancel_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    session: Session | None = None
    _is_in_turn: bool = False
    _is_interrupted: bool = False
    _phase: Phase = "workspace"
    _durations: dict[str, float] = attrs.field(factory=dict)
    _turns: list[Turn] = attrs.field(factory=list)
    _checks: list[Check] = attrs.field(factory=list)
    _has_patch: bool = False
    _patch_error: str = ""
    _reached: dict[NetworkDecision, None] = attrs.field(factory=dict)

    async def carry_out(self) -> Outcome:
        """Carry it out.

        Raises:
            Cut: `interrupt` or `kill` was called before it came to its end.
        """
        outcome: Outcome | None = None
        # One scope for two ends: a job's time is only up while nobody has interrupted it.
        self.cancel_scope.deadline = min(self.cancel_scope.deadline, self.deadline)
        with self.cancel_scope:
            outcome = await self._carry_out()
        if self._is_interrupted and (outcome is None or outcome.state != "ok"):
            raise Cut
        if outcome is None:
            seconds = self.tools.plan.batch.limits.job_timeout
            text = f"the job took longer than {seconds:g} s"
            outcome = Outcome(state="failed", error=JOB_TIMEOUT, error_text=text)
        return attrs.evolve(
            outcome,
            turns=tuple(self._turns),
            checks=tuple(self._checks),
            durations=self._durations,
            has_patch=self._has_patch,
            patch_error=self._patch_error,
            reached=tuple(self._reached),
        )

    async def interrupt(self) -> None:
        """End the turn in flight, politely at first; whatever else is going on, at once."""
        self._is_interrupted = True
        if self.session is not None and self._is_in_turn:
            until = trio.current_time() + INTERRUPT_GRACE
            self.cancel_scope.deadline = min(self.cancel_scope.deadline, until)
            await self.session.interrupt()
        else:
            self.kill()

    def kill(self) -> None:
        """Put everything down at once."""
        self._is_interrupted = True
        self.cancel_scope.cancel()

    # ------------------------------------------------------------ phases

    async def _carry_out(self) -> Outcome:
        began = trio.current_time()
        try:
            return await self._phases(self.tools.plan.rendered(self.job, self.number))
        except AgentUnavailable as exc:
            return Outcome(state="failed", error=UNAVAILABLE, error_text=str(exc))
        except ConfigError as exc:
            error = ErrorClass.BAD_REQUEST.value
            return Outcome(state="failed", error=error, error_text=str(exc))
        except SupervisorClosed:
            raise Cut from None
        except (Cut, LedgerError):
            raise
        except (RunnerError, OSError) as exc:
            return Outcome(state="infra", error=self._phase, error_text=_sentence(exc))
        finally:
            self._durations["total"] = trio.current_time() - began

    async def _phases(self, texts: Rendered) -> Outcome:
        workplaces = self.tools.workplaces
        if workplaces.is_shared:
            place = await self._make_workplace()
        else:
            place = await self._in("workspace", self._make_workplace)
        if texts.setup:
            failed = await self._in("setup", lambda: self._set_up(place, texts.setup))
            if failed is not None:
                return failed
        decided = await self._in("turns", lambda: self._take_turns(place, texts.prompts))
        if place.is_compared:
            await self._make_patch(place)
        if decided is not None or not texts.verify:
            return decided or Outcome(state="ok")
        return await self._in("verify", lambda: self._verify(place.scope, texts.verify))

    async def _make_workplace(self) -> Workplace:
        return await self.tools.workplaces.make(self.job.id, self.number, self._note)

    def _note(self, decision: NetworkDecision) -> None:
        if len(self._reached) < MOST_REACHED:
            self._reached[attrs.evolve(decision, address="")] = None

    async def _in(self, phase: Phase, part: Callable[[], Awaitable[PartT]]) -> PartT:
        self._phase = phase
        self.teller.entered(phase)
        began = trio.current_time()
        try:
            return await part()
        finally:
            self._durations[phase] = trio.current_time() - began

    async def _set_up(self, place: Workplace, commands: Sequence[str]) -> Outcome | None:
        """Run the setup commands; the outcome if one fails."""
        await place.before_setup()
        for command in commands:
            check = await self._run(place.scope, command)
            if not check.ok:
                self._checks.append(check)
                return Outcome(state="infra", error="setup", error_text=check.failure)
        await place.after_setup()
        return None

    async def _take_turns(self, place: Workplace, prompts: Sequence[str]) -> Outcome | None:
        """Take the turns, up to the first that is not good; the outcome if it decides."""
        bench, agent, batch = self.tools.bench, self.tools.plan.agent, self.tools.plan.batch
        made = bench.session(
            place.scope,
            agent,
            id=self.session_id,
            timeout=batch.limits.turn_timeout or None,
            silence=batch.limits.silence or None,
            max_park=batch.limits.max_park or None,
            ignore=batch.workspace.ignore,
            watch=batch.workspace.watch,
            servers=batch.servers,
            durable=False,
            snapshots=place.snapshots,
        )
        async with made as session:
            self.session = session
            await self.teller.opened(session)
            for prompt in prompts:
                if self._is_interrupted:  # between two turns there is none to interrupt
                    raise Cut
                self._is_in_turn = True
                turn = await session.send(prompt)
                self._is_in_turn = False
                self._turns.append(turn)
                self.teller.took_turn(prompt, turn)
                if not turn.ok:
                    break
        return of_turns(self._turns)

    async def _make_patch(self, place: Workplace) -> None:
        """A patch that cannot be made is said, and decides nothing."""
        patches, job = self.tools.patches, self.job.id
        if not touched(self._turns):
            patches.forget(job)
            return
        try:
            self._has_patch = await self._in("patch", lambda: place.write_patch(self._turns))
        except (OperationError, WorkspaceError, OSError) as exc:
            patches.forget(job)
            self._patch_error = _sentence(exc)

    async def _verify(self, scope: Scope, commands: Sequence[str]) -> Outcome:
        """Run the verify commands, up to the first that fails."""
        for command in commands:
            check = await self._run(scope, command)
            self._checks.append(check)
            if not check.ok:
                text = check.failure
                return Outcome(
                    state="unverified", verdict="unverified", error="verify", error_text=text
                )
        return Outcome(state="ok", verdict="verified")

    async def _run(self, scope: Scope, command: str) -> Check:
        timeout = self.tools.plan.batch.limits.command_timeout or None
        done = await scope.exec(command, timeout=timeout)
        return Check(
            command=command,
            ok=done.ok,
            exit_code=done.exit_code,
            outcome=done.outcome.value,
            duration=done.duration,
            output=(done.stdout + done.stderr)[-TAIL:],
            isolation=done.isolation,
            limit_exceeded=done.limit_exceeded,
        )


def _sentence(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"
