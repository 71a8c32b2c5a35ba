"""What codex asks for (requests of the server): from its request to an event, and back. Pure.

A command's or an edit's leave is yes or no: no other input can be given. What is refused goes
without a sentence of ours, so a decision's message reaches the agent as a prompt in mid-turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from runner.agents import forms
from runner.agents.codex_read import Record
from runner.agents.events import ApprovalAsked, ApprovalKind, Decision, Question
from runner.agents.lines import list_of, mapping_of, text_of

Answer = Callable[[ApprovalAsked, Decision], Record]


def _verdict(yes: str, no: str) -> Answer:
    def answer(_asked: ApprovalAsked, decision: Decision) -> Record:
        # Another input than was asked for cannot be given, and what was asked for was not allowed.
        return {"decision": yes if decision.allow and decision.input is None else no}

    return answer


def _answers(asked: ApprovalAsked, decision: Decision) -> Record:
    given = decision.answers if decision.allow else {}
    return {
        "answers": {
            question.id: {"answers": [given[question.id]] if question.id in given else []}
            for question in asked.questions
        }
    }


def _permissions(asked: ApprovalAsked, decision: Decision) -> Record:
    """Less than it asks for can be granted, or nothing; for this turn."""
    wanted = mapping_of(asked.input, "permissions")
    given = wanted if decision.input is None else decision.input
    return {"permissions": given if decision.allow else {}, "scope": "turn"}


def _elicited(asked: ApprovalAsked, decision: Decision) -> Record:
    """The answer to an MCP server's question, or to whether one of its tools may be used."""
    if decision.input is not None and not asked.questions:
        decision = Decision(allow=False)  # another input than was asked for cannot be given
    return {**forms.answer(mapping_of(asked.input, "requestedSchema"), decision), "_meta": None}


@attrs.frozen
class _Request:
    kind: ApprovalKind
    answer: Answer


_REQUESTS: Mapping[str, _Request] = {
    "item/commandExecution/requestApproval": _Request("command", _verdict("accept", "decline")),
    "item/fileChange/requestApproval": _Request("edit", _verdict("accept", "decline")),
    "item/permissions/requestApproval": _Request("tool", _permissions),
    "item/tool/requestUserInput": _Request("question", _answers),
    "mcpServer/elicitation/request": _Request("tool", _elicited),
    "execCommandApproval": _Request("command", _verdict("approved", "denied")),
    "applyPatchApproval": _Request("edit", _verdict("approved", "denied")),
}


@attrs.define(eq=False)
class Asks:
    """What codex has asked for and waits for, by the ids of our events."""

    _open: dict[str, tuple[object, str, ApprovalAsked]] = attrs.field(factory=dict, init=False)

    def take(
        self, number: object, method: str, params: Record, item: Record
    ) -> ApprovalAsked | None:
        """Take a request; None if it is none that can be decided."""
        asked = of_request(number, method, params, item)
        if asked is not None:
            self._open[asked.id] = (number, method, asked)
        return asked

    def withdraw(self, approval: str) -> bool:
        """Wait no more; whether it waited."""
        return self._open.pop(approval, None) is not None

    def decide(self, approval: str, decision: Decision) -> Record | None:
        """What codex gets for its answer; None if it does not wait any more."""
        if approval not in self._open:
            return None
        number, method, asked = self._open.pop(approval)
        return {"id": number, "result": answer(method, asked, decision)}


def of_request(number: object, method: str, params: Record, item: Record) -> ApprovalAsked | None:
    """The event of a request; None if it is none that can be decided.

    Args:
        number: the request's, a whole number or a text.
        method: what kind it is.
        params: what it says.
        item: of which item of the turn it is; may be empty.
    """
    request = _REQUESTS.get(method)
    if request is None:
        return None
    if method == "mcpServer/elicitation/request":
        return _of_elicitation(str(number), params)
    changes = {key: item[key] for key in ("changes",) if key in item}
    paths = _paths(item, params)
    questions = tuple(_questions(params))
    return ApprovalAsked(
        id=str(number),
        tool=method.removeprefix("item/").removeprefix("tool/").split("/")[0],
        input={**params, **changes},
        kind=request.kind,
        text=_text(params, questions, paths),
        paths=tuple(paths),
        questions=questions,
    )


def _paths(item: Record, params: Record) -> list[str]:
    """What an edit is to change; a file that is moved, and where to."""
    paths: list[str] = []
    for each in list_of(item, "changes"):
        if isinstance(each, dict):
            paths += [text_of(each, "path"), text_of(mapping_of(each, "kind"), "move_path")]
    edits = mapping_of(params, "fileChanges")
    for path in edits:
        paths += [path, text_of(mapping_of(edits, path), "move_path")]
    # A root that it wants for the rest of the session: given with the first of its edits.
    paths.append(text_of(params, "grantRoot"))
    return [path for path in dict.fromkeys(paths) if path]


def _of_elicitation(number: str, params: Record) -> ApprovalAsked:
    """An MCP server asks something, or codex asks whether a tool of one may be used."""
    server, meta = text_of(params, "serverName"), mapping_of(params, "_meta")
    if text_of(meta, "codex_approval_kind") == "mcp_tool_call":
        return ApprovalAsked(
            id=number,
            tool=f"mcp__{server}__{text_of(meta, 'tool_name')}",
            input=mapping_of(meta, "tool_params"),
            text=text_of(params, "message"),
        )
    questions = forms.questions_of(mapping_of(params, "requestedSchema"))
    return ApprovalAsked(
        id=number,
        tool=f"mcp__{server}",
        input=params,
        kind="question" if questions else "tool",
        text=text_of(params, "message"),
        questions=questions,
    )


def answer(method: str, asked: ApprovalAsked, decision: Decision) -> Record:
    """What codex gets for an answer."""
    return _REQUESTS[method].answer(asked, decision)


def _text(params: Record, questions: tuple[Question, ...], paths: list[str]) -> str:
    command = params.get("command")
    words = command if isinstance(command, list) else [command]
    said = " ".join(word for word in words if isinstance(word, str))
    asked = "\n".join(question.text for question in questions)
    named = said or asked or text_of(params, "reason")
    return named or ", ".join(paths)


def _questions(params: Record) -> list[Question]:
    return [
        Question(
            id=text_of(each, "id"),
            text=text_of(each, "question"),
            options=tuple(
                text_of(option, "label")
                for option in list_of(each, "options")
                if isinstance(option, dict)
            ),
            is_open=each.get("isOther") is True,
            is_secret=each.get("isSecret") is True,
        )
        for each in list_of(params, "questions")
        if isinstance(each, dict)
    ]
