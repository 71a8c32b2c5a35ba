"""What is said to Claude Code, and what it asks for, as an event. Pure.

It waits for the answer as long as nobody gives one. Another input can be given to a tool
(`can_use_tool`) than it asked for; a question (`AskUserQuestion`) is answered by an input that has
the answers in it. An MCP server's form (`elicitation`) is one more kind of question.
"""

from __future__ import annotations

import attrs

from runner.agents import forms
from runner.agents.claude_read import Record, version_of
from runner.agents.events import ApprovalAsked, ApprovalKind, Decision, Question
from runner.agents.lines import list_of, mapping_of, text_of
from runner.agents.oneshot import as_unicode
from runner.errors import LocalProtocolError

# From this version on `client_composed` makes the program take a line as it is; before, a line
# that begins with "/" is a command of the program's own unless something stands before it.
VERBATIM_SINCE = (2, 1, 248)

_KINDS: dict[str, ApprovalKind] = {
    "Bash": "command",
    "Write": "edit",
    "Edit": "edit",
    "MultiEdit": "edit",
    "NotebookEdit": "edit",
    "AskUserQuestion": "question",
}

_PATHS = ("file_path", "notebook_path", "path")


def line(uuid: str, prompt: str, version: str) -> Record:
    """What brings a prompt to the model, verbatim.

    Raises:
        LocalProtocolError: the prompt is blank.
    """
    if not prompt.strip():
        raise LocalProtocolError("a blank prompt does not reach the model")
    if prompt.startswith("/") and version_of(version) < VERBATIM_SINCE:
        prompt = "\n" + prompt
    return {
        "type": "user",
        "message": {"role": "user", "content": as_unicode(prompt)},
        "parent_tool_use_id": None,
        "session_id": "",
        "uuid": uuid,
        "client_composed": True,
    }


@attrs.define(eq=False)
class Asks:
    """What the program has asked for and waits for, by its numbers of the requests."""

    _open: dict[str, tuple[Record, ApprovalAsked]] = attrs.field(factory=dict, init=False)

    def take(self, number: str, request: Record) -> ApprovalAsked | None:
        """Take a request; None if it is none that can be decided."""
        asked = of_request(number, request)
        if asked is not None:
            self._open[number] = (request, asked)
        return asked

    def withdraw(self, number: str) -> bool:
        """Wait no more; whether it waited."""
        return self._open.pop(number, None) is not None

    def decide(self, number: str, decision: Decision) -> Record | None:
        """What the program gets for its answer; None if it does not wait any more."""
        waiting = self._open.pop(number, None)
        return None if waiting is None else answer(*waiting, decision)


def of_request(number: str, request: Record) -> ApprovalAsked | None:
    """The event of a request; None if it is none that can be decided."""
    match text_of(request, "subtype"):
        case "can_use_tool":
            return _of_tool(number, request)
        case "elicitation":
            return _of_form(number, request)
        case _:
            return None


def _of_tool(number: str, request: Record) -> ApprovalAsked:
    tool, given = text_of(request, "tool_name"), mapping_of(request, "input")
    questions = tuple(_questions(given)) if tool == "AskUserQuestion" else ()
    paths = [text_of(given, key) for key in _PATHS] + [text_of(request, "blocked_path")]
    asked = "\n".join(question.text for question in questions)
    named = text_of(given, "command") or next(filter(None, paths), "")
    return ApprovalAsked(
        id=number,
        tool=tool,
        input=given,
        kind=_KINDS.get(tool, "tool"),
        text=asked or named or text_of(request, "description"),
        paths=tuple(dict.fromkeys(filter(None, paths))),
        questions=questions,
    )


def _of_form(number: str, request: Record) -> ApprovalAsked:
    questions = forms.questions_of(mapping_of(request, "requested_schema"))
    return ApprovalAsked(
        id=number,
        tool=f"mcp__{text_of(request, 'mcp_server_name')}",
        input=request,
        kind="question" if questions else "tool",
        text=text_of(request, "message"),
        questions=questions,
    )


def answer(request: Record, asked: ApprovalAsked, decision: Decision) -> Record:
    """What the program gets for an answer to its request."""
    if text_of(request, "subtype") == "elicitation":
        return forms.answer(mapping_of(request, "requested_schema"), decision)
    if not decision.allow:
        return {"behavior": "deny", "message": decision.message or "Refused."}
    given = asked.input if decision.input is None else decision.input
    if asked.questions:
        given = {**given, "answers": dict(decision.answers)}
    return {"behavior": "allow", "updatedInput": given}


def _questions(given: Record) -> list[Question]:
    return [
        Question(
            id=text_of(each, "question"),
            text=text_of(each, "question"),
            options=tuple(
                text_of(option, "label")
                for option in list_of(each, "options")
                if isinstance(option, dict)
            ),
            is_several=each.get("multiSelect") is True,
        )
        for each in list_of(given, "questions")
        if isinstance(each, dict)
    ]
