"""Threads for file work: what they answer, and whose that is."""

from __future__ import annotations

import weakref

import pytest

from runner.backends.threads import in_thread


class Answer:
    """Something that can be seen to go."""


async def test_what_a_thread_answers_is_gone_when_its_caller_lets_go_of_it():
    answer = await in_thread(Answer)
    gone = weakref.ref(answer)

    del answer

    assert gone() is None


async def test_what_a_thread_raises_is_raised_to_its_caller():
    def work():
        raise FileNotFoundError("it")

    with pytest.raises(FileNotFoundError, match="it"):
        await in_thread(work)
