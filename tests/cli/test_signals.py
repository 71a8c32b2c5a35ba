"""The ladder: which signal climbs how far, what is said, and what is beyond the last step."""

from __future__ import annotations

import os
import signal

import pytest
import trio

from runner.cli.signals import Ladder, Step


class _Told(list[str]):
    def ladder(self, begin_at: int = 1) -> Ladder:
        steps = [Step(f"say {name}", lambda name=name: self.append(f"do {name}")) for name in "abc"]
        return Ladder(
            steps=steps,
            say=self.append,
            begin_at=begin_at,
            give_up=lambda: self.append("give up"),
        )


def test_each_interrupt_climbs_one_step() -> None:
    told = _Told()
    ladder = told.ladder()

    for _ in range(4):
        ladder.climb(signal.SIGINT)

    assert told == ["do a", "say a", "do b", "say b", "do c", "say c", "give up"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_begins_further_up_and_says_only_where_it_came_to(number: signal.Signals) -> None:
    told = _Told()
    ladder = told.ladder()

    ladder.climb(number)
    assert told == ["do a", "do b", "say b"]

    ladder.climb(number)
    assert told[3:] == ["do c", "say c"]
    assert ladder.last is number


async def test_signals_are_taken_until_it_is_cancelled() -> None:
    told = _Told()
    ladder = told.ladder()
    before = signal.getsignal(signal.SIGINT)

    async with trio.open_nursery() as nursery:
        await nursery.start(ladder.watch)
        os.kill(os.getpid(), signal.SIGINT)
        with trio.fail_after(10):
            while not told:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    assert told == ["do a", "say a"]
    assert signal.getsignal(signal.SIGINT) is before


def test_beyond_the_last_step_the_process_is_gone_at_once(runner) -> None:
    program = (
        "import signal; from runner.cli.signals import Ladder; "
        "Ladder(steps=(), say=print, begin_at=0).climb(signal.SIGINT); print('still here')"
    )

    ended = runner(program=("-c", program))

    assert (ended.code, ended.out) == (-signal.SIGKILL, "")
