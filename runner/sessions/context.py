"""The turns of a session as text, for a conversation that has not been in them."""

from __future__ import annotations

import textwrap
from collections.abc import Container, Mapping

from runner.sessions.lines import read_lines

# How much of earlier turns a new conversation is told; some 25,000 tokens.
CONTEXT_LIMIT = 100_000


def context_of(
    path: str,
    until: int | None = None,
    *,
    since: int = 0,
    only: Container[int] | None = None,
    limit: int = CONTEXT_LIMIT,
) -> str:
    """The turns as text, to be told to a conversation that has not been in them.

    Args:
        path: of the transcript.
        until: the number of the last turn to tell; None = all.
        since: of the last one before these.
        only: the numbers of those that are told, of these; None = all.
        limit: characters, about; the latest turns are kept.

    Returns:
        What the user said and what the agent answered; empty if there was nothing.
    """
    told = _told(path, until, since, only)
    kept: list[str] = []
    for each in reversed(told):
        if len(each) > limit and kept:
            break
        kept.append(each if len(each) <= limit else f"{each[:limit]} [...]")
        limit -= len(kept[-1])
        if limit <= 0:
            break
    left_out = len(told) - len(kept)
    if left_out:
        kept.append(f"[{left_out} earlier messages are left out]")
    return "\n\n".join(reversed(kept))


def quoted(text: str) -> str:
    """Such a text as it is told: nothing in it is taken for what is to be done now."""
    return textwrap.indent(text, "> ", lambda _line: True)


def _told(path: str, until: int | None, since: int, only: Container[int] | None) -> list[str]:
    """What was said in the turns after `since`, up to `until`."""
    told: list[str] = []
    began = 0  # how much had been said before this turn
    for line in read_lines(path):
        if until is not None and line.turn > until:
            break
        if line.turn > since and (only is None or line.turn in only):
            match line.value:
                case {"prompt": str() as prompt}:
                    began = len(told)
                    told.append(f"User: {prompt.strip()}")
                case {"steer": str() as prompt}:
                    told.append(f"User: {prompt.strip()}")
                case {"never_began": True}:
                    del told[began:]
                case {"result": dict() as result}:
                    told.append(_answer(result))
                case _:
                    pass
    return told


def _answer(result: Mapping[str, object]) -> str:
    words = ["Agent:", str(result.get("final_message") or "").strip()]
    if not result.get("ok"):
        why = result.get("error_text") or result.get("error") or "it failed"
        words.append(f"[this turn did not come to a good end: {why}]")
    return " ".join(filter(None, words))
