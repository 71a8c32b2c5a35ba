"""The file that a session is recorded to (agents/recording.py says what is in it).

    not made ──first process──► written ──► written ──► …
                                   └─ a line cannot be written ──► stopped: `trouble` says why

Each line is written as soon as it is made, and not buffered: what is left by a SIGKILL has all that
was said until then, and can be played back. A recording is never added to by a later session, nor
is a file replaced: there must be none. A full disk ends the recording, not the session.

What is secret is known when a process starts; it stays secret for those that come after it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import IO

import attrs
import trio

from runner.agents.driver import (
    AcpAgent,
    Agent,
    ClaudeAgent,
    CodexAgent,
    CommandAgent,
    McpServer,
    Setting,
    ShellAgent,
)
from runner.agents.recording import Recorder, Stream, redactor
from runner.errors import ConfigError
from runner.scopes.redaction import secret_values
from runner.sessions.credentials import plain_of

log = logging.getLogger("runner.sessions")

_PLAYABLE = (ShellAgent, CommandAgent, ClaudeAgent, CodexAgent, AcpAgent)


@attrs.define(eq=False)
class RecordingFile:
    """A recording while it is made.

    Attributes:
        path: of the file.
        agent: who is recorded.
        trouble: why it ends before the session does; empty if it does not.

    Raises:
        ConfigError: there is something at the path, no directory for it, or this agent's sessions
            cannot be played back.
    """

    path: str
    agent: Agent
    trouble: str = ""
    _recorder: Recorder = attrs.field(factory=Recorder)
    _setting: Setting | None = None
    _secrets: frozenset[str] = frozenset()
    _is_made: bool = False
    _file: IO[bytes] | None = None

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.agent, _PLAYABLE):
            raise ConfigError(f"a session of the agent {self.agent.kind!r} cannot be played back")
        if os.path.lexists(self.path):
            raise ConfigError(f"the recording {self.path!r} is there already: name another file")
        if not os.path.isdir(os.path.dirname(self.path)):
            raise ConfigError(f"there is no directory for the recording {self.path!r}")

    def prepare(self, setting: Setting) -> None:
        """A process is about to be started; the first one makes the file.

        Raises:
            ConfigError: it cannot be made.
        """
        self._setting = setting
        for server in setting.servers:
            self._secrets |= frozenset(_secrets_of(server))
        if self._is_made:
            return
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as exc:
            raise ConfigError(
                f"the recording {self.path!r} cannot be made: {exc.strerror}"
            ) from None
        self._is_made = True
        self._write(self._recorder.header(self.agent))

    def start(self, secrets: Iterable[str]) -> None:
        """The process runs; these values are not to be in the file."""
        assert self._setting is not None
        self._secrets |= frozenset(secrets)
        self._recorder.redact = redactor(self._secrets)
        self._write(self._recorder.start(trio.current_time(), self._setting))

    def data(self, stream: Stream, data: bytes) -> None:
        """A piece of a stream passes."""
        self._write(self._recorder.data(trio.current_time(), stream, data))

    def closed(self) -> None:
        """The program's input is closed."""
        self._write(self._recorder.closed(trio.current_time()))

    def exit(self, exit_code: int) -> None:
        """The process has ended."""
        self._write(self._recorder.exit(trio.current_time(), exit_code))

    def rest(self) -> None:
        """Let go of the file until there is something to add."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, lines: bytes) -> None:
        if self.trouble or not lines:
            return
        try:
            if self._file is None:
                self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115
            written = self._file.write(lines)
            if written != len(lines):  # what there was room for
                written += self._file.write(lines[written:])
        except OSError as exc:
            self.trouble = f"the recording {self.path!r} ends early: {exc.strerror}"
            log.warning("%s", self.trouble)
            self.rest()


def _secrets_of(server: McpServer) -> Iterable[str]:
    """What codex is told over its pipes of how it gets at a server."""
    yield from secret_values(plain_of(server.env))
    for value in secret_values(plain_of(server.headers)):
        yield value.partition(" ")[2] or value  # without the scheme: "Bearer …"
