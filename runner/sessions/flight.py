"""A turn in flight: what has happened in it so far, and what it comes to.

    begun ──► sent ──► over ──► (a Turn)
       │  ▲    │        ▲
       │  └─ again      │      the same prompt, to a program that died before it had taken it, was
       └─ cut ─┴─ cut ──┘      silent for too long, or had to wait until its provider allows more

Over is a turn when the program says so, or when its process has ended. Cut is a turn that *we* end:
its time is up, somebody interrupted it, or the program goes on asking a provider that refuses our
credentials (claude does for three minutes). Cutting cancels `cancel_scope`, in which the turn is
carried out; so a cut works in every phase, waiting for a start slot included.

Everything that changes a flight lives here, in synchronous blocks; there is no I/O in it.
"""

from __future__ import annotations

import uuid
from datetime import datetime

import attrs
import trio

from runner.agents.driver import PLAIN, TurnOptions
from runner.agents.events import (
    ApprovalDecided,
    ErrorClass,
    Event,
    RateLimited,
    Raw,
    Retry,
    SilenceRung,
    Text,
    ToolCall,
    ToolResult,
    TurnEnded,
    TurnStarted,
    Usage,
    UsageChanged,
)
from runner.sessions.clock import Clock
from runner.sessions.retries import Retries
from runner.sessions.spending import Spent
from runner.sessions.turn import Turn

# What is no message at all.
_NOISE = frozenset({"garbage", "partial"})
# Errors that say that the program was ended, not that it came to an end.
_CUT_OFF = frozenset({ErrorClass.CRASHED, ErrorClass.INTERRUPTED})
# Seconds in which no model has answered yet, so that no tool can have run.
UNBEGUN = 0.5


@attrs.define(eq=False, kw_only=True)
class Flight:
    """One turn that is being carried out.

    Attributes:
        id: what the program gets to know the turn by.
        timeout: seconds for all of it; they count while its `clock` runs.
        began: on trio's clock.
        over: it is over.
        down: nothing of it goes on any more.
        is_sent: whether the prompt may have reached the program.
        is_taken: whether the program says that it did.
        ended: what the program said at the end.
        cut: why it was cut; `cut_text` says it as a sentence.
        is_clean: it came to its end by itself, and what it left running was ended.
        never_began: something kept it from beginning, and its asker gets that as an error.
        options: what holds for it.
        taken: the program has taken the prompt, or never will.
        approvals: what the program asked for, and what was decided.
        silence: seconds that its program may be silent; None = as long as it likes.
        rungs: what was done about its silence.
        messages: how many came, since the prompt was sent last.
        heard: when the last one came, on trio's clock; a program that says that it is going to wait
            is heard of when it has.
        earlier: what stands before the prompt of turns that the conversation has not been in.
        again: why the prompt is sent again, as a part of a sentence; empty = it was not taken.
        max_park: seconds that it may be parked in all; None = none.
        parked: how many it was; `parks` is how often.
        is_final: somebody wanted its end when it was over: it does not begin again.
        leftovers: how many processes were left by programs that were there before the last one.
        turn: its answer, once it has been made; `answered` says that none other will be.
        follows: the turn before it in the conversation; 0 = there is none.
    """

    number: int
    follows: int = 0
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    timeout: float | None = None
    began: float = attrs.field(factory=trio.current_time)
    over: trio.Event = attrs.field(factory=trio.Event)
    down: trio.Event = attrs.field(factory=trio.Event)
    is_sent: bool = False
    is_taken: bool = False
    ended: TurnEnded | None = None
    cut: ErrorClass | None = None
    cut_text: str = ""
    never_began: bool = False
    is_clean: bool = False
    options: TurnOptions = PLAIN
    taken: trio.Event = attrs.field(factory=trio.Event)
    approvals: list[ApprovalDecided] = attrs.field(factory=list)
    silence: float | None = None
    rungs: list[SilenceRung] = attrs.field(factory=list)
    messages: int = 0
    heard: float = attrs.field(factory=trio.current_time)
    earlier: str = ""
    again: str = ""
    max_park: float | None = None
    parked: float = 0.0
    parks: int = 0
    is_final: bool = False
    leftovers: int = 0
    turn: Turn | None = None
    answered: trio.Event = attrs.field(factory=trio.Event)
    clock: Clock = attrs.field(init=False)
    _ids: set[str] = attrs.field(factory=set)
    _tools: dict[str, str] = attrs.field(factory=dict)
    _is_interrupted: bool = False
    _was_taken: bool = False
    _was_cut: bool = False
    _spent: Spent = attrs.field(factory=Spent)
    _retries: Retries = attrs.field(factory=Retries)
    _resets_at: datetime | None = None

    def __attrs_post_init__(self) -> None:
        self.clock = Clock(self.timeout)

    # ------------------------------------------------------------ what happens

    def send(self) -> str:
        """The prompt goes to the program now; by which id."""
        self.is_sent = True
        self._ids = {"", self.id}
        self.heard = trio.current_time()
        return self.id

    def take(self, event: Event) -> None:
        """Note what the program said, or what was said of it."""
        if isinstance(event, ApprovalDecided):
            self.approvals.append(event)  # also what was open when it was over
        if isinstance(event, SilenceRung):
            self.rungs.append(event)
        elif self.is_sent and not self.over.is_set():
            if not (isinstance(event, Raw) and event.kind in _NOISE):
                self.messages += 1
                self.heard = trio.current_time()
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Text():
                self._retries.end_row()
            case TurnStarted():
                self.is_taken = True
                self.taken.set()
                self._ids.add(event.turn)
            case ToolCall():
                self._retries.end_row()
                self._tools[event.id] = event.name
            case ToolResult() if not self._is_interrupted:
                self._tools.pop(event.id, None)
            case UsageChanged():
                self._spent.usage = event.usage
            case RateLimited():
                self._resets_at = event.resets_at or self._resets_at
            case Retry():
                self._take_retry(event)
            case TurnEnded() if event.turn in self._ids:
                self.ended = event
                self.over.set()
            case _:
                pass

    def interrupt(self) -> None:
        """The program is told to end it: from now on no tool ends because the program says so.

        claude says that one has ended before its processes have; and one whose call crosses the
        interrupt has begun as well.
        """
        self._is_interrupted = True

    def process_ended(self) -> None:
        """The program's process is gone: what it has not said about the prompt, it never will."""
        if self.is_sent:
            self.over.set()

    def put_down(self) -> None:
        """Nothing of it goes on any more."""
        self.down.set()
        self.taken.set()

    def cut_off(self, error: ErrorClass, text: str) -> bool:
        """End it before its time, unless it is over; whether it was not."""
        if self.over.is_set() or self.cut is not None:
            self.is_final = True
            return False
        self.cut = error
        self.cut_text = text
        self.clock.cancel_scope.cancel(reason=text)
        return True

    def time_is_up(self) -> None:
        """Note that it was ended because it took too long."""
        if self.cut is None:
            self.cut = ErrorClass.TIMEOUT
            self.cut_text = f"the turn was not over within {self.timeout} s"

    def begin_again(self, why: str = "") -> None:
        """The prompt is going to be sent once more; what has come to an end is not the turn's."""
        self._was_cut = self.was_cut_off
        self._was_taken |= self.is_taken
        self._spent = self._spent.again(self.ended)
        self._resets_at = self.resets_at
        self._retries.last = self.ended = None
        self._tools.clear()
        self.id = str(uuid.uuid4())  # what is still said about the other does not count
        self.over = trio.Event()
        self.is_sent = self.is_taken = self._is_interrupted = False
        self.messages = 0
        self.again = why

    def park(self, why: str) -> None:
        """It has to wait, and then its prompt is sent once more; its time rests meanwhile."""
        self.begin_again(why)
        self._was_cut = True  # nobody has answered the prompt
        self.taken.set()  # who wants to steer it shall not wait for that
        self.clock.rest()
        self.parks += 1

    def unpark(self, seconds: float) -> None:
        """It has waited so long; what its provider said is past, if it was not cut."""
        self.parked += seconds
        if self.cut is None:
            self._resets_at = None

    def _take_retry(self, retry: Retry) -> None:
        self.heard += retry.delay or 0.0
        if not self._retries.take(retry, self.clock.left):
            self.cut_off(retry.error, self._retries.sentence)

    # ------------------------------------------------------------ what it comes to

    @property
    def open_tools(self) -> tuple[str, ...]:
        """The names of the tools that were called, and whose end was not seen."""
        return tuple(self._tools.values())

    @property
    def has_reached(self) -> bool:
        """Whether the conversation has the prompt, or may have it."""
        return self.is_sent or self._was_taken

    @property
    def was_taken(self) -> bool:
        """Whether a program has said that it took the prompt."""
        return self.is_taken or self._was_taken

    @property
    def died_untaken(self) -> bool:
        """Whether the process ended before it had taken the prompt: nothing of it was done.

        One that has not said a word might have begun all the same, but not within `UNBEGUN`.
        """
        lost = self.ended is None or self.ended.error is ErrorClass.CRASHED
        is_new = trio.current_time() - self.heard <= UNBEGUN
        return self.is_sent and self.over.is_set() and not self.is_taken and lost and is_new

    @property
    def was_cut_off(self) -> bool:
        """Whether the conversation now has a prompt in it whose turn did not come to its end."""
        if not self.is_sent:
            return self._was_cut
        if self.ended is None or self.cut is not None:
            return not self.is_ok
        return self.ended.error in _CUT_OFF

    @property
    def is_ok(self) -> bool:
        """Whether the program says that all is well, be it at the last moment."""
        return self.ended is not None and self.ended.ok

    @property
    def usage(self) -> Usage:
        """Its tokens, as far as they are known."""
        return self._spent.tokens(self.ended)

    @property
    def cost_usd(self) -> float | None:
        """What it costs; None if nobody says it."""
        return self._spent.dollars(self.ended)

    @property
    def resets_at(self) -> datetime | None:
        """When the provider allows more."""
        return (self.ended.resets_at if self.ended is not None else None) or self._resets_at

    def error(self) -> tuple[ErrorClass | None, str]:
        """Why it is no good turn, as a class and as a sentence."""
        if self.is_ok:
            return None, ""
        retry = self._retries.last
        if self.cut is ErrorClass.TIMEOUT and retry is not None:
            return retry.error, f"{self.cut_text}; {self._retries.sentence}"
        if self.cut is not None:
            return self.cut, self.cut_text
        if self.ended is None:
            return ErrorClass.CRASHED, "the program ended without a word about the turn"
        return self.ended.error or ErrorClass.FAILED, self.ended.error_text
