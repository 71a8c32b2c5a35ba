"""The forms of MCP servers (elicitation): from a form's JSON schema to questions, and back. Pure.

Both programs pass such a form on as the server made it, and take the answer as MCP has it: accept
with content, or decline. A field's answer is text and becomes what the field's type says.
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.agents.events import Decision, Question
from runner.agents.lines import decode_value, list_of, mapping_of, text_of


def questions_of(schema: Mapping[str, object]) -> tuple[Question, ...]:
    """A form's fields as questions."""
    fields = mapping_of(schema, "properties")
    return tuple(_question(name, mapping_of(fields, name)) for name in fields)


def answer(schema: Mapping[str, object], decision: Decision) -> dict[str, object]:
    """What the server gets; an input that was decided on is the content as it is."""
    if not decision.allow:
        return {"action": "decline", "content": None}
    fields = mapping_of(schema, "properties")
    given = {key: _typed(text, mapping_of(fields, key)) for key, text in decision.answers.items()}
    return {"action": "accept", "content": given if decision.input is None else decision.input}


def _question(name: str, schema: Mapping[str, object]) -> Question:
    items = mapping_of(schema, "items") if text_of(schema, "type") == "array" else schema
    options = tuple(each for each in list_of(items, "enum") if isinstance(each, str))
    return Question(
        id=name,
        text=text_of(schema, "description") or text_of(schema, "title") or name,
        options=options,
        is_open=not options,
        is_several=items is not schema,
    )


def _typed(text: str, schema: Mapping[str, object]) -> object:
    """An answer as its schema has it; as the text that it is, if it cannot be that."""
    value = decode_value(text.strip().lower().encode("utf-8", "replace"))
    match text_of(schema, "type"):
        case "boolean" if isinstance(value, bool):
            return value
        case "integer" | "number" if isinstance(value, (int, float)) and not isinstance(
            value, bool
        ):
            return value
        case "array":
            return text.split(", ")
        case _:
            return text
