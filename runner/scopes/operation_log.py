"""The log of operations: who did what, when, with what result.

    log = OperationLog(JsonLines("operations.jsonl"), mode="verbose", who="agent-7")
    scope = runner.scope("work", operation_log=log)

Model. A scope's handle makes one entry for each operation that its logs want, when it has come to
its end: well, badly, or cancelled. "standard" wants what changes something; "verbose" everything.
Scopes inside a scope write to its logs as well as to their own. Secrets are taken out (redaction),
texts are cut at `LONGEST`; contents and outputs are never in it, only their sizes.

A sink is called at once, in the task that asked, and must be short. One that raises is counted, and
told of once by `logging`; the operation and the other sinks are none the worse.

What it does not do: decide anything, or see what programs do by themselves.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, get_args

import attrs

from runner import messages as m
from runner.errors import ConfigError, OperationError
from runner.messages import AnswerT, Message
from runner.operations.op_names import op_name, subject_of
from runner.scopes.log_facts import about, items_in, paths_in, size_in
from runner.scopes.redaction import Redactor, secret_values

logger = logging.getLogger("runner.operation_log")

Mode: TypeAlias = Literal["standard", "verbose"]
Outcome: TypeAlias = Literal["ok", "failed", "cancelled"]

LONGEST = 4096  # characters of a command or a reason
MOST_NAMES = 4096  # of streams and programs that are kept in mind
# Written pieces change nothing before they are put in place.
LOOKING = frozenset(
    (*get_args(m.Observation), *get_args(m.Streaming), m.Poll, m.Wait, m.ListProcesses)
)

_who: contextvars.ContextVar[str] = contextvars.ContextVar("runner_asking_as", default="")


@contextlib.contextmanager
def asking_as(who: str) -> Iterator[None]:
    """Operations that are asked for in the block, and in tasks begun there, are this one's."""
    token = _who.set(who)
    try:
        yield
    finally:
        _who.reset(token)


@attrs.frozen(kw_only=True)
class LogEntry:
    """One operation.

    Attributes:
        at: when it was asked for, aware, UTC.
        scope: the path of the scope.
        op: the operation, as the method of `Scope`; what such a method does by itself, as its
            message: `write_stream`, `poll`.
        subject: the path or the command, also of a stream or program that was opened or started
            before; of many, the first.
        target: where a copy or a move goes.
        paths: of an operation about many: all of them, or so many of them (see `items`); of a
            batch with the effect in front: `write a.txt`.
        id: of a stream or a program.
        outcome: "ok": it was carried out (a program may have ended badly, see `exit_code`).
        error: the name of the error's class.
        reason: what the error says.
        duration: seconds, with the time that it waited for its turn.
        size_in: bytes that it brought: contents, input.
        size_out: bytes that it gave: contents, output.
        items: how many things it was about, or gave: files, entries, matches, effects.
        exit_code: of a program.
        who: who asked (`asking_as`, else the log's own).
    """

    at: datetime
    scope: str
    op: str
    subject: str | None
    target: str | None = None
    paths: tuple[str, ...] = ()
    id: str | None = None
    outcome: Outcome = "ok"
    error: str | None = None
    reason: str = ""
    duration: float = 0.0
    size_in: int = 0
    size_out: int = 0
    items: int | None = None
    exit_code: int | None = None
    who: str = ""


Sink: TypeAlias = Callable[[LogEntry], object]


@attrs.frozen(kw_only=True)
class LogStatistics:
    """What a log has done.

    Attributes:
        entries: how many it has made.
        lost: how many times a sink failed to take one.
    """

    entries: int
    lost: int


class OperationLog:
    """Entries for the operations of scopes, given to sinks.

    Args:
        sinks: each is a callable that takes an entry, or a list that gets it.
        mode: "standard": what changes something; "verbose": everything.
        who: who asks, where `asking_as` does not say.
        secrets: texts that are taken out besides those that are found by their looks, or by the
            names of variables of the scope, the operation and this process.
    """

    def __init__(
        self,
        *sinks: Sink | list[LogEntry],
        mode: Mode = "standard",
        who: str = "",
        secrets: Iterable[str] = (),
    ) -> None:
        if mode not in get_args(Mode):
            raise ConfigError(f"mode={mode!r}: an operation log is 'standard' or 'verbose'")
        self._sinks: list[Sink] = [
            each.append if isinstance(each, list) else _plain(each) for each in sinks
        ]
        self._mode = mode
        self._who = who
        self._secrets = frozenset(secrets) | secret_values(os.environ)
        self._redactors: dict[frozenset[str], Redactor] = {}
        self._names: dict[str, str] = {}  # of streams and programs, by their id
        self._failed: set[int] = set()
        self._entries = 0
        self._lost = 0

    def __repr__(self) -> str:
        return f"<OperationLog {self._mode}, {self._entries} entries, {self._lost} lost>"

    def statistics(self) -> LogStatistics:
        """What it has done."""
        return LogStatistics(entries=self._entries, lost=self._lost)

    def wants(self, message: Message[Any]) -> bool:
        """Whether an operation is to be logged."""
        return self._mode == "verbose" or type(message) not in LOOKING

    def write(self, entry: LogEntry, env: Iterable[Mapping[str, str]] = ()) -> None:
        """Give an entry to the sinks, without the secrets in it."""
        redact = self._redactor(env).redact
        self._entries += 1
        clean = attrs.evolve(
            entry,
            subject=self._name(entry.id, _cut(redact, entry.subject)),
            target=_cut(redact, entry.target),
            paths=tuple(_cut(redact, each) or "" for each in entry.paths),
            reason=_cut(redact, entry.reason) or "",
            who=_who.get() or self._who,
        )
        for number, sink in enumerate(self._sinks):
            try:
                _require_plain(sink(clean))
            except Exception:
                self._lost += 1
                if number not in self._failed:
                    self._failed.add(number)
                    logger.exception("a sink of an operation log failed; told once")

    def _name(self, id: str | None, subject: str | None) -> str | None:  # noqa: A002 - as in messages
        """What a stream or a program is called: as when it was opened or started."""
        if id is None or subject is None:
            return subject
        if subject == id:
            return self._names.get(id, id)
        if len(self._names) >= MOST_NAMES:
            del self._names[next(iter(self._names))]
        self._names[id] = subject
        return subject

    def _redactor(self, env: Iterable[Mapping[str, str]]) -> Redactor:
        values = self._secrets.union(*map(secret_values, env))
        found = self._redactors.get(values)
        if found is None:
            if len(self._redactors) >= 64:
                self._redactors.clear()
            found = self._redactors[values] = Redactor(values)
        return found


def _plain(sink: Sink) -> Sink:
    """A sink that can be called; ConfigError if it is none, or would have to be awaited."""
    if not callable(sink) or inspect.iscoroutinefunction(sink):
        raise ConfigError(f"{sink!r}: a sink is a list, or a plain function that takes an entry")
    return sink


def _require_plain(answer: object) -> None:
    """Raise for what nobody will await."""
    if inspect.iscoroutine(answer):
        answer.close()
        raise TypeError("a sink is called in the midst of things, and cannot be awaited")


def _cut(redact: Callable[[str], str], text: str | None) -> str | None:
    """Cut after redacting: half a secret would not be known as one."""
    if text is None:
        return None
    text = redact(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… {len(text) - LONGEST} more"


async def logged(
    logs: Sequence[OperationLog],
    scope: str,
    env: Mapping[str, str],
    message: Message[AnswerT],
    ask: Callable[[Message[AnswerT]], Awaitable[AnswerT]],
) -> AnswerT:
    """Have a message carried out, and write to the logs what came of it."""
    wanting = [each for each in logs if each.wants(message)]
    if not wanting:
        return await ask(message)
    begun = time.perf_counter()
    entry = LogEntry(
        at=datetime.now(UTC),
        scope=scope,
        op=op_name(type(message)),
        subject=subject_of(message),
        target=getattr(message, "target", None),
        paths=paths_in(message),
        id=getattr(message, "id", None),
        size_in=size_in(message),
        items=items_in(message),
    )
    changes: dict[str, Any] = {"outcome": "cancelled"}
    try:
        answer = await ask(message)
    except Exception as error:
        reason = error.reason if isinstance(error, OperationError) else str(error)
        changes = {"outcome": "failed", "error": type(error).__name__, "reason": reason}
        raise
    else:
        changes = about(answer)
        return answer
    finally:
        entry = attrs.evolve(entry, duration=time.perf_counter() - begun, **changes)
        own = dict(getattr(message, "env", ()))
        for log in wanting:
            log.write(entry, (env, own))
