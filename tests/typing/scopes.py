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


async def looking_and_searching_have_answers_of_their_own(scope: runner.Scope) -> None:
    assert_type(await scope.read_lines("a", offset=-3), runner.Lines)
    assert_type((await scope.tail("a")).total, int | None)
    assert_type(await scope.digest("a"), str)
    assert_type(await scope.tree(), runner.Drawing)
    assert_type(await scope.download(["a"]), tuple[runner.Downloaded, ...])
    assert_type(await scope.list_keys("a"), runner.Found)
    assert_type((await scope.grep("a", output="counts")).counts, tuple[runner.FileMatches, ...])


async def a_runner_gives_scopes_and_sessions() -> None:
    async with runner.open_runner() as r:
        assert_type(r, runner.Runner)
        scope = r.scope("a")
        assert_type(scope.scope("b"), runner.Scope)
        async with r.session(scope, agent="shell") as session:
            assert_type(await session.send("true"), runner.Turn)


async def permissions_are_given_by_name_by_rules_or_whole(r: runner.Runner) -> None:
    decisions: list[runner.Decision] = []

    async def ask(question: runner.Question) -> bool:
        return assert_type(question.op, str) == "write"

    rules = runner.create_ruleset(allow_write=True)
    assert_type(rules, runner.Ruleset)
    whole = runner.Permissions(rules=rules, ask=ask, record=decisions.append)
    for given in ("read-only", rules, whole, None):
        assert_type(r.scope("a", permissions=given).scope("b", permissions=given), runner.Scope)
    assert_type(runner.ReadOnlyBackend(r.scope("a")).name, str)


async def the_lint_is_told_what_is_dangerous(r: runner.Runner) -> None:
    def passes(danger: runner.Danger) -> bool:
        return danger.rule == "rm"

    assert_type(r.scope("a", lint="strict", on_dangerous=passes), runner.Scope)
    assert_type(r.scope("a", lint=runner.Lint(policy="off")), runner.Scope)
    assert_type(runner.find_danger("ls", "footgun"), runner.Danger | None)


async def programs_run_beside_and_streams_have_their_types(scope: runner.Scope) -> None:
    program = assert_type(await scope.start("true"), runner.Background)
    assert_type(await program.wait(1.0), runner.Done[str] | None)
    assert_type(await program.done(), runner.Done[str])
    assert_type(await program.output(), runner.Fresh[str])
    assert_type((await program.output(encoding=None)).stdout, bytes)
    async with scope.stream("true") as streamed:
        async for line in streamed:
            assert_type(line, runner.Line)
    assert_type(await scope.processes(), tuple[runner.ProcessInfo, ...])
    async with scope.open_stream("a") as reader:
        assert_type(await reader.receive(), bytes)
    async with scope.open_stream("a", encoding="utf-8") as text:
        assert_type([piece async for piece in text], list[str])
    async with scope.open_stream("a", "wb") as writer:
        assert_type(writer, runner.WritingStream[bytes])
    async with scope.open_stream("a", "ab", encoding="utf-8") as appending:
        assert_type(appending, runner.WritingStream[str])
