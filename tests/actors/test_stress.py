"""Random asks, cancels, crashes, idling, overlapping places and shutdowns, and what must hold.

Each ask gets exactly one answer; the order of arrival is kept; no two messages overlap that must
not; nothing runs after its caller left, nor without what the actor owns; at the end no mailbox is
open, no place is left, nothing is owned. No ask has a time limit of its own that could hide a lost
answer: a hang is for pytest-timeout to find.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from runner.actors import ChildSpec, Handle, Lane, open_supervisor
from runner.errors import (
    ActorCrashed,
    ActorGaveUp,
    MailboxFull,
    NotFound,
    RunnerError,
    SupervisorClosed,
)
from runner.messages import Message

SENDERS, ASKS = 8, 15
PLACES = [None, None, (), ("a",), ("a", "b"), ("a", "b", "c"), ("a", "d"), ("e",)]
LANES = [Lane.EFFECT] * 4 + [Lane.OBSERVATION] * 3 + [Lane.EXEC, Lane.CONTROL]
WORKS = ["at once"] * 4 + ["later"] * 4 + ["refuse", "refuse later", "shielded"]
CRASHES = ["crash", "crash later", "crash in a group", "crash in the background"]
MUST_NOT_OVERLAP = {
    Lane.EFFECT: {Lane.EFFECT, Lane.EXEC, Lane.OBSERVATION},
    Lane.EXEC: {Lane.EFFECT, Lane.EXEC},
    Lane.OBSERVATION: {Lane.EFFECT},
    Lane.CONTROL: set(),
}


@attrs.define(eq=False)
class Job(Message[int]):
    """A message that knows what has become of it."""

    number: int
    lane: Lane
    work: str
    seconds: float
    actor: Actor
    arrived: int = 0
    begun: int = 0
    caller_is_there: bool = True
    limit: trio.CancelScope = attrs.field(factory=trio.CancelScope)


@attrs.define(eq=False, slots=False)
class World:
    """What is going on everywhere, and the rules that must hold at each step."""

    chance: random.Random
    arrivals: int = 0
    running: list[Job] = attrs.field(factory=list)
    answers: dict[int, str] = attrs.field(factory=dict)
    broken: list[str] = attrs.field(factory=list)

    def must(self, holds: object, rule: str) -> None:
        """Note a broken rule: an AssertionError inside of an actor would be one more crash."""
        if not holds:
            self.broken.append(rule)

    def answered(self, job: Job, answer: str) -> None:
        job.caller_is_there = False
        self.must(job not in self.running, "it goes on although its caller has left")
        self.must(job.number not in self.answers, "a second answer")
        self.answers[job.number] = answer
        if answer in ("value", "NotFound", "ActorCrashed"):
            self.must(job.begun == 1, f"it never began, but the answer is {answer}")
        elif answer != "cancelled":
            self.must(job.begun == 0, f"it began, but the answer is {answer}")

    def begins(self, job: Job) -> None:
        job.begun += 1
        self.must(job.begun == 1, "begun twice")
        self.must(job.caller_is_there, "its caller has left")
        self.must(not job.limit.cancel_called, "its caller was cancelled before it began")
        self.must(job.actor.is_sound, "the actor is not there, or it has crashed")
        for other in self.running:
            if overlap(job.actor.place, other.actor.place, same=job.actor is other.actor):
                self.must(other.lane not in MUST_NOT_OVERLAP[job.lane], "two overlap")
        job.actor.waiting.remove(job)
        # Those who have been cancelled have left the queue, but are not awake yet to say so.
        waiting = [each for each in job.actor.waiting if not each.limit.cancel_called]
        if job.lane in (Lane.EFFECT, Lane.EXEC):
            earlier = [each for each in waiting if each.lane in (Lane.EFFECT, Lane.EXEC)]
        elif job.lane is Lane.OBSERVATION:
            earlier = [each for each in waiting if each.lane is Lane.EFFECT]
        else:
            earlier = []
        self.must(all(each.arrived > job.arrived for each in earlier), "it has jumped the queue")


@attrs.define(eq=False, slots=False)
class Actor:
    """An actor at a place, that notes who arrives and who begins."""

    name: str
    place: tuple[str, ...] | None
    world: World
    waiting: list[Job] = attrs.field(factory=list)
    background: trio.Nursery | None = None
    is_sound: bool = False
    owned: int = 0
    spec: ChildSpec = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        chance = self.world.chance
        self.spec = ChildSpec(
            key=self.name,
            open=self.open,
            lane=self.arrives,
            place=self.place,
            capacity=chance.choice([1, 2, 5, 100]),
            idle_after=chance.choice([0.5, 1, 2, 50]),
            max_restarts=chance.choice([0, 1, 100, 100]),
            period=chance.choice([1, 3, 20]),
            backoff=chance.choice([0, 0.5]),
        )

    def arrives(self, job: Message[int]) -> Lane:
        """The lane is asked for in the step in which the message enters the mailbox."""
        assert isinstance(job, Job)
        self.world.arrivals += 1
        job.arrived = self.world.arrivals
        if job not in self.waiting:
            self.waiting.append(job)
        return job.lane

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Handle, None]:
        chance = self.world.chance
        self.world.must(self.owned == 0, "the one before has not freed what it owned")
        self.owned += 1
        try:
            await trio.sleep(chance.choice([0, 0, 0.5]))
            fate = chance.random()
            if fate < 0.05:
                raise NotFound("open", self.name)
            if fate < 0.1:
                raise ValueError("on entering")
            async with trio.open_nursery() as self.background:
                self.is_sound = True
                try:
                    yield self.carry_out
                finally:
                    self.is_sound = False
                    mine = [job for job in self.world.running if job.actor is self]
                    self.world.must(not mine, "freed while it is still worked with")
                self.background.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(chance.choice([0, 0, 0.5]))
            self.owned -= 1
            if chance.random() < 0.05:
                raise ValueError("on leaving")

    def carry_out(self, job: Message[int]) -> object:
        assert isinstance(job, Job)
        self.world.begins(job)
        if job.work == "at once":
            return job.number
        if job.work == "refuse":
            raise NotFound("read", "a.txt")
        if job.work == "crash":
            self.is_sound = False
            raise ValueError("bad")
        return self.carry_out_later(job)

    async def carry_out_later(self, job: Job) -> int:
        self.world.running.append(job)
        crashes = False
        try:
            with trio.CancelScope(shield=job.work == "shielded"):
                await trio.sleep(job.seconds)
            if job.work != "shielded":
                in_time = trio.current_time() <= job.limit.deadline
                self.world.must(in_time, "it went on after its caller was cancelled")
            if job.work == "refuse later":
                raise NotFound("read", "a.txt")
            crashes = job.work in ("crash later", "crash in a group")
            if job.work == "crash later":
                raise ValueError("bad")
            if job.work == "crash in a group":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.crash_when_cancelled)
                    raise ValueError("bad")
            if job.work == "crash in the background":
                self.background.start_soon(self.crash_in_the_background)
            return job.number
        finally:
            if self.world.chance.random() < 0.2:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.5)
            self.world.running.remove(job)
            if crashes:
                self.is_sound = False

    async def crash_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("bad, too")

    async def crash_in_the_background(self) -> None:
        await trio.sleep(self.world.chance.choice([0, 0.5, 1]))
        raise ValueError("in the background")


def overlap(one, other, *, same):
    if same:
        return True
    if one is None or other is None:
        return False
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


async def send(world, supervisor, actors, numbers):
    """One sender: one ask after the other, or many at once, some with a time limit."""
    chance = world.chance
    async with trio.open_nursery() as nursery:
        for number in numbers:
            job = Job(
                number,
                chance.choice(LANES),
                chance.choice(WORKS if chance.random() < 0.9 else CRASHES),
                chance.choice([0, 0, 0.5, 1]),
                chance.choice(actors),
            )
            if chance.random() < 0.5:
                nursery.start_soon(ask, world, supervisor, job)
            else:
                await ask(world, supervisor, job)
            if chance.random() < 0.3:
                await trio.sleep(chance.choice([0, 0.5, 1, 2.5]))


async def ask(world, supervisor, job):
    if world.chance.random() < 0.3:
        job.limit.deadline = trio.current_time() + world.chance.choice([0, 0.5, 1, 3])
    way = supervisor.ask if world.chance.random() < 0.8 else supervisor.ask_nowait
    answer = "cancelled"
    try:
        with job.limit:
            value = await way(job.actor.spec, job)
            world.must(value == job.number, "the answer to another message")
            answer = "value"
        world.must(answer == "value" or job.limit.cancelled_caught, "no answer")
    except (ActorCrashed, ActorGaveUp, MailboxFull, NotFound, SupervisorClosed) as error:
        answer = type(error).__name__
        if answer == "NotFound" and not job.begun:
            answer = "refused on opening"
    if job in job.actor.waiting:
        job.actor.waiting.remove(job)
    world.answered(job, answer)


class BlockError(RunnerError):
    """How a block may end."""


async def live(world, actors, senders):
    """The life of a supervisor, with one of its ends."""
    chance = world.chance
    ends = ["shut down", "twice", "error", "cancelled", "at once"]
    end = chance.choice(["served"] * 5 + ends)
    seconds = chance.choice([1, 3, 10, 30])
    limit = seconds if end == "cancelled" else 1e9
    with trio.move_on_after(limit):
        async with open_supervisor(
            max_children=chance.choice([None, None, 1, 2, 4]), grace=chance.choice([0, 0.5, 5, 100])
        ) as supervisor:
            for sender in range(SENDERS):
                numbers = range(sender * ASKS, (sender + 1) * ASKS)
                senders.start_soon(send, world, supervisor, actors, numbers)
            if end == "served":
                with trio.move_on_after(20_000):
                    while len(world.answers) < SENDERS * ASKS:
                        await trio.sleep(1)
                world.must(len(world.answers) == SENDERS * ASKS, "somebody was never served")
            elif end == "cancelled":
                await trio.sleep_forever()
            elif end != "at once":
                await trio.sleep(seconds)
            if end == "error":
                raise BlockError
            if end in ("shut down", "twice"):
                senders.start_soon(supervisor.shutdown)
                await trio.sleep(chance.choice([0, 0.5, 1]))
            if end == "twice":
                senders.start_soon(supervisor.shutdown)
    return supervisor


@pytest.mark.parametrize("seed", range(150))
async def test_whatever_happens_the_promises_hold(autojump_clock, caplog, seed):
    caplog.set_level(logging.CRITICAL)
    world = World(random.Random(seed))
    places = world.chance.sample(PLACES, 6)
    actors = [Actor(f"{number}", place, world) for number, place in enumerate(places)]

    async with trio.open_nursery() as senders:
        try:
            supervisor = await live(world, actors, senders)
        except BlockError:
            supervisor = None

    assert world.broken == []
    assert len(world.answers) == SENDERS * ASKS, "every ask has its answer"
    assert world.running == []
    assert [actor.owned for actor in actors] == [0] * 6
    if supervisor is not None:
        now = supervisor.statistics()
        assert (now.mailboxes, now.actors, now.starting) == (0, 0, 0)
        assert not supervisor._order.root.children
        assert supervisor._order.root.busy_below == 0
