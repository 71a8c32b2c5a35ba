"""The contract of glob and grep."""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner.backends.base import Backend
from runner.testing.backend_contract.base import Contract
from runner.testing.backend_contract.tables import GLOBS, GREPS, MORE_GREPS, REFUSED_PATTERNS


class Searching(Contract):
    """What every backend does: glob and grep."""

    @pytest.mark.parametrize(("pattern", "options", "paths"), GLOBS)
    async def test_glob(
        self,
        tree: Backend,
        pattern: str,
        options: dict[str, object],
        paths: tuple[str, ...],
    ) -> None:
        found = await tree.ask(m.Glob(pattern=pattern, **options))  # type: ignore[arg-type]

        assert found == m.Found(paths=paths)

    async def test_glob_is_capped_with_an_exact_count(self, tree: Backend) -> None:
        assert await tree.glob("**/*.py", limit=1) == m.Found(paths=("src/app.py",), omitted=2)
        assert await tree.glob("**/*.py", limit=0) == m.Found(paths=(), omitted=3)

    @pytest.mark.parametrize("pattern", ["", "/etc/*", "../*", "a/../../b", "nul\0", "{a,b}" * 12])
    async def test_globs_that_cannot_be_used(self, backend: Backend, pattern: str) -> None:
        with pytest.raises(e.InvalidPattern) as caught:
            await backend.glob(pattern)

        assert (caught.value.op, caught.value.path) == ("glob", pattern)
        with pytest.raises(e.InvalidPattern):
            await backend.grep("x", glob=pattern)

    @pytest.mark.parametrize(("pattern", "options", "places"), GREPS)
    async def test_grep(
        self,
        tree: Backend,
        pattern: str,
        options: dict[str, object],
        places: tuple[tuple[str, int], ...],
    ) -> None:
        found = await tree.ask(m.Grep(pattern=pattern, **options))  # type: ignore[arg-type]

        assert tuple((each.path, each.line) for each in found.matches) == places
        assert found.omitted == 0

    async def test_grep_gives_the_line_without_its_end(self, tree: Backend) -> None:
        crlf = await tree.grep("TODO", "docs/a b.txt")
        latin = await tree.grep("TODO", "data/latin.txt")

        assert crlf.matches == (m.Match(path="docs/a b.txt", line=2, text="TODO in CRLF"),)
        assert latin.matches[0].text == "caf\udce9 TODO"

    async def test_grep_is_capped_with_an_exact_count(self, backend: Backend) -> None:
        for number in range(20):
            await backend.write(f"f{number:02}", b"hit\n" * 100)
        capped = await backend.grep("hit", limit=150)

        assert len(capped.matches) == 150
        assert capped.matches[-1] == m.Match(path="f01", line=50, text="hit")
        assert capped.omitted == 2000 - 150
        assert await backend.grep("hit", limit=0) == m.Matches(matches=(), omitted=2000)

    @pytest.mark.parametrize("pattern", REFUSED_PATTERNS)
    async def test_patterns_that_cannot_be_used(self, tree: Backend, pattern: str) -> None:
        with pytest.raises(e.InvalidPattern) as caught:
            await tree.grep(pattern)

        assert (caught.value.op, caught.value.path) == ("grep", pattern)

    @pytest.mark.parametrize(("pattern", "options", "places"), MORE_GREPS)
    async def test_grep_with_types_rules_and_several_lines(
        self,
        tree: Backend,
        pattern: str,
        options: dict[str, object],
        places: tuple[tuple[str, int], ...],
    ) -> None:
        found = await tree.ask(m.Grep(pattern=pattern, **options))  # type: ignore[arg-type]

        assert tuple((each.path, each.line) for each in found.matches) == places
        assert found.omitted == 0

    async def test_grep_gives_the_lines_around(self, backend: Backend) -> None:
        lines = ["zero", "hit one", "two", "hit three", "hit four", "f\xfcnf\r", "six", "hit seven"]
        await backend.write("f", "\n".join(lines))
        found = await backend.grep("hit", before=1, after=2)

        assert [(each.line, each.before, each.after) for each in found.matches] == [
            (2, ("zero",), ("two", "hit three")),
            (4, ("two",), ("hit four", "f\xfcnf")),
            (5, ("hit three",), ("f\xfcnf", "six")),
            (8, ("six",), ()),
        ]
        capped = await backend.grep("hit", context=1, limit=2)
        assert [(each.line, each.after) for each in capped.matches] == [
            (2, ("two",)),
            (4, ("hit four",)),
        ]
        assert capped.omitted == 2
        first = await backend.grep("hit", context=1, per_file=1)
        assert [(each.line, each.before, each.after) for each in first.matches] == [
            (2, ("zero",), ("two",))
        ]
        assert first.omitted == 3

    async def test_grep_counts_and_names_files(self, backend: Backend) -> None:
        for number in range(5):
            await backend.write(f"d/f{number}", b"hit\nmiss\n" * (number + 1))
        await backend.write("d/binary", b"hit\n" * 50_000 + b"\0")
        await backend.write("d/none", b"miss\n")
        counts = await backend.grep("hit", output="counts")
        files = await backend.grep("hit", "d", output="files", limit=3)

        assert counts.counts == tuple(
            [m.FileMatches(path=f"d/f{each}", lines=each + 1) for each in range(5)]
        )
        assert (counts.matches, counts.files, counts.omitted) == ((), (), 0)
        assert files == m.Matches(files=("d/f0", "d/f1", "d/f2"), omitted=2)
        assert (await backend.grep("hit", output="counts", limit=0)).omitted == 5

    async def test_grep_is_capped_by_file_with_exact_counts(self, backend: Backend) -> None:
        for name in ("a", "b", "c"):
            await backend.write(name, b"hit\n" * 10)
        for per_file, limit in ((2, 100), (2, 3), (4, 5), (0, 9), (20, 25)):
            found = await backend.grep("hit", per_file=per_file, limit=limit)
            wanted = [(name, line) for name in "abc" for line in range(1, min(per_file, 10) + 1)]

            assert [(each.path, each.line) for each in found.matches] == wanted[:limit]
            assert found.omitted == 30 - len(wanted[:limit])

    async def test_a_match_over_several_lines_finds_each_line(self, backend: Backend) -> None:
        await backend.write("f", "a {\n  b\n}\r\n\na { b }\nlast")
        found = await backend.grep(r"\{[^}]*\}", multiline=True)

        assert [(each.line, each.text) for each in found.matches] == [
            (1, "a {"), (2, "  b"), (3, "}"), (5, "a { b }"),
        ]  # fmt: skip
        assert [each.line for each in (await backend.grep("b\n}", multiline=True)).matches] == [
            2,
            3,
        ]
        assert [
            each.line
            for each in (await backend.grep("{\n  b", multiline=True, literal=True)).matches
        ] == [1, 2]
        assert (await backend.grep(r"\{[^}]*\}", multiline=True, limit=2)).omitted == 2

    @pytest.mark.parametrize("types", [["nothing"], ["py", "pyy"], [""], ["*.py"]])
    async def test_types_that_nobody_knows_are_refused(
        self, tree: Backend, types: list[str]
    ) -> None:
        with pytest.raises(e.InvalidPattern, match="no file type") as caught:
            await tree.grep("x", types=types)

        assert caught.value.op == "grep"

    async def test_no_pattern_is_an_option(self, tree: Backend) -> None:
        for pattern in ("--files", "-e", "--pre=id", "--", "-", "--hostname-bin=id"):
            for literal in (True, False):
                assert (await tree.grep(pattern, literal=literal)).matches in {
                    (),
                    tuple((await tree.grep(f"(?:{pattern})")).matches),
                }

    @pytest.mark.parametrize(
        "pattern", [r"(a+)+$", r"(a|a)*$", r"(?:a*)*b", "a?" * 12 + "a" * 12, r".*a.*a.*a.*b"]
    )
    async def test_a_hostile_pattern_takes_no_time(self, backend: Backend, pattern: str) -> None:
        await backend.write("f", b"a" * 3000 + b"!\naaaaab\n" + b"a" * 12 + b"\n")
        with trio.fail_after(20):
            found = await backend.grep(pattern)

        assert len(found.matches) >= 1
        with trio.fail_after(20):
            assert (await backend.glob("*a" * 40 + "b")).paths == ()
            await backend.write("a" * 250, b"")
            assert (await backend.glob("*a" * 40 + "b")).paths == ()
            assert (await backend.glob("*a" * 40)).paths == ("a" * 250,)
