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
from runner.scopes.redaction import Redactor, secret_values

logger = logging.getLogger("runner.operation_log")

Mode: TypeAlias = Literal["standard", "verbose"]
Outcome: TypeAlias = Literal["ok", "failed", "cancelled"]

LONGEST = 4096  # characters of a command or a reason
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
        op: the operation, as the method of `Scope`.
        subject: the path or the command; of many, the first.
        target: where a copy or a move goes.
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
            each.append if isinstance(each, list) else each for each in sinks
        ]
        self._mode = mode
        self._who = who
        self._secrets = frozenset(secrets) | secret_values(os.environ)
        self._redactors: dict[frozenset[str], Redactor] = {}
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
            subject=_cut(redact, entry.subject),
            target=_cut(redact, entry.target),
            reason=_cut(redact, entry.reason) or "",
            who=_who.get() or self._who,
        )
        for number, sink in enumerate(self._sinks):
            try:
                sink(clean)
            except Exception:
                self._lost += 1
                if number not in self._failed:
                    self._failed.add(number)
                    logger.exception("a sink of an operation log failed; told once")

    def _redactor(self, env: Iterable[Mapping[str, str]]) -> Redactor:
        values = self._secrets.union(*map(secret_values, env))
        found = self._redactors.get(values)
        if found is None:
            if len(self._redactors) >= 64:
                self._redactors.clear()
            found = self._redactors[values] = Redactor(values)
        return found


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
        size_in=_size_in(message),
        items=_items_in(message),
    )
    changes: dict[str, Any] = {"outcome": "cancelled"}
    try:
        answer = await ask(message)
    except Exception as error:
        reason = error.reason if isinstance(error, OperationError) else str(error)
        changes = {"outcome": "failed", "error": type(error).__name__, "reason": reason}
        raise
    else:
        changes = _about(answer)
        return answer
    finally:
        entry = attrs.evolve(entry, duration=time.perf_counter() - begun, **changes)
        own = dict(getattr(message, "env", ()))
        for log in wanting:
            log.write(entry, (env, own))


# ---------------------------------------------------------------- sizes

_SIZE_IN: dict[type[Message[Any]], Callable[[Any], int]] = {
    m.Write: lambda message: len(message.content),
    m.Append: lambda message: len(message.content),
    m.Edit: lambda message: sum(len(each.new) for each in message.replacements),
    m.EditLines: lambda message: sum(len(each.text) for each in message.changes),
    m.Upload: lambda message: sum(len(content) for _, content in message.files),
    m.Batch: lambda message: sum(map(_size_in, message.effects)),
    m.Exec: lambda message: len(message.input or b""),
    m.Start: lambda message: len(message.input),
    m.WriteInput: lambda message: len(message.data),
    m.WriteStream: lambda message: len(message.data),
}


def _size_in(message: Message[Any]) -> int:
    size = _SIZE_IN.get(type(message))
    return 0 if size is None else size(message)


def _items_in(message: Message[Any]) -> int | None:
    many = [getattr(message, name, None) for name in ("paths", "files", "effects")]
    return next((len(each) for each in many if each is not None), None)


_ABOUT: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    bytes: lambda answer: {"size_out": len(answer)},
    m.Completed: lambda answer: {
        "size_out": answer.out.size + answer.err.size,
        "exit_code": answer.exit_code,
    },
    m.Listing: lambda answer: {"items": len(answer.entries)},
    m.Drawing: lambda answer: {"items": len(answer.entries)},
    m.Found: lambda answer: {"items": len(answer.paths)},
    m.Matches: lambda answer: {
        "items": len(answer.matches) or len(answer.files) or len(answer.counts)
    },
    m.Lines: lambda answer: {
        "items": len(answer.lines),
        "size_out": sum(len(each.encode("utf-8", "surrogateescape")) for each in answer.lines),
    },
    m.News: lambda answer: {"size_out": sum(len(each.data) for each in answer.pieces)},
}


def _about(answer: object) -> dict[str, Any]:
    """What an answer adds to an entry."""
    if isinstance(answer, tuple):
        return _about_many(answer)
    about = _ABOUT.get(type(answer))
    return {} if about is None else about(answer)


def _about_many(answers: tuple[object, ...]) -> dict[str, Any]:
    """Of many: the bytes of those that came well, and how many did not."""
    many = [each for each in answers if isinstance(each, m.Downloaded | m.Stored)]
    failed = sum(1 for each in many if each.error is not None)
    contents = [each.content for each in many if isinstance(each, m.Downloaded)]
    about: dict[str, Any] = {"size_out": sum(len(each or b"") for each in contents)}
    if failed:
        about["reason"] = f"{failed} of {len(many)} failed"
    return about
