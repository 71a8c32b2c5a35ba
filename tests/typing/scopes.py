"""Only type-checked, never run: what callers of a scope are promised."""

from typing import assert_type

import runner
from runner.messages import Exists, Ls, Read
from runner.scopes.scope import Asker


async def answers_are_typed(ask: Asker) -> None:
    assert_type(await ask(Read(path="a")), bytes)
    assert_type(await ask(Exists(path="a")), bool)
    assert_type(await ask(Ls()), runner.Listing)


async def text_is_text_and_bytes_are_bytes(scope: runner.Scope) -> None:
    assert_type(await scope.read("a"), str)
    assert_type(await scope.read("a", encoding=None), bytes)
    assert_type((await scope.exec("ls")).stdout, str)
    assert_type((await scope.exec(["ls"], encoding=None)).stdout, bytes)
    assert_type(await scope.edit("a", "b", "c"), int)


async def a_runner_gives_scopes_and_sessions() -> None:
    async with runner.open_runner() as r:
        assert_type(r, runner.Runner)
        scope = r.scope("a")
        assert_type(scope.scope("b"), runner.Scope)
        async with r.session(scope, agent="shell") as session:
            assert_type(await session.send("true"), runner.Turn)
