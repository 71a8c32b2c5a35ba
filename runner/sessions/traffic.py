"""What passes between us and one process of a program, and what is kept of it.

The ends of its streams, for a turn's `stdout_tail` and `stderr_tail`; all of it, if the session is
recorded. Secret values are taken out of everything that leaves here.

What is not here: the pipes (program.py), and what is said over them (agents/).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from runner.agents.events import Event
from runner.processes.output import Capture
from runner.scopes.redaction import secret_values
from runner.sessions.credentials import Veil
from runner.sessions.recording_file import RecordingFile

# What is kept of each stream, at its end.
TAIL = 16 << 10


def _capture() -> Capture:
    return Capture(2 * TAIL)


@attrs.define(eq=False)
class Traffic:
    """The words of one process.

    Attributes:
        recording: where all of them go; None = nowhere.
    """

    recording: RecordingFile | None = None
    _veil: Veil = attrs.field(factory=Veil)
    _out: Capture = attrs.field(factory=_capture)
    _err: Capture = attrs.field(factory=_capture)
    _is_begun: bool = False

    def hide(self, values: Collection[str]) -> None:
        """Take these out from now on."""
        self._veil = Veil(values)

    def begin(self, env: Mapping[str, str], hidden: Collection[str]) -> None:
        """The process runs, with these variables."""
        if self.recording is not None:
            self._is_begun = True
            self.recording.start({*hidden, *secret_values(env)})

    def begin_turn(self) -> None:
        """Keep the ends of what is written from now on."""
        if self._out.size or self._err.size:
            self._out, self._err = _capture(), _capture()

    def send(self, data: bytes) -> None:
        """It is about to be written to it: its answer may come before the writer knows of that."""
        if self.recording is not None:
            self.recording.data("in", data)

    def close(self) -> None:
        """Its input is about to be closed."""
        if self.recording is not None:
            self.recording.closed()

    def take(self, data: bytes) -> None:
        """It wrote to its standard output."""
        self._out.feed(data)
        if self.recording is not None:
            self.recording.data("out", data)

    def take_stderr(self, data: bytes) -> None:
        """It wrote to its standard error."""
        self._err.feed(data)
        if self.recording is not None:
            self.recording.data("err", data)

    def end(self, exit_code: int) -> None:
        """It has ended."""
        if self._is_begun and self.recording is not None:
            self.recording.exit(exit_code)
            self.recording.rest()

    def event(self, event: Event) -> Event:
        """What is told of it."""
        return self._veil.event(event)

    @property
    def written(self) -> int:
        """How many bytes it has written since `begin_turn`."""
        return self._out.size + self._err.size

    def tails(self) -> tuple[str, str]:
        """The ends of what was written since `begin_turn`."""
        out, err = self._tail(self._out), self.stderr_tail()
        return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def stderr_tail(self) -> bytes:
        """The end of its standard error since then."""
        return self._tail(self._err)

    def _tail(self, capture: Capture) -> bytes:
        kept = capture.output()
        return self._veil.data(kept.head + kept.tail)[-TAIL:]
