"""What a program asks of files over the Agent Client Protocol, and how it is answered. Pure.

Source: the protocol's schema, version 1, "fs/read_text_file" and "fs/write_text_file". Who reads
and writes is not known here (the session).
"""

from __future__ import annotations

from runner.agents.acp_read import Record
from runner.agents.asking import FileAnswer, FileAsked, ReadAsked, WriteAsked
from runner.agents.lines import text_of, whole_of

READ, WRITE = "fs/read_text_file", "fs/write_text_file"

_NOT_FOUND = -32002  # the protocol's own: "Resource not found", by which gemini knows it as well
_INVALID = -32602  # JSON-RPC's "Invalid params"


def asked_of(method: str, ident: str, params: Record) -> FileAsked | None:
    """What is asked for; None if it cannot be understood."""
    path = text_of(params, "path")
    if not path:
        return None
    if method == READ:
        limit = params.get("limit")
        line = max(1, whole_of(params, "line"))
        return ReadAsked(
            id=ident,
            path=path,
            line=line,
            limit=None if limit is None else whole_of(params, "limit"),
        )
    text = params.get("content")
    return WriteAsked(id=ident, path=path, text=text) if isinstance(text, str) else None


def reply_of(asked: FileAsked, answer: FileAnswer) -> Record:
    """The answer's part of the message: a result, or an error."""
    if answer.refusal:
        return refusal_of(answer.refusal, asked.path if answer.is_missing else "")
    return {"result": {"content": answer.text} if isinstance(asked, ReadAsked) else {}}


def refusal_of(text: str, missing: str = "") -> Record:
    """An error; `missing` is the path of what is not there."""
    if missing:
        error = {"code": _NOT_FOUND, "message": f"Resource not found: {missing}"}
        return {"error": {**error, "data": {"uri": missing}}}
    return {"error": {"code": _INVALID, "message": text}}
