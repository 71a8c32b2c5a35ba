r"""The directives: how a prompt says what the model is going to do.

A directive is a line of the prompt that begins with `!` and a word. They are played from top to
bottom; everything else in the prompt is ignored. Each tool call (`!write`, `!run`, `!tool`) ends
one answer of the model, and the result of that call asks for the next: so one request plays the
directives from after the last finished tool call up to and with the next one.

    !write PATH: TEXT           write a file; a newline is added if the text does not end with one
    !run COMMAND                run a shell command
    !tool NAME {JSON}           call any tool that the program declares
    !say TEXT                   text; after the last tool call it is the final message
    !think TEXT                 reasoning
    !fill SIZE                  text of so many letters
    !recall [N]                 say the N prompts before this one again, oldest first; default: all
    !usage input=N output=N cached=N cache-write=N      the token figures of this answer
    !stop REASON                the stop reason of this answer: max_tokens, refusal, ...
    !sleep SECONDS              wait here
    !fail STATUS|CLASS [retry-after=SECONDS] [resets=SECONDS] [type=WORD] [times=N] [MESSAGE]
                                an error; after a `!say`, one in the middle of the stream;
                                resets: until an account's limit is over, as the API says that
    !drop [times=N]             begin the answer, then cut the connection
    !reset [times=N]            cut the connection before any answer
    !stall [times=N]            begin the answer, then send nothing more
    !hang [times=N]             never answer
    !malformed [times=N]        answer with what is not the protocol

In TEXT, `\n`, `\t` and `\\` are newline, tab and backslash. Longer texts stand below:
`!write PATH <<WORD`, `!say <<WORD`, `!run <<WORD`, and then lines, verbatim, up to a line WORD.
`times=N`: only the first N times that this prompt comes to it; prompts that differ in any
character are counted apart. Only a ScriptedAgent knows

    !exit CODE                  end the program in the middle of the turn; negative = by a signal
    !spawn COMMAND              leave a process behind, in a session (setsid) of its own
    !stderr TEXT                write a line to standard error
    !line TEXT                  write a line to standard output, as it is
    !cost USD                   what the turn costs

Asked to sum up the conversation, as claude does when it is too long, the model says all prompts so
far, quoted: their directives are not played again.

An unknown or misspelt directive is an error that says so, never a silent nothing.
This module only parses: no I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from runner.agents.events import ErrorClass, Usage
from runner.testing.model.steps import (
    Cost,
    Count,
    Drop,
    Exit,
    Fail,
    Fill,
    Hang,
    Line,
    Malformed,
    Recall,
    Reset,
    Run,
    Say,
    Sleep,
    Spawn,
    Stall,
    Stderr,
    Step,
    Stop,
    Think,
    Tool,
    Write,
)


class DirectiveError(ValueError):
    """A line that should be a directive and is none."""


STATUS_CLASSES: Mapping[int, ErrorClass] = {
    400: ErrorClass.BAD_REQUEST,
    401: ErrorClass.AUTH,
    402: ErrorClass.BUDGET,
    403: ErrorClass.AUTH,
    404: ErrorClass.BAD_REQUEST,
    408: ErrorClass.TIMEOUT,
    413: ErrorClass.CONTEXT_OVERFLOW,
    429: ErrorClass.RATE_LIMITED,
    500: ErrorClass.OVERLOADED,
    502: ErrorClass.OVERLOADED,
    503: ErrorClass.OVERLOADED,
    504: ErrorClass.OVERLOADED,
    529: ErrorClass.OVERLOADED,
}
CLASS_STATUSES: Mapping[ErrorClass, int] = {
    ErrorClass.AUTH: 401,
    ErrorClass.BUDGET: 402,
    ErrorClass.RATE_LIMITED: 429,
    ErrorClass.OVERLOADED: 529,
    ErrorClass.BAD_REQUEST: 400,
    ErrorClass.CONTEXT_OVERFLOW: 400,
    ErrorClass.TIMEOUT: 408,
}

_MESSAGES = {ErrorClass.CONTEXT_OVERFLOW: "prompt is too long: 250000 tokens > 200000 maximum"}
_DIRECTIVE = re.compile(r"\s*!([a-z]+)(?:\s+(.*))?")
_HEREDOC = re.compile(r"(.*?)\s*<<(\w+)\s*")
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}
_TAKES_BLOCK = {"write", "say", "run", "think"}


def parse(prompt: str) -> tuple[Step, ...]:
    """Read the directives of a prompt, in their order.

    Raises:
        DirectiveError: a directive is unknown or is not written as it should be.
    """
    steps: list[Step] = []
    lines = iter(prompt.splitlines())
    for line in lines:
        matched = _DIRECTIVE.fullmatch(line)
        if matched is None:
            continue
        name, argument = matched[1], (matched[2] or "").strip()
        reader = _READERS.get(name)
        if reader is None:
            raise DirectiveError(f"unknown directive !{name}; there are: {' '.join(_READERS)}")
        try:
            steps.append(reader(argument, _block(name, argument, lines)))
        except (ValueError, KeyError) as error:
            raise DirectiveError(f"{line.strip()!r}: {error}") from error
    return tuple(steps)


def stretch(
    steps: tuple[Step, ...], done: int, is_call: Callable[[Step], bool]
) -> list[tuple[int, Step]]:
    """Pick what one request plays, each step with its number.

    Args:
        steps: all steps of the prompt.
        done: how many tool calls of the prompt have their result.
        is_call: whether a step can be carried out as a tool call.
    """
    picked: list[tuple[int, Step]] = []
    for number, step in enumerate(steps):
        picked.append((number, step))
        if is_call(step):
            if done == 0:
                return picked
            done -= 1
            picked = []
    return picked


def recalled(prompts: tuple[str, ...], step: Recall) -> str:
    """Say earlier prompts; the last of `prompts` is the one that asks."""
    earlier = prompts[:-1]
    picked = earlier if step.count is None else earlier[max(len(earlier) - step.count, 0) :]
    return "\n".join(picked) or "I remember no earlier prompt."


# ---------------------------------------------------------------- one reader per directive

_Block: TypeAlias = tuple[str, tuple[str, ...]] | None  # what stands before <<WORD, and the lines
_Reader: TypeAlias = Callable[[str, _Block], Step]


def _block(name: str, argument: str, lines: Iterator[str]) -> _Block:
    matched = _HEREDOC.fullmatch(argument) if name in _TAKES_BLOCK else None
    if matched is None or (name != "write" and matched[1]):
        return None  # `!run cat <<END` is the shell's own
    taken: list[str] = []
    for line in lines:
        if line == matched[2]:
            return matched[1], tuple(taken)
        taken.append(line)
    raise ValueError(f"no line {matched[2]} ends it")


def _unescape(text: str) -> str:
    return re.sub(r"\\([nt\\])", lambda matched: _ESCAPES[matched[1]], text)


def _text(argument: str, block: _Block) -> str:
    return _unescape(argument) if block is None else "\n".join(block[1])


def _read_write(argument: str, block: _Block) -> Write:
    if block is not None:
        path, content = block[0], "".join(f"{line}\n" for line in block[1])
    else:
        path, colon, text = argument.partition(":")
        if not colon:
            raise ValueError("should be !write PATH: TEXT")
        content = _unescape(text.removeprefix(" "))
        if not content.endswith("\n"):
            content += "\n"
    if not path.strip():
        raise ValueError("there is no path")
    return Write(path=path.strip(), content=content)


def _read_run(argument: str, block: _Block) -> Run:
    command = argument if block is None else "\n".join(block[1])
    if not command:
        raise ValueError("there is no command")
    return Run(command=command)


def _read_tool(argument: str, _block: _Block) -> Tool:
    name, _, text = argument.partition(" ")
    value = json.loads(text or "{}")
    if not name or not isinstance(value, dict):
        raise ValueError("should be !tool NAME {JSON object}")
    return Tool(name=name, input=value)


def _read_usage(argument: str, _block: _Block) -> Count:
    options, rest = _options(argument, {"input", "output", "cached", "cache-write"})
    if rest:
        raise ValueError(f"what is {rest!r}?")
    return Count(
        usage=Usage(
            input_tokens=int(options.get("input", "0")),
            output_tokens=int(options.get("output", "0")),
            cached_tokens=int(options.get("cached", "0")),
            cache_write_tokens=int(options.get("cache-write", "0")),
        )
    )


def _read_fail(argument: str, _block: _Block) -> Fail:
    kind, _, rest = argument.partition(" ")
    options, message = _options(rest, {"retry-after", "resets", "times", "type"})
    if kind.isdecimal():
        status = int(kind)
        if not 400 <= status <= 599:
            raise ValueError("an error's status is 400 to 599")
        error = STATUS_CLASSES.get(status, ErrorClass.FAILED)
    else:
        error = ErrorClass(kind)
        status = CLASS_STATUSES.get(error, 500)
    return Fail(
        status=status,
        error=error,
        type=options.get("type", ""),
        message=_unescape(message) or _MESSAGES.get(error, f"as the prompt asked for: {kind}"),
        retry_after=float(options["retry-after"]) if "retry-after" in options else None,
        resets=float(options["resets"]) if "resets" in options else None,
        times=int(options["times"]) if "times" in options else None,
    )


def _options(argument: str, names: set[str]) -> tuple[dict[str, str], str]:
    options: dict[str, str] = {}
    rest = argument.strip()
    while matched := re.match(r"([a-z-]+)=(\S+)\s*", rest):
        if matched[1] not in names:
            raise ValueError(f"unknown option {matched[1]}=; there are: {' '.join(sorted(names))}")
        options[matched[1]] = matched[2]
        rest = rest[matched.end() :]
    return options, rest


def _with_times(kind: Callable[..., Step]) -> _Reader:
    def read(argument: str, _block: _Block) -> Step:
        options, rest = _options(argument, {"times"})
        if rest:
            raise ValueError(f"what is {rest!r}?")
        return kind(times=int(options["times"]) if "times" in options else None)

    return read


_READERS: Mapping[str, _Reader] = {
    "write": _read_write,
    "run": _read_run,
    "tool": _read_tool,
    "say": lambda argument, block: Say(text=_text(argument, block)),
    "think": lambda argument, block: Think(text=_text(argument, block)),
    "fill": lambda argument, _: Fill(size=int(argument)),
    "recall": lambda argument, _: Recall(count=int(argument) if argument else None),
    "usage": _read_usage,
    "stop": lambda argument, _: Stop(reason=argument),
    "sleep": lambda argument, _: Sleep(seconds=float(argument)),
    "fail": _read_fail,
    "drop": _with_times(Drop),
    "reset": _with_times(Reset),
    "stall": _with_times(Stall),
    "hang": _with_times(Hang),
    "malformed": _with_times(Malformed),
    "exit": lambda argument, _: Exit(code=int(argument or "1")),
    "spawn": lambda argument, _: Spawn(command=argument),
    "stderr": lambda argument, _: Stderr(text=_unescape(argument)),
    "line": lambda argument, _: Line(text=argument),
    "cost": lambda argument, _: Cost(usd=float(argument)),
}
