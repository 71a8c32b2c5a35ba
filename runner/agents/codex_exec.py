"""The `codex` agent with `protocol = "exec"`: `codex exec --json`, a process for each turn.

For versions without `codex app-server`. The prompt comes by standard input; the conversation goes
on by the thread's id, which the first event says. Tried with 0.169.0.

What it cannot do as well as the server: nobody can be asked, nothing can be added to a turn, there
are no forks and no MCP servers but those of the agent's `config`. Its token counts are those of the
whole thread, so of a turn in a thread that was resumed they are not known. Why a turn failed is
only in sentences: the status in them is read, and the few that `_SENTENCES` has.

What is not here: credentials (the session copies them), the lives of processes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import ClassVar

import attrs

from runner.agents import codex_errors
from runner.agents.codex_open import MAX_PROMPT
from runner.agents.codex_read import Record, of_completed, of_started, usage_of
from runner.agents.driver import (
    PLAIN,
    Ability,
    Access,
    CodexAgent,
    Launch,
    Rung,
    Setting,
    TurnOptions,
)
from runner.agents.events import (
    ConversationStarted,
    ErrorClass,
    Event,
    Raw,
    Retry,
    Text,
    TurnEnded,
    Usage,
)
from runner.agents.lines import LineSplitter, decode, decode_value, list_of, mapping_of, text_of
from runner.agents.oneshot import OneShot, Said, encode_prompt
from runner.agents.provider import by_status

# The sandbox as in codex_open: /tmp is for everybody.
CONFINED = ("sandbox_workspace_write.exclude_slash_tmp=true",)

_SENTENCES = {
    "context window": ErrorClass.CONTEXT_OVERFLOW,
    "at capacity": ErrorClass.OVERLOADED,
    "high demand": ErrorClass.OVERLOADED,
    "usage limit": ErrorClass.BUDGET,
    "waiting for network": ErrorClass.NETWORK,
    "error sending request": ErrorClass.NETWORK,
    "stream disconnected": ErrorClass.NETWORK,
}


@attrs.frozen
class CodexExecDriver:
    """How `codex exec` carries out turns.

    Attributes:
        overrides: settings that go before those of the agent's `config`.
    """

    agent: CodexAgent
    overrides: tuple[str, ...] = ()

    name: ClassVar[str] = "codex"
    process_per_turn: ClassVar[bool] = True
    max_prompt: ClassVar[int] = MAX_PROMPT
    abilities: ClassVar[frozenset[Ability]] = frozenset({"schema", "access"})
    # SIGINT first, other than for the server: here it ends the running commands, too.
    ladder: ClassVar[tuple[Rung, ...]] = (
        Rung(act="SIGINT", wait=3.0),
        Rung(act="SIGTERM", wait=2.0),
    )

    def launch(self, setting: Setting) -> Launch:
        """How to carry out the setting's prompt. Options go before `resume`, which takes none."""
        agent, home = self.agent, f"{setting.private}/home"
        schema = f"{setting.private}/schema.json"
        files = [
            (f"{home}/.codex/config.toml", agent.config.encode()),
            (f"{setting.private}/scratch/.keep", b""),  # makes the directory
        ]
        if setting.options.schema is not None:
            files.append((schema, json.dumps(setting.options.schema).encode()))
        env = {"HOME": home, "CODEX_HOME": f"{home}/.codex", "TMPDIR": f"{setting.private}/scratch"}
        return Launch(
            argv=(
                agent.program,
                "exec",
                "--json",
                "--skip-git-repo-check",
                f"--sandbox={setting.options.access or agent.access}",
                f"--cd={setting.cwd}",
                *((f"--model={agent.model}",) if agent.model else ()),
                *((f"--output-schema={schema}",) if setting.options.schema is not None else ()),
                *(word for each in (*self.overrides, *CONFINED) for word in ("-c", each)),
                *agent.args,
                *(("resume", setting.conversation) if setting.resume else ()),
                "-",
            ),
            env=(*env.items(), *agent.env.items()),
            pass_env=agent.pass_env,
            files=tuple(files),
            stdin=encode_prompt(setting.prompt),
        )

    def conversation(self, setting: Setting) -> CodexExecConversation:
        """The state of the setting's turn."""
        return CodexExecConversation(str(setting.turn), setting=setting, access=self.agent.access)

    def history(self, private: str, conversation: str) -> str:
        """Where it keeps a conversation: by the day on which it was begun."""
        return f"{private}/home/.codex/sessions/*/*/*/rollout-*-{conversation}.jsonl"


@attrs.define(eq=False)
class CodexExecConversation(OneShot):
    """The state of one `codex exec`."""

    setting: Setting
    access: Access
    _lines: LineSplitter = attrs.field(factory=LineSplitter, init=False)
    _last: str = attrs.field(default="", init=False)
    _retry: Retry | None = attrs.field(default=None, init=False)
    _retries: int = attrs.field(default=0, init=False)
    _end: Record = attrs.field(factory=dict, init=False)

    def takes(self, options: TurnOptions) -> bool:
        """Whether it was started so."""
        own = self.setting.options
        access = options.access or self.access
        return access == (own.access or self.access) and options.schema == own.schema

    def send_turn(self, turn: str, prompt: str, options: TurnOptions = PLAIN) -> None:
        """Say by which id the turn is known; the prompt is part of the launch already."""
        super().send_turn(turn, prompt, options)

    def _read(self, data: bytes) -> list[Event]:
        return [event for line in self._lines.feed(data) for event in self._line(line)]

    def _read_end(self) -> list[Event]:
        return self._line(self._lines.take_tail())

    def _said(self) -> Said:
        trouble = "" if self._end else "the program ended without a word about the turn"
        return Said(message=self._last, trouble=trouble)

    def _line(self, line: bytes) -> list[Event]:
        if not line.strip():
            return []
        message = decode(line)
        kind = "garbage" if message is None else text_of(message, "type")
        events = None if message is None else self._translate(kind, message)
        return [Raw(kind=kind, data=line)] if events is None else events

    def _translate(self, kind: str, message: Record) -> list[Event] | None:
        item = _in_camel_case(mapping_of(message, "item"))
        match kind:
            case "thread.started":
                return [ConversationStarted(conversation=text_of(message, "thread_id"))]
            case "item.started":
                return of_started(item)
            case "item.completed":
                return self._hear(of_completed(item))
            case "error" if text_of(message, "message").startswith("Reconnecting..."):
                return self._retried(text_of(message, "message"))
            case "turn.completed" | "turn.failed":
                self._end = message
                return None
            case _:
                return None

    def _hear(self, events: list[Event] | None) -> list[Event] | None:
        for event in events or []:
            if isinstance(event, Text):
                self._last = event.text
        return events

    def _retried(self, sentence: str) -> list[Event]:
        """It asks its provider again; it counts how often, but not while it waits for a network."""
        counted = re.match(r"\D*(\d+)/(\d+)", sentence)
        self._retries += 1
        self._retry = Retry(
            attempt=int(counted[1]) if counted else self._retries,
            of=int(counted[2]) if counted else None,
            status=_status(sentence),
            error=_class_of(sentence) or ErrorClass.NETWORK,
            message=sentence,
        )
        return [self._retry]

    def _turn_ended(self, exit_code: int, stderr: bytes) -> TurnEnded:
        ended = super()._turn_ended(exit_code, stderr)
        sentence = text_of(mapping_of(self._end, "error"), "message")
        if not ended.ok:
            if sentence and ended.error is not ErrorClass.INTERRUPTED:
                error = _class_of(sentence) or codex_errors.of_failure(
                    {"message": sentence}, self._retry
                )
                ended = attrs.evolve(ended, error=error, error_text=sentence)
            return attrs.evolve(ended, raw={**ended.raw, **self._end})
        schema = self.setting.options.schema
        return attrs.evolve(
            ended,
            stop="completed",
            usage=self._usage(),
            raw={**ended.raw, **self._end},
            structured=None if schema is None else decode_value(encode_prompt(self._last)),
        )

    def _usage(self) -> Usage:
        if self.setting.resume:
            return Usage()  # the counts are the whole thread's
        return usage_of(_in_camel_case(mapping_of(self._end, "usage")))


def _class_of(sentence: str) -> ErrorClass | None:
    """The class of a failure that codex only says in words."""
    if found := by_status(_status(sentence)):
        return found
    lower = sentence.lower()
    return next((error for words, error in _SENTENCES.items() if words in lower), None)


def _status(sentence: str) -> int | None:
    found = re.search(r"status:? (\d{3})\b", sentence)
    return int(found[1]) if found else None


def _in_camel_case(record: Mapping[str, object]) -> dict[str, object]:
    """A record in the words of the server, which has the same ones in camel case."""
    named = {_camel(key): value for key, value in record.items()}
    named["type"] = _camel(text_of(record, "type"))
    if record.get("type") == "reasoning":
        named["summary"] = [text_of(record, "text")]
    changes = [each for each in list_of(record, "changes") if isinstance(each, dict)]
    if changes:
        named["changes"] = [{**each, "kind": {"type": text_of(each, "kind")}} for each in changes]
    return named


def _camel(word: str) -> str:
    first, *rest = word.split("_")
    return first + "".join(each.capitalize() for each in rest)
