"""A backend whose changes and programs are audited; it is put around that of a live tree.

Model. Of each message that changes or runs something: what it is about is looked at, its intent
written down, it is carried out, what it is about is looked at again, and its rows are written down
(trail.py); all that within its turn in the scope's order, so no other operation comes between.
Short work on small files is done at once, in trio's thread, as it is without the audit.

    one path          a row
    many, or a tree   a row for each path; for a directory of more than 1,000 entries, one for all
    exec, start       the command without secrets; the exit code and the duration, of what was
                      started as a row "exit" once it has ended and somebody knows; how many
                      files it changed (`changes`), and before it a row for each: "write", "remove",
                      "chmod", "mkdir", with `by` and when that began; if they are more than 1,000,
                      one row "changes" has their number. What would take long to be known is not
                      said (glancing.py)

`ok` is False for what failed, and unknown for what was cancelled; the sizes and digests then say
what is there. What only looks is not audited.

Permissions go around it, so what they deny never comes here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from os.path import normpath
from typing import Any, cast

import attrs
import trio

from runner import messages as m
from runner.backends.base import LATER, Backend, Later
from runner.backends.files import SMALL
from runner.backends.straight import Resolved
from runner.backends.threads import in_thread
from runner.errors import OperationError, RunnerError
from runner.messages import AnswerT, Completed, Message
from runner.operations.op_names import op_name, subject_of
from runner.scopes.operation_log import LOOKING
from runner.scopes.who import Who
from runner.workspaces.audit_acts import Begun, Doing, Sight, changed, rows_of
from runner.workspaces.audit_facts import NOW, SPOTS, about_end, details_of, is_short
from runner.workspaces.glancing import Glancer, Glimpse
from runner.workspaces.records import AuditRecord, Json
from runner.workspaces.trail import Trail
from runner.workspaces.witness import Seen, Spot, TooLarge, Witness, digest_of

_ENDING = 5.0  # seconds to see how something ended


class AuditedBackend(Backend):
    """A backend whose changes and programs are audited.

    Args:
        inner: carries the messages out.
        trail: where they are written down.
        who: on whose behalf.
        witness: looks at the tree that the inner backend is for, or is in.
        inside: the path from the tree's top to the inner backend's root; "." = that is the top.
        glancer: sees what programs change; None = nobody does.
    """

    def __init__(
        self,
        inner: Backend,
        trail: Trail,
        who: Who,
        witness: Witness,
        *,
        inside: str = ".",
        glancer: Glancer | None = None,
    ) -> None:
        """Nothing is touched yet."""
        self._glancer = glancer
        self._inner, self._trail, self._who = inner, trail, who
        self._witness = witness
        self._prefix = "" if inside == "." else f"{inside}/"
        self._writers: dict[str, str] = {}  # paths of files that are being written, by stream
        self._running: dict[str, tuple[Begun, Glimpse | None]] = {}  # programs that were started

    def __repr__(self) -> str:
        return f"<AuditedBackend on {self._inner!r}>"

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._inner.name

    def straight(self) -> AuditedBackend:
        """The same files, in which no link is followed."""
        return AuditedBackend(
            self._inner.straight(),
            self._trail,
            self._who,
            self._witness,
            inside=self._prefix.rstrip("/") or ".",
            glancer=self._glancer,
        )

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads, links followed."""
        return self._inner.resolve(op, path, entry=entry)

    def holds(self) -> bool:
        """Whether there is something that `aclose` would end."""
        return self._inner.holds()

    async def aclose(self) -> None:
        """Let go of what the inner backend holds, and write down that its programs have ended."""
        try:
            for id_ in tuple(self._running):
                with suppress(RunnerError):  # it has ended already
                    await self._ask(m.Kill(id=id_))
                await self._end(id_)
        finally:
            await self._inner.aclose()

    # ------------------------------------------------------------ at once

    def answer_now(self, message: Message[AnswerT], /) -> AnswerT | Later:
        """Carry out a message whose work is short, and audit it."""
        kind = type(message)
        if kind in LOOKING:
            looked: AnswerT | Later = self._inner.answer_now(message)
            return looked
        if kind is m.OpenWriter:
            answer: AnswerT | Later = self._inner.answer_now(message)
            return self._noted(message, answer)
        if kind not in NOW or not is_short(message):
            return LATER
        return self._change_now(message)

    def _change_now(self, message: Message[AnswerT]) -> AnswerT | Later:
        doing = self._doing(message)
        try:
            before = self._witness.look(doing.spots, most=SMALL)
        except TooLarge:
            return LATER
        begun = self._trail.begin_now(doing, self._who, before)
        if begun is None:
            return LATER
        failure: RunnerError | None = None
        answer: AnswerT | Later = LATER
        rows: list[AuditRecord] = []
        try:
            try:
                answer = self._inner.answer_now(message)
                if not isinstance(answer, Later):
                    rows = self._rows(message, begun, True, {})
            except RunnerError as error:
                failure = error
                rows = self._rows(message, begun, False, self._why(error))
        except BaseException:
            self._trail.drop()
            raise
        self._trail.end(begun, rows)
        if failure is not None:
            raise failure
        return answer

    def _doing(self, message: Message[Any]) -> Doing:
        spots = SPOTS[type(message)](message)
        if self._prefix:
            spots = tuple(self._from_top(each) for each in spots)
        return Doing(operation=op_name(type(message)), spots=spots, details=details_of(message))

    def _from_top(self, spot: Spot) -> Spot:
        path = spot.path if spot.path.startswith("/") else self._prefix + spot.path
        return Spot(path, spot.entry, spot.deep)

    def _after(self, message: Message[Any], begun: Begun) -> Sight:
        """What is there now; of what was written whole that is known."""
        if isinstance(message, m.Write) and len(begun.before) == 1:
            ((path, old),) = begun.before.items()
            mode = 0 if old is None else old.mode
            return {path: Seen("file", len(message.content), digest_of(message.content), mode)}
        return self._witness.look(begun.doing.spots)

    def _why(self, error: Exception) -> dict[str, Json]:
        reason = error.reason if isinstance(error, OperationError) else str(error)
        return {"error": type(error).__name__, "reason": self._trail.redacted(reason)}

    # ------------------------------------------------------------ what takes longer

    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out a message, and audit it."""
        match message:
            case m.Exec() | m.Start():
                return cast("AnswerT", await self._run(message))
            case m.Kill() | m.Wait() | m.Poll():
                return cast("AnswerT", await self._guide(message))
            case m.CommitStream():
                return cast("AnswerT", await self._commit(message))
            case m.CloseStream():
                self._writers.pop(message.id, None)
            case _ if type(message) in SPOTS:
                return await self._change(message, self._doing(message))
            case _:
                pass
        return self._noted(message, await self._ask(message))

    async def _ask(self, message: Message[AnswerT]) -> AnswerT:
        answer: AnswerT | Later = self._inner.answer_now(message)
        return await self._inner.carry_out(message) if isinstance(answer, Later) else answer

    async def _change(self, message: Message[AnswerT], doing: Doing) -> AnswerT:
        begun = await in_thread(partial(self._begin, doing))
        try:
            answer = await self._ask(message)
        except RunnerError as error:
            with trio.CancelScope(shield=True):
                why = self._why(error)
                await in_thread(partial(self._finish, message, begun, False, why))
            raise
        except BaseException:
            with trio.CancelScope(shield=True):
                await in_thread(partial(self._finish, message, begun, None, {"cancelled": True}))
            raise
        with trio.CancelScope(shield=True):  # it is done: that has to be said
            await in_thread(partial(self._finish, message, begun, True, {}, answer))
        return answer

    def _begin(self, doing: Doing) -> Begun:
        return self._trail.begin(doing, self._who, self._witness.look(doing.spots))

    def _finish(
        self,
        message: Message[Any],
        begun: Begun,
        ok: bool | None,
        more: Mapping[str, Json],
        answer: object = None,
    ) -> None:
        if isinstance(message, m.Upload) and isinstance(answer, tuple):
            rows = self._uploaded(begun, answer)
        else:
            rows = self._rows(message, begun, ok, more)
        self._trail.end(begun, rows)

    def _rows(
        self, message: Message[Any], begun: Begun, ok: bool | None, more: Mapping[str, Json]
    ) -> list[AuditRecord]:
        after = self._after(message, begun) if ok else self._witness.look(begun.doing.spots)
        return rows_of(self._trail.row, begun, after, ok, more)

    def _uploaded(self, begun: Begun, answer: tuple[m.Stored, ...]) -> list[AuditRecord]:
        """The rows of an upload: each file failed or did not by itself."""
        after: Sight = {}
        errors: dict[str, m.Failure | None] = {}
        for spot, stored in zip(begun.doing.spots, answer, strict=True):
            for path, seen in self._witness.look((spot,)).items():
                after[path], errors[path] = seen, stored.error
        rows: list[AuditRecord] = []
        for path, error in errors.items():
            why: dict[str, Json] = {}
            if error is not None:
                why = {"error": error.kind, "reason": self._trail.redacted(error.reason)}
            one = attrs.evolve(begun, before={path: begun.before.get(path)})
            rows += rows_of(self._trail.row, one, {path: after[path]}, error is None, why)
        return rows

    # ------------------------------------------------------------ streams

    def _noted(self, message: Message[Any], answer: AnswerT) -> AnswerT:
        if isinstance(message, m.OpenWriter) and isinstance(answer, m.Opened):
            self._writers[answer.id] = message.path
        return answer

    async def _commit(self, message: m.CommitStream) -> Any:
        path = self._writers.pop(message.id, None)
        if path is None:
            return await self._ask(message)
        spot = self._from_top(Spot(path)) if self._prefix else Spot(path)
        return await self._change(message, Doing(operation="write", spots=(spot,)))

    # ------------------------------------------------------------ programs

    def _command(self, message: m.Exec | m.Start) -> Doing:
        command = self._trail.redacted(subject_of(message) or "", dict(message.env))
        details: dict[str, Json] = {
            "command": command,
            "cwd": normpath(self._prefix + message.cwd),
        }
        return Doing(operation=op_name(type(message)), details=details)

    async def _run(self, message: m.Exec | m.Start) -> Any:
        trail, doing = self._trail, self._command(message)
        begun, glimpse = await in_thread(partial(self._begin_program, doing))
        try:
            answer: Completed | m.Started = await self._ask(cast("Message[Any]", message))
        except Exception as error:
            with trio.CancelScope(shield=True):
                await self._say(begun, False, self._why(error), glimpse)
            raise
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._say(begun, None, {"cancelled": True}, glimpse)
            raise
        if isinstance(answer, m.Started):
            self._running[answer.id] = begun, glimpse
            more: dict[str, Json] = {"id": answer.id, "pid": answer.pid}
            details = {**doing.details, **more}
            with trio.CancelScope(shield=True):
                await in_thread(partial(trail.note, "start", self._who, details=details))
        else:
            await self._say(begun, True, about_end(answer), glimpse)
            if answer.kept:  # it left something running: that has an end of its own
                with trio.CancelScope(shield=True):
                    kept = attrs.evolve(doing, operation="start")
                    begin = partial(self._begin_program, kept)
                    self._running[answer.kept] = await in_thread(begin)
        return answer

    def _begin_program(self, doing: Doing) -> tuple[Begun, Glimpse | None]:
        begun = self._trail.begin(doing, self._who, {})
        glimpse = None
        if self._glancer is not None:
            with suppress(RunnerError, OSError):
                glimpse = self._glancer.begin()
        if glimpse is not None:
            self._trail.follow(glimpse)
        return begun, glimpse

    async def _say(
        self, begun: Begun, ok: bool | None, more: Mapping[str, Json], glimpse: Glimpse | None
    ) -> None:
        def end() -> None:
            changes, count = self._changes(begun, glimpse)
            rows = rows_of(self._trail.row, begun, {}, ok, {**more, **count})
            self._trail.end(begun, [*changes, *rows])

        with trio.CancelScope(shield=True):
            await in_thread(end)

    def _changes(
        self, begun: Begun, glimpse: Glimpse | None
    ) -> tuple[list[AuditRecord], dict[str, Json]]:
        """The rows of what a program has changed, and how many paths that are, if it is known."""
        if self._glancer is None or glimpse is None:
            return [], {}
        self._trail.unfollow(glimpse)
        found = None
        with suppress(RunnerError, OSError):  # what cannot be looked at, nobody knows
            found = self._glancer.end(glimpse)
        if found is None:
            return [], {}
        by: dict[str, Json] = {"by": begun.doing.operation, "began": begun.at}
        rows = [changed(self._trail.row, begun.who, each, by) for each in found.paths]
        count: dict[str, Json] = {"changes": found.count}
        if found.count > len(rows):
            rows = [self._trail.row("changes", begun.who, path=".", details={**by, **count})]
        return rows, count

    async def _guide(self, message: m.Kill | m.Wait | m.Poll) -> object:
        """Look after a program that was started; if it has ended, write that down."""
        if isinstance(message, m.Kill) and message.id in self._running:
            was_running = await self._ask(m.Kill(id=message.id))
            await self._end(message.id)
            if message.forget:
                await self._ask(message)
            return was_running
        answer: object = await self._ask(cast("Message[Any]", message))
        if isinstance(answer, Completed) or (isinstance(answer, m.News) and answer.is_last):
            await self._end(message.id)
        return answer

    async def _end(self, id_: str) -> None:
        """Write down how a program that was started has ended."""
        begun, glimpse = self._running.pop(id_, (None, None))
        if begun is None:
            return
        completed: Completed | None = None
        with trio.CancelScope(shield=True):
            try:
                completed = await self._ask(m.Wait(id=id_, timeout=_ENDING))
            except RunnerError:
                completed = None  # nobody knows any more
            ok = None if completed is None else True
            more: dict[str, Json] = {"id": id_, **about_end(completed)}
            await in_thread(partial(self._end_program, begun, glimpse, ok, more))

    def _end_program(
        self, begun: Begun, glimpse: Glimpse | None, ok: bool | None, more: Mapping[str, Json]
    ) -> None:
        changes, count = self._changes(begun, glimpse)
        details = {**begun.doing.details, **more, **count}
        row = self._trail.row("exit", begun.who, ok=ok, details=details)
        self._trail.end(begun, [*changes, row])
