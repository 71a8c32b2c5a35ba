"""The `command` agent: any program, one process per turn.

The user's argv is a template in which `{prompt}`, `{prompt_file}`, `{cwd}` and `{session}` are
replaced; `{{name}}` stands for `{name}` itself, and every other brace for itself. The prompt comes
by standard input, as an argument (the template says where; write `--` before it if the program
takes options, as a prompt may begin with `-`), or as a file.

The message is the whole output as text, or what stands at a dotted path in it (`result.text`,
`choices[0].message.content`, `[-1].text`): in the JSON document, or in the last JSON line that has
such a path. Without a path it is the document, or the last line.

An exit code of 0 without the message that was asked for is no good end: `protocol`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import ClassVar, Literal

import attrs
import msgspec

from runner.agents.driver import MAX_PROMPT, Ability, CommandAgent, Launch, Rung, Setting
from runner.agents.events import Event, Raw, Text
from runner.agents.lines import LINE_LIMIT, LineSplitter, decode, decode_value, text_of
from runner.agents.oneshot import OneShot, Said, encode_prompt
from runner.agents.shell import as_text, text_decoder
from runner.errors import ConfigError

# How much of an output read as text becomes the message: its end.
KEPT_TEXT = 1 << 20
# Linux takes no longer argument, its final NUL included (MAX_ARG_STRLEN, 32 pages, execve(2)).
ARGUMENT_LIMIT = (128 << 10) - 1

_PLACEHOLDER = re.compile(r"\{(\{\w+\})\}|\{(\w+)\}")
_PLACEHOLDERS = ("prompt", "prompt_file", "cwd", "session")
_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(-?\d+)\]")

Step = str | int


@attrs.frozen
class CommandDriver:
    """How a user's program carries out turns.

    Raises:
        ConfigError: the template or the path cannot be used; everything that is wrong is said.
    """

    agent: CommandAgent
    path: tuple[Step, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        wrong = _problems(self.agent)
        if wrong:
            raise ConfigError(*wrong)
        object.__setattr__(self, "path", parse_path(self.agent.message))

    name: ClassVar[str] = "command"
    process_per_turn: ClassVar[bool] = True
    max_prompt: ClassVar[int] = MAX_PROMPT
    abilities: ClassVar[frozenset[Ability]] = frozenset()
    # What any program understands.
    ladder: ClassVar[tuple[Rung, ...]] = (
        Rung(act="SIGINT", wait=2.0),
        Rung(act="SIGTERM", wait=2.0),
    )

    def launch(self, setting: Setting) -> Launch:
        """How to carry out the setting's prompt.

        Raises:
            ConfigError: the prompt is to be an argument and cannot be one.
        """
        agent = self.agent
        prompt = encode_prompt(setting.prompt)
        prompt_file = f"{setting.private}/turn-{setting.turn}.txt"
        values = {
            "prompt": setting.prompt,
            "prompt_file": prompt_file,
            "cwd": setting.cwd,
            "session": setting.conversation,
        }
        argv = tuple(_fill(part, values.__getitem__) for part in agent.argv)
        if agent.prompt == "argument":
            _check_arguments(argv)
        return Launch(
            argv=argv,
            env=tuple(agent.env.items()),
            pass_env=agent.pass_env,
            files=((prompt_file, prompt),) if agent.prompt == "file" else (),
            stdin=prompt if agent.prompt == "stdin" else b"",
        )

    def conversation(self, setting: Setting) -> TextConversation | JsonConversation:
        """The state of the setting's turn."""
        turn = str(setting.turn)
        if self.agent.output == "text":
            return TextConversation(turn)
        return JsonConversation(turn, self.path, self.agent.message, self.agent.output)

    def history(self, private: str, conversation: str) -> str:
        """Unknown."""
        return ""


# ---------------------------------------------------------------- reading


@attrs.define(eq=False)
class TextConversation(OneShot):
    """The state of one process whose whole output is the message (of a long one, the end)."""

    _decoder: codecs.IncrementalDecoder = attrs.field(factory=text_decoder, init=False)
    _text: list[str] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)

    def _read(self, data: bytes) -> list[Event]:
        return self._keep(self._decoder.decode(data))

    def _read_end(self) -> list[Event]:
        return self._keep(self._decoder.decode(b"", final=True))

    def _keep(self, text: str) -> list[Event]:
        self._text.append(text)
        self._size += len(text)
        if self._size > 2 * KEPT_TEXT:  # twice: so that cutting costs little per character
            self._cut()
        return as_text(text)

    def _cut(self) -> str:
        text = "".join(self._text)[-KEPT_TEXT:]
        self._text = [text]
        self._size = len(text)
        return text

    def _said(self) -> Said:
        return Said(message=self._cut().strip())


@attrs.define(eq=False)
class JsonConversation(OneShot):
    """The state of one process whose output is a JSON document, or JSON lines."""

    path: tuple[Step, ...]
    written: str
    output: Literal["json", "jsonl"]
    _lines: LineSplitter = attrs.field(factory=LineSplitter, init=False)
    _document: list[bytes] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)
    _found: str | None = attrs.field(default=None, init=False)

    def _read(self, data: bytes) -> list[Event]:
        if self.output == "json":
            self._document.append(data[: max(LINE_LIMIT - self._size, 0)])
            self._size += len(data)
            return []
        return [event for line in self._lines.feed(data) for event in self._read_line(line)]

    def _read_end(self) -> list[Event]:
        if self.output == "jsonl":
            return self._read_line(self._lines.take_tail())
        document = decode_value(b"".join(self._document))
        self._document.clear()
        if document is not None:
            self._found = find(document, self.path)
        return [] if self._found is None else [Text(text=self._found)]

    def _read_line(self, line: bytes) -> list[Event]:
        if not line.strip():
            return []
        value = decode_value(line)
        found = None if value is None else find(value, self.path)
        self._found = self._found if found is None else found
        return [Raw(kind=text_of(decode(line) or {}, "type"), data=line)]

    def _said(self) -> Said:
        if self._found is not None:
            return Said(message=self._found)
        what = "is no JSON document" if self.output == "json" else "has no JSON line"
        where = f" with {self.written!r} in it" if self.written else ""
        return Said(trouble=f"the output {what}{where}")


def find(value: object, path: tuple[Step, ...]) -> str | None:
    """What stands at a path, as text; None if nothing does."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list):
            value = value[step] if -len(value) <= step < len(value) else None
        else:
            return None
    if value is None:
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def parse_path(text: str) -> tuple[Step, ...]:
    """Read a dotted path with indexes.

    Raises:
        ValueError: it is none.
    """
    steps: list[Step] = []
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            raise ValueError(text)
        key, index = found.groups()
        steps.append(int(index) if key is None else key)
        position = found.end()
    return tuple(steps)


# ---------------------------------------------------------------- the template


def _fill(part: str, value: Callable[[str], str]) -> str:
    return _PLACEHOLDER.sub(lambda found: found[1] or value(found[2]), part)


def _names(argv: tuple[str, ...]) -> list[str]:
    return [found[2] for part in argv for found in _PLACEHOLDER.finditer(part) if found[2]]


def _problems(agent: CommandAgent) -> list[str]:
    """Everything that is wrong with an agent record."""
    names = _names(agent.argv)
    wrong = [] if agent.argv and agent.argv[0] else ["argv is empty: it needs a program"]
    wrong.extend(
        f"argv has {{{name}}}, which is no placeholder (there are "
        + ", ".join(f"{{{each}}}" for each in _PLACEHOLDERS)
        + f"); for the text itself write {{{{{name}}}}}"
        for name in names
        if name not in _PLACEHOLDERS
    )
    for how, name in (("argument", "prompt"), ("file", "prompt_file")):
        if agent.prompt == how and name not in names:
            wrong.append(f'prompt = "{how}" needs {{{name}}} in argv')
        if agent.prompt != how and name in names:
            wrong.append(f'argv has {{{name}}}, which needs prompt = "{how}"')
    if agent.message and agent.output == "text":
        wrong.append('message is a path into JSON: it needs output = "json" or "jsonl"')
    try:
        parse_path(agent.message)
    except ValueError:
        wrong.append(f"message = {agent.message!r} is no path such as `result.items[0].text`")
    return wrong


def _check_arguments(argv: tuple[str, ...]) -> None:
    for argument in map(encode_prompt, argv):
        if b"\0" in argument:
            raise ConfigError('the prompt has a NUL character: use prompt = "stdin" or "file"')
        if len(argument) > ARGUMENT_LIMIT:
            raise ConfigError(
                f"with the prompt an argument has {len(argument)} bytes, {ARGUMENT_LIMIT} at most"
                ' are possible: use prompt = "stdin" or "file"'
            )
