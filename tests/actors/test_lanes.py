"""The order of arrival, against its own definition."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from runner.actors.lanes import Lane, Order, Ticket

EFFECT, EXEC, OBSERVATION, CONTROL = Lane.EFFECT, Lane.EXEC, Lane.OBSERVATION, Lane.CONTROL

# later lane: the earlier lanes that it waits for; the table of lanes.py
WAITS = {
    EFFECT: {EFFECT, EXEC, OBSERVATION},
    EXEC: {EFFECT, EXEC, OBSERVATION},
    OBSERVATION: {EFFECT},
    CONTROL: set(),
}

paths = st.lists(st.sampled_from("ab"), max_size=3).map(tuple)
lanes = st.sampled_from(list(Lane))


def overlap(one, other):
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


class OrderMachine(RuleBasedStateMachine):
    """Messages come and go at random; who may go is recomputed naively each time."""

    tickets = Bundle("tickets")

    def __init__(self):
        super().__init__()
        self.order = Order()
        self.inside = []  # (path, place, ticket), in order of arrival

    def may_go(self, index, path, lane):
        return not any(
            overlap(path, earlier) and ticket.lane in WAITS[lane]
            for earlier, _, ticket in self.inside[:index]
        )

    def expected(self):
        return {
            ticket.serial
            for index, (path, _, ticket) in enumerate(self.inside)
            if self.may_go(index, path, ticket.lane)
        }

    @rule(target=tickets, path=paths, lane=lanes)
    def enter(self, path, lane):
        place = self.order.join(path)
        free = place.is_free(lane)
        ticket = Ticket(lane)

        granted = place.enter(ticket)

        assert granted == free == self.may_go(len(self.inside), path, lane)
        self.inside.append((path, place, ticket))
        return ticket

    @rule(target=tickets, path=paths, lane=lanes, count=st.integers(2, 6))
    def enter_often(self, path, lane, count):
        return multiple(*[self.enter(path, lane) for _ in range(count)])

    @rule(ticket=consumes(tickets))
    def leave(self, ticket):
        (entry,) = (each for each in self.inside if each[2] is ticket)
        before = self.expected()
        self.inside.remove(entry)
        entry[1].part() if ticket.serial % 2 else None  # before or after, it is all one

        granted = entry[1].leave(ticket)

        entry[1].part() if not ticket.serial % 2 else None
        assert [each.serial for each in granted] == sorted(self.expected() - before)

    @rule(path=paths, lane=lanes)
    def ask_whether_it_is_free(self, path, lane):
        place = self.order.join(path)

        assert place.is_free(lane) == self.may_go(len(self.inside), path, lane)
        place.part()

    @invariant()
    def the_granted_are_those_of_the_definition(self):
        assert {ticket.serial for *_, ticket in self.inside if ticket.granted} == self.expected()
        assert self.order.waiting == sum(not ticket.granted for *_, ticket in self.inside)

    @precondition(lambda self: not self.inside)
    @invariant()
    def an_empty_order_has_no_places(self):
        assert not self.order.root.children
        assert self.order.root.busy_below == 0

    def teardown(self):
        for *_, ticket in list(self.inside):
            self.leave(ticket)
        self.an_empty_order_has_no_places()


TestOrder = OrderMachine.TestCase
TestOrder.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("earlier", Lane)
@pytest.mark.parametrize("later", Lane)
@pytest.mark.parametrize(
    ("one", "other"), [((), ()), (("a",), ()), ((), ("a",)), (("a",), ("a", "b"))]
)
def test_the_table(earlier, later, one, other):
    order = Order()
    here, there = order.join(one), order.join(other)
    first, second = Ticket(earlier), Ticket(later)

    assert here.enter(first)
    assert there.enter(second) == (earlier not in WAITS[later])
    assert [each is second for each in here.leave(first)] == [True] * (earlier in WAITS[later])
    second.on_grant()  # if nobody waits for it, nothing happens


def test_places_beside_each_other_do_not_wait():
    order = Order()
    a, ab, b = (order.join(path) for path in (("a",), ("a", "b"), ("b",)))

    assert a.enter(Ticket(EFFECT))
    assert b.enter(Ticket(EFFECT))
    assert not ab.enter(Ticket(EFFECT))


def test_a_reader_passes_an_exec_that_waits_but_no_effect_that_waits():
    place = Order().join(("a",))
    execs, effect = [Ticket(EXEC), Ticket(EXEC)], Ticket(EFFECT)

    assert [place.enter(each) for each in execs] == [True, False]
    assert place.enter(Ticket(OBSERVATION))
    assert not place.enter(effect)
    assert not place.enter(Ticket(OBSERVATION))
