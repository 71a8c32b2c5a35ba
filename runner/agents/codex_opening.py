"""How a process of codex comes to its thread: what is asked of it, one after the other. Pure.

    initialize ──► thread/start, /resume or /fork ──► done
                                    └──► thread/rollback ──┘   of a fork by an older version

A thread that cannot be opened (unknown, open elsewhere, another one came than was asked for) does
not end the process. It counts as open, under the id that was asked for, and the first turn in it
is refused by the program and fails with the sentence about the opening.
"""

from __future__ import annotations

import re
from typing import TypeAlias

import attrs

from runner.agents import codex_open
from runner.agents.codex_read import Record
from runner.agents.driver import Access, Setting
from runner.agents.events import ConversationStarted
from runner.agents.lines import mapping_of, text_of

Call: TypeAlias = tuple[str, dict[str, object]]  # a method, and its parameters

INITIALIZE: Call = (
    "initialize",
    {
        "clientInfo": {"name": "runner", "title": "runner", "version": "0"},
        "capabilities": {"experimentalApi": True},
    },
)
ACCOUNT: Call = ("account/read", {"refreshToken": False})
# From its login file alone: what is asked where it could not find the account out.
STATUS: Call = ("getAuthStatus", {"includeToken": False, "refreshToken": False})


@attrs.define(eq=False)
class CodexOpening:
    """The state of the opening.

    Attributes:
        access, model: the agent record's.
        version: of the program.
        credential: what it says it uses towards its provider, as soon as it does.
        thread: the id of the thread, once it is open.
        trouble: why it could not be opened.
        started: said of it, if it could.
    """

    setting: Setting
    access: Access
    model: str
    version: str = attrs.field(default="", init=False)
    credential: str = attrs.field(default="", init=False)
    thread: str = attrs.field(default="", init=False)
    trouble: str = attrs.field(default="", init=False)
    started: ConversationStarted | None = attrs.field(default=None, init=False)
    _asked: str = attrs.field(default=INITIALIZE[0], init=False)

    def take(self, result: Record, trouble: str) -> Call | None:
        """Take the answer to what was asked last; what is to be asked next, None = it is over."""
        call = None if trouble else self._next(result)
        if call is not None:
            self._asked = call[0]
            return call
        self.trouble = trouble or self.trouble
        if self.trouble or self.started is None:
            self.started = None
            self.thread = self.setting.conversation
        else:
            self.thread = self.started.conversation
        return None

    def _next(self, result: Record) -> Call | None:
        match self._asked:
            case "initialize":
                found = re.search(r"/(\d+\.\d+\.\d+\S*)", text_of(result, "userAgent"))
                self.version = found[1] if found else ""
                return codex_open.thread(self.setting, self.access, self.model)
            case "thread/rollback":
                return None
            case _:
                return self._on_thread(mapping_of(result, "thread"), text_of(result, "model"))

    def _on_thread(self, record: Record, model: str) -> Call | None:
        thread, asked = text_of(record, "id"), self.setting.conversation
        surplus = codex_open.surplus(self.setting, record)
        if not thread:
            self.trouble = "it gave no thread"
        elif self.setting.resume and thread != asked:
            self.trouble = f"it opened the thread {thread} instead of {asked}"
        elif surplus is None:
            self.trouble = "it copied a thread without the turn that was asked for"
        else:
            self.started = ConversationStarted(
                conversation=thread,
                model=model,
                version=self.version,
                credential=self.credential,
            )
            if surplus:
                return "thread/rollback", {"threadId": thread, "numTurns": surplus}
        return None
