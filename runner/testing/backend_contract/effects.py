"""What effects promise: guards, lines by hash, uploads, batches."""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

import hashlib

import pytest

from runner import errors as e
from runner import messages as m
from runner.backends.base import Backend
from runner.operations.hashlines import line_hash, with_hashes
from runner.testing.backend_contract.base import Contract


def digest(content: bytes) -> str:
    """What `expected` is compared with."""
    return hashlib.sha256(content).hexdigest()


def change(first: int, line: str, text: bytes, **more: object) -> m.LineChange:
    """A change of a line that is named by number and hash."""
    return m.LineChange(first=first, first_hash=line_hash(line), text=text, **more)  # type: ignore[arg-type]


class Effects(Contract):
    """Edits of many pieces and of lines, guards, touch, chmod, upload, batch."""

    # ------------------------------------------------------------ several edits at once

    async def test_several_edits_work_one_on_the_other(self, backend: Backend) -> None:
        await backend.write("f", b"one two three")
        pieces = [
            m.Replacement(old=b"one", new=b"1"),
            m.Replacement(old=b"1 two", new=b"1 2 2"),
            m.Replacement(old=b"2", new=b"II", replace_all=True),
        ]

        assert await backend.edit_many("f", pieces) == 4
        assert await backend.read("f") == "1 II II three"

    async def test_several_edits_are_made_all_or_none(self, backend: Backend) -> None:
        await backend.write("f", b"one two")
        pieces = [m.Replacement(old=b"one", new=b"1"), m.Replacement(old=b"three", new=b"3")]
        with pytest.raises(e.EditFailed, match=r"replacement 2: .*not found"):
            await backend.edit_many("f", pieces)
        with pytest.raises(e.EditFailed, match="nothing to replace"):
            await backend.edit_many("f", [])

        assert await backend.read("f") == "one two"

    async def test_a_guard_refuses_what_has_changed(self, backend: Backend) -> None:
        await backend.write("f", b"as it was seen")
        seen = digest(b"as it was seen")
        await backend.edit("f", "was", "is", expected=seen)
        for late in (
            lambda: backend.edit("f", "is", "was", expected=seen),
            lambda: backend.write("f", "mine", expected=seen),
            lambda: backend.edit_lines("f", [change(1, "as it is seen", b"x")], expected=seen),
        ):
            with pytest.raises(e.FileChanged, match="read it again") as caught:
                await late()
            assert caught.value.path == "f"
            assert caught.value.scope is not None

        assert await backend.read("f") == "as it is seen"
        await backend.write("f", "mine", expected=digest(b"as it is seen"))
        assert await backend.read("f") == "mine"
        with pytest.raises(e.FileChanged, match="not there"):
            await backend.write("g", "mine", expected=seen)
        assert not await backend.exists("g")

    # ------------------------------------------------------------ lines by number and hash

    @pytest.mark.parametrize(
        ("content", "changes", "result", "grown"),
        [
            (b"a\nb\nc\n", [change(2, "b", b"B")], b"a\nB\nc\n", 0),
            (b"a\nb\nc\n", [change(2, "b", b"")], b"a\nc\n", -1),
            (b"a\nb\nc\n", [change(1, "a", b"x\ny", last=2, last_hash=line_hash("b"))],
             b"x\ny\nc\n", 0),
            (b"a\nb\nc\n", [change(1, "a", b"x\n", after=True)], b"a\nx\nb\nc\n", 1),
            (b"a\nb\nc\n", [change(3, "c", b"C"), change(1, "a", b"A\nAA")], b"A\nAA\nb\nC\n", 1),
            (b"a\r\nb\r\n", [change(1, "a", b"A")], b"A\r\nb\r\n", 0),
            (b"a\nb", [change(2, "b", b"B")], b"a\nB", 0),
            (b"a\nb", [change(2, "b", b"c", after=True)], b"a\nb\nc", 1),
            (b"a", [change(1, "a", b"")], b"", -1),
            (b"a\rb\nc\n", [change(1, "a\rb", b"x")], b"x\nc\n", 0),
        ],
    )  # fmt: skip
    async def test_lines_are_edited_by_number_and_hash(
        self,
        backend: Backend,
        content: bytes,
        changes: list[m.LineChange],
        result: bytes,
        grown: int,
    ) -> None:
        await backend.write("f", content)

        assert await backend.edit_lines("f", changes) == grown
        assert await backend.read("f", encoding=None) == result

    @pytest.mark.parametrize(
        ("changes", "what"),
        [
            ([], "nothing to change"),
            ([change(2, "stale", b"x")], "line 2 has the hash"),
            ([change(9, "b", b"x")], "no line 9: the file has 3"),
            ([change(0, "b", b"x")], "no line 0"),
            ([change(2, "b", b"x", last=1, last_hash=line_hash("a"))], "comes before"),
            ([change(1, "a", b"x", last=3)], "needs its hash"),
            ([change(1, "a", b"x", last=3, last_hash="00000000")], "line 3 has the hash"),
            ([change(1, "a", b"x", last=2, last_hash=line_hash("b"), after=True)], "no `last`"),
            ([change(1, "a", b"x", last=2, last_hash=line_hash("b")), change(2, "b", b"y")],
             "two changes name line 2"),
            ([change(1, "a", b"x"), change(3, "stale", b"y")], "line 3 has the hash"),
        ],
    )  # fmt: skip
    async def test_lines_that_are_stale_are_refused_and_nothing_changes(
        self, backend: Backend, changes: list[m.LineChange], what: str
    ) -> None:
        await backend.write("f", b"a\nb\nc\n")
        with pytest.raises(e.EditFailed, match=what) as caught:
            await backend.edit_lines("f", changes)

        assert (caught.value.op, caught.value.path) == ("edit_lines", "f")
        assert await backend.read("f") == "a\nb\nc\n"

    async def test_what_an_agent_is_shown_names_the_lines(self, backend: Backend) -> None:
        await backend.write("f", b"one\r\ntwo\n")
        shown = with_hashes((await backend.read("f")).splitlines())
        first = shown.split("\n")[0]
        number, _, rest = first.partition(":")
        told, _, text = rest.partition("|")
        await backend.edit_lines(
            "f", [m.LineChange(first=int(number), first_hash=told, text=text.upper().encode())]
        )

        assert await backend.read("f") == "ONE\r\ntwo\n"

    # ------------------------------------------------------------ touch, chmod

    async def test_touch_makes_a_file_and_changes_no_content(self, backend: Backend) -> None:
        await backend.touch("new/f")
        await backend.write("g", b"kept")
        before = (await backend.stat("g")).modified
        await backend.touch("g")

        assert await backend.read("new/f") == ""
        assert await backend.read("g") == "kept"
        assert (await backend.stat("g")).modified >= before
        with pytest.raises(e.AlreadyExists):
            await backend.touch("g", exist_ok=False)

    async def test_chmod_sets_permission_bits_only(self, backend: Backend) -> None:
        await backend.write("f", b"#!/bin/sh\n")
        await backend.chmod("f", 0o750)
        await backend.mkdir("d")
        await backend.chmod("d/", 0o700)

        assert (await backend.stat("f")).mode == 0o750
        assert (await backend.stat("d")).mode == 0o700
        for bad in (-1, 0o1000, 0o4755):
            with pytest.raises(e.OperationError, match="permission bits"):
                await backend.chmod("f", bad)
        with pytest.raises(e.NotFound):
            await backend.chmod("missing", 0o600)

    # ------------------------------------------------------------ upload

    async def test_an_upload_answers_for_each_file_in_order(self, backend: Backend) -> None:
        await backend.mkdir("dir")
        stored = await backend.upload(
            [("a/b", b"1"), ("dir", b"2"), ("../out", b"3"), ("c", "text"), ("a/b", b"again")]
        )

        assert [each.path for each in stored] == ["a/b", "dir", "../out", "c", "a/b"]
        kinds = [each.error and each.error.kind for each in stored]
        assert kinds == [None, "WrongType", "PathEscapes", None, None]
        assert await backend.read("a/b") == "again"
        assert await backend.read("c") == "text"
        assert await backend.upload([]) == ()

    # ------------------------------------------------------------ batch

    async def test_a_batch_is_carried_out_whole(self, backend: Backend) -> None:
        await backend.write("old", b"old")
        async with backend.batch() as batch:
            await batch.write("new/a", "one")
            await batch.append("new/a", " two")
            await batch.edit("new/a", "two", "2")
            await batch.move("old", "new/b")
            await batch.mkdir("empty")
            await batch.copy("new", "copy")
            await batch.remove("new", recursive=True)
            assert not await backend.exists("new")

        assert batch.answers == (None, None, 1, None, None, None, None)
        assert (await backend.glob("**")).paths == ("copy", "copy/a", "copy/b", "empty")
        assert await backend.read("copy/a") == "one 2"

    async def test_a_batch_that_fails_leaves_everything_as_it_was(self, backend: Backend) -> None:
        await backend.write("keep/deep/f", b"kept")
        await backend.write("over", b"before")
        await backend.chmod("over", 0o640)
        await backend.mkdir("hollow")
        before = await self._all(backend)
        with pytest.raises(e.EditFailed, match="effect 13 of a batch: all are undone"):
            async with backend.batch() as batch:
                await batch.write("over", "after")
                await batch.append("over", " and more")
                await batch.append("fresh/log", "line")
                await batch.chmod("over", 0o600)
                await batch.touch("over")
                await batch.write("new/deep/f", "new")
                await batch.mkdir("made/deeper")
                await batch.copy("keep", "copied/keep")
                await batch.move("keep/deep", "moved")
                await batch.move("moved/f", "over", overwrite=True)
                await batch.remove("hollow")
                await batch.remove("keep", recursive=True)
                await batch.edit("over", "not there", "x")

        assert await self._all(backend) == before

    async def test_a_batch_whose_block_fails_is_not_begun(self, backend: Backend) -> None:
        async with backend.batch() as batch:  # an empty one is nothing
            pass
        with pytest.raises(ZeroDivisionError):
            async with backend.batch() as batch:
                await batch.write("f", "x")
                raise ZeroDivisionError

        assert batch.answers == ()
        assert not await backend.exists("f")

    async def _all(self, backend: Backend) -> object:
        paths = (await backend.glob("**", hidden=True)).paths
        stats = [await backend.stat(path) for path in paths]
        return [
            (path, each.type, each.mode, each.type == "file" and await backend.read(path))
            for path, each in zip(paths, stats, strict=True)
        ]
