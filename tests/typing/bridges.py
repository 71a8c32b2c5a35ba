"""Only type-checked, never run: what synchronous and asyncio programs are promised."""

from typing import assert_type

import runner
import runner.asyncio
from runner import blocking


def blocking_calls_give_what_the_coroutines_do() -> None:
    with blocking.open_runner() as r:
        assert_type(r, blocking.Runner)
        scope = r.scope("a")
        assert_type(scope, blocking.Scope)
        assert_type(scope.read("a"), str)
        assert_type(scope.read("a", encoding=None), bytes)
        assert_type(scope.exec("ls"), runner.Done[str])
        assert_type(scope.exec(["ls"], encoding=None).stdout, bytes)
        with scope.batch() as batch:
            assert_type(batch.edit("a", "b", "c"), int)
        with scope.open_stream("a") as stream:
            for piece in stream:
                assert_type(piece, bytes)
        with r.session(scope, agent="shell") as session, session.events() as events:
            assert_type(session, blocking.Session)
            assert_type(session.send("true"), runner.Turn)
            assert_type(session.id, str)
            assert_type(next(events).turn, int)
        assert_type(r.run_batch("b.toml", output="out"), runner.Report)


async def asyncio_keeps_the_names_and_types() -> None:
    async with runner.asyncio.open_runner() as r:
        assert_type(r, runner.Runner)
        assert_type(await r.scope("a").read("a"), str)
    assert_type(runner.asyncio.wrap(runner.MemoryBackend()), runner.MemoryBackend)


def backends_by_themselves(backend: runner.MemoryBackend) -> None:
    assert_type(blocking.wrap(backend), blocking.Backend)
    assert_type(blocking.wrap(backend).read("a"), str)
    assert_type(blocking.LocalBackend("a").read("a"), str)
    both = blocking.CompositeBackend(blocking.MemoryBackend(), {"b": blocking.LocalBackend("b")})
    assert_type(both.exists("a"), bool)
    assert_type(blocking.find_danger("ls"), runner.Danger | None)
    blocking.NotFound  # noqa: B018 - it is there


async def backends_of_asyncio() -> None:
    assert_type(runner.asyncio.LocalBackend("a"), runner.LocalBackend)
