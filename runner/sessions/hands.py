"""Files that a program has read and written by us, beneath its session's directory.

    asked ──► the scope's rules (actor.py) ──► in a line ──► done, one after the other ──► told

What is asked for in that order is done in that order: some programs (opencode) do not wait for the
end of a write before they ask for the next. Paths are those of a scope on the directory: none leads
out of it, whatever links there are, and what is written is replaced whole.

A program that an isolation holds is not offered this: it is held, and our hands would not be.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import attrs
import trio

from runner.agents.events import (
    ApprovalAsked,
    ApprovalKind,
    Decision,
    FileAnswer,
    FileAsked,
    FileChange,
    ReadAsked,
)
from runner.backends.local import LocalBackend
from runner.errors import NotFound, RunnerError
from runner.sessions.approving import REFUSED
from runner.sessions.program import Program

# As much as a message to a program may be.
LARGEST = 64 << 20
# How long what was begun may take to end once nobody waits for it.
PATIENCE = 10.0

ALLOWED = Decision(allow=True)


@attrs.define(eq=False)
class _Work:
    cancel_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    over: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class Hands:
    """What does it, for one session.

    Attributes:
        directory: the session's, absolute.
        changed: told of each file that was written.
    """

    directory: str
    changed: Callable[[FileChange], None]
    _line: list[tuple[FileAsked, Program]] = attrs.field(factory=list)
    _nursery: trio.Nursery | None = None
    _work: _Work | None = None

    def move_in(self, nursery: trio.Nursery) -> None:
        """Have a nursery from now on: an incarnation of the actor begins."""
        self._nursery = nursery

    def take(self, asked: FileAsked, program: Program, decision: Decision = ALLOWED) -> None:
        """Have it done, and the program told what came of it, unless it is put down before."""
        assert self._nursery is not None
        if not decision.allow:
            give(program, asked, FileAnswer(refusal=decision.message or REFUSED))
            return
        self._line.append((asked, program))
        if self._work is None:
            self._work = _Work()
            self._nursery.start_soon(self._do, self._work)

    async def put_down(self) -> None:
        """Nothing of it goes on after this; a file is as before, or as after."""
        self._line.clear()
        if self._work is not None:
            self._work.cancel_scope.cancel(reason="nobody waits for the file any more")
            with trio.CancelScope(shield=True, deadline=trio.current_time() + PATIENCE):
                await self._work.over.wait()

    async def _do(self, work: _Work) -> None:
        try:
            with work.cancel_scope:
                backend = LocalBackend(self.directory, create=False)
                while self._line:
                    asked, program = self._line.pop(0)
                    give(program, asked, await self._answer(backend, asked))
        finally:
            self._line.clear()
            self._work = None
            work.over.set()

    async def _answer(self, backend: LocalBackend, asked: FileAsked) -> FileAnswer:
        try:
            if isinstance(asked, ReadAsked):
                return await _read(backend, asked)
            was_there = await backend.exists(asked.path)
            await backend.write(asked.path, asked.text)
        except NotFound as error:
            return FileAnswer(refusal=str(error), is_missing=True)
        except RunnerError as error:
            return FileAnswer(refusal=str(error))
        self.changed(FileChange(path=asked.path, kind="modified" if was_there else "created"))
        return FileAnswer()


def give(program: Program, asked: FileAsked, answer: FileAnswer) -> None:
    """Tell the program what came of it."""
    program.conversation.give(asked.id, answer)
    program.flush()


async def _read(backend: LocalBackend, asked: ReadAsked) -> FileAnswer:
    content = await backend.read(asked.path, encoding=None, limit=LARGEST + 1)
    if len(content) > LARGEST:
        return FileAnswer(refusal=f"it is larger than {LARGEST} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return FileAnswer(refusal=f"it is no UTF-8 text: byte 0x{content[error.start]:02x}")
    if asked.line == 1 and asked.limit is None:
        return FileAnswer(text=text)
    end = None if asked.limit is None else asked.line - 1 + asked.limit
    return FileAnswer(text="".join(islice(_lines(text), asked.line - 1, end)))


def _lines(text: str) -> list[str]:
    """Its lines, with their ends; nothing but a newline ends one."""
    *lines, last = text.split("\n")
    return [*(f"{line}\n" for line in lines), *([last] if last else [])]


def approval_of(asked: FileAsked) -> ApprovalAsked:
    """The same, as something that may be refused."""
    if isinstance(asked, ReadAsked):
        return _approval(asked, "read", "tool", {})
    return _approval(asked, "write", "edit", {"content": asked.text})


def _approval(
    asked: FileAsked, tool: str, kind: ApprovalKind, more: dict[str, object]
) -> ApprovalAsked:
    return ApprovalAsked(
        id=asked.id,
        tool=tool,
        input={"path": asked.path, **more},
        kind=kind,
        text=asked.path,
        paths=(asked.path,),
    )
