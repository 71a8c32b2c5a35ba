"""What a program asks for in a turn, and what becomes of it, as values.

`runner.agents.events` passes their names on. Who decides is not known here (the session).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

ApprovalKind: TypeAlias = Literal["tool", "command", "edit", "question"]
Decider: TypeAlias = Literal["policy", "callback", "person", "default", "closed"]


@attrs.frozen(kw_only=True)
class Question:
    """Something that the agent wants to know.

    Attributes:
        id: what its answer is given by (`Decision.answers`).
        options: what it may be answered with; any text may, if there are none or `is_open`.
        is_several: more than one option may be chosen, joined by ", ".
        is_secret: the answer is not for logs.
    """

    id: str
    text: str
    options: tuple[str, ...] = ()
    is_open: bool = True
    is_several: bool = False
    is_secret: bool = False


@attrs.frozen(kw_only=True)
class ApprovalAsked:
    """The program asks for leave, or for an answer, and waits for it (`Conversation.decide`).

    Attributes:
        id: what it is decided by.
        tool: the program's name of the tool.
        input: what the tool is to get, as the program says it.
        kind: what it is about; "tool" is all that is nothing else.
        text: for people: the command, the path, the questions, or why the program asks.
        paths: what would be written or read, absolute or relative to the session's directory, if
            the program says it.
        questions: what is to be answered; empty unless it is a question.
    """

    id: str
    tool: str
    input: Mapping[str, object]
    kind: ApprovalKind = "tool"
    text: str = ""
    paths: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()


@attrs.frozen(kw_only=True)
class ApprovalClosed:
    """The program does not wait for the decision any more."""

    id: str


@attrs.frozen(kw_only=True)
class Decision:
    """What becomes of something that was asked for.

    Attributes:
        allow: whether the program may.
        input: what the tool gets instead of what the program asked for; None = that. Only a
            program with the ability "rewrite" can take it, for others it counts as a refusal.
        message: told to the agent with a refusal.
        answers: by the questions' ids, for an approval that asks them.
    """

    allow: bool
    input: Mapping[str, object] | None = None
    message: str = ""
    answers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ApprovalDecided:
    """What a program had asked for was decided; said by the session, not by the program.

    Attributes:
        by: whom; "closed" = nobody, as the program does not wait for it any more.
    """

    asked: ApprovalAsked
    decision: Decision
    by: Decider = "default"


# ---------------------------------------------------------------- files


@attrs.frozen(kw_only=True)
class ReadAsked:
    """The program asks us for the text of a file, and waits for it (`Conversation.give`).

    Attributes:
        id: what it is answered by.
        path: as the program says it.
        line: the first one that it wants, from 1.
        limit: how many; None = all.
    """

    id: str
    path: str
    line: int = 1
    limit: int | None = None


@attrs.frozen(kw_only=True)
class WriteAsked:
    """The program asks us to make a file, or to replace its text, and waits (`Conversation.give`).

    Attributes:
        id: what it is answered by.
        path: as the program says it.
        text: all of it.
    """

    id: str
    path: str
    text: str


FileAsked: TypeAlias = ReadAsked | WriteAsked


@attrs.frozen(kw_only=True)
class FileAnswer:
    """What came of a file that the program asked for.

    Attributes:
        text: what was read.
        refusal: why it was not done; empty = it was.
        is_missing: there is no such file.
    """

    text: str = ""
    refusal: str = ""
    is_missing: bool = False
