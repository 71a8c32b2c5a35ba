"""The local backend: files by descriptor beneath one directory, programs through a process host.

Model. Nothing is touched before the first operation, which opens the root directory; from then on
the scope *is* that descriptor (a directory that is moved is followed, one that is removed is made
or sought anew). An observation of a missing root is NotFound; an effect makes it, if `create`.

Each message is carried out by the function that `LATER_BY` (or, for short work, `NOW_BY`) names:
observing.py, looking.py, changing.py, moving.py, batching.py, searching.py, running.py.

What this does not do: order (an actor's), permissions (a wrapper's); and it is no boundary for the
programs that it runs, unless an `isolation` is given.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, cast

from runner import messages as m
from runner.backends.base import LATER, Backend, Later
from runner.backends.beneath import Names, Opener
from runner.backends.failures import unknown
from runner.backends.local import (
    batching,
    changing,
    looking,
    moving,
    observing,
    running,
    searching,
    streams,
)
from runner.backends.local.batching import EFFECTS
from runner.backends.local.place import Place
from runner.backends.roots import Root
from runner.backends.straight import Resolved
from runner.backends.threads import in_thread
from runner.messages import AnswerT, Isolation, Message
from runner.messages.isolation import Decided
from runner.processes.host import ProcessHost


async def _in_thread(work: Callable[[Place, Any], object], place: Place, message: object) -> object:
    return await in_thread(lambda: work(place, message))


_NO_ENV: Mapping[str, str] = MappingProxyType({})

NOW_BY: dict[type[Message[Any]], Callable[[Place, Any], object]] = {
    m.Read: observing.read_now,
    m.Stat: observing.stat_now,
    m.Exists: observing.exists_now,
    m.ReadLines: looking.read_lines_now,
    m.Realpath: looking.realpath_now,
    m.Write: changing.write_now,
    m.Append: changing.append_now,
    m.Edit: changing.edit_now,
    m.EditLines: changing.edit_lines_now,
    m.Touch: changing.touch,
    m.Mkdir: changing.mkdir,
    m.Chmod: changing.chmod,
    m.Copy: moving.copy_now,
    m.Move: moving.move_now,
    m.Remove: moving.remove_now,
    m.OpenReader: streams.open_reader,
    m.OpenWriter: streams.open_writer,
    m.Signal: running.signal,
    m.ListProcesses: running.list_processes,
}
LATER_BY: dict[type[Message[Any]], Callable[[Place, Any], Awaitable[object]]] = {
    m.Read: observing.read,
    m.Ls: observing.ls,
    m.Glob: searching.glob,
    m.Grep: searching.grep,
    m.ReadLines: looking.read_lines,
    m.Digest: looking.digest,
    m.Download: looking.download,
    m.Tree: searching.tree,
    m.ListKeys: searching.list_keys,
    **{message: partial(_in_thread, work) for message, work in EFFECTS.items()},
    m.Upload: changing.upload,
    m.Batch: batching.batch,
    m.ReadStream: streams.read_stream,
    m.WriteStream: streams.write_stream,
    m.CommitStream: streams.commit_stream,
    m.CloseStream: streams.close_stream,
    m.Exec: running.run,
    m.Start: running.start,
    m.Poll: running.poll,
    m.Wait: running.wait,
    m.Kill: running.kill,
    m.WriteInput: running.write_input,
}


class LocalBackend(Backend):
    """Files and programs in one directory of this machine. Constructed without touching it.

    Args:
        root: the directory; relative to the working directory of now.
        host: runs programs; one of our own is made at the first exec if None.
        env: variables for every program, on top of the allow-listed ones.
        create: whether an effect makes a missing root.
        isolation: what is to hold programs inside the root; None = nothing.
        decided: told of each decision of the proxy, if the isolation lists hosts; to be quick.
        beneath: a directory that the root must lie in, links resolved: for a scope of a scope.
        opener: forces one way of path containment (for tests).
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        host: ProcessHost | None = None,
        env: Mapping[str, str] = _NO_ENV,
        create: bool = True,
        isolation: Isolation | None = None,
        decided: Decided | None = None,
        beneath: str | os.PathLike[str] | None = None,
        opener: Opener = "auto",
    ) -> None:
        directory = Root(root, create=create, beneath=beneath, opener=opener)
        self._place = Place(directory, host=host, env=env, isolation=isolation, decided=decided)

    def __repr__(self) -> str:
        return f"<LocalBackend {self.root!r} {self._place.root.opener}>"

    @property
    def root(self) -> str:
        """The directory's absolute path, as it was given."""
        return self._place.root.path

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.root

    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out a message: by the function that the tables name."""
        work = LATER_BY.get(type(message))
        if work is not None:
            return cast("AnswerT", await work(self._place, message))
        at_once = NOW_BY.get(type(message))
        if at_once is None:
            raise unknown(message, self.name)
        return cast("AnswerT", at_once(self._place, message))

    def answer_now(self, message: Message[AnswerT], /) -> AnswerT | Later:
        """Carry out a message whose work is short, without a checkpoint."""
        work = NOW_BY.get(type(message))
        return LATER if work is None else cast("AnswerT | Later", work(self._place, message))

    def write_seen(
        self, message: m.Write, see: Callable[[int, Names, os.stat_result | None], bool]
    ) -> Later | None:
        """Write a small file, for who has to know first what stands there; see changing.py."""
        return changing.write_seen(self._place, message, see)

    def straight(self) -> LocalBackend:
        """The same files, in which no link is followed; programs run as before."""
        other = copy.copy(self)
        other._place = self._place.straight()  # noqa: SLF001 - of the same class
        return other

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads, links followed."""
        return self._place.resolve(op, path, entry=entry)

    def holds(self) -> bool:
        """Whether a program runs here that was started or left behind on request."""
        return self._place.holds()

    async def aclose(self) -> None:
        """End what still runs here, and let go of the directory."""
        await self._place.aclose()
