"""A history of trees as a git bundle: one file that `git clone` and `git fetch` read.

The history is written as a stream for `git fast-import` into a bare repository in a temporary
directory beside the target, and bundled from there by git. Nothing of the user's is read or
written: no repository, no configuration, no hooks.

Each revision says only what it changed, each content stands there once. What git has no words for
is left out (patching.py says what that is).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from functools import partial
from typing import BinaryIO

import attrs
import trio

from runner.backends.files import temporary_name
from runner.errors import ExecFailed, InvalidArgument
from runner.messages import Outcome
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost
from runner.workspaces.comparing import Change, Source, compare
from runner.workspaces.exporting import (
    Exported,
    absolute,
    exported,
    failures,
    refuse_existing,
    settle,
)
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.objects import ObjectId
from runner.workspaces.patching import git_mode, pieces, reason_left_out
from runner.workspaces.quoting import quoted
from runner.workspaces.records import CommitRecord

NOBODY = "runner <>"
_AUTHOR = re.compile(r"[^<>\n\0]*<[^<>\n\0]*>")
_BRANCH = re.compile(r"(?!-)[\w./-]+(?<![./])")
_GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_BUNDLE = """\
git init -q --bare git && git -C git fast-import --quiet --done < stream &&
exec git -C git bundle create -q ../bundle "refs/heads/$1"
"""


@attrs.frozen(kw_only=True)
class Revision:
    """A state of a tree, and why it came to be.

    Attributes:
        root: the tree.
        message: why.
        author: as "Name <address>"; empty = nobody in particular.
        created_ns: when.
    """

    root: ObjectId
    message: str
    author: str = ""
    created_ns: int = 0

    @classmethod
    def of(cls, record: CommitRecord) -> Revision:
        """What a commit made of the base."""
        return cls(
            root=record.base_after,
            message=record.message,
            author=record.author,
            created_ns=record.created_ns,
        )


async def export_bundle(
    host: ProcessHost,
    source: Source,
    revisions: Sequence[Revision],
    path: str | os.PathLike[str],
    *,
    branch: str = "main",
    overwrite: bool = False,
    limiter: trio.CapacityLimiter | None = None,
) -> Exported:
    """Write a history as a git bundle.

    Args:
        host: what runs git.
        source: where the trees are.
        revisions: the oldest first; at least one.
        path: of the bundle.
        branch: which it has.
        overwrite: whether a file that is there may be replaced.
        limiter: of the threads in which contents are read.

    Raises:
        InvalidArgument: no revision, or a name that no branch can have.
        ExecFailed: git is not there, or failed; the reason has what it said.
        OperationError: the file cannot be written there.
    """
    if not revisions:
        raise InvalidArgument("export", None, "a bundle of no revisions", hint="commit something")
    if not _BRANCH.fullmatch(branch) or ".." in branch or "//" in branch:
        raise InvalidArgument("export", None, f"no branch can be called {branch!r}")
    place = _Place(absolute(path), overwrite)
    run = partial(trio.to_thread.run_sync, limiter=limiter)
    try:
        left_out = await run(place.begin, source, revisions, branch)
        argv = ["sh", "-c", _BUNDLE, "sh", branch]
        env = base_environment(os.environ, extra=_GIT)
        done = await host.run(argv, cwd=place.directory, env=env)
        if done.outcome is not Outcome.EXITED or done.exit_code:
            said = done.err.data().decode("utf-8", "replace").strip()
            raise ExecFailed("export", "git", f"no bundle was made: {said}")
        return await run(place.end, left_out)
    finally:
        with trio.CancelScope(shield=True):  # it removes a directory of ours, and no more
            await run(place.remove)


class _Place:
    """A temporary directory beside the target, in which it is made."""

    def __init__(self, final: str, overwrite: bool) -> None:
        self._final = final
        self._overwrite = overwrite
        self.directory = ""

    def begin(
        self, source: Source, revisions: Sequence[Revision], branch: str
    ) -> list[tuple[str, str]]:
        """Write what git is to read; what is left out comes back."""
        with failures("export", self._final):
            refuse_existing(self._final, overwrite=self._overwrite)
            directory = os.path.join(os.path.dirname(self._final), temporary_name())
            os.mkdir(directory, 0o700)
            self.directory = directory
            with open(os.path.join(self.directory, "stream"), "xb") as file:
                return _write(file, source, revisions, branch)

    def end(self, left_out: list[tuple[str, str]]) -> Exported:
        """Give what git has made its name."""
        with failures("export", self._final):
            part = os.path.join(self.directory, "bundle")
            settle(part, self._final, overwrite=self._overwrite)
            return exported(self._final, left_out)

    def remove(self) -> None:
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)


def _write(
    file: BinaryIO, source: Source, revisions: Sequence[Revision], branch: str
) -> list[tuple[str, str]]:
    """The stream, as git-fast-import(1) has it; what is left out."""
    before = EMPTY.id
    marks: dict[ObjectId, int] = {}
    left_out = []
    for number, revision in enumerate(revisions):
        changes = compare(source.listing, before, revision.root)
        for change in changes:
            after = change.after
            reason = "" if after is None else reason_left_out(change.path, after)
            if reason:
                left_out.append((change.path, reason))
            elif after is not None and after.id not in marks and _is_known(after):
                marks[after.id] = len(marks) + 1
                _write_content(file, source, after, marks[after.id])
        _write_commit(file, revision, branch, number == 0)
        for change in sorted(changes, key=lambda each: each.after is not None):
            _write_change(file, change, marks)
        before = revision.root
    file.write(b"done\n")
    return left_out


def _is_known(entry: Entry) -> bool:
    return entry.type in {EntryType.FILE, EntryType.LINK}


def _write_content(file: BinaryIO, source: Source, entry: Entry, mark: int) -> None:
    if entry.type is EntryType.LINK:
        data = b"".join(pieces(source, entry))
        file.write(b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(data), data))
        return
    file.write(b"blob\nmark :%d\ndata %d\n" % (mark, entry.size))
    file.writelines(pieces(source, entry))
    file.write(b"\n")


def _write_commit(file: BinaryIO, revision: Revision, branch: str, is_first: bool) -> None:
    author = revision.author if _AUTHOR.fullmatch(revision.author) else NOBODY
    who = f"{author.strip()} {max(0, revision.created_ns) // 1_000_000_000} +0000".encode()
    message = revision.message.replace("\0", "").encode("utf-8", "replace")
    if is_first:
        file.write(b"reset refs/heads/%s\n" % branch.encode())
    file.write(b"commit refs/heads/%s\ncommitter %s\n" % (branch.encode(), who))
    file.write(b"data %d\n%s\n" % (len(message), message))


def _write_change(file: BinaryIO, change: Change, marks: dict[ObjectId, int]) -> None:
    """What was deleted comes first: something may be a directory now that was a file."""
    name = quoted(os.fsencode(change.path))
    before, after = change.before, change.after
    if after is not None and _is_known(after) and not reason_left_out(change.path, after):
        file.write(b"M %o :%d %s\n" % (git_mode(after), marks[after.id], name))
    elif before is not None and _is_known(before) and not reason_left_out(change.path, before):
        file.write(b"D %s\n" % name)
