r"""Recordings: what was said between a session and its programs, as a file that can be played back.

JSON lines. The first says what is in the file; each process begins with `start`, and what follows
has the seconds since then in `at`:

    {"recording": 1, "agent": {"kind": "claude", "access": "read-only"}}
    {"start": {"conversation": "6f1c...", "resume": false}}
    {"at": 0.01, "in": "{\"type\":\"control_request\",...}\n"}      what was written to the program
    {"at": 0.52, "out": "{\"type\":\"control_response\",...}\n"}    what it wrote; "err" likewise
    {"at": 3.07, "closed": true}                                    its input was closed
    {"at": 3.10, "exit": 0}                                         minus a signal's number

A piece is a line, with its newline if it has one; what is no UTF-8 stands as base64 in "in64",
"out64" or "err64". A `Recorder` makes the lines and takes out what is secret, which only works on
whole lines, and not on what is encoded otherwise than as JSON; a `Recording` reads them. The
agent's record is kept as far as it decides how the program's words are read (`KEPT`): no arguments,
variables, paths.

No I/O, no clock: the caller says what time it is, and writes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeAlias

import attrs
import msgspec

from runner.agents.driver import Agent, Setting
from runner.agents.lines import LINE_LIMIT, decode, mapping_of, number_of, text_of
from runner.errors import ConfigError

VERSION = 1
KEPT = ("kind", "model", "access", "protocol", "prompt", "output", "message", "modes", "auth")
REMOVED = "[removed]"
# Shorter values are found everywhere, and are no secrets.
SHORTEST = 6

Stream: TypeAlias = Literal["in", "out", "err"]
Redact: TypeAlias = Callable[[str], str]


def redactor(secrets: Iterable[str]) -> Redact:
    """What takes secret values out of a text, also where they stand in JSON."""
    # Those of several lines (a private key) are taken out line by line as well.
    parts = {part for each in secrets for part in (each, *each.splitlines())}
    known = {form for each in parts if len(each) >= SHORTEST for form in _forms(each)}
    longest_first = sorted(known, key=len, reverse=True)

    def redact(text: str) -> str:
        for each in longest_first:
            text = text.replace(each, REMOVED)
        return text

    return redact


def _forms(secret: str) -> set[str]:
    inside = {json.dumps(secret, ensure_ascii=plain)[1:-1] for plain in (True, False)}
    # JSON in JSON, as in the arguments of a tool.
    twice = {json.dumps(each, ensure_ascii=False)[1:-1] for each in inside}
    return {secret, *inside, *twice}


# ---------------------------------------------------------------- making one


@attrs.define(eq=False)
class _Line:
    """A line that has not ended: nothing of it may be written before all of it was looked through.

    So memory bounds its length. Of a longer one only that is kept: agents do not read it either.
    """

    pieces: list[bytes] = attrs.field(factory=list)
    size: int = 0

    def add(self, piece: bytes) -> None:
        if not piece:
            return
        self.size += len(piece)
        if self.size > LINE_LIMIT:
            self.pieces.clear()
        else:
            self.pieces.append(piece)

    def take(self) -> bytes:
        line, size = b"".join(self.pieces), self.size
        self.pieces.clear()
        self.size = 0
        return line if size <= LINE_LIMIT else b"[a line of %d bytes]\n" % size


@attrs.define(eq=False)
class Recorder:
    """Makes the lines of a recording; each is to be written as soon as it is made.

    Attributes:
        redact: takes what is secret out of a text.
    """

    redact: Redact = attrs.field(factory=lambda: redactor(()))
    _began: float = attrs.field(default=0.0, init=False)
    _pieces: dict[Stream, _Line] = attrs.field(factory=dict, init=False)

    def header(self, agent: Agent) -> bytes:
        """The first line."""
        record = {key: value for key in KEPT if (value := getattr(agent, key, None)) is not None}
        return _line({"recording": VERSION, "agent": record})

    def start(self, now: float, setting: Setting) -> bytes:
        """A process begins; what the one before left unfinished comes first.

        Args:
            now: seconds, on any clock that all calls share.
            setting: what it is started with.
        """
        rest = self._rest(now)
        self._began = now
        begun: dict[str, object] = {
            "conversation": setting.conversation,
            "resume": setting.resume,
            "approvals": setting.approvals,
        }
        if setting.options.access is not None:
            begun["access"] = setting.options.access
        if setting.options.schema is not None:
            begun["schema"] = setting.options.schema
        return rest + self._step({"start": begun})

    def data(self, now: float, stream: Stream, data: bytes) -> bytes:
        """A piece of a stream has passed: the lines that it ends."""
        line = self._pieces.setdefault(stream, _Line())
        *ended, rest = data.split(b"\n")
        said = []
        for piece in ended:
            line.add(piece + b"\n")
            said.append(self._said(now, stream, line.take()))
        line.add(rest)
        return b"".join(said)

    def closed(self, now: float) -> bytes:
        """The program's input was closed."""
        return self._rest(now) + _line({"at": self._at(now), "closed": True})

    def exit(self, now: float, exit_code: int) -> bytes:
        """The process has ended."""
        return self._rest(now) + _line({"at": self._at(now), "exit": exit_code})

    def _rest(self, now: float) -> bytes:
        pieces, self._pieces = self._pieces, {}
        rests = [(stream, line.take()) for stream, line in pieces.items()]
        return b"".join(self._said(now, stream, rest) for stream, rest in rests if rest)

    def _said(self, now: float, stream: Stream, line: bytes) -> bytes:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = self.redact(line.decode("utf-8", "surrogateescape"))
            kept = base64.b64encode(text.encode("utf-8", "surrogateescape"))
            return _line({"at": self._at(now), f"{stream}64": kept.decode()})
        return self._step({"at": self._at(now), stream: text})

    def _step(self, step: Mapping[str, object]) -> bytes:
        redacted = {key: self._redacted(value) for key, value in step.items()}
        return _line(redacted)

    def _redacted(self, value: object) -> object:
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, Mapping):
            return {self.redact(key): self._redacted(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._redacted(each) for each in value]
        return value

    def _at(self, now: float) -> float:
        return round(now - self._began, 4)


def _line(record: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(record) + b"\n"


# ---------------------------------------------------------------- reading one


@attrs.frozen(kw_only=True)
class Recording:
    """What a recording says of itself, before it is played.

    Attributes:
        agent: the record of the agent that was recorded, as far as it was kept.
        starts: what each of its processes was started with, in their order.
    """

    agent: Mapping[str, object]
    starts: tuple[Mapping[str, object], ...]

    @classmethod
    def read(cls, data: bytes, name: str) -> Recording:
        """Read one.

        Args:
            data: the whole file.
            name: of the file, for the error.

        Raises:
            ConfigError: it is none, or its last process does not begin with `start`.
        """
        header, *steps = [decode(line) for line in data.splitlines()] or [None]
        if header is None or header.get("recording") != VERSION:
            raise ConfigError(f"{name}: it does not begin as a recording of version {VERSION} does")
        agent = mapping_of(header, "agent")
        if not text_of(agent, "kind"):
            raise ConfigError(f"{name}: line 1: it does not say which agent was recorded")
        # A torn last line is what a recorder that was killed leaves.
        for number, step in enumerate(steps, 2):
            if step is None and number <= len(steps):
                raise ConfigError(f"{name}: line {number}: it is no JSON object")
        known = [step for step in steps if step is not None]
        if not known or "start" not in known[0]:
            raise ConfigError(f"{name}: line 2: no process begins")
        for number, step in enumerate(known, 2):
            if "start" not in step and number_of(step, "at") is None:
                raise ConfigError(f'{name}: line {number}: it has no time ("at")')
        starts = tuple(mapping_of(step, "start") for step in known if "start" in step)
        return cls(agent=agent, starts=starts)
