"""What claude knows of a conversation, by its own file."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from runner.agents.claude_history import knows


def line(uuid: str, parent: str | None, **more: object) -> bytes:
    return json.dumps({"parentUuid": parent, "uuid": uuid, **more}).encode() + b"\n"


# A request had to be repeated: the error was written after the answer, and stands before it.
REPEATED = [
    line("prompt", None, type="user"),
    line("answer", "prompt", type="assistant"),
    line("error", "prompt", type="system", subtype="api_error"),
]


def test_it_knows_the_chain_from_the_last_message_on() -> None:
    assert knows(REPEATED[:2], "answer")
    assert knows(REPEATED[:2], "prompt")


def test_an_answer_that_is_off_the_chain_is_forgotten() -> None:
    assert not knows(REPEATED, "answer")
    assert not knows([*REPEATED, line("next", "error", type="user")], "answer")
    assert knows([*REPEATED, line("next", "error", type="user")], "prompt")


def test_what_is_summed_up_is_known_in_short_only() -> None:
    lines = [
        line("old", None),
        line("summary", None, logicalParentUuid="old", subtype="compact_boundary"),
        line("new", "summary"),
    ]

    assert not knows(lines, "old")
    assert knows(lines, "old", in_short=True)


def test_what_is_no_message_or_of_another_agent_ends_no_chain() -> None:
    lines = [
        *REPEATED[:2],
        b'{"type": "last-prompt", "leafUuid": "prompt"}\n',
        line("other", None, isSidechain=True),
        b'["uuid"]\n',
        b'{"uuid": "half',
    ]

    assert knows(lines, "answer")
    assert not knows(lines, "other")
    assert not knows([], "answer")


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde"))), st.booleans())
def test_a_circle_of_parents_has_an_end(pairs: list[tuple[str, str]], in_short: bool) -> None:
    lines = [line(uuid, parent, logicalParentUuid=parent) for uuid, parent in pairs]

    assert knows(lines, "nobody", in_short=in_short) is False
    if pairs:
        assert knows(lines, pairs[-1][0])
