"""Ctrl-C once, twice, three times: each signal climbs to the next step, which says what it does.

SIGTERM and SIGHUP begin at the step that `begin_at` says: nobody is there to press a second time.
Beyond the last step this process ends itself on the spot, whatever it is stuck in; the guardian of
the processes then ends what we have started.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence

import attrs
import trio

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@attrs.frozen
class Step:
    """What a signal does.

    Attributes:
        line: what is said.
        act: what is done; must not block.
    """

    line: str
    act: Callable[[], None]


@attrs.define(eq=False, kw_only=True)
class Ladder:
    """The steps, and how far we have come.

    Attributes:
        say: tells people.
        begin_at: the step that SIGTERM and SIGHUP lead to at least.
        last: the signal that was taken last; None = none was.
        height: how many steps were climbed.
        give_up: what is done beyond the last step.
    """

    steps: Sequence[Step]
    say: Callable[[str], None]
    begin_at: int
    last: signal.Signals | None = None
    height: int = 0
    give_up: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL)

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take signals until cancelled; from `started` on none of them ends the process."""
        with trio.open_signal_receiver(*SIGNALS) as arrived:
            task_status.started()
            async for number in arrived:
                self.climb(signal.Signals(number))

    def climb(self, number: signal.Signals) -> None:
        """Take one step, or as many as SIGTERM asks for."""
        self.last = number
        if self.height == len(self.steps):
            self.give_up()
            return
        top = self.height + 1
        if number is not signal.SIGINT:
            top = max(top, self.begin_at + 1)
        for step in self.steps[self.height : top]:
            step.act()
        self.height = top
        self.say(self.steps[top - 1].line)
