"""The backend of the scopes in a workspace: files and programs in its live tree.

It holds the tree as long as it is open (live.py), so that the workspace's actor keeps it attached
and locked; asks for it at its first operation; and has batches journaled: they are all or nothing
also if this process is killed. All else is the inner backend's.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable

from runner.backends.base import LATER, Backend, Later
from runner.backends.straight import Resolved
from runner.errors import OperationError
from runner.messages import AnswerT, Message
from runner.processes.host import ProcessHost
from runner.workspaces.live import Live
from runner.workspaces.making import Attached

MakeInner = Callable[[Attached, ProcessHost], Backend]


class LiveBackend(Backend):
    """Files and programs in a workspace's live tree.

    Args:
        live: the workspace.
        enter: asks its actor for the tree.
        make_inner: makes the backend of the tree, when it is there.
        host: runs programs, unless they have to enter namespaces where the tree is.
    """

    def __init__(
        self,
        live: Live,
        enter: Callable[[], Awaitable[Attached]],
        make_inner: MakeInner,
        host: ProcessHost,
    ) -> None:
        self._live, self._enter, self._make_inner, self._host = live, enter, make_inner, host
        self._inner: Backend | None = None
        self._own_host: ProcessHost | None = None

    def __repr__(self) -> str:
        return f"<LiveBackend of {self._live.name!r} at {self._live.tree!r}>"

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._live.name

    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out a message, once the tree is there."""
        live, inner = self._live, self._inner
        live.require()
        if inner is None or live.attached is None:
            inner = await self._be_here()
            answer = self.answer_now(message)
            if not isinstance(answer, Later):
                return answer
        try:
            return await inner.carry_out(message)
        except OperationError as error:
            _let_go(error)
            raise

    def answer_now(self, message: Message[AnswerT], /) -> AnswerT | Later:
        """Carry out a message whose work is short, if the tree is there."""
        live = self._live
        if self._inner is None or live.attached is None:
            return LATER
        try:
            answer: AnswerT | Later = self._inner.answer_now(message)
        except OperationError as error:
            _let_go(error)
            raise
        return answer

    async def _be_here(self) -> Backend:
        self._live.holders.add(self)
        attached = await self._enter()
        if self._inner is None:
            host = self._host
            if attached.enter:
                host = self._own_host = attached.host(host.run_id)
            self._inner = self._make_inner(attached, host)
        return self._inner

    def holds(self) -> bool:
        """Whether something runs, or is open, in it."""
        return self._inner is not None and self._inner.holds()

    def straight(self) -> Backend:
        """The same files, in which no link is followed."""

        def make(attached: Attached, host: ProcessHost) -> Backend:
            return self._make_inner(attached, host).straight()

        return LiveBackend(self._live, self._enter, make, self._host)

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads, links followed."""
        inner = self._inner or self._make_inner(Attached(tree=self._live.tree), self._host)
        return inner.resolve(op, path, entry=entry)

    async def aclose(self) -> None:
        """Close what is open in it, and hold the tree no more."""
        inner, self._inner = self._inner, None
        try:
            if inner is not None:
                await inner.aclose()
            if self._own_host is not None:
                await self._own_host.aclose()
        finally:
            self._own_host = None
            self._live.holders.discard(self)


def _let_go(error: BaseException | None) -> None:
    """Have an error hold nothing.

    Whoever keeps one would keep descriptors of the tree open, by the frames that it came through,
    and a tree in which something is open cannot be unmounted. Of what it came from, only what the
    system said is ours.
    """
    while isinstance(error, OperationError | OSError):
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
