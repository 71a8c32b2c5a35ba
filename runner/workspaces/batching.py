"""A batch: many changes of a live tree, all of them or none.

Model. Each operation is checked at once against the tree as it will be (batch_view.py), and its
content is made ready beside the tree (batch_draft.py); nothing in the tree changes. `commit` writes
one row of the journal, which is the moment from which all of it is true; then files are renamed
into their places. A batch that ends otherwise (an exception, a crash) never was; one that is cut
off after that moment is finished by `roll_forward` (journal.py).

What is moved is another name of the same file until then, not a copy, as far as the file system
can do that. So a directory costs a name for each file in it.

A program at work in the tree may see some of the files renamed and others not yet, for a moment:
that all is changed at once holds for whoever asks the workspace, and after a crash.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from runner.backends.beneath import Names, UnusablePath, parse, relative
from runner.backends.failures import Answers
from runner.errors import InvalidArgument, InvalidPath, PathEscapes
from runner.workspaces import step_rows
from runner.workspaces.batch_draft import Draft
from runner.workspaces.journal import Done, decide, details_of, nothing
from runner.workspaces.planning import Step
from runner.workspaces.records import Act
from runner.workspaces.staging import place_beside

if TYPE_CHECKING:
    from runner.workspaces.store import Store


class Batch:
    """Changes that are made together; a context manager. The caller has the workspace's lock.

    Leaving the block commits, leaving it by an exception discards. Operations are those of a scope,
    with its errors; each is refused at once if it could not be carried out. The caller sees to it
    that nothing else of ours changes the tree from the beginning to the end.
    """

    def __init__(
        self,
        store: Store,
        workspace: str,
        tree: str,
        *,
        place: str | None = None,
        inside: str = ".",
        follows_links: bool = True,
        durable: bool = False,
        also: Callable[[], None] = nothing,
    ) -> None:
        """Nothing is touched before the block begins.

        Args:
            store: has the journal.
            workspace: its id.
            tree: its live tree, an absolute path.
            place: where to make contents ready; None = in `staging`, beside the tree.
            inside: a directory in the tree, in which paths begin and end; it is made if it is
                missing. Links on the way to it are followed.
            follows_links: whether those in paths are, too; else they are refused.
            durable: whether all of it is to outlast a power failure.
            also: writes to the store what is to be true if and only if the batch is.
        """
        self._store, self._workspace, self._path = store, workspace, tree
        self._inside, self._follows_links = inside, follows_links
        self._top = os.path.normpath(os.path.join(tree, inside))
        self._place = place_beside(tree) if place is None else place
        self._durable, self._also = durable, also
        self._open: Draft | None = None

    def __enter__(self) -> Self:
        """Begin."""
        with self._answers("batch", "."):
            self._open = Draft(
                self._path, self._place, self._inside, follows_links=self._follows_links
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit it, or discard it."""
        if kind is None and self._open is not None:
            self.commit()
        else:
            self.discard()

    # ------------------------------------------------------------ looking

    def exists(self, path: str) -> bool:
        """Whether something will be there."""
        with self._answers("exists", path), contextlib.suppress(FileNotFoundError):
            return self._draft.view.see(self._names("exists", path)) is not None
        return False

    def read(self, path: str) -> bytes:
        """The content that a file will have."""
        with self._answers("read", path):
            return self._draft.read(self._names("read", path))

    # ------------------------------------------------------------ changing

    def write(
        self, path: str, content: bytes | Iterable[bytes], *, mode: int | None = None
    ) -> None:
        """Replace a file, or make it; with its parents, if they are missing."""
        with self._answers("write", path):
            if mode is not None:
                _require_mode("write", path, mode)
            pieces = [content] if isinstance(content, bytes) else content
            self._draft.write(self._names("write", path), pieces, mode)

    def append(self, path: str, content: bytes) -> None:
        """Add to the end of a file, or make it."""
        with self._answers("append", path):
            self._draft.append(self._names("append", path), content)

    def mkdir(self, path: str, *, exist_ok: bool = True) -> None:
        """Make a directory, with its parents."""
        with self._answers("mkdir", path):
            self._draft.mkdir(self._names("mkdir", path), exist_ok=exist_ok)

    def chmod(self, path: str, mode: int) -> None:
        """Give a file or a directory its permission bits."""
        with self._answers("chmod", path):
            _require_mode("chmod", path, mode)
            self._draft.chmod(self._names("chmod", path), mode)

    def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Remove a file, a link or a directory."""
        with self._answers("remove", path):
            names = self._names("remove", path, entry=True)
            self._draft.remove(names, recursive=recursive, missing_ok=missing_ok)

    def copy(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Copy a file, a link or a tree."""
        with self._answers("copy", source):
            self._draft.copy(*self._ends("copy", source, target), overwrite=overwrite)

    def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Move a file, a link or a tree."""
        with self._answers("move", source):
            self._draft.move(*self._ends("move", source, target), overwrite=overwrite)

    # ------------------------------------------------------------ the end

    def commit(self) -> Done:
        """Make all of it true, now."""
        draft = self._draft
        with self._answers("batch", "."):
            try:
                steps = draft.steps()
                if self._durable:
                    draft.staging.sync()
            except BaseException:
                self.discard()
                raise
            self._open = None
            try:
                return self._decide(draft, steps)
            finally:
                draft.close()

    def discard(self) -> None:
        """Forget all of it. May be called at any time, also afterwards."""
        draft, self._open = self._open, None
        if draft is not None:
            draft.close()
            draft.staging.remove()

    # ------------------------------------------------------------ inside

    def _decide(self, draft: Draft, steps: list[Step]) -> Done:
        if not steps:
            draft.staging.remove()
            with self._store.transaction():
                self._also()
            return Done(None)
        details = details_of(draft.staging, self._place, durable=self._durable)
        details["steps"] = step_rows.encode(steps)
        act = Act(
            workspace=self._workspace,
            kind="batch",
            tree=self._path,
            details=details,
            created_ns=time.time_ns(),
        )
        return decide(self._store, act, draft.tree, draft.staging, steps, also=self._also)

    @property
    def _draft(self) -> Draft:
        if self._open is None:
            raise InvalidArgument("batch", None, "it is over", hint="begin another one")
        return self._open

    def _answers(self, op: str, path: str) -> Answers:
        return Answers(op, path, self._top)

    def _ends(self, op: str, source: str, target: str) -> tuple[Names, Names]:
        return self._names(op, source, entry=True), self._names(op, target, entry=True)

    def _names(self, op: str, path: str, *, entry: bool = False) -> Names:
        try:
            route = parse(path)
        except UnusablePath as error:
            raise InvalidPath(op, path, str(error)) from None
        inside = relative(route, self._top)
        if inside is None:
            raise PathEscapes(op, path, hint=f"paths here begin at {self._top}")
        return self._draft.view.resolve(inside, entry=entry)


def _require_mode(op: str, path: str, mode: int) -> None:
    if not 0 <= mode <= 0o7777:
        raise InvalidArgument(op, path, f"{mode!r} is no mode", hint="as 0o644")
