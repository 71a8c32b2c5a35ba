"""The memory backend: the same contract on a tree of dictionaries. For tests, plans and drafts.

Model. Every operation is one synchronous block after its checkpoint, so it is atomic and cannot be
torn by a cancellation: the function that `BY` names.

What this does not do: run programs; keep anything when the process ends.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, cast

import trio

from runner import messages as m
from runner.backends.base import Backend
from runner.backends.failures import unknown
from runner.backends.memory import changing, looking, observing, searching, streams
from runner.backends.memory.tree import NAME, NO_LIMITS, Tree
from runner.backends.memory.tree import MemoryLimits as MemoryLimits
from runner.backends.straight import Resolved
from runner.errors import ConfigError, ExecFailed, OperationError
from runner.messages import AnswerT, Message
from runner.operations.soundness import require_sound, shown


def _no_program(op: str) -> Callable[[Tree, Any], NoReturn]:
    def refuse(_tree: Tree, message: m.Exec | m.Start | m.Wait) -> NoReturn:
        command = message.command if isinstance(message, m.Exec | m.Start) else message.id
        raise ExecFailed(
            op,
            command if isinstance(command, str) else " ".join(command),
            "the files are in memory, where no program can see them",
            scope=NAME,
            hint="use a scope with a LocalBackend",
        )

    return refuse


def _no_programs(_tree: Tree, _message: m.ListProcesses) -> tuple[m.ProcessInfo, ...]:
    return ()


def _batch(tree: Tree, message: m.Batch) -> tuple[object, ...]:
    before, used = tree.top, tree.used
    tree.top = copy.deepcopy(before)
    answers: list[object] = []
    try:
        for effect in message.effects:
            answers.append(BY[type(effect)](tree, effect))  # noqa: PERF401 - counted on failure
    except OperationError as error:
        tree.top, tree.used = before, used
        number = len(answers) + 1
        error.reason = f"{error.reason}; it was effect {number} of a batch: all are undone"
        raise
    return tuple(answers)


BY: dict[type[Message[Any]], Callable[[Tree, Any], object]] = {
    m.Read: observing.read,
    m.Stat: observing.stat,
    m.Exists: observing.exists,
    m.Ls: observing.ls,
    m.Glob: searching.glob,
    m.Grep: searching.grep,
    m.ReadLines: looking.read_lines,
    m.Digest: looking.digest,
    m.Realpath: looking.realpath,
    m.Download: looking.download,
    m.Tree: looking.draw,
    m.ListKeys: looking.list_keys,
    m.Write: changing.write,
    m.Append: changing.append,
    m.Edit: changing.edit,
    m.EditLines: changing.edit_lines,
    m.Touch: changing.touch,
    m.Mkdir: changing.mkdir,
    m.Chmod: changing.chmod,
    m.Copy: changing.copy,
    m.Move: changing.move,
    m.Remove: changing.remove,
    m.Upload: changing.upload,
    m.Batch: _batch,
    m.OpenReader: streams.open_reader,
    m.OpenWriter: streams.open_writer,
    m.ReadStream: streams.read_stream,
    m.WriteStream: streams.write_stream,
    m.CommitStream: streams.commit_stream,
    m.CloseStream: streams.close_stream,
    m.Exec: _no_program("exec"),
    m.Start: _no_program("start"),
    m.Poll: _no_program("poll"),
    m.Wait: _no_program("wait"),
    m.Signal: _no_program("signal"),
    m.Kill: _no_program("kill"),
    m.WriteInput: _no_program("write_input"),
    m.ListProcesses: _no_programs,
}


def _bytes_of(content: bytes | str) -> bytes:
    return content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content


class MemoryBackend(Backend):
    """Files in memory. Programs cannot run here.

    Args:
        files: what is there at the beginning, by path; text is kept as UTF-8.
        limits: how much it takes; beyond, an effect is NoSpace and has changed nothing.
    """

    def __init__(
        self,
        files: Mapping[str, bytes | str] | None = None,
        *,
        limits: MemoryLimits = NO_LIMITS,
    ) -> None:
        self._tree = Tree(limits)
        if files is not None and not isinstance(files, Mapping):
            raise ConfigError(f"MemoryBackend: {shown(files)} is no mapping of paths to contents")
        for path, content in (files or {}).items():
            message = m.Write(path=path, content=_bytes_of(content))
            require_sound(message, NAME)
            changing.write(self._tree, message)

    def __repr__(self) -> str:
        return f"<MemoryBackend {len(self._tree.top.entries)} entries>"

    @property
    def name(self) -> str:
        """What errors call it."""
        return NAME

    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out a message: by the function that the table names."""
        work = BY.get(type(message))
        if work is None:
            raise unknown(message, NAME)
        return cast("AnswerT", work(self._tree, message))

    def straight(self) -> MemoryBackend:
        """The same files: there are no links here."""
        return self

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads: where it says, since there are no links."""
        route = self._tree.route(op, path)
        return Resolved(
            given=route.names, names=route.names, directory=route.directory, root="/", real_root="/"
        )

    def holds(self) -> bool:
        """Whether a stream is open."""
        return bool(self._tree.streams)

    async def aclose(self) -> None:
        """Nothing is held; the files stay as long as the object."""
        await trio.lowlevel.checkpoint()
