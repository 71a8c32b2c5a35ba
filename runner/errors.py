"""Every error that runner raises on purpose: one tree, on one page.

Two questions decide the branch: whose fault is it, and may the caller send the message again?

    RunnerError
    ├── OperationError      it was carried out and failed; the actor lives on
    ├── ActorError
    │   ├── MailboxClosed   it never began: safe to send again
    │   ├── MailboxFull     it was not taken
    │   ├── ActorCrashed    it may have had effects
    │   └── ActorGaveUp     it never began; the actor crashes too often
    ├── SupervisorClosed    it never began, and never will here
    ├── PoolError           a pool of backends has none to give
    ├── AgentError          an agent program, or what it says, is not usable
    ├── ConfigError         a file or a value given by the user
    ├── WorkspaceError      a workspace, a snapshot or their store; nothing was changed
    └── LedgerError         the durable record cannot be used

Errors cross an actor as answers, so a caller sees a bare exception, never an ExceptionGroup.
Attributes carry the facts; nobody has to parse a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import attrs


class RunnerError(Exception):
    """Base of every error that runner raises on purpose."""


# ---------------------------------------------------------------- operations


class OperationError(RunnerError):
    """An operation on a scope was carried out and failed.

    Attributes:
        op: the operation's name, as the method of `Scope`.
        path: the path or command as the caller wrote it, if there is one.
        scope: the scope's path, if it is known where the error arose.
        reason: what was wrong, in a sentence without the above.
        hint: what would work instead; may be empty.
    """

    default_reason = "it failed"

    def __init__(
        self,
        op: str,
        path: str | None = None,
        reason: str = "",
        *,
        scope: str | None = None,
        hint: str = "",
    ) -> None:
        """Keep the facts; the text is made from them when asked for."""
        self.op = op
        self.path = path if isinstance(path, str) else None  # callers give all kinds of things
        self.reason = reason or self.default_reason
        self.scope = scope
        self.hint = hint
        super().__init__(op, self.path, self.reason)

    def __str__(self) -> str:
        what = self.op if self.path is None else f"{self.op} {self.path!r}"
        where = "" if self.scope is None else f" in scope {self.scope!r}"
        hint = f" ({self.hint})" if self.hint else ""
        return f"{what}{where}: {self.reason}{hint}"


class NotFound(OperationError):
    """There is nothing at that path."""

    default_reason = "no such file or directory"


class AlreadyExists(OperationError):
    """There is something at that path already."""

    default_reason = "it exists already"


class WrongType(OperationError):
    """A file where a directory is needed, a directory where a file is, or neither of them."""

    default_reason = "it has the wrong type"


class NotEmpty(OperationError):
    """A directory with entries in it, where an empty one is needed."""

    default_reason = "the directory is not empty"


class PermissionDenied(OperationError):
    """The operating system refuses it."""

    default_reason = "permission denied"


class Denied(OperationError):
    """The scope's permissions refuse it; the operating system was not asked.

    Attributes:
        rule: the pattern of the rule that refuses it; None = a default, or an answer.
    """

    default_reason = "the permissions refuse it"

    def __init__(
        self,
        op: str,
        path: str | None = None,
        reason: str = "",
        *,
        scope: str | None = None,
        hint: str = "",
        rule: str | None = None,
    ) -> None:
        """Keep the facts, and the rule."""
        super().__init__(op, path, reason, scope=scope, hint=hint)
        self.rule = rule


class ReadOnly(OperationError):
    """Nothing can be changed or run through this view of the files."""

    default_reason = "this is a view for reading only"


class DangerousCommand(OperationError):
    """The lint takes the command for an accident; it was not run.

    Attributes:
        rule: which rule of the lint refuses it.
    """

    default_reason = "the command is dangerous"

    def __init__(
        self,
        op: str,
        path: str | None = None,
        reason: str = "",
        *,
        scope: str | None = None,
        hint: str = "",
        rule: str = "",
    ) -> None:
        """Keep the facts, and the rule."""
        super().__init__(op, path, reason, scope=scope, hint=hint)
        self.rule = rule


class PathEscapes(OperationError):
    """The path leads out of the scope."""

    default_reason = "the path leads out of the scope"


class InvalidPath(OperationError):
    """No file system could have such a path: empty, a NUL character, a name that is too long."""

    default_reason = "not a usable path"


class InvalidArgument(OperationError):
    """A value that no such operation takes: of another type, negative, no number; nothing was done.

    What is wrong with a path, a pattern or a text has errors of its own.
    """

    default_reason = "not a usable value"


class NoSpace(OperationError):
    """The disk or the quota is full; what was there before is unchanged."""

    default_reason = "no space left"


class DecodeFailed(OperationError):
    """The bytes are not text in the asked encoding."""

    default_reason = "not text in this encoding"


class EditFailed(OperationError):
    """The text to replace was not found, or was found more often than once."""

    default_reason = "the text to replace does not stand there exactly once"


class FileChanged(OperationError):
    """The file is not as the caller saw it last; nothing has been changed."""

    default_reason = "the file has changed since it was read"


class InvalidPattern(OperationError):
    """A glob or a regular expression that cannot be used."""

    default_reason = "not a usable pattern"


class ExecFailed(OperationError):
    """A program could not be started; or it ended badly and `check` was asked for."""

    default_reason = "the program could not be started"


class Destroyed(OperationError):
    """The scope or backend was destroyed; nothing has been done, and nothing ever will be here."""

    default_reason = "it was destroyed, and takes nothing more"


# ---------------------------------------------------------------- actors


class ActorError(RunnerError):
    """The message did not get a regular answer because of its actor."""


class MailboxClosed(ActorError):
    """The mailbox closed before the message began. It is safe to send it again.

    Attributes:
        mailbox: the one that closed, so that it is not mistaken for one asked further on.
    """

    def __init__(self, message: str, mailbox: object = None) -> None:
        """Keep which mailbox it is about."""
        super().__init__(message)
        self.mailbox = mailbox


class MailboxFull(ActorError):
    """As many messages wait as the mailbox takes; only the `_nowait` calls raise this."""


class ActorCrashed(ActorError):
    """The actor crashed while it carried out the message, which may have had effects.

    The exception that it crashed with is `__cause__`.
    """


class ActorGaveUp(ActorError):
    """The actor crashes too often; it is tried again after its restart period has passed."""


class SupervisorClosed(RunnerError):
    """The supervisor has been shut down, or is being shut down: it takes nothing new."""


class PoolError(RunnerError):
    """A pool of backends has none to give."""


class PoolFull(PoolError):
    """As many backends as the pool may have are all in use."""


class PoolClosed(PoolError):
    """The pool is drained or was never entered: it gives nothing."""


# ---------------------------------------------------------------- agents and sessions


class AgentError(RunnerError):
    """An agent program, or a conversation with it, cannot be used."""


class AgentUnavailable(AgentError):
    """The agent's program is not installed, cannot be started, or cannot do what is asked."""


class LocalProtocolError(AgentError):
    """We used a conversation wrongly: our fault (the split is h11's)."""


class RemoteProtocolError(AgentError):
    """The agent program said something that its protocol does not allow: its fault."""


class ConversationLost(AgentError):
    """The agent's program does not have the session's conversation any more; no turn was begun."""


class SessionBusy(AgentError):
    """A turn is in flight, or waits, and was not to be waited for; nothing was done."""


class SessionClosed(AgentError):
    """The session has been closed."""


class SessionOwned(AgentError):
    """Another process, or another handle of this one, owns the session: nothing was done."""


# ---------------------------------------------------------------- files and values from users


@attrs.frozen
class Problem:
    """One thing that is wrong in a file.

    Attributes:
        where: the file's path, as the user gave it.
        line: the line, from 1; None if the problem is with the file as a whole.
        key: the dotted key, such as `jobs[2].prompt`; empty for the file as a whole.
        what: what is wrong, and how to mend it.
    """

    where: str
    line: int | None
    key: str
    what: str

    def __str__(self) -> str:
        place = self.where if self.line is None else f"{self.where}:{self.line}"
        return f"{place}: {self.key}: {self.what}" if self.key else f"{place}: {self.what}"


class ConfigError(RunnerError):
    """A file or a value given by the user cannot be used; nothing has been changed.

    Attributes:
        problems: everything that is wrong, not only the first; at least one.
    """

    def __init__(self, *problems: Problem | str) -> None:
        """Take problems with their places, or plain sentences."""
        self.problems = tuple(
            each if isinstance(each, Problem) else Problem("runner", None, "", each)
            for each in problems
        )
        self._plain = tuple(str(each) if isinstance(each, Problem) else each for each in problems)
        super().__init__(*self._plain)

    def __str__(self) -> str:
        return "\n".join(self._plain)


class LedgerError(RunnerError):
    """The ledger cannot be opened, is of a newer version, or belongs to somebody else."""


class LedgerBusy(LedgerError):
    """Another process has the ledger open: nothing was done, try again when it has ended."""


# ---------------------------------------------------------------- workspaces


class AboutPath(Protocol):
    """A change or a conflict: whatever is about one path."""

    @property
    def path(self) -> str:
        """The path, relative to the workspace."""
        ...


class WorkspaceError(RunnerError):
    """A workspace, a snapshot or their store cannot be used so; everything is as it was."""


class InvalidName(WorkspaceError):
    """No workspace or snapshot can have that name.

    Attributes:
        what: what is wrong with it.
        where: which name it is about: "the name of a workspace".
        how: what would be a usable one.
    """

    def __init__(self, what: str, where: str, how: str) -> None:
        """Keep the facts."""
        self.what, self.where, self.how = what, where, how
        super().__init__(f"{where}: {what} ({how})")


class WorkspaceNotFound(WorkspaceError):
    """The project has no workspace of that name.

    Attributes:
        name: the name that was asked for.
        near: names that are there and look like it.
    """

    def __init__(self, name: str, near: Iterable[str] = ()) -> None:
        """Keep the name, and those that may have been meant."""
        self.name, self.near = name, tuple(near)
        super().__init__(f"there is no workspace {name!r}{_did_you_mean(self.near)}")


class WorkspaceExists(WorkspaceError):
    """The project has a workspace of that name already.

    Attributes:
        name: the name.
    """

    def __init__(self, name: str) -> None:
        """Keep the name."""
        self.name = name
        super().__init__(f"there is a workspace {name!r} already: take another name, or delete it")


class WorkspaceBusy(WorkspaceError):
    """Another process has the workspace open: try again when it has ended.

    Attributes:
        name: the workspace's name.
        pid: of that process; None if it is not known.
    """

    def __init__(self, name: str, pid: int | None = None) -> None:
        """Keep who has it."""
        self.name, self.pid = name, pid
        who = "another process" if pid is None else f"process {pid}"
        super().__init__(f"the workspace {name!r} is in use by {who}")


class SnapshotNotFound(WorkspaceError):
    """There is no snapshot of that name, or it is not said which of several is meant.

    Attributes:
        name: the name that was asked for.
        workspace: where it was looked for; None = in all workspaces of the project.
        near: names that are there and look like it.
        candidates: all that have the name, as "workspace/snapshot", if there are several.
    """

    def __init__(
        self,
        name: str,
        workspace: str | None = None,
        near: Iterable[str] = (),
        candidates: Iterable[str] = (),
    ) -> None:
        """Keep the name, and those that may have been meant."""
        self.name, self.workspace = name, workspace
        self.near, self.candidates = tuple(near), tuple(candidates)
        where = "" if workspace is None else f" in the workspace {workspace!r}"
        text = f"there is no snapshot {name!r}{where}{_did_you_mean(self.near)}"
        if self.candidates:
            which = " or ".join(map(repr, self.candidates))
            text = f"there are several snapshots {name!r}: say which, {which}"
        super().__init__(text)


class SnapshotExists(WorkspaceError):
    """The workspace has a snapshot of that name already.

    Attributes:
        name: the snapshot's name.
        workspace: the workspace's.
    """

    def __init__(self, name: str, workspace: str) -> None:
        """Keep the names."""
        self.name, self.workspace = name, workspace
        text = f"the workspace {workspace!r} has a snapshot {name!r} already"
        super().__init__(f"{text}: take another name, or delete it")


class UncommittedChanges(WorkspaceError):
    """What was asked for would lose changes that are in no snapshot and in no commit.

    Attributes:
        changes: those, each with a `path`.
    """

    def __init__(self, message: str, changes: Sequence[AboutPath] = ()) -> None:
        """Keep the changes."""
        self.changes = tuple(changes)
        super().__init__(f"{message}{_some_of(self.changes)}")


class CommitError(WorkspaceError):
    """A commit or a merge cannot be made; nothing of it was applied.

    Attributes:
        conflicts: what both sides changed, each with a `path`; may be empty.
    """

    def __init__(self, message: str, conflicts: Sequence[AboutPath] = ()) -> None:
        """Keep the conflicts."""
        self.conflicts = tuple(conflicts)
        super().__init__(f"{message}{_some_of(self.conflicts)}")


class HookVeto(WorkspaceError):
    """A hook that is asked before an operation refuses it; nothing was changed.

    Attributes:
        hook: which one.
        reason: what it says.
    """

    def __init__(self, hook: str, reason: str = "") -> None:
        """Keep who refuses, and why."""
        self.hook, self.reason = hook, reason
        super().__init__(f"the hook {hook} refuses it{': ' if reason else ''}{reason}")


class StoreError(WorkspaceError):
    """The store of a project cannot be used.

    Attributes:
        what: what is wrong.
        where: the store's file.
        how: how to mend it; may be empty.
    """

    def __init__(self, what: str, where: str = "", how: str = "") -> None:
        """Keep the facts."""
        self.what, self.where, self.how = what, where, how
        place = f"{where}: " if where else ""
        super().__init__(f"{place}{what}{f' ({how})' if how else ''}")


class StoreDamaged(StoreError):
    """What stands in the store is not what was put there."""


class ObjectMissing(StoreError):
    """The store does not have an object that something in it names.

    Attributes:
        id: of the object.
    """

    def __init__(self, id: bytes, where: str = "") -> None:  # noqa: A002 - the store's own word
        """Keep which."""
        self.id = id
        super().__init__(f"the object {id.hex()} is missing", where)


class WorkspaceChanged(WorkspaceError):
    """The live tree is another one than that which something was made of; nothing was changed."""


class SyncError(WorkspaceError):
    """A remote cannot be reached or used, or holds something else; nothing is lost.

    Attributes:
        conflicts: what both sides changed, each with a `path`; may be empty.
    """

    def __init__(self, message: str, conflicts: Sequence[AboutPath] = ()) -> None:
        """Keep the conflicts."""
        self.conflicts = tuple(conflicts)
        super().__init__(f"{message}{_some_of(self.conflicts)}")


class RemoteUnreachable(SyncError):
    """A remote cannot be reached, or does not answer in time: try again later."""


class RemoteRefused(SyncError):
    """A remote does not let us, or cannot do what sync needs of it; trying again does not help."""


class RemoteDamaged(SyncError):
    """What a remote says cannot be: it has lost or changed what was put there."""


def _did_you_mean(near: tuple[str, ...]) -> str:
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _some_of(items: tuple[AboutPath, ...], most: int = 5) -> str:
    """A few of the paths, for a message."""
    if not items:
        return ""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return f": {', '.join(repr(each.path) for each in items[:most])}{more}"
