"""The pool of backends."""

from __future__ import annotations

import logging

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from runner import errors as e
from runner import open_runner
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.scopes.pool import BackendPool

REPEATED = pytest.mark.parametrize("attempt", range(30))


@attrs.define(eq=False)
class Made:
    """A backend that says what became of it."""

    key: object
    config: object = None
    log: list = attrs.field(factory=list)
    closing: float = 0
    destroyed: int = 0

    async def destroy(self):
        await trio.sleep(self.closing)
        self.destroyed += 1
        self.log.append(("destroyed", self.key))


class Factory:
    """Makes `Made`s, slowly; counts them."""

    def __init__(self, making=1.0, closing=0.0):
        self.making = making
        self.closing = closing
        self.made = []
        self.log = []
        self.most = 0

    async def __call__(self, key, config):
        await trio.sleep(self.making)
        made = Made(key, config, self.log, self.closing)
        self.made.append(made)
        self.log.append(("made", key))
        self.most = max(self.most, sum(1 for each in self.made if not each.destroyed))
        return made


@pytest.fixture
def factory():
    return Factory()


@REPEATED
async def test_many_who_ask_for_one_key_at_once_share_one_making(autojump_clock, factory, attempt):
    got = []

    async def ask(pool):
        async with pool.use("a") as backend:
            got.append(backend)
            await trio.sleep(1)

    async with BackendPool(factory) as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask, pool)
        assert pool.statistics().keys["a"].acquired == 10

    assert len(factory.made) == 1
    assert set(got) == set(factory.made)
    assert factory.made[0].destroyed == 1


@REPEATED
async def test_no_callers_timeout_harms_the_others(autojump_clock, factory, attempt):
    async with BackendPool(factory) as pool:
        async with trio.open_nursery() as nursery:

            async def impatient():
                with trio.move_on_after(0.5):
                    await pool.acquire("a")

            async def patient():
                with trio.fail_after(5):
                    (await pool.acquire("a")).release()

            nursery.start_soon(impatient)
            nursery.start_soon(patient)
            nursery.start_soon(impatient)
        assert pool.statistics().keys["a"].users == 0
    assert len(factory.made) == 1


async def test_a_making_that_nobody_waits_for_is_cancelled_and_made_anew(autojump_clock):
    factory = Factory(making=trio.current_time() + 1e6)
    async with BackendPool(factory, max_size=1) as pool:
        with trio.move_on_after(1):
            await pool.acquire("a")
        assert pool.statistics().size in {0, 1}
        factory.making = 1
        with trio.fail_after(5):
            (await pool.acquire("a")).release()
        assert pool.statistics().size == 1


async def test_a_factory_that_fails_tells_all_who_waited_and_is_tried_anew(autojump_clock):
    calls = []

    async def failing(key, config):
        calls.append(key)
        await trio.sleep(1)
        if len(calls) == 1:
            raise OSError("no disk")
        return Made(key)

    errors = []

    async def ask(pool):
        try:
            await pool.acquire("a")
        except OSError as error:
            errors.append(str(error))

    async with BackendPool(failing, max_size=1) as pool:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask, pool)
        assert errors == ["no disk"] * 5
        assert pool.statistics().failed == 1
        (await pool.acquire("a")).release()
    assert calls == ["a", "a"]


async def test_a_release_may_be_done_twice(autojump_clock, factory):
    async with BackendPool(factory, idle_after=None) as pool:
        one, other = await pool.acquire("a"), await pool.acquire("a")
        assert one.backend is other.backend
        one.release()
        one.release()
        assert pool.statistics().keys["a"].users == 1
        assert pool.statistics().in_use == 1
        other.release()
        assert pool.statistics().idle == 1
    one.release()
    other.release()


async def test_the_one_used_longest_ago_makes_room_for_a_new_key(autojump_clock, factory):
    factory.closing = 3
    async with BackendPool(factory, max_size=2, idle_after=None) as pool:
        for key in ("a", "b", "a", "c"):
            async with pool.use(key):
                pass
        assert set(pool.statistics().keys) == {"a", "c"}
        assert pool.statistics().evicted == 1
        assert factory.log.index(("destroyed", "b")) < factory.log.index(("made", "c"))
    assert factory.most == 2


async def test_one_that_is_in_use_is_never_evicted(autojump_clock, factory):
    async with BackendPool(factory, max_size=2, idle_after=None) as pool:
        (await pool.acquire("a")).release()
        async with pool.use("a") as held:
            assert pool.statistics().keys["a"].idle_for is None
            for key in "bcdefg":
                async with pool.use(key):
                    pass
            assert not held.destroyed
        assert factory.most == 2


@REPEATED
async def test_who_finds_all_in_use_waits_his_turn(autojump_clock, factory, attempt):
    order = []

    async def ask(pool, key):
        async with pool.use(key):
            order.append(key)
            await trio.sleep(10)

    async with BackendPool(factory, max_size=1, idle_after=None) as pool:
        async with trio.open_nursery() as nursery:
            for key in ("a", "b", "c", "d"):
                nursery.start_soon(ask, pool, key)
                await wait_all_tasks_blocked()
        assert order == ["a", "b", "c", "d"]
    assert factory.most == 1


async def test_who_finds_all_in_use_may_be_refused(autojump_clock, factory):
    async with BackendPool(factory, max_size=1, when_full="refuse", idle_after=None) as pool:
        lease = await pool.acquire("a")
        with pytest.raises(e.PoolFull, match="all 1 backends"):
            await pool.acquire("b")
        (await pool.acquire("a")).release()
        lease.release()
        (await pool.acquire("b")).release()
        assert pool.statistics().refused == 1
        async with trio.open_nursery() as nursery:  # one idle makes room for one, not for two
            results = []

            async def ask(key):
                try:
                    async with pool.use(key):
                        await trio.sleep(5)
                        results.append("got")
                except e.PoolFull:
                    results.append("full")

            nursery.start_soon(ask, "c")
            nursery.start_soon(ask, "d")
        assert sorted(results) == ["full", "got"]


async def test_what_is_idle_for_too_long_is_closed(autojump_clock, factory):
    async with BackendPool(factory, idle_after=60) as pool:
        (await pool.acquire("a")).release()
        await trio.sleep(50)
        (await pool.acquire("b")).release()
        held = await pool.acquire("c")
        await trio.sleep(20)
        assert set(pool.statistics().keys) == {"b", "c"}
        assert pool.statistics().expired == 1
        (await pool.acquire("b")).release()
        await trio.sleep(59)
        assert set(pool.statistics().keys) == {"b", "c"}
        assert pool.statistics().keys["b"].idle_for == 59
        await trio.sleep(2)
        assert set(pool.statistics().keys) == {"c"}
        held.release()


async def test_another_configuration_for_a_key_is_refused(autojump_clock, factory):
    async with BackendPool(factory) as pool:
        async with pool.use("a", {"size": 1}) as backend:
            assert backend.config == {"size": 1}
            async with pool.use("a", {"size": 1}) as same, pool.use("a") as any_:
                assert same is any_ is backend
            with pytest.raises(e.ConfigError, match="another configuration"):
                await pool.acquire("a", {"size": 2})
            with pytest.raises(e.ConfigError):
                await pool.acquire("a", None)
        with pytest.raises(e.ConfigError):
            await pool.acquire("a", {"size": 2})
        await pool.destroy("a")
        async with pool.use("a", {"size": 2}) as other:
            assert other.config == {"size": 2}


async def test_without_a_key_each_gets_his_own_and_it_is_closed_with_the_lease(
    autojump_clock, factory
):
    async with BackendPool(factory) as pool:
        async with pool.use() as one, pool.use() as other:
            assert one is not other
            assert one.key is None
            assert pool.statistics().keys == {}
            assert pool.statistics().in_use == 2
        await trio.sleep(1)
        assert one.destroyed == other.destroyed == 1
        assert pool.statistics().size == 0


async def test_one_that_was_destroyed_by_somebody_is_made_anew():
    async with BackendPool(lambda key, config: MemoryBackend()) as pool:
        async with pool.use("a") as first:
            await first.destroy()
            async with pool.use("a") as second:
                assert second is not first
                await second.write("f", "f")
            with pytest.raises(e.Destroyed):
                await first.read("f")
        async with pool.use("a") as again:
            assert again is second


@REPEATED
async def test_several_may_destroy_at_once_and_all_wait_for_it(autojump_clock, factory, attempt):
    factory.closing = 2
    async with BackendPool(factory) as pool:
        held = await pool.acquire("a")
        (await pool.acquire("b")).release()
        async with trio.open_nursery() as nursery:

            async def end(what, *args):
                await what(*args)
                assert held.backend.destroyed == 1

            nursery.start_soon(end, pool.destroy, "a")
            nursery.start_soon(end, pool.destroy_all)
            nursery.start_soon(end, pool.destroy, "a")
        await pool.destroy("a")
        held.release()
        assert [each.destroyed for each in factory.made] == [1, 1]
        async with pool.use("a") as new:
            assert new is not held.backend


async def test_one_that_is_destroyed_while_it_is_made_is_told_to_who_waits(autojump_clock):
    async with BackendPool(Factory(making=100)) as pool, trio.open_nursery() as nursery:

        async def ask():
            with pytest.raises(e.Destroyed, match="while it was made"):
                await pool.acquire("a")

        nursery.start_soon(ask)
        await trio.sleep(1)
        await pool.destroy("a")


async def test_one_that_was_made_although_it_was_cancelled_is_closed(autojump_clock):
    made = []

    async def stubborn(key, config):
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        made.append(Made(key))
        return made[-1]

    async with BackendPool(stubborn) as pool:
        with trio.move_on_after(1):
            await pool.acquire("a")
        await pool.destroy("a")
        await trio.sleep(20)
        assert made[0].destroyed == 1
        assert pool.statistics().size == 0


@pytest.mark.parametrize(("seconds", "cut_off"), [(5, 0), (1, 1)])
async def test_drain_waits_for_its_users_and_then_no_more(
    autojump_clock, factory, seconds, cut_off
):
    async with BackendPool(factory) as pool:
        (await pool.acquire("idle")).release()
        async with trio.open_nursery() as nursery:
            lease = await pool.acquire("a")
            begun = trio.current_time()

            async def drain():
                assert await pool.drain(seconds) == cut_off
                assert trio.current_time() - begun == min(seconds, 3)

            nursery.start_soon(drain)
            await trio.sleep(0.5)
            with pytest.raises(e.PoolClosed, match="drained"):
                await pool.acquire("a")
            assert [each.key for each in factory.made if each.destroyed] == ["idle"]
            await trio.sleep(2.5)
            assert lease.backend.destroyed == cut_off
            lease.release()
        assert pool.statistics().size == 0
        assert [each.destroyed for each in factory.made] == [1, 1]


async def test_leaving_the_block_closes_all_and_an_error_leaves_it_bare(autojump_clock, factory):
    with pytest.raises(KeyError):
        async with BackendPool(factory) as pool:
            lease = await pool.acquire("a")
            raise KeyError
    lease.release()

    assert lease.backend.destroyed == 1
    with trio.move_on_after(1) as cancel_scope:
        async with BackendPool(factory) as pool:
            async with pool.use("a"):
                await trio.sleep_forever()
    assert cancel_scope.cancelled_caught
    assert [each.destroyed for each in factory.made] == [1, 1] or len(factory.made) == 1
    with pytest.raises(e.PoolClosed):
        await pool.acquire("a")
    with pytest.raises(e.PoolClosed, match="once"):
        await pool.__aenter__()


async def test_a_pool_that_was_not_entered_gives_nothing(factory):
    pool = BackendPool(factory, max_size=3)
    with pytest.raises(e.PoolClosed, match="async with pool"):
        await pool.acquire("a")
    with pytest.raises(e.ConfigError, match="room for one"):
        BackendPool(factory, max_size=0)

    assert repr(pool) == "<BackendPool 0 of 3, 0 idle, closed>"


async def test_a_closing_that_fails_or_hangs_is_counted(autojump_clock, caplog):
    class Bad(Made):
        async def destroy(self):
            if self.key == "raises":
                raise OSError("stuck")
            await trio.sleep_forever()

    with caplog.at_level(logging.ERROR, "runner.pool"):
        async with BackendPool(lambda key, config: Bad(key), max_size=2) as pool:
            for key in ("raises", "hangs"):
                (await pool.acquire(key)).release()
            await pool.destroy_all()
            (await pool.acquire("raises")).release()

    assert pool.statistics().close_failed == 3
    assert "failed" in caplog.text
    assert "took too long" in caplog.text


async def test_it_holds_backends_and_scopes_of_all_kinds(tmp_path):
    async with open_runner(state=tmp_path / "state") as runner:
        for make in (
            lambda key, config: LocalBackend(tmp_path / key),
            lambda key, config: MemoryBackend(),
            lambda key, config: runner.scope(tmp_path / key),
        ):
            async with BackendPool(make) as pool:
                async with pool.use("a") as one:
                    await one.write("f", "f")
                    assert await one.read("f") == "f"
            with pytest.raises(e.Destroyed):
                await one.read("f")


STEP = st.tuples(
    st.sampled_from("abcd"), st.floats(0, 3), st.floats(0, 3), st.floats(0.1, 4), st.booleans()
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=12), st.sampled_from([1, 2, 3, None]), st.sampled_from([None, 1.0]))
def test_whatever_happens_there_are_never_too_many_and_all_are_closed(steps, most, idle_after):
    factory = Factory(making=0.5, closing=0.3)
    used = {}

    async def ask(pool, key, begin, hold, patience, destroys):
        await trio.sleep(begin)
        with trio.move_on_after(patience):
            try:
                async with pool.use(key) as backend:
                    assert backend.key == key
                    used[key] = used.get(key, 0) + 1
                    await trio.sleep(hold)
                    if destroys:
                        await pool.destroy(key)
            except e.Destroyed:
                pass

    async def body():
        async with BackendPool(factory, max_size=most, idle_after=idle_after) as pool:
            async with trio.open_nursery() as nursery:
                for step in steps:
                    nursery.start_soon(ask, pool, *step)
            statistics = pool.statistics()
            assert statistics.in_use == 0
            assert statistics.acquired == sum(used.values())
        assert pool.statistics().size == 0
        if pool._stock.room is not None:
            assert pool._stock.room.value == most

    trio.run(body, clock=MockClock(autojump_threshold=0))

    assert all(each.destroyed == 1 for each in factory.made)
    assert most is None or factory.most <= most


class Cancelling(trio.abc.Instrument):
    """Cancels a task at its so-many-th step."""

    def __init__(self, step):
        self.left = step
        self.task = None
        self.cancel_scope = trio.CancelScope()

    def before_task_step(self, task):
        if task is self.task:
            self.left -= 1
            if self.left == 0:
                self.cancel_scope.cancel()


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("step", range(1, 15))
async def test_whoever_is_cancelled_at_any_step_leaves_nothing_behind(autojump_clock, step, most):
    factory = Factory(closing=1.0)
    victim = Cancelling(step)
    trio.lowlevel.add_instrument(victim)

    async def use(pool, *keys):
        for key in keys:
            async with pool.use(key):
                await trio.sleep(1)

    async def suffer(pool):
        victim.task = trio.lowlevel.current_task()
        with victim.cancel_scope:
            await use(pool, "a", None, "b")
            await pool.destroy("b")

    async with BackendPool(factory, max_size=most) as pool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, pool, "c", "a")
            nursery.start_soon(suffer, pool)
            nursery.start_soon(use, pool, "b", "a")
        assert pool.statistics().in_use == 0
        assert not any(each.users for each in pool.statistics().keys.values())
        await trio.sleep(5)  # whatever is being put down is down
        assert pool.statistics().size == pool.statistics().idle
        with trio.fail_after(50):
            await use(pool, "d", "e", "f")

    assert factory.most <= most
    assert {each.destroyed for each in factory.made} == {1}


async def test_what_is_being_put_down_while_it_is_made_counts(autojump_clock):
    async def stubborn(key, config):
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
        return Made(key)

    async with BackendPool(stubborn, max_size=1) as pool:
        with trio.move_on_after(1):
            await pool.acquire("a")
        assert (pool.statistics().size, pool.statistics().making) == (1, 1)
        await trio.sleep(5)
        assert pool.statistics().size == 0


async def test_who_waits_for_a_making_that_outlasts_the_pool_is_told(autojump_clock):
    async def stubborn(key, config):
        with trio.CancelScope(shield=True):
            await trio.sleep(100)
        await trio.sleep(100)

    async with trio.open_nursery() as nursery:
        with trio.fail_after(300):
            async with BackendPool(stubborn, grace=1) as pool:

                async def ask():
                    with pytest.raises(e.Destroyed):
                        await pool.acquire("a")

                nursery.start_soon(ask)
                await trio.sleep(1)


@pytest.mark.parametrize(
    "options",
    [
        {"max_size": 0},
        {"when_full": "now"},
        {"idle_after": -1},
        {"idle_after": float("nan")},
        {"grace": -1},
    ],
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(e.ConfigError):
        BackendPool(Factory(), **options)
