"""A scope: the caller's handle on a part of a workspace.

Each method turns its call into one frozen message (messages.py), has the scope's worker asked for
it, and gives the answer in the caller's terms: text instead of bytes, a `Done` instead of what
was kept of the streams. Nothing happens before the first operation.

Order: effects (write, append, edit, mkdir, copy, move, remove, exec) run one at a time in order
of arrival; observations (read, stat, exists, ls, glob, grep) run beside each other, after every
file effect that arrived before them, and do not wait for a running exec. Scopes that overlap share
that order.

Every method may raise `PathEscapes` or `InvalidPath` for its paths, another `OperationError` if it
was carried out and failed, `ActorCrashed` or `ActorGaveUp` if the worker is at fault, and
`SupervisorClosed` when the runner is left. Cancelled while it waits, an operation never runs;
cancelled while it runs, it is put down before the call leaves, and a file is as before or as after.

What it does not do: touch files or processes itself (backends/), or decide the order (actors/).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Literal, Protocol, TypeVar, overload

import attrs

from runner.errors import DecodeFailed, ExecFailed, InvalidPath, OperationError
from runner.messages import (
    AnswerT,
    Append,
    Completed,
    Copy,
    Edit,
    Exec,
    Exists,
    FileStat,
    Found,
    Glob,
    Grep,
    Listing,
    Ls,
    Matches,
    Message,
    Mkdir,
    Move,
    Outcome,
    Output,
    Read,
    Remove,
    Stat,
    Write,
)

TextT = TypeVar("TextT", str, bytes)


@attrs.frozen(kw_only=True)
class Done(Generic[TextT]):
    """A program has ended.

    Attributes:
        exit_code: 0 to 255, or minus the number of the signal that ended it.
        stdout: what is kept of its standard output.
        stderr: what is kept of its standard error.
        outcome: whether it ended by itself or was ended by us, and why.
        duration: seconds.
        omitted: bytes of both streams that were not kept.
        leftovers: processes that it left behind and that were ended with it.
    """

    exit_code: int
    stdout: TextT
    stderr: TextT
    outcome: Outcome
    duration: float
    omitted: int
    leftovers: int

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.exit_code == 0 and self.outcome is Outcome.EXITED

    @property
    def truncated(self) -> bool:
        """Whether some of its output was not kept."""
        return self.omitted > 0


@attrs.frozen(kw_only=True)
class Ground:
    """Where a scope stands, for whoever carries out its messages.

    Attributes:
        root: the directory of the outermost scope, absolute.
        inner: the path from there to the scope, "." for the outermost itself; it never leaves
            the root, whatever links there are.
    """

    root: str
    inner: str = "."

    @property
    def directory(self) -> str:
        """The scope's directory, absolute."""
        return os.path.normpath(os.path.join(self.root, self.inner))


class Asker(Protocol):
    """The way to a scope's worker: in this process, or on the other end of a socket."""

    async def __call__(self, message: Message[AnswerT], /) -> AnswerT:
        """Have a message carried out."""
        ...


AskerOf = Callable[[Ground], Asker]


@attrs.define(eq=False, repr=False)
class Scope:
    """A part of a workspace; made by `Runner.scope` and `Scope.scope`.

    Attributes:
        path: as the caller named it.
        ground: where it stands.
        env: variables for the programs that run in it, on top of the allow-listed ones.
    """

    path: str
    ground: Ground
    env: Mapping[str, str]
    _asker_of: AskerOf
    _asker: Asker = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._asker = self._asker_of(self.ground)

    @property
    def directory(self) -> str:
        """The scope's directory, absolute."""
        return self.ground.directory

    def scope(self, path: str, *, env: Mapping[str, str] | None = None) -> Scope:
        """A scope inside this one; it can only narrow.

        Args:
            path: relative to this scope.
            env: variables on top of this scope's.

        Raises:
            InvalidPath: the path is absolute, or leads out by its names.
        """
        inner = os.path.normpath(os.path.join(self.ground.inner, path))
        if not path or os.path.isabs(path) or _leads_out(os.path.normpath(path)):
            reason = "a scope inside a scope needs a relative path that stays inside"
            raise InvalidPath("scope", path, reason, scope=self.path)
        return Scope(
            os.path.join(self.path, path),
            Ground(root=self.ground.root, inner=inner),
            {**self.env, **(env or {})},
            self._asker_of,
        )

    # ------------------------------------------------------------ observations

    @overload
    async def read(
        self, path: str, *, encoding: str = "utf-8", offset: int = 0, limit: int | None = None
    ) -> str: ...
    @overload
    async def read(
        self, path: str, *, encoding: None, offset: int = 0, limit: int | None = None
    ) -> bytes: ...
    async def read(
        self,
        path: str,
        *,
        encoding: str | None = "utf-8",
        offset: int = 0,
        limit: int | None = None,
    ) -> str | bytes:
        """The content of a file.

        Args:
            path: relative to the scope, or absolute and inside it.
            encoding: how it is text; None = give the bytes. Line ends are never changed.
            offset: bytes to skip.
            limit: bytes to read at most; None = to the end.

        Raises:
            NotFound, WrongType: it is no file.
            DecodeFailed: it is not text in this encoding.
        """
        content = await self._ask(Read(path=path, offset=offset, limit=limit))
        if encoding is None:
            return content
        try:
            return content.decode(encoding)
        except UnicodeDecodeError as exc:
            reason = f"not {encoding}: byte 0x{content[exc.start]:02x} at {offset + exc.start}"
            hint = "encoding=None gives the bytes"
            raise DecodeFailed("read", path, reason, scope=self.path, hint=hint) from None
        except LookupError:
            raise DecodeFailed(
                "read", path, f"there is no encoding {encoding!r}", scope=self.path
            ) from None

    async def stat(self, path: str) -> FileStat:
        """What stands at a path; a link is followed if it stays inside."""
        return await self._ask(Stat(path=path))

    async def exists(self, path: str) -> bool:
        """Whether something stands at a path."""
        return await self._ask(Exists(path=path))

    async def ls(self, path: str = ".", *, limit: int = 10_000) -> Listing:
        """The entries of a directory, sorted by name."""
        return await self._ask(Ls(path=path, limit=limit))

    async def glob(
        self, pattern: str, path: str = ".", *, hidden: bool = False, limit: int = 10_000
    ) -> Found:
        """The paths below `path` that match a pattern (`**`, braces, classes), sorted."""
        return await self._ask(Glob(pattern=pattern, path=path, hidden=hidden, limit=limit))

    async def grep(
        self,
        pattern: str,
        path: str = ".",
        *,
        literal: bool = False,
        ignore_case: bool = False,
        glob: str | None = None,
        hidden: bool = False,
        limit: int = 10_000,
    ) -> Matches:
        """The lines of text files below `path` that match a regular expression or a literal."""
        return await self._ask(
            Grep(
                pattern=pattern,
                path=path,
                literal=literal,
                ignore_case=ignore_case,
                glob=glob,
                hidden=hidden,
                limit=limit,
            )
        )

    # ------------------------------------------------------------ effects

    async def write(
        self, path: str, content: str | bytes, *, encoding: str = "utf-8", durable: bool = False
    ) -> None:
        """Replace a file's content whole, or make the file; parents are made.

        A reader sees the old content or the new, never half; mode and owner stay.

        Args:
            path: relative to the scope, or absolute and inside it.
            content: text, or bytes.
            encoding: of text.
            durable: whether it is on the disk (fsync) when this returns.
        """
        data = self._encode("write", path, content, encoding)
        await self._ask(Write(path=path, content=data, durable=durable))

    async def append(self, path: str, content: str | bytes, *, encoding: str = "utf-8") -> None:
        """Add to a file's end, or make the file; parents are made."""
        data = self._encode("append", path, content, encoding)
        await self._ask(Append(path=path, content=data))

    async def edit(
        self, path: str, old: str | bytes, new: str | bytes, *, replace_all: bool = False
    ) -> int:
        """Replace an exact piece of a file, and say how many times.

        Raises:
            EditFailed: it does not stand there, or more than once without `replace_all`.
        """
        before = self._encode("edit", path, old, "utf-8")
        after = self._encode("edit", path, new, "utf-8")
        return await self._ask(Edit(path=path, old=before, new=after, replace_all=replace_all))

    async def mkdir(self, path: str, *, exist_ok: bool = True) -> None:
        """Make a directory and its parents."""
        await self._ask(Mkdir(path=path, exist_ok=exist_ok))

    async def copy(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Copy a file or a tree to a new path; links are copied as links."""
        await self._ask(Copy(source=source, target=target, overwrite=overwrite))

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file or a tree."""
        await self._ask(Move(source=source, target=target, overwrite=overwrite))

    async def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file or an empty directory, or a tree; never the scope itself."""
        await self._ask(Remove(path=path, recursive=recursive, missing_ok=missing_ok))

    # ------------------------------------------------------------ programs

    @overload
    async def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
        encoding: Literal["utf-8"] = "utf-8",
        check: bool = False,
    ) -> Done[str]: ...
    @overload
    async def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
        encoding: None,
        check: bool = False,
    ) -> Done[bytes]: ...
    async def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ".",
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,  # noqa: A002 - as subprocess names it
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
        encoding: Literal["utf-8"] | None = "utf-8",
        check: bool = False,
    ) -> Done[str] | Done[bytes]:
        """Run a program in the scope and wait for its end; nothing that it starts survives it.

        Args:
            command: a line for `sh -c`, or a program with its arguments.
            cwd: where it runs, relative to the scope.
            env: variables on top of the scope's; nothing else but an allow-list is inherited.
            input: its standard input; None = an empty one.
            timeout: seconds until it is ended (TERM, then KILL); None = no limit.
            silence: seconds without any output until it is ended; None = no limit.
            max_output: bytes kept of each stream: half of them its head, half its tail.
            encoding: None gives bytes; in text, undecodable bytes become surrogate escapes.
            check: whether a bad end is an error.

        Raises:
            ExecFailed: it could not be started; or `check`, and it did not end well.

        Cancellation: the whole tree of its processes is gone before this leaves.
        """
        completed = await self._ask(
            Exec(
                command=command if isinstance(command, str) else tuple(command),
                cwd=cwd,
                env=tuple({**self.env, **(env or {})}.items()),
                input=None if input is None else self._encode("exec", None, input, "utf-8"),
                timeout=timeout,
                silence=silence,
                max_output=max_output,
            )
        )
        if check:
            self._check(command, completed)
        if encoding is None:
            return _done(completed, Output.data)
        return _done(completed, _text)

    # ------------------------------------------------------------ the way to the worker

    async def _ask(self, message: Message[AnswerT]) -> AnswerT:
        try:
            return await self._asker(message)
        except OperationError as error:
            error.scope = self.path
            raise

    def _encode(self, op: str, path: str | None, content: str | bytes, encoding: str) -> bytes:
        if isinstance(content, bytes):
            return content
        try:
            return content.encode(encoding)
        except (UnicodeEncodeError, LookupError) as exc:
            raise DecodeFailed(
                op, path, f"not text for {encoding}: {exc}", scope=self.path
            ) from None

    def _check(self, command: str | Sequence[str], completed: Completed) -> None:
        if completed.exit_code == 0 and completed.outcome is Outcome.EXITED:
            return
        line = command if isinstance(command, str) else " ".join(command)
        how = {
            Outcome.EXITED: f"it ended with exit code {completed.exit_code}",
            Outcome.TIMEOUT: "it ran into its timeout",
            Outcome.SILENCE: "it was silent for too long",
        }[completed.outcome]
        said = _text(completed.err).strip() or _text(completed.out).strip()
        raise ExecFailed("exec", line, how, scope=self.path, hint=said[-2000:])

    def __repr__(self) -> str:
        return f"<Scope {self.path!r} at {self.directory!r}>"


def _leads_out(path: str) -> bool:
    return path == ".." or path.startswith("../")


def _text(output: Output) -> str:
    return output.data().decode("utf-8", "surrogateescape")


def _done(completed: Completed, text: Callable[[Output], TextT]) -> Done[TextT]:
    return Done(
        exit_code=completed.exit_code,
        stdout=text(completed.out),
        stderr=text(completed.err),
        outcome=completed.outcome,
        duration=completed.duration,
        omitted=completed.out.omitted + completed.err.omitted,
        leftovers=completed.leftovers,
    )
