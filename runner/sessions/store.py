"""What is kept of one session, and the right to write it: lock, ledger row, transcript.

    <state>/sessions.db      the ledger of all sessions (ledger.py)
    <state>/owners           locked by the process that owns a session, a byte for each (owning.py)
    <state>/sessions/<id>/   mode 0700, one for each session
        owner                who that is, for people
        transcript.jsonl     prompts, events and results (transcript.py)
        home/                HOME of the program, and whatever configuration it needs

Rules:

1. Only the owner writes. That it is the owner ends with its process, however that ends.
2. Whoever becomes the owner ends what the one before has left running, before anything is started:
   `recover`. Every program has the session's id in its environment for that (processes/sweep.py);
   so it works for a run that is dead, and for one that lives and has other sessions.

3. Nobody else waits for us: before something is written, `ready` waits for other processes that
   write; what takes longer than a moment is done in threads.

A session need not be kept at all: then it has no `Store`. What is not here: what a turn is.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial

import attrs
import trio

from runner.errors import AgentError, LedgerError, SessionClosed, SessionOwned
from runner.processes.sweep import SESSION_TAG, sweep_run
from runner.sessions.ledger import SessionLedger
from runner.sessions.owning import Owners, is_alive, note_owner, noted_owner, owner_of
from runner.sessions.private import make_private, remove_unused
from runner.sessions.record import Record
from runner.sessions.transcript import Transcript

# How long a killed owner's lock may outlive it: a program that it was just about to start has all
# that it had open, until its exec.
SETTLE = 1.0
AGAIN = 0.002
# How long another process may have the ledger to itself; its writes are short, but it may be
# stopped in one.
PATIENCE = 5.0
# The same where nothing else goes on meanwhile, for what is written while a turn goes on.
PROMPT = 0.25
# How many threads look for what killed owners have left: each looks at all processes there are.
THREADS = 2


@attrs.define(eq=False, repr=False)
class Store:
    """What is kept of one session, as its owner writes it.

    Attributes:
        session: its id.
        private: its private directory, absolute; made by `claim`.
        ledger: where its record is.
        owners: what this runner owns.
        run: the id of our run, which is in the environment of what it starts.
        setup: how the session is opened again (opening.py).
    """

    session: str
    private: str
    ledger: SessionLedger
    owners: Owners
    run: str = ""
    setup: str = ""
    transcript: Transcript = attrs.field(init=False)
    _lost: int = 0
    _is_new: bool = False
    is_ours: bool = attrs.field(default=False, init=False)
    _is_closed: bool = False

    def __attrs_post_init__(self) -> None:
        self.transcript = Transcript(os.path.join(self.private, "transcript.jsonl"))

    # ------------------------------------------------------------ owning it

    async def claim(self) -> None:
        """Become the owner, if we are not yet. No checkpoint, unless a killed one is not gone yet.

        Raises:
            SessionOwned: another process, or another handle of this one, owns the session.
            AgentError: its directory cannot be made.
            SessionClosed: it was given up already.
        """
        until = trio.current_time() + SETTLE
        while not self._claim():
            if is_alive(noted_owner(self.private)) or trio.current_time() > until:
                owner = owner_of(self.private) or "another process"
                raise SessionOwned(
                    f"the session {self.session!r} is open already, by {owner}: go on with it"
                    " there, or when it has ended"
                )
            await trio.sleep(AGAIN)

    def _claim(self) -> bool:
        # one synchronous block: a handle may be asked for two things at once
        if self._is_closed:
            raise SessionClosed(f"the session {self.session!r} is closed")
        if not self.is_ours:
            try:
                self._is_new |= make_private(self.private)
                self.is_ours = self.owners.claim(self.session)
                if self.is_ours:  # whoever gave it up in between may have removed it
                    self._is_new |= make_private(self.private)
            except OSError as exc:
                where = f"the session's directory {self.private!r}"
                raise AgentError(f"{where} cannot be used: {exc.strerror}") from exc
            if self.is_ours:
                note_owner(self.private)
        return self.is_ours

    def rest(self) -> None:
        """Let go of what is not needed while nothing happens; it stays ours."""
        self.transcript.rest()

    def close(self) -> None:
        """Own it no more; if it was never used, nothing is left of it."""
        self._is_closed = True
        self.rest()
        if self.is_ours:
            if self._is_new:
                remove_unused(self.private)
            self.owners.release(self.session)
            self.is_ours = False

    # ------------------------------------------------------------ the record

    async def ready(self) -> None:
        """Wait until the ledger can be written; no checkpoint if it can.

        Raises:
            LedgerError: it cannot, or another process has it for longer than is bearable.
        """
        file = self.ledger.file
        if not file.is_open:
            await trio.to_thread.run_sync(file.open, limiter=_threads())
        if file.is_free():
            return
        with trio.move_on_after(PATIENCE):
            async with _threads():  # of many who wait, so many look
                while not file.is_free():  # noqa: ASYNC110 - another process does not tell
                    await trio.sleep(AGAIN)
            return
        raise LedgerError(
            f"the sessions' ledger {file.path!r} is locked by another process, which has been at"
            f" work on it for more than {PATIENCE:g} s"
        )

    def load(self) -> Record | None:
        """The record as it was left; None if there is none yet.

        Raises:
            LedgerError: it cannot be read.
        """
        record = self.ledger.load(self.session)
        if record is not None and self.setup:
            record.setup = self.setup
        return record

    async def recover(self, record: Record) -> None:
        """End what the owner before us has left behind, and note the turn that was cut so.

        No checkpoint if there is nothing to end.

        Raises:
            LedgerError: that cannot be noted.
        """
        for process in self.ledger.processes(self.session):
            sweep = partial(sweep_run, process.run, tags={SESSION_TAG: self.session})
            await trio.to_thread.run_sync(sweep, limiter=_threads())
            await self.ready()
            self.ledger.end_process(self.session, process.run)
        if record.in_flight:  # whoever carried that turn out was killed in it
            number, record.in_flight = record.in_flight, 0
            record.cut = True
            text = "its supervisor was killed"
            self.ledger.end_turn(record, number, "cut", error_text=text)

    def save(self, record: Record) -> None:
        """Replace the record.

        Raises:
            LedgerError: it cannot be written; the old one is still there.
        """
        self.ledger.save(record)

    def begin_turn(self, record: Record, prompt: str, follows: int) -> None:
        """The turn that the record says is in flight is about to begin, after another.

        Raises:
            LedgerError: it must not, as that cannot be written.
        """
        self.ledger.begin_turn(record, prompt, self.transcript.cursor, follows)

    def had_company(self, record: Record, number: int) -> bool:
        """Whether another session was at work in its directory, or in one inside the other.

        A turn that was left in flight by one that was killed is none: nobody is its owner.
        """
        with suppress(LedgerError):  # then it is not known
            found = self.ledger.neighbours(self.session, number, record.directory)
            return any(is_over or owner_of(private) for private, is_over in found)
        return False

    def begin_process(self) -> None:
        """A program is about to be started.

        Raises:
            LedgerError: it must not, as that cannot be written.
        """
        self.ledger.begin_process(self.session, self.run)

    def set_pid(self, pid: int) -> None:
        """The program was started; what is not written here is only for people."""
        with suppress(LedgerError):
            self.ledger.set_pid(self.session, self.run, pid)

    def end_process(self) -> None:
        """Nothing is left of the program. If that cannot be written, the next owner looks."""
        with suppress(LedgerError):
            self.ledger.end_process(self.session, self.run)

    # ------------------------------------------------------------ the transcript

    def note(self, **what: object) -> int:
        """Add a line to the transcript: what happened, and when. One that cannot be is counted.

        Returns:
            The cursor after it.
        """
        if self._is_closed:  # from a program that could not be ended in time: not ours any more
            self._lost += 1
            return self.transcript.cursor
        return self.transcript.note(**what)

    @property
    def lost(self) -> int:
        """How many lines of the transcript could not be written."""
        return self._lost + self.transcript.lost

    def __repr__(self) -> str:
        return f"<Store {self.private!r}, {'ours' if self.is_ours else 'not claimed'}>"


_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("threads of stores")


def _threads() -> trio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(THREADS)
        _limiter.set(limiter)
        return limiter
