"""What a session is, as its handle and its actor share it in one process.

The actor may be reaped and begun anew; this stays. It is changed by the actor only, but for the
closing of what has no actor, which is the handle's. The phase is changed by `step` only.
"""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import Literal, TypeAlias

import attrs
import trio

from runner.agents.driver import MAX_PROMPT, Ability
from runner.agents.events import Event, Raw, Usage
from runner.errors import AgentError, LedgerError, SessionClosed
from runner.processes.host import ProcessHost
from runner.processes.usage import tree_memory
from runner.sessions import phases
from runner.sessions.approving import Approver
from runner.sessions.arrivals import Arrivals
from runner.sessions.followers import Followers
from runner.sessions.history import History
from runner.sessions.phases import Do, Input, Phase
from runner.sessions.record import Record
from runner.sessions.recording_file import RecordingFile
from runner.sessions.store import PATIENCE, Store
from runner.sessions.turn import Turn

# How many kinds of messages that nobody knows are told apart: a program may invent them.
KINDS = 100
# What becomes of a turn whose conversation the program does not have any more.
OnLost: TypeAlias = Literal["error", "fresh"]

_CLOSED = frozenset({Phase.CLOSING, Phase.CLOSED})


@attrs.frozen(kw_only=True)
class SessionStatistics:
    """A session at one moment; the counts are since this handle was made.

    Attributes:
        phase: what it is about; `absent` and `reaped` are without a process, and cost nothing.
        turns: over the whole life of the session.
        last_good: the number of the last turn that came to a good end.
        starts: how many processes were started.
        pid: of the program, if one lives.
        memory: the bytes that it and all that it has started have in memory (RSS), what they share
            counted for each; None if none lives, or it is not known.
        events: how many there were.
        followers: how many follow the events now.
        usage: of all turns.
        cost_usd: of all turns, as far as somebody says it.
        lost_lines: of the transcript, which could not be written.
        untranslated: how many messages of the program, of which kind, are events of the kind `Raw`,
            as nobody has taught us what they say.
    """

    phase: Phase
    agent: str
    conversation: str
    turns: int
    last_good: int
    starts: int
    pid: int | None
    memory: int | None
    events: int
    followers: int
    usage: Usage
    cost_usd: float
    lost_lines: int
    untranslated: Mapping[str, int]


@attrs.define(eq=False, kw_only=True)
class SessionState:
    """One session.

    Attributes:
        id: its own id.
        agent: the agent's name.
        directory: where it works, absolute.
        private: its private directory, absolute.
        store: what keeps it over the end of this process; None if nothing has to.
        key: of its actor.
        abilities: of its agent's program.
        max_prompt: how many characters a prompt may have.
        is_guarded: its scope's permissions do not allow all programs.
        approver: has decided what its agent asks for.
        on_lost: what is done where its program does not have the conversation any more: it is an
            error, or a fresh one is begun.
        recording: where all that passes between it and its programs goes; None = nowhere.
        phase: what it is about.
        history: of its directory; None = that has none, or it does not matter.
        reached: where files in it are reached by us; empty = where it stands.
        host: of its programs; None = as of all others'.
    """

    id: str
    agent: str
    directory: str
    private: str
    store: Store | None
    key: Hashable
    followers: Followers = attrs.field(factory=Followers)
    arrivals: Arrivals = attrs.field(factory=Arrivals)
    abilities: frozenset[Ability] = frozenset()
    max_prompt: int = MAX_PROMPT
    is_guarded: bool = False
    approver: Approver = attrs.field(factory=Approver)
    on_lost: OnLost = "error"
    recording: RecordingFile | None = None
    phase: Phase = Phase.ABSENT
    history: History | None = None
    reached: str = ""
    host: ProcessHost | None = None
    pid: int | None = None
    starts: int = 0
    events: int = 0
    usage: Usage = attrs.field(factory=Usage)
    cost_usd: float = 0.0
    _untranslated: dict[str, int] = attrs.field(factory=dict)
    _record: Record | None = None
    _loading: trio.Lock | None = None

    @property
    def record(self) -> Record:
        """What is known of the conversation, once what is kept was loaded."""
        if self._record is None:
            assert self.store is None, "the actor loads what is kept before it is there"
            self._record = self._new()
        return self._record

    async def load(self) -> Record:
        """Read what is known from the store, at first use; then it is ours.

        Raises:
            AgentError: another owner, another directory, another agent, or it was closed for good.
            LedgerError: it cannot be read.
        """
        if self._record is None and self.store is not None:
            self._loading = self._loading or trio.Lock()
            async with self._loading:
                if self._record is None:  # nobody was quicker
                    self._record = await self._load(self.store) or self._new()
                    self._loading = None
                    if self._record.resume:
                        self.step(Input.FOUND)
        return self.record

    @property
    def turns(self) -> int:
        """How many have begun, as far as it is known here."""
        return 0 if self._record is None else self._record.turns

    @property
    def said(self) -> str:
        """The session in a few words."""
        pid = "" if self.pid is None else f", process {self.pid}"
        return f"{self.id!r} with {self.agent}, {self.phase}: {self.turns} turns{pid}"

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.phase in _CLOSED

    def step(self, given: Input) -> Do:
        """Go to the phase that an input leads to; what is to be done about it."""
        found = phases.step(self.phase, given)
        self.phase = found.phase
        return found.do

    @property
    def is_followed(self) -> bool:
        """Whether its events are of interest as they happen."""
        return self.store is not None or self.recording is not None or bool(self.followers)

    async def ready(self) -> None:
        """Wait until it can be written, if it is kept.

        Raises:
            LedgerError: it cannot.
        """
        if self.store is not None:
            await self.store.ready()

    async def settle(self) -> None:
        """Wait for the same shielded, so long and no longer: what was done is written, or not."""
        if self.store is None:
            return
        with trio.move_on_after(2 * PATIENCE, shield=True), suppress(LedgerError):
            await self.ready()

    def save(self) -> None:
        """Write the record, if it is kept."""
        if self.store is not None:
            self.store.save(self.record)

    def count_event(self, event: Event) -> None:
        """Add an event to the figures."""
        self.events += 1
        if isinstance(event, Raw):
            counts = self._untranslated
            kind = event.kind if event.kind in counts or len(counts) < KINDS else "others"
            counts[kind] = counts.get(kind, 0) + 1

    def count(self, turn: Turn) -> None:
        """Add a turn to the figures."""
        self.usage += turn.usage
        self.cost_usd += turn.cost_usd or 0.0

    def statistics(self) -> SessionStatistics:
        """The session at this moment."""
        record = self._record
        return SessionStatistics(
            phase=self.phase,
            agent=self.agent,
            conversation=record.conversation if record is not None and record.resume else "",
            turns=self.turns,
            last_good=0 if record is None else record.last_good,
            starts=self.starts,
            pid=self.pid,
            memory=None if self.pid is None else tree_memory(self.pid),
            events=self.events,
            followers=len(self.followers),
            usage=self.usage,
            cost_usd=self.cost_usd,
            lost_lines=0 if self.store is None else self.store.lost,
            untranslated=dict(self._untranslated),
        )

    def _new(self) -> Record:
        return Record(
            id=self.id,
            agent=self.agent,
            directory=self.directory,
            private=self.private,
            setup="" if self.store is None else self.store.setup,
            conversation=str(uuid.uuid4()),
        )

    async def _load(self, store: Store) -> Record | None:
        await store.claim()
        await store.ready()
        record = store.load()
        if record is None:
            return None
        for what, asked, found in (
            ("directory", self.directory, record.directory),
            ("agent", self.agent, record.agent),
        ):
            if asked != found:
                raise AgentError(
                    f"the session {self.id!r} is of {what} {found!r}, not {asked!r}: go on with it"
                    " there, or begin another by another id"
                )
        if record.standing == "closed":
            raise SessionClosed(f"the session {self.id!r} was closed")
        await store.recover(record)
        return record
