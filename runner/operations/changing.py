"""Methods that change files: each turns its call into one message.

`Changing` has those that stand for one effect; they can be put together in a `batch`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

from runner import messages
from runner.errors import DecodeFailed, InvalidArgument
from runner.messages import (
    AnswerT,
    Append,
    Chmod,
    Copy,
    Edit,
    EditLines,
    Failure,
    FileEffect,
    LineChange,
    Message,
    Mkdir,
    Move,
    Remove,
    Replacement,
    Stored,
    Touch,
    Upload,
    Write,
)
from runner.operations.asking import Asking
from runner.operations.soundness import require_sound, shown


class Changing(Asking):
    """The effects on files."""

    __slots__ = ()

    async def write(
        self,
        path: str,
        content: str | bytes,
        *,
        encoding: str = "utf-8",
        durable: bool = False,
        expected: str | None = None,
    ) -> None:
        """Replace a file's content whole, or make the file; parents are made.

        A reader sees the old content or the new, never half; mode and owner stay.

        Args:
            path: relative to the scope, or absolute and inside it.
            content: text, or bytes.
            encoding: of text.
            durable: whether it is on the disk (fsync) when this returns.
            expected: the `digest` that the file had when the caller last saw it.

        Raises:
            FileChanged: it has another one now.
        """
        data = self._encode("write", path, content, encoding)
        await self.ask(Write(path=path, content=data, durable=durable, expected=expected))

    async def append(self, path: str, content: str | bytes, *, encoding: str = "utf-8") -> None:
        """Add to a file's end, or make the file; parents are made."""
        data = self._encode("append", path, content, encoding)
        await self.ask(Append(path=path, content=data))

    async def edit(
        self,
        path: str,
        old: str | bytes,
        new: str | bytes,
        *,
        replace_all: bool = False,
        expected: str | None = None,
    ) -> int:
        """Replace an exact piece of a file, and say how many times.

        Args:
            path: relative to the scope, or absolute and inside it.
            old: what must stand there, byte for byte.
            new: what stands there afterwards.
            replace_all: whether it may stand there more than once.
            expected: the `digest` that the file had when the caller last saw it.

        Raises:
            EditFailed: it does not stand there, or more than once without `replace_all`.
            FileChanged: the file has another digest now.
        """
        piece = Replacement(
            old=self._encode("edit", path, old),
            new=self._encode("edit", path, new),
            replace_all=replace_all,
        )
        return await self.edit_many(path, [piece], expected=expected)

    async def edit_many(
        self,
        path: str,
        replacements: Sequence[Replacement],
        *,
        expected: str | None = None,
    ) -> int:
        """Replace several pieces of a file, one after the other, all or none; as `edit`."""
        pieces = self._all_of("edit", "replacements", replacements)
        return await self.ask(Edit(path=path, replacements=pieces, expected=expected))

    async def edit_lines(
        self, path: str, changes: Sequence[LineChange], *, expected: str | None = None
    ) -> int:
        """Replace lines that are named by number and hash; by how many lines the file has grown.

        Args:
            path: relative to the scope, or absolute and inside it.
            changes: each names lines of the file as it is before any of them (`line_hash`).
            expected: the `digest` that the file had when the caller last saw it.

        Raises:
            EditFailed: a line is not there, or has another hash; nothing has been changed.
            FileChanged: the file has another digest now.
        """
        lines = self._all_of("edit_lines", "changes", changes)
        return await self.ask(EditLines(path=path, changes=lines, expected=expected))

    async def touch(self, path: str, *, exist_ok: bool = True) -> None:
        """Make an empty file, or say that a file was modified now; parents are made."""
        await self.ask(Touch(path=path, exist_ok=exist_ok))

    async def mkdir(self, path: str, *, exist_ok: bool = True) -> None:
        """Make a directory and its parents."""
        await self.ask(Mkdir(path=path, exist_ok=exist_ok))

    async def chmod(self, path: str, mode: int) -> None:
        """Set the permission bits, 0 to 0o777, of a file or a directory; a link is followed."""
        await self.ask(Chmod(path=path, mode=mode))

    async def copy(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Copy a file or a tree to a new path; links are copied as links."""
        await self.ask(Copy(source=source, target=target, overwrite=overwrite))

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file or a tree."""
        await self.ask(Move(source=source, target=target, overwrite=overwrite))

    async def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file or an empty directory, or a tree; never the scope itself."""
        await self.ask(Remove(path=path, recursive=recursive, missing_ok=missing_ok))


class Batch(Changing):
    """Collects effects, which are carried out together, all or none, when its block is left.

    Each method only notes its effect, and gives an empty answer; the answers stand in `answers`
    afterwards, in the same order. If the block is left by an exception, nothing is carried out.
    What comes after the block is refused.
    """

    __slots__ = ("_asking", "_is_over", "answers", "effects")

    def __init__(self, asking: Asking) -> None:
        """Nothing is noted yet."""
        self._asking, self._is_over = asking, False
        self.effects: list[FileEffect] = []
        self.answers: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        """What errors call it: as whom it asks."""
        return self._asking.name

    async def ask(self, message: Message[AnswerT], /) -> AnswerT:
        """Note an effect."""
        require_sound(message, self.name)
        if self._is_over:
            reason, how = "the block of this batch was left before", "begin another batch"
            raise InvalidArgument("batch", None, reason, scope=self.name, hint=how)
        self.effects.append(cast("FileEffect", message))
        return cast("AnswerT", 0 if isinstance(message, Edit | EditLines) else None)


class Uploading(Changing):
    """The effects that carry many."""

    __slots__ = ()

    async def upload(
        self, files: Iterable[tuple[str, str | bytes]] | Mapping[str, str | bytes]
    ) -> tuple[Stored, ...]:
        """Write many files, each for itself: one that fails does not keep the others.

        Args:
            files: paths, and contents as bytes or as text (UTF-8).

        Returns:
            One answer each, in their order.
        """
        pairs = self._all_of("upload", "files", getattr(files, "items", lambda: files)())
        answers: list[Stored | None] = []
        ready: list[tuple[str, bytes]] = []
        for pair in pairs:
            path, content = self._pair(pair)
            try:
                ready.append((path, self._encode("upload", path, content)))
            except DecodeFailed as error:
                answers.append(Stored(path=path, error=Failure.of(error)))
            else:
                answers.append(None)
        written = await self.ask(Upload(files=tuple(ready)))
        stored = iter(written)
        return tuple([next(stored) if each is None else each for each in answers])

    def _pair(self, pair: object) -> tuple[str, object]:
        if isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str):
            return pair[0], pair[1]
        reason = f"{shown(pair)} is no pair of a path and a content"
        raise InvalidArgument("upload", None, reason, scope=self.name, hint='[("a.txt", "text")]')

    @asynccontextmanager
    async def batch(self) -> AsyncGenerator[Batch, None]:
        """Effects that are carried out together, all or none.

            async with scope.batch() as batch:
                await batch.write("a.txt", "one")
                await batch.move("b.txt", "c.txt")

        If one fails, or the caller is cancelled, those before it are undone, and the block raises
        the error. Other operations of the scope see all of it or nothing; a program that runs
        there may see it grow.
        """
        batch = Batch(self)
        try:
            yield batch
        finally:
            batch._is_over = True  # noqa: SLF001 - it is ours
        if batch.effects:
            batch.answers = await self.ask(messages.Batch(effects=tuple(batch.effects)))
