"""A backend in which batches are journaled: all or none, also if this process is killed.

It is put around the backend of a live tree, or of a directory in it. A batch is then an act of the
workspace's journal (batching.py) instead of one that this process would undo; also one of a scope
in the tree, and of a straight view, as behind permissions. All else is the inner backend's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from runner import messages as m
from runner.backends.base import Backend, Later
from runner.backends.editing import edited, edited_lines, require_mode, require_unchanged
from runner.backends.straight import Resolved
from runner.backends.threads import breathe, in_thread
from runner.errors import AlreadyExists, OperationError
from runner.messages import AnswerT, Message
from runner.workspaces.batching import Batch
from runner.workspaces.live import Live


class JournaledBackend(Backend):
    """A backend in which batches are journaled.

    Args:
        inner: of the same files.
        live: the workspace, whose tree is there.
        inside: which directory of the tree.
        follows_links: whether links in paths are followed.
    """

    def __init__(
        self, inner: Backend, live: Live, inside: str = ".", *, follows_links: bool = True
    ) -> None:
        self._inner, self._live = inner, live
        self._inside, self._follows_links = inside, follows_links

    def __repr__(self) -> str:
        return f"<JournaledBackend on {self._inner!r}>"

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._inner.name

    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out a message; a batch through the journal."""
        if isinstance(message, m.Batch):
            answers = await in_thread(partial(self._carry_out, message))
            return cast("AnswerT", answers)
        return await self._inner.carry_out(message)

    def answer_now(self, message: Message[AnswerT], /) -> AnswerT | Later:
        """Carry out a message whose work is short."""
        answer: AnswerT | Later = self._inner.answer_now(message)
        return answer

    def holds(self) -> bool:
        """Whether something runs, or is open, in it."""
        return self._inner.holds()

    def straight(self) -> Backend:
        """The same files, in which no link is followed."""
        inner = self._inner.straight()
        return JournaledBackend(inner, self._live, self._inside, follows_links=False)

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads, links followed."""
        return self._inner.resolve(op, path, entry=entry)

    async def aclose(self) -> None:
        """Close what is open in it."""
        await self._inner.aclose()

    def _carry_out(self, message: m.Batch) -> tuple[object, ...]:
        """All of it or nothing; in a thread."""
        live = self._live
        assert live.attached is not None
        answers: list[object] = []
        batch = Batch(
            live.store,
            live.id,
            live.attached.root,
            place=live.place,
            inside=self._inside,
            follows_links=self._follows_links,
            durable=any(isinstance(each, m.Write) and each.durable for each in message.effects),
        )
        with batch:
            for number, effect in enumerate(message.effects, 1):
                breathe()
                try:
                    answers.append(_EFFECTS[type(effect)](batch, effect))
                except OperationError as error:
                    said = f"it was effect {number} of a batch: all are undone"
                    error.reason = f"{error.reason}; {said}"
                    raise
            try:
                batch.commit()
            except BaseException:
                live.unsettle()
                raise
        return tuple(answers)


def _write(batch: Batch, effect: m.Write) -> None:
    if effect.expected is not None:
        now = batch.read(effect.path) if batch.exists(effect.path) else None
        require_unchanged("write", now, effect)
    batch.write(effect.path, effect.content)


def _edit(batch: Batch, effect: m.Edit) -> int:
    content, count = edited(batch.read(effect.path), effect)
    batch.write(effect.path, content)
    return count


def _edit_lines(batch: Batch, effect: m.EditLines) -> int:
    content, grown = edited_lines(batch.read(effect.path), effect)
    batch.write(effect.path, content)
    return grown


def _touch(batch: Batch, effect: m.Touch) -> None:
    if not batch.exists(effect.path):
        batch.write(effect.path, b"")
    elif not effect.exist_ok:
        raise AlreadyExists("touch", effect.path)
    else:  # a file of the same content is one that was modified now
        batch.write(effect.path, batch.read(effect.path))


def _chmod(batch: Batch, effect: m.Chmod) -> None:
    require_mode(effect.path, effect.mode, "")
    batch.chmod(effect.path, effect.mode)


_EFFECTS: dict[type[Message[Any]], Callable[[Batch, Any], object]] = {
    m.Write: _write,
    m.Append: lambda batch, effect: batch.append(effect.path, effect.content),
    m.Edit: _edit,
    m.EditLines: _edit_lines,
    m.Touch: _touch,
    m.Mkdir: lambda batch, effect: batch.mkdir(effect.path, exist_ok=effect.exist_ok),
    m.Chmod: _chmod,
    m.Copy: lambda batch, effect: batch.copy(
        effect.source, effect.target, overwrite=effect.overwrite
    ),
    m.Move: lambda batch, effect: batch.move(
        effect.source, effect.target, overwrite=effect.overwrite
    ),
    m.Remove: lambda batch, effect: batch.remove(
        effect.path, recursive=effect.recursive, missing_ok=effect.missing_ok
    ),
}
