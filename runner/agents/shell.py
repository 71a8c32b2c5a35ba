"""The `shell` agent: the prompt is a shell script, the last line of its output the message.

The embedded default: it needs no key and no program but a shell. The script's standard input is
empty, and its exit code says whether the turn is good.

A short script is an argument of the shell (`-c`), which costs no file; a command line can be seen
by all who may list processes, as those of a scope's commands can. It is a file in the session's
private directory if it is long or asks for its own file, and for a program that is none of the
shells that are known to do as they should. The script does not notice the difference: messages have
the same line numbers, and the exit code is the same (see `TRAP`).

Of an output without end only the line being written and the last line that is not blank are kept,
each up to `KEPT` bytes; all of it passes by as `Text`.

Nothing is judged here but the exit code: what the script did is seen in the directory.
"""

from __future__ import annotations

import codecs
import os
import re
from typing import ClassVar

import attrs

from runner.agents.driver import MAX_PROMPT, Ability, Launch, Rung, Setting, ShellAgent
from runner.agents.events import Event, Text
from runner.agents.lines import LineSplitter
from runner.agents.oneshot import OneShot, Said, encode_prompt

KEPT = 1 << 20

SHELLS = frozenset({"sh", "dash", "bash", "ash"})
SHORT = 8192  # characters; Linux takes 128 KiB for one argument (execve(2))
_NEEDS_FILE = re.compile(r"\$\{?0|BASH_SOURCE|\x00")
# Shells let the last command of `-c` take their place: if a signal ended it, it would seem that the
# shell had crashed (-11), where its exit code says that a command did (139). Not while a trap is
# set: this one is for a signal that is ignored anyway, and programs do not inherit it.
TRAP = "trap : URG;"


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

    name: ClassVar[str] = "shell"
    process_per_turn: ClassVar[bool] = True
    max_prompt: ClassVar[int] = MAX_PROMPT
    abilities: ClassVar[frozenset[Ability]] = frozenset()
    # As a terminal and an init system would end it; a script may clean up after both.
    ladder: ClassVar[tuple[Rung, ...]] = (
        Rung(act="SIGINT", wait=1.0),
        Rung(act="SIGTERM", wait=1.0),
    )

    def launch(self, setting: Setting) -> Launch:
        """How to carry out the setting's prompt."""
        name = f"turn-{setting.turn}.sh"
        script = encode_prompt(setting.prompt)
        shell, env = self.agent.shell, tuple(self.agent.env.items())
        if self._takes(setting.prompt):
            argv = (shell, "-c", TRAP + os.fsdecode(script), name)
            return Launch(argv=argv, env=env, stdin=b"")
        path = f"{setting.private}/{name}"
        return Launch(argv=(shell, path), env=env, files=((path, script),), stdin=b"")

    def _takes(self, prompt: str) -> bool:
        """Whether a script can be an argument."""
        return (
            len(prompt) <= SHORT
            and os.path.basename(self.agent.shell) in SHELLS
            and _NEEDS_FILE.search(prompt) is None
        )

    def conversation(self, setting: Setting) -> ShellConversation:
        """The state of the setting's turn."""
        return ShellConversation(str(setting.turn))

    def history(self, private: str, conversation: str) -> str:
        """None: scripts do not remember each other."""
        return ""


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
