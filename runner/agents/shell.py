"""The `shell` agent: the prompt is a shell script, the last line of its output the message.

The embedded default: it needs no key and no program but a shell. The script is a file in the
session's private directory (a prompt may be longer than an argument may be, and may begin with
`-`), its standard input is empty, and its exit code says whether the turn is good.

Of an output without end only the line being written and the last line that is not blank are kept,
each up to `KEPT` bytes; all of it passes by as `Text`.

Nothing is judged here but the exit code: what the script did is seen in the directory.
"""

from __future__ import annotations

import codecs

import attrs

from runner.agents.driver import Launch, Rung, Setting, ShellAgent
from runner.agents.events import Event, Text
from runner.agents.lines import LineSplitter
from runner.agents.oneshot import OneShot, Said, encode_prompt

KEPT = 1 << 20


def text_decoder() -> codecs.IncrementalDecoder:
    """A decoder that keeps a character cut by a pipe's piece, and replaces what is no UTF-8."""
    return codecs.getincrementaldecoder("utf-8")("replace")


def as_text(text: str) -> list[Event]:
    """A piece of output as an event, if there is anything in it."""
    return [Text(text=text)] if text else []


@attrs.frozen
class ShellDriver:
    """How a shell script is carried out as a turn."""

    agent: ShellAgent

    @property
    def name(self) -> str:
        """`shell`."""
        return "shell"

    @property
    def process_per_turn(self) -> bool:
        """Each turn has a shell of its own."""
        return True

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """As a terminal and an init system would end it; a script may clean up after both."""
        return (Rung(act="SIGINT", wait=1.0), Rung(act="SIGTERM", wait=1.0))

    def launch(self, setting: Setting) -> Launch:
        """How to carry out the setting's prompt."""
        script = f"{setting.private}/turn-{setting.turn}.sh"
        return Launch(
            argv=(self.agent.shell, script),
            env=tuple(self.agent.env.items()),
            files=((script, encode_prompt(setting.prompt)),),
            stdin=b"",
        )

    def conversation(self, setting: Setting) -> ShellConversation:
        """The state of the setting's turn."""
        return ShellConversation(str(setting.turn))


@attrs.define(eq=False)
class ShellConversation(OneShot):
    """The state of one script."""

    _lines: LineSplitter = attrs.field(factory=lambda: LineSplitter(limit=KEPT), init=False)
    _decoder: codecs.IncrementalDecoder = attrs.field(factory=text_decoder, init=False)
    _last: bytes = attrs.field(default=b"", init=False)

    def _read(self, data: bytes) -> list[Event]:
        for line in self._lines.feed(data):
            self._keep(line)
        return as_text(self._decoder.decode(data))

    def _read_end(self) -> list[Event]:
        self._keep(self._lines.take_tail())
        return as_text(self._decoder.decode(b"", final=True))

    def _said(self) -> Said:
        return Said(message=self._last.decode("utf-8", "replace").rstrip())

    def _keep(self, line: bytes) -> None:
        if line.strip():
            self._last = line
