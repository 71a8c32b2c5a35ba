"""The contract of looking into files: windows of lines, digests, downloads, real paths."""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

import hashlib

import pytest

from runner import errors as e
from runner import messages as m
from runner.backends.base import Backend
from runner.testing.backend_contract.base import Contract, ask
from runner.testing.backend_contract.tables import TREE

LARGE = 30_000  # lines: more than is read at once


def _line(number: int) -> str:
    return f"line {number} " + "x" * (number % 7)


class Looking(Contract):
    """What every backend does when it is asked about the content of files."""

    @pytest.fixture(params=[True, False], ids=["ends in LF", "does not"])
    async def large(self, backend: Backend, request: pytest.FixtureRequest) -> Backend:
        """A backend with a file `large` of `LARGE` lines."""
        content = "\n".join(map(_line, range(1, LARGE + 1))) + "\n" * request.param
        await backend.write("large", content)
        return backend

    @pytest.mark.parametrize("total", [True, False])
    @pytest.mark.parametrize(
        ("offset", "limit", "first"),
        [(0, 3, 1), (1, 2, 2), (14_000, 5, 14_001), (LARGE - 2, 99, LARGE - 1), (0, 2000, 1)],
    )
    async def test_a_window_of_lines(
        self, large: Backend, offset: int, limit: int, first: int, total: bool
    ) -> None:
        for _ in range(2):  # the second time it is known where the lines are
            found = await large.read_lines("large", offset=offset, limit=limit, total=total)
            last = min(first + limit - 1, LARGE)

            assert found.lines == tuple(map(_line, range(first, last + 1)))
            assert (found.first, found.before) == (first, first - 1)
            assert found.total == LARGE if total else found.total in {None, LARGE}
            assert found.after == (None if found.total is None else LARGE - last)

    async def test_lines_from_the_end(self, large: Backend) -> None:
        counted = await large.read_lines("large", offset=-3, limit=2)

        assert counted.lines == (_line(LARGE - 2), _line(LARGE - 1))
        assert (counted.first, counted.before, counted.after) == (LARGE - 2, LARGE - 3, 1)
        everything = await large.read_lines("large", offset=-LARGE - 5, limit=LARGE)
        assert (everything.first, len(everything.lines), everything.after) == (1, LARGE, 0)
        content = await large.read("large")
        assert everything.text == content
        assert everything.ended == content.endswith("\n")

    async def test_head_and_tail(self, large: Backend) -> None:
        head, tail = await large.head("large", 2), await large.tail("large", 2)

        assert head.lines == (_line(1), _line(2))
        assert (head.first, head.before) == (1, 0)
        assert tail.lines == (_line(LARGE - 1), _line(LARGE))
        assert tail.ended == (await large.read("large")).endswith("\n")
        assert tail.after == 0
        # What was not counted is not known, and is not said.
        assert (tail.first, tail.total) in {(-2, None), (LARGE - 1, LARGE)}
        counted = await large.tail("large", 2, total=True)
        assert (counted.first, counted.total, counted.lines) == (LARGE - 1, LARGE, tail.lines)
        assert (await large.tail("large", 10_000)).lines == tuple(
            map(_line, range(LARGE - 9999, LARGE + 1))
        )

    @pytest.mark.parametrize("content", ["", "a", "a\n", "a\nb", "a\nb\n", "\n", "\n\n", "a\n\n"])
    async def test_every_window_of_a_few_lines(self, backend: Backend, content: str) -> None:
        await backend.write("f", content)
        lines = content.split("\n")
        if not lines[-1]:
            lines.pop()
        for offset in range(-4, 5):
            start = offset if offset >= 0 else max(len(lines) + offset, 0)
            for limit in range(4):
                wanted = lines[start : start + limit]
                found = await backend.read_lines("f", offset=offset, limit=limit)
                bare = await backend.read_lines("f", offset=offset, limit=limit, total=False)

                assert (found.lines, found.total) == (tuple(wanted), len(lines))
                assert bare.lines == tuple(wanted)
                assert (found.before, found.after) == (
                    min(start, len(lines)),
                    max(len(lines) - start - len(wanted), 0),
                )
                assert bare.total in {None, len(lines)}
                assert bare.before in {None, found.before}
                assert bare.after in {None, found.after}
                if start + limit >= len(lines) and wanted:
                    assert found.ended == bare.ended == content.endswith("\n")

    async def test_lines_keep_their_bytes(self, backend: Backend) -> None:
        content = b"crlf\r\ncaf\xe9\n\xf0\x9f\x98\x80\n\0\n\rlone\xff"
        await backend.write("f", content)
        found = await backend.read_lines("f")

        assert found.lines == ("crlf\r", "caf\udce9", "\U0001f600", "\0", "\rlone\udcff")
        assert found.text.encode("utf-8", "surrogateescape") == content
        assert not found.ended

    async def test_long_lines_are_cut_and_named(self, backend: Backend) -> None:
        await backend.write("f", "short\n" + "é" * 100_000 + "\n" + "y" * 300_000 + "\nend\n")
        found = await backend.read_lines("f", longest=101)

        assert found.lines == ("short", "é" * 50, "y" * 101, "end")
        assert (found.cut, found.total) == ((2, 3), 4)
        assert found.numbered().split("\n")[1:3] == [
            "   2\t" + "é" * 50 + "…",
            "   3\t" + "y" * 101 + "…",
        ]
        tail = await backend.tail("f", 3)
        assert [len(each.encode()) for each in tail.lines] == [8192, 8192, 3]
        assert [tail.first + 0, tail.first + 1] == list(tail.cut)

    async def test_lines_of_a_file_that_changes_are_those_of_now(self, backend: Backend) -> None:
        for number in (40_000, 50_000, 3):
            await backend.write("f", f"{number}\n" * number)
            found = await backend.read_lines("f", offset=number - 2)

            assert (found.total, found.lines) == (number, (str(number),) * 2)

    async def test_digest(self, tree: Backend) -> None:
        await tree.write("large", b"0123456789" * 200_000)
        for path, content in {**TREE, "large": b"0123456789" * 200_000}.items():
            assert await tree.digest(path) == hashlib.sha256(content).hexdigest()

    async def test_download_answers_each_path(self, tree: Backend) -> None:
        paths = ["README.md", "missing", "src", "data/latin.txt", "../out", "README.md", ""]
        found = await tree.download(paths)

        assert [each.path for each in found] == paths
        assert [each.content for each in found] == [
            TREE["README.md"], None, None, TREE["data/latin.txt"], None, TREE["README.md"], None,
        ]  # fmt: skip
        errors = [each.error for each in found]
        assert [each.kind for each in errors if each is not None] == [
            "NotFound", "WrongType", "PathEscapes", "InvalidPath",
        ]  # fmt: skip
        assert await tree.download([]) == ()

    @pytest.mark.parametrize(
        ("path", "meant"),
        [
            ("src/lib/../app.py", "src/app.py"),
            ("./src//lib/", "src/lib"),
            ("src/new/deeper.py", "src/new/deeper.py"),
            ("src/lib/../new", "src/new"),
            (".", "."),
            ("src/..", "."),
        ],
    )
    async def test_a_real_path_leads_to_the_same(
        self, tree: Backend, path: str, meant: str
    ) -> None:
        real = await tree.realpath(path)

        assert real == await tree.realpath(meant)
        assert real == await tree.realpath(real)
        assert ".." not in real.split("/")
        if await tree.exists(path):
            assert await tree.stat(real) == await tree.stat(path)

    async def test_what_has_no_real_path(self, tree: Backend) -> None:
        for path, error in (
            ("..", e.PathEscapes),
            ("src/../../out", e.PathEscapes),
            ("new/../README.md", e.NotFound),
            ("README.md/", e.WrongType),
            ("README.md/x", e.WrongType),
        ):
            with pytest.raises(error) as caught:
                await tree.realpath(path)
            assert (caught.value.op, caught.value.path) == ("realpath", path)

    async def test_looking_at_what_is_no_file(self, tree: Backend) -> None:
        for operation in (
            m.ReadLines(path="src"),
            m.ReadLines(path="README.md/"),
            m.Digest(path="src"),
            m.Tree(path="README.md"),
        ):
            with pytest.raises(e.WrongType) as caught:
                await ask(tree, operation)
            assert caught.value.path == operation.path
        for negative in (m.ReadLines(path="README.md", limit=-1), m.Tree(depth=-1)):
            with pytest.raises(e.InvalidArgument, match="0 or more"):
                await ask(tree, negative)
