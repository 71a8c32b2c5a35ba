"""A scope: the caller's handle on a part of a workspace.

Its methods are those of `Operations`; each message goes to the scope's worker. Nothing happens
before the first operation.

Order: effects (write, append, edit, mkdir, copy, move, remove, exec) run one at a time in order
of arrival; observations (read, stat, exists, ls, glob, grep) run beside each other, after every
file effect that arrived before them, and do not wait for a running exec. Scopes that overlap share
that order.

Every method may raise `PathEscapes` or `InvalidPath` for its paths, another `OperationError` if it
was carried out and failed, `ActorCrashed` or `ActorGaveUp` if the worker is at fault, and
`SupervisorClosed` when the runner is left. Cancelled while it waits, an operation never runs;
cancelled while it runs, it is put down before the call leaves, and a file is as before or as after.

Permissions are kept by whoever carries the messages out (permitted.py), the lint by the handle.
Where they have somebody asked, that is done before an operation takes its place in the order: no
operation waits for an answer about another, and who is asked may use the scope meanwhile.

What it does not do: touch files or processes itself (backends/), or decide the order (actors/).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, cast, runtime_checkable

import attrs

from runner.backends.beneath import USABLE, UnusablePath, parse
from runner.backends.straight import Resolved
from runner.errors import ConfigError, Destroyed, InvalidPath, OperationError, RunnerError
from runner.messages import (
    AnswerT,
    CloseStream,
    CommitStream,
    Completed,
    Exec,
    Isolation,
    Kill,
    Message,
    Opened,
    OpenReader,
    OpenWriter,
    Start,
    Started,
)
from runner.messages.isolation import Decided, narrowed
from runner.operations import Operations
from runner.operations.op_names import op_name, subject_of
from runner.operations.soundness import require_sound
from runner.operations.status import Life, Status, Watcher
from runner.scopes.leave import Foresee, Given, kinds_asked, needs_leave
from runner.scopes.linting import lint_of, require_harmless
from runner.scopes.operation_log import OperationLog, logged
from runner.scopes.permissions import Grant, Kind, Permissions, Ruleset
from runner.scopes.presets import PresetName, permissions_of
from runner.scopes.reaching import Reaching, reaching
from runner.scopes.safety import Lint, OnDangerous, Policy
from runner.scopes.who import NOBODY, Who, require_who


@attrs.frozen(kw_only=True, cache_hash=True)
class Ground:
    """Where a scope stands, for whoever carries out its messages.

    Attributes:
        root: the directory of the outermost scope, absolute.
        inner: the path from there to the scope, "." for the outermost itself; it never leaves
            the root, whatever links there are.
        isolation: what is to hold its programs inside it; None = nothing.
        reaching: told what they reach for by the network, where hosts are listed.
        permissions: what may be done there; all of them must allow it, an outer scope's first.
        is_straight: no link is followed there.
        workspace: the id of the workspace whose live tree it is; empty = it is none.
        who: on whose behalf it is worked there; for the audit.
    """

    root: str
    inner: str = "."
    isolation: Isolation | None = None
    reaching: Reaching | None = None
    permissions: tuple[Grant, ...] = ()
    is_straight: bool = False
    workspace: str = ""
    who: Who = NOBODY

    @property
    def directory(self) -> str:
        """The scope's directory, absolute."""
        if self.inner == ".":
            return self.root
        return os.path.normpath(os.path.join(self.root, self.inner))

    def granting(self, permissions: Permissions | Ruleset | PresetName | None) -> Ground:
        """The same ground, on which these permissions count as well, from its directory on."""
        if permissions is None:
            return self
        grant = Grant(permissions=permissions_of(permissions), base=self.directory)
        return attrs.evolve(self, permissions=(*self.permissions, grant))


class Asker(Protocol):
    """The way to a scope's worker: in this process, or on the other end of a socket."""

    async def __call__(self, message: Message[AnswerT], /) -> AnswerT:
        """Have a message carried out."""
        ...


@runtime_checkable
class Resolving(Protocol):
    """A way to a worker on this machine, where links can be looked at without asking it."""

    def resolve(self, op: str, path: str, *, entry: bool) -> Resolved:
        """Where a path leads, links followed."""


AskerOf = Callable[[Ground], Asker]

# After these there is something that ends with the scope, or no more.
_NOTED = frozenset((Exec, Start, OpenReader, OpenWriter, Kill, CloseStream, CommitStream))


@attrs.define(eq=False, repr=False)
class Scope(Operations):
    """A part of a workspace; made by `Runner.scope` and `Scope.scope`.

    Attributes:
        path: as the caller named it.
        ground: where it stands.
        env: variables for the programs that run in it, on top of the allow-listed ones.
        lints: look at commands before they are run; all of them must let a command pass.
        logs: are told of every operation.
    """

    path: str
    ground: Ground
    env: Mapping[str, str]
    _asker_of: AskerOf
    lints: tuple[Lint, ...] = attrs.field(default=(), kw_only=True)
    logs: tuple[OperationLog, ...] = attrs.field(default=(), kw_only=True)
    _life: Life = attrs.field(factory=Life, kw_only=True)
    _left: dict[tuple[Asker, type, str], Message[Any]] = attrs.field(factory=dict, init=False)
    _outer: Scope | None = attrs.field(default=None, kw_only=True)
    _asker: Asker = attrs.field(init=False)
    _may_ask: frozenset[Kind] = attrs.field(init=False, default=frozenset())

    def __attrs_post_init__(self) -> None:
        self._asker = self._asker_of(self.ground)
        if self.ground.permissions:
            self._may_ask = kinds_asked(self.ground.permissions)

    @property
    def directory(self) -> str:
        """The scope's directory, absolute."""
        return self.ground.directory

    def scope(
        self,
        path: str,
        *,
        env: Mapping[str, str] | None = None,
        isolation: Isolation | None = None,
        decided: Decided | None = None,
        permissions: Permissions | Ruleset | PresetName | None = None,
        lint: Policy | Lint = "off",
        on_dangerous: OnDangerous | None = None,
        operation_log: OperationLog | None = None,
        who: Who | None = None,
    ) -> Scope:
        """A scope inside this one; it can only narrow.

        Args:
            path: relative to this scope.
            env: variables on top of this scope's.
            isolation: what is to hold its programs as well as what holds this scope's does: the
                stricter of both is in force.
            decided: told of each decision of the proxy, if hosts are listed, as well as who is told
                for this scope.
            permissions: what may be done in it; this scope's must allow it as well.
            lint: looks at its commands as well as this scope's does.
            on_dangerous: told what that finds; True lets it pass.
            operation_log: told of its operations as well as this scope's log is.
            who: on whose behalf it is worked in it, for the audit of a workspace; what it does not
                say is as for this scope.

        Raises:
            InvalidPath: the path is absolute, or leads out by its names.
            ConfigError: there is no preset of that name; or `who` is none.
        """
        try:
            is_inside = not parse(path).absolute and not _leads_out(os.path.normpath(path))
        except (UnusablePath, TypeError, AttributeError):  # the latter two: it is no text
            is_inside = False
        if not is_inside:
            reason = "a scope inside a scope needs a relative path that stays inside"
            raise InvalidPath("scope", path, reason, scope=self.path, hint=USABLE)
        inner = os.path.normpath(os.path.join(self.ground.inner, path))
        name = os.path.join(self.path, path)
        logs = self.logs if operation_log is None else (*self.logs, operation_log)
        held, told = narrowed(self.ground.isolation, isolation), self.ground.reaching
        ground = Ground(
            root=self.ground.root,
            inner=inner,
            isolation=held,
            reaching=reaching(name, held, logs, *(told.decided if told else ()), decided),
            permissions=self.ground.permissions,
            is_straight=self.ground.is_straight,
            workspace=self.ground.workspace,
            who=require_who(who).within(self.ground.who),
        )
        return Scope(
            name,
            ground.granting(permissions),
            {**self.env, **(env or {})},
            self._asker_of,
            lints=self.lints + lint_of(lint, on_dangerous),
            logs=logs,
            life=Life(self._life),
            outer=self,
        )

    def straight(self) -> Scope:
        """The same scope, in which no link is followed: for permissions around it.

        Raises:
            ConfigError: it is not on this machine, where one can see where links lead.
        """
        self._resolving()
        return Scope(
            self.path,
            attrs.evolve(self.ground, is_straight=True),
            self.env,
            self._asker_of,
            lints=self.lints,
            logs=self.logs,
            life=Life(self._life),
            outer=self,
        )

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads, links followed; see `Backend.resolve`."""
        try:
            return self._resolving().resolve(op, path, entry=entry)
        except OperationError as error:
            error.scope = self.path
            raise

    def _resolving(self) -> Resolving:
        if isinstance(self._asker, Resolving):
            return self._asker
        what = "it is not on this machine, where one can see where links lead"
        raise ConfigError(f"no permissions can be put around the scope {self.path!r}: {what}")

    @property
    def status(self) -> Status:
        """Connected, until it is destroyed."""
        return self._life.status

    def on_status_change(self, watcher: Watcher) -> Callable[[], None]:
        """Have someone told of every change of the status; returns how to end that."""
        return self._life.on_change(watcher)

    async def destroy(self) -> None:
        """End it, and the scopes inside it: every operation is refused as `Destroyed` from now on.

        What was asked for before comes to its end; programs that were started in it are ended,
        open streams closed.
        Other scopes on the same directory are untouched. May be called again.
        """
        self._life.become(Status.DESTROYED)
        await self._end_left()

    async def _end_left(self) -> None:
        """End what was left open in it; what is not reached for a cancellation can be later."""
        while self._left:
            key, ending = next(reversed(self._left.items()))
            with contextlib.suppress(RunnerError):  # it has ended, with its worker or without
                await key[0](ending)
            self._left.pop(key, None)

    def require_alive(self, op: str, about: str | None = None) -> None:
        """Raise Destroyed if it was destroyed."""
        if self._life.is_over:
            raise Destroyed(op, about, scope=self.path)

    def _note(self, message: Message[Any], answer: object) -> None:
        """Keep how to end what was opened with it: it ends with this scope, and with those around.

        Everything that changes what is left open lives here.
        """
        scope: Scope | None = self
        while scope is not None:
            left = scope._left  # noqa: SLF001 - of the same class
            match message, answer:
                case _, Started():
                    left[self._asker, Started, answer.id] = Kill(id=answer.id, forget=True)
                case _, Opened():
                    left[self._asker, Opened, answer.id] = CloseStream(id=answer.id)
                case _, Completed(kept=id) if id:
                    left[self._asker, Started, id] = Kill(id=id, forget=True)
                case Kill(forget=True), _:
                    left.pop((self._asker, Started, message.id), None)
                case CloseStream() | CommitStream(), _:
                    left.pop((self._asker, Opened, message.id), None)
                case _:
                    pass  # a program that was ended may still be asked about
            scope = scope._outer  # noqa: SLF001

    @property
    def name(self) -> str:
        """What errors call it: its path, as the caller named it."""
        return self.path

    def ask(self, message: Message[AnswerT], /) -> Coroutine[Any, Any, AnswerT]:
        """Have a message carried out by the worker, and logged."""
        require_sound(message, self.path)
        if not self.logs:
            return self._ask(message)
        return logged(self.logs, self.path, self.env, message, self._ask)

    async def _ask(self, message: Message[AnswerT], /) -> AnswerT:
        """Have a message carried out by the worker; programs get the scope's variables."""
        if self._life.is_over:
            self.require_alive(op_name(type(message)), subject_of(message))
        if self.lints and isinstance(message, Exec | Start):
            op = "exec" if isinstance(message, Exec) else "start"
            await require_harmless(self.lints, op, message.command, self.path)
        if self.env and isinstance(message, Exec | Start):
            env = {**self.env, **dict(message.env)}
            message = cast("Message[AnswerT]", attrs.evolve(message, env=tuple(env.items())))
        try:
            if self._may_ask and needs_leave(message, self._may_ask):
                answer = await self._with_leave(message)
            else:
                answer = await self._asker(message)
        except OperationError as error:
            error.scope = self.path
            raise
        if type(message) in _NOTED:
            self._note(message, answer)
            if self._life.is_over:  # destroyed meanwhile: what has come late ends as well
                await self._end_left()
        return answer

    async def _with_leave(self, message: Message[AnswerT]) -> AnswerT:
        """Have asked whatever is to be asked, and then the message carried out."""
        leave = await self._asker(Foresee(message))
        if self._life.is_over:  # it may have taken long
            self.require_alive(op_name(type(message)), subject_of(message))
        return await self._asker(message if leave is None else Given(message, leave))

    def __repr__(self) -> str:
        return f"<Scope {self.path!r} at {self.directory!r}>"


def _leads_out(path: str) -> bool:
    return path == ".." or path.startswith("../")
