"""The protocol of `codex app-server`: NDJSON JSON-RPC, the state of one process, many turns.

    STARTING --initialize answered--> OPENING --thread answered--> IDLE --send_turn--> IN TURN
    IN TURN --turn/completed of our turn, or turn/start refused--> IDLE
    any --receive_end--> ENDED

Everything that changes this state lives here. A second `turn/start` in a running turn would be a
silent steer, so there is never one; a turn's end is known by its id, never by counting.

A thread that cannot be opened (unknown, open elsewhere, another one came than was asked for) does
not end the process. It counts as open, under the id that was asked for, and the first turn in it
is refused by the program and fails with the sentence about the opening.

Token counts are cumulative over the thread, across resumes (`total`); a turn's usage is the
difference. What it starts from comes with the resume; if not, it is `total - last` of the turn's
first count. Codex says no cost.

After an interrupt the command that was running lives on as a "background terminal"; those are
ended with `thread/backgroundTerminals/clean` (experimental, but nothing else does it).

Nothing here raises for what the program says.
"""

from __future__ import annotations

import enum
import re

import attrs
import msgspec

from runner.agents import codex_errors
from runner.agents.codex_read import (
    Record,
    of_completed,
    of_started,
    rate_limited,
    usage_of,
)
from runner.agents.driver import Access, Setting
from runner.agents.events import (
    ConversationStarted,
    ErrorClass,
    Event,
    RateLimited,
    Raw,
    Ready,
    Refusal,
    Retry,
    Text,
    TurnEnded,
    TurnStarted,
    Usage,
    UsageChanged,
)
from runner.agents.lines import LineSplitter, decode, is_partial, list_of, mapping_of, text_of
from runner.agents.oneshot import as_unicode, describe_exit, stderr_tail
from runner.errors import LocalProtocolError

POLICY: dict[Access, tuple[str, dict[str, object]]] = {
    "read-only": ("on-request", {"type": "readOnly"}),
    "workspace-write": (
        "on-request",
        {
            "type": "workspaceWrite",
            "writableRoots": [],
            "networkAccess": False,
            "excludeTmpdirEnvVar": False,  # the session's own
            "excludeSlashTmp": True,
        },
    ),
    "danger-full-access": ("never", {"type": "dangerFullAccess"}),
}

# Requests for leave, and how each is declined so that the turn goes on.
_DECLINE = {
    "item/commandExecution/requestApproval": "decline",
    "item/fileChange/requestApproval": "decline",
    "execCommandApproval": "denied",
    "applyPatchApproval": "denied",
}

_METHOD_NOT_FOUND = -32601  # JSON-RPC 2.0, section 5.1


class State(enum.Enum):
    """Where the conversation with the process stands."""

    STARTING = enum.auto()
    OPENING = enum.auto()
    IDLE = enum.auto()
    IN_TURN = enum.auto()
    ENDED = enum.auto()


@attrs.define(eq=False)
class _Turn:
    """What is known of the turn in flight."""

    id: str
    request: int
    theirs: str = ""  # codex's id of it
    begun: bool = False
    interrupted: bool = False
    last_text: str = ""
    retries: int = 0
    retry: Retry | None = None
    usage: Usage = attrs.field(factory=Usage)


@attrs.define(eq=False)
class CodexConversation:
    """The protocol state of one process of `codex app-server`."""

    setting: Setting
    access: Access
    model: str
    state: State = attrs.field(default=State.STARTING, init=False)
    version: str = attrs.field(default="", init=False)
    thread: str = attrs.field(default="", init=False)
    _trouble: str = attrs.field(default="", init=False)  # why the thread could not be opened
    _limit: RateLimited | None = attrs.field(default=None, init=False)
    _total: Usage | None = attrs.field(default=None, init=False)  # counted before this turn
    _turn: _Turn | None = attrs.field(default=None, init=False)
    _ids: int = attrs.field(default=0, init=False)
    _lines: LineSplitter = attrs.field(factory=LineSplitter, init=False)
    _out: list[bytes] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._request(
            "initialize",
            clientInfo={"name": "runner", "title": "runner", "version": "0"},
            capabilities={"experimentalApi": True},
        )

    # ------------------------------------------------------------ towards the program

    @property
    def ready(self) -> bool:
        """Whether a turn can be sent."""
        return self.state is State.IDLE

    def send_turn(self, turn: str, prompt: str) -> None:
        """Queue a prompt, to reach the model verbatim.

        Raises:
            LocalProtocolError: the program is not ready, or a turn is in flight.
        """
        if self.state is not State.IDLE:
            raise LocalProtocolError(f"a turn cannot be sent: {self.state.name.lower()}")
        approval, sandbox = POLICY[self.access]
        number = self._request(
            "turn/start",
            threadId=self.thread,
            input=[{"type": "text", "text": as_unicode(prompt)}],
            cwd=self.setting.cwd,
            approvalPolicy=approval,
            sandboxPolicy=sandbox,
        )
        self._turn = _Turn(id=turn, request=number)
        self.state = State.IN_TURN

    def interrupt(self) -> None:
        """Queue the request to end the turn in flight; nothing if there is none.

        Before the turn has started, codex would answer it and do nothing: then it is sent with
        the start.
        """
        turn = self._turn
        if turn is not None:
            turn.interrupted = True
            if turn.begun:
                self._request("turn/interrupt", threadId=self.thread, turnId=turn.theirs)

    def data_to_send(self) -> bytes:
        """Take what is to be written to the program's standard input (whole lines), once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _request(self, method: str, **params: object) -> int:
        self._ids += 1
        self._send({"id": self._ids, "method": method, "params": params})
        return self._ids

    def _send(self, message: Record) -> None:
        self._out.append(msgspec.json.encode(message) + b"\n")

    # ------------------------------------------------------------ from the program

    def receive(self, data: bytes) -> list[Event]:
        """Take what the program wrote to its standard output."""
        return [event for line in self._lines.feed(data) for event in self._line(line)]

    def receive_end(self, exit_code: int, stderr: bytes) -> list[Event]:
        """Take the end of the process: a turn in flight ends with it."""
        if self.state is State.ENDED:
            return []
        events = self._line(self._lines.take_tail())
        if self._turn is not None:
            how = f"it ended ({describe_exit(exit_code)}) in the turn: {stderr_tail(stderr)}"
            interrupted = self._turn.interrupted
            error = ErrorClass.INTERRUPTED if interrupted else ErrorClass.CRASHED
            events.extend(self._end_turn(describe_exit(exit_code), error, how, {}))
        self.state = State.ENDED
        return events

    def _line(self, line: bytes) -> list[Event]:
        if not line.strip():
            return []
        message = decode(line)
        if message is None:
            return [Raw(kind="partial" if is_partial(line) else "garbage", data=line)]
        method = text_of(message, "method")
        if not method:
            events = self._on_answer(message)
        elif "id" in message:
            events = self._on_request(method, message)
        else:
            events = self._on_notice(method, mapping_of(message, "params"))
        return [Raw(kind=method or "answer", data=line)] if events is None else events

    # Each handler gives events, or None for what has no translation.

    def _on_answer(self, message: Record) -> list[Event] | None:
        number, result = message.get("id"), mapping_of(message, "result")
        trouble = text_of(mapping_of(message, "error"), "message")
        if self.state is State.STARTING and number == 1:
            return self._on_initialized(result, trouble)
        if self.state is State.OPENING and number == 2:
            return self._on_thread(result, trouble)
        turn = self._turn
        if turn is None or number != turn.request:
            return None
        if trouble:
            error = ErrorClass.FAILED if self._trouble else ErrorClass.BAD_REQUEST
            return self._end_turn("refused", error, self._trouble or trouble, message)
        turn.theirs = text_of(mapping_of(result, "turn"), "id") or turn.theirs
        return None

    def _on_initialized(self, result: Record, trouble: str) -> list[Event] | None:
        found = re.search(r"/(\d+\.\d+\.\d+\S*)", text_of(result, "userAgent"))
        self.version = found[1] if found else ""
        if trouble:
            return self._opened(self.setting.conversation, trouble)
        self._send({"method": "initialized"})
        self.state = State.OPENING
        approval, _ = POLICY[self.access]
        params: dict[str, object] = {
            "cwd": self.setting.cwd,
            "approvalPolicy": approval,
            "sandbox": self.access,
        }
        if self.model:
            params["model"] = self.model
        if self.setting.resume:
            thread = self.setting.conversation
            self._request("thread/resume", threadId=thread, excludeTurns=True, **params)
        else:
            self._total = Usage()
            self._request("thread/start", **params)
        return None

    def _on_thread(self, result: Record, trouble: str) -> list[Event]:
        asked = self.setting.conversation
        thread = text_of(mapping_of(result, "thread"), "id")
        if trouble or not thread:
            return self._opened(asked, trouble or "it gave no thread")
        if self.setting.resume and thread != asked:
            return self._opened(asked, f"it opened the thread {thread} instead of {asked}")
        started = ConversationStarted(
            conversation=thread, model=text_of(result, "model"), version=self.version
        )
        return [started, *self._opened(thread, "")]

    def _opened(self, thread: str, trouble: str) -> list[Event]:
        self.thread, self._trouble = thread, trouble
        self.state = State.IDLE
        return [Ready()]

    def _on_begun(self, turn: _Turn) -> list[Event]:
        turn.begun = True
        if turn.interrupted:
            self.interrupt()
        return [TurnStarted(turn=turn.id)]

    def _on_request(self, method: str, message: Record) -> list[Event] | None:
        params = mapping_of(message, "params")
        number = message.get("id")
        if method in _DECLINE:
            self._send({"id": number, "result": {"decision": _DECLINE[method]}})
            return [Refusal(tool=method.removeprefix("item/").split("/")[0], input=params)]
        error = {"code": _METHOD_NOT_FOUND, "message": "this is not supported here"}
        self._send({"id": number, "error": error})
        return None

    def _on_notice(self, method: str, params: Record) -> list[Event] | None:
        if method == "account/rateLimits/updated":
            self._limit = rate_limited(mapping_of(params, "rateLimits"))
            return None if self._limit is None else [self._limit]
        if method == "thread/tokenUsage/updated":
            return self._on_usage(params)
        turn = self._turn
        told = text_of(params, "turnId") or text_of(mapping_of(params, "turn"), "id")
        if turn is None or not told:
            return None
        if method == "turn/started" and not turn.theirs and params.get("threadId") == self.thread:
            turn.theirs = told  # on a busy machine it comes before the answer that says it
        if told != turn.theirs:
            return None
        if method == "turn/started":
            return self._on_begun(turn)
        return self._on_turn(turn, method, params)

    def _on_turn(self, turn: _Turn, method: str, params: Record) -> list[Event] | None:
        match method:
            case "item/agentMessage/delta":
                return [Text(text=text_of(params, "delta"), partial=True)]
            case "item/started":
                return of_started(mapping_of(params, "item"))
            case "item/completed":
                events = of_completed(mapping_of(params, "item"))
                for event in events or []:
                    if isinstance(event, Text):
                        turn.last_text = event.text
                return events
            case "error" if params.get("willRetry") is True:
                return self._on_retry(turn, mapping_of(params, "error"))
            case "turn/completed":
                return self._on_completed(turn, mapping_of(params, "turn"))
            case _:
                return None

    def _on_usage(self, params: Record) -> list[Event] | None:
        counts = mapping_of(params, "tokenUsage")
        total = usage_of(mapping_of(counts, "total"))
        turn = self._turn
        if params.get("threadId") not in {self.thread, self.setting.conversation}:
            return None
        if turn is None or not turn.begun or text_of(params, "turnId") != turn.theirs:
            self._total = total  # of a turn before: it comes with a resume
            return None
        if self._total is None:
            self._total = total - usage_of(mapping_of(counts, "last"))
        usage = total - self._total
        if min(attrs.astuple(usage - turn.usage)) < 0:  # an overflowed context sets them anew
            self._total = total - turn.usage
            return None
        turn.usage = usage
        return [UsageChanged(usage=usage)]

    def _on_retry(self, turn: _Turn, error: Record) -> list[Event]:
        found, status = codex_errors.of_info(error.get("codexErrorInfo"))
        message = text_of(error, "message")
        counted = re.search(r"(\d+)/(\d+)", message)
        turn.retries += 1
        turn.retry = Retry(
            attempt=int(counted[1]) if counted else turn.retries,
            of=int(counted[2]) if counted else None,
            status=status,
            error=found or ErrorClass.NETWORK,
            message=text_of(error, "additionalDetails") or message,
        )
        return [turn.retry]

    def _on_completed(self, turn: _Turn, theirs: Record) -> list[Event]:
        status = text_of(theirs, "status")
        for item in list_of(theirs, "items"):
            if isinstance(item, dict) and text_of(item, "type") == "agentMessage":
                turn.last_text = text_of(item, "text") or turn.last_text
        failure = mapping_of(theirs, "error")
        match status:
            case "completed":
                error = None
            case "interrupted":
                error = ErrorClass.INTERRUPTED
                self._request("thread/backgroundTerminals/clean", threadId=self.thread)
            case _:
                error = codex_errors.of_failure(failure, turn.retry)
        return self._end_turn(status, error, text_of(failure, "message"), theirs)

    def _end_turn(
        self, stop: str, error: ErrorClass | None, sentence: str, raw: Record
    ) -> list[Event]:
        turn = self._turn
        assert turn is not None
        self._turn = None
        self.state = State.IDLE
        if self._total is not None:
            self._total += turn.usage
        resets_at = None
        if error in {ErrorClass.BUDGET, ErrorClass.RATE_LIMITED} and self._limit is not None:
            # A plan's limit that ends at a known time is worth waiting for.
            error, resets_at = ErrorClass.RATE_LIMITED, self._limit.resets_at
        return [
            TurnEnded(
                turn=turn.id,
                ok=error is None,
                message=turn.last_text,
                stop=stop,
                error=error,
                error_text=sentence,
                resets_at=resets_at,
                usage=turn.usage,
                raw=raw,
            )
        ]
