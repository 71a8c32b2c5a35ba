"""What is kept of one session, and the right to write it: lock, ledger row, transcript.

    <state>/sessions.db      the ledger of all sessions (ledger.py)
    <state>/sessions/<id>/   mode 0700, one for each session
        lock                 held (flock) by the one process that owns the session
        transcript.jsonl     prompts, events and results (transcript.py)
        home/                HOME of the program, and whatever configuration it needs

Rules:

1. Only the owner writes. The lock goes with its process, however that ends.
2. Whoever becomes the owner ends what the one before has left running, before anything is started:
   `recover`. Every program has the session's id in its environment for that (processes/sweep.py);
   so it works for a run that is dead, and for one that lives and has other sessions.

A session need not be kept at all: then it has no `Store`. What is not here: what a turn is.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress

import attrs

from runner.errors import AgentError, LedgerError, SessionClosed, SessionOwned
from runner.processes.sweep import SESSION_TAG, sweep_run
from runner.sessions.ledger import SessionLedger
from runner.sessions.private import make_private
from runner.sessions.record import Record
from runner.sessions.transcript import Transcript

# How long a killed owner's lock may outlive it.
SETTLE = 1.0


@attrs.define(eq=False, repr=False)
class Store:
    """What is kept of one session, as its owner writes it.

    Attributes:
        session: its id.
        private: its private directory, absolute; made by `claim`.
        ledger: where its record is.
        run: the id of our run, which is in the environment of what it starts.
        setup: how the session is opened again (opening.py).
    """

    session: str
    private: str
    ledger: SessionLedger
    run: str = ""
    setup: str = ""
    transcript: Transcript = attrs.field(init=False)
    _lost: int = 0
    _lock: int | None = None
    _is_closed: bool = False

    def __attrs_post_init__(self) -> None:
        self.transcript = Transcript(os.path.join(self.private, "transcript.jsonl"))

    # ------------------------------------------------------------ owning it

    def claim(self) -> None:
        """Become the owner, if we are not yet.

        Raises:
            SessionOwned: another process, or another handle of this one, owns the session.
            AgentError: its directory cannot be made.
            SessionClosed: it was given up already.
        """
        if self._is_closed:
            raise SessionClosed(f"the session in {self.private!r} is closed")
        if self._lock is not None:
            return
        try:
            make_private(self.private)
            path = os.path.join(self.private, "lock")
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            where = f"the session's directory {self.private!r}"
            raise AgentError(f"{where} cannot be used: {exc.strerror}") from exc
        try:
            _lock(lock)
        except OSError as exc:
            owner = _read_owner(lock) or "another process"
            os.close(lock)
            raise SessionOwned(f"the session {self.session!r} is open already, by {owner}") from exc
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"process %d\n" % os.getpid(), 0)
        self._lock = lock

    def rest(self) -> None:
        """Let go of what is not needed while nothing happens; it stays ours."""
        self.transcript.rest()

    def close(self) -> None:
        """Own it no more."""
        self._is_closed = True
        self.rest()
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    # ------------------------------------------------------------ the record

    def load(self) -> Record | None:
        """The record as it was left; None if there is none yet.

        Raises:
            LedgerError: it cannot be read.
        """
        record = self.ledger.load(self.session)
        if record is not None and self.setup:
            record.setup = self.setup
        return record

    def recover(self, record: Record) -> None:
        """End what the owner before us has left behind, and note the turn that was cut so.

        Raises:
            LedgerError: that cannot be noted.
        """
        for process in self.ledger.processes(self.session):
            sweep_run(process.run, tags={SESSION_TAG: self.session})
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

    def begin_turn(self, record: Record, prompt: str) -> None:
        """The turn that the record says is in flight is about to begin.

        Raises:
            LedgerError: it must not, as that cannot be written.
        """
        self.ledger.begin_turn(record, prompt, self.transcript.cursor)

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
        return f"<Store {self.private!r}, {'ours' if self._lock is not None else 'not claimed'}>"


def owner_of(private: str) -> str:
    """Who owns a session now, as `process 123`; empty if nobody does.

    Args:
        private: its private directory.
    """
    try:
        lock = os.open(os.path.join(private, "lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    owner = ""
    try:
        owner = _read_owner(lock)
        if not _is_alive(owner):
            return ""  # given up, or left by one that was killed
        # Not tried before that: whoever claims it at this moment would find it taken.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return owner
    else:
        return ""
    finally:
        os.close(lock)


def _lock(lock: int) -> None:
    """Lock it now, or fail; but wait a moment for what a killed owner was just about to start.

    Between its fork and its exec, a child still has all that its parent had open.
    """
    until = time.monotonic() + SETTLE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _is_alive(_read_owner(lock)) or time.monotonic() > until:
                raise
            time.sleep(0.002)
        else:
            return


def _is_alive(owner: str) -> bool:
    pid = owner.removeprefix("process ")
    return pid.isdigit() and os.path.exists(f"/proc/{pid}")


def _read_owner(lock: int) -> str:
    return os.pread(lock, 64, 0).decode("ascii", "replace").strip()
