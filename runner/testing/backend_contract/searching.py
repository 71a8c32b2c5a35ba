"""The contract of glob and grep."""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

import pytest

from runner import errors as e
from runner import messages as m
from runner.backends.base import Backend
from runner.testing.backend_contract.base import Contract
from runner.testing.backend_contract.tables import GLOBS, GREPS, REFUSED_PATTERNS


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
