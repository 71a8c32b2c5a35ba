"""Programs that are audited: their commands, how they ended, and what they changed.

    exec     a row: the command without secrets, the exit code, the duration
    start    a row when it was started, and "exit" once it has ended and somebody knows

Before the last of them a row for each file that was changed (audit_runs.py). What an exec left
running is from then on as what was started.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from os.path import normpath
from typing import Any, cast

import attrs
import trio

from runner import messages as m
from runner.backends.threads import in_thread
from runner.errors import RunnerError
from runner.messages import Completed, Message
from runner.operations.op_names import op_name, subject_of
from runner.workspaces.audit_acts import Doing
from runner.workspaces.audit_facts import about_end
from runner.workspaces.audit_runs import Run, Runs
from runner.workspaces.records import Json

_ENDING = 5.0  # seconds to see how something ended


@attrs.define(eq=False)
class Programs:
    """The programs of a backend.

    Attributes:
        ask: the backend that carries them out.
        runs: where they are written down.
        prefix: the path from the tree's top to the backend's root, with a slash, or empty.
    """

    ask: Callable[[Message[Any]], Awaitable[Any]]
    runs: Runs
    prefix: str = ""
    _running: dict[str, Run] = attrs.field(factory=dict)  # what was started

    async def aclose(self) -> None:
        """End what runs still, and write that down."""
        for id_ in tuple(self._running):
            with suppress(RunnerError):  # it has ended already
                await self.ask(m.Kill(id=id_))
            await self._end(id_)

    async def run(self, message: m.Exec | m.Start) -> Any:
        """Carry a program out, or start it."""
        trail, doing = self.runs.trail, self._doing(message)
        run = await in_thread(partial(self.runs.begin, doing))
        try:
            answer: Completed | m.Started = await self.ask(message)
        except Exception as error:
            why = trail.secrets.why(error)
            await self._say(run, False, why)  # noqa: ASYNC120 - shielded there
            raise
        except BaseException:
            await self._say(run, None, {"cancelled": True})  # noqa: ASYNC102 - shielded there
            raise
        if isinstance(answer, m.Started):
            self._running[answer.id] = run
            more: dict[str, Json] = {"id": answer.id, "pid": answer.pid}
            note = partial(trail.note, "start", self.runs.who, details={**doing.details, **more})
            with trio.CancelScope(shield=True):
                await in_thread(note)
        else:
            await self._say(run, True, about_end(answer))
            if answer.kept:  # it left something running: that has an end of its own
                with trio.CancelScope(shield=True):
                    kept = attrs.evolve(doing, operation="start")
                    self._running[answer.kept] = await in_thread(partial(self.runs.begin, kept))
        return answer

    async def guide(self, message: m.Kill | m.Wait | m.Poll) -> object:
        """Look after a program that was started; if it has ended, write that down."""
        if isinstance(message, m.Kill) and message.id in self._running:
            was_running: object = await self.ask(m.Kill(id=message.id))
            await self._end(message.id)
            if message.forget:
                await self.ask(message)
            return was_running
        answer: object = await self.ask(cast("Message[Any]", message))
        if isinstance(answer, Completed) or (isinstance(answer, m.News) and answer.is_last):
            await self._end(message.id)
        return answer

    def _doing(self, message: m.Exec | m.Start) -> Doing:
        command = self.runs.trail.secrets.redacted(subject_of(message) or "", dict(message.env))
        cwd = normpath(self.prefix + message.cwd)
        return Doing(operation=op_name(type(message)), details={"command": command, "cwd": cwd})

    async def _say(self, run: Run, ok: bool | None, more: Mapping[str, Json]) -> None:
        with trio.CancelScope(shield=True):  # bounded: by two looks, and BASING
            await self.runs.prepare(run)
            await in_thread(partial(self.runs.end, run, ok, more))

    async def _end(self, id_: str) -> None:
        """Write down how a program that was started has ended."""
        run = self._running.pop(id_, None)
        if run is None:
            return
        completed: Completed | None = None
        with trio.CancelScope(shield=True):
            try:
                completed = await self.ask(m.Wait(id=id_, timeout=_ENDING))
            except RunnerError:
                completed = None  # nobody knows any more
            await self.runs.prepare(run)
            ok = None if completed is None else True
            more: dict[str, Json] = {"id": id_, **about_end(completed)}
            await in_thread(partial(self.runs.end, run, ok, more, operation="exit"))
