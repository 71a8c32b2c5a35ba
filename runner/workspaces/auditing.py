"""A backend whose changes and programs are audited; it is put around that of a live tree.

Model. Of each message that changes or runs something: what it is about is looked at, its intent
written down, it is carried out, what it is about is looked at again, and its rows are written down
(trail.py); all that within its turn in the scope's order, so no other operation comes between.
Short work on small files is done at once, in trio's thread, as it is without the audit.

    one path          a row
    many, or a tree   a row for each path; for a directory of more than 1,000 entries, one for all
    exec, start       its command and its end, and what it has changed (audit_programs.py)

`ok` is False for what failed, and unknown for what was cancelled; the sizes and digests then say
what is there. What only looks is not audited.

Permissions go around it, so what they deny never comes here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, cast

import attrs
import trio

from runner import messages as m
from runner.backends.base import LATER, Backend, Later
from runner.backends.files import SMALL
from runner.backends.straight import Resolved
from runner.backends.threads import in_thread
from runner.errors import RunnerError
from runner.messages import AnswerT, Message
from runner.operations.op_names import op_name
from runner.scopes.operation_log import LOOKING
from runner.scopes.who import Who
from runner.workspaces.audit_acts import Begun, Doing, Sight, rows_of
from runner.workspaces.audit_facts import NOW, SPOTS, details_of, is_short
from runner.workspaces.audit_programs import Programs
from runner.workspaces.audit_runs import Runs
from runner.workspaces.audit_writes import Writes, WriteSeen, written
from runner.workspaces.glancing import Glancer
from runner.workspaces.records import NOTHING, AuditRecord, Json
from runner.workspaces.trail import Trail
from runner.workspaces.witness import Spot, TooLarge, Witness


class AuditedBackend(Backend):
    """A backend whose changes and programs are audited.

    Args:
        inner: carries the messages out.
        trail: where they are written down.
        who: on whose behalf.
        witness: looks at the tree that the inner backend is for, or is in.
        inside: the path from the tree's top to the inner backend's root; "." = that is the top.
        glancer: sees what programs change; None = nobody does.
        find_base: finds out what an overlay's base has.
        write_seen: the inner backend's way to write a small file, if its root is the tree's top.
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
        write_seen: WriteSeen | None = None,
        find_base: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint,
    ) -> None:
        """Nothing is touched yet."""
        self._glancer = glancer
        self._inner, self._trail, self._who = inner, trail, who
        self._witness = witness
        self._writes = None if write_seen is None else Writes(write_seen, trail, who, witness)
        self._prefix = "" if inside == "." else f"{inside}/"
        self._writers: dict[str, str] = {}  # paths of files that are being written, by stream
        self._find_base = find_base
        runs = Runs(trail, who, glancer, find_base)
        self._programs = Programs(self._ask, runs, self._prefix)

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
            find_base=self._find_base,
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
            await self._programs.aclose()
        finally:
            await self._inner.aclose()

    # ------------------------------------------------------------ at once

    def answer_now(self, message: Message[AnswerT], /) -> AnswerT | Later:
        """Carry out a message whose work is short, and audit it."""
        kind = type(message)
        if isinstance(message, m.Write) and self._writes is not None:
            done = self._writes.carry_out(message)
            if done is None:
                return cast("AnswerT", None)
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
        ok, more = True, NOTHING
        try:
            try:
                answer = self._inner.answer_now(message)
            except RunnerError as error:
                failure, ok, more = error, False, self._trail.secrets.why(error)
            if isinstance(answer, Later) and ok:
                after = None
            else:
                after = self._after(message, begun) if ok else self._witness.look(doing.spots)
        except BaseException:
            self._trail.drop()
            raise
        if after is None:
            self._trail.take_back()
            return LATER
        self._trail.end_now(begun, after, ok, more)
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
            return written(message, begun)
        return self._witness.look(begun.doing.spots)

    # ------------------------------------------------------------ what takes longer

    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out a message, and audit it."""
        match message:
            case m.Exec() | m.Start():
                return cast("AnswerT", await self._programs.run(message))
            case m.Kill() | m.Wait() | m.Poll():
                return cast("AnswerT", await self._programs.guide(message))
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
                why = self._trail.secrets.why(error)
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
                why = {"error": error.kind, "reason": self._trail.secrets.redacted(error.reason)}
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
