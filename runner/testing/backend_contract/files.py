"""The contract of reading, writing, looking at one directory."""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runner import errors as e
from runner import messages as m
from runner.backends.base import Backend
from runner.testing.backend_contract.base import MODERN, Contract, ask


class Files(Contract):
    """What every backend does: reading, writing, looking at one directory."""

    async def test_what_was_written_is_read(self, backend: Backend) -> None:
        content = bytes(range(256)) * 3
        await backend.write("a/b/c.bin", content)

        assert await backend.read("a/b/c.bin", encoding=None) == content

    async def test_writing_again_replaces_all(self, backend: Backend) -> None:
        await backend.write("f", b"long content")
        await backend.write("f", b"new", durable=True)

        assert await backend.read("f", encoding=None) == b"new"

    async def test_a_large_file_survives(self, backend: Backend) -> None:
        content = b"0123456789abcdef" * 200_000
        await backend.write("large", content)
        await backend.append("large", content)

        assert await backend.read("large", encoding=None) == content * 2
        assert await backend.read("large", offset=3_199_998, limit=4, encoding=None) == b"ef01"

    async def test_a_window_is_read(self, backend: Backend) -> None:
        await backend.write("f", b"0123456789")

        assert await backend.read("f", offset=3, encoding=None) == b"3456789"
        assert await backend.read("f", offset=3, limit=2, encoding=None) == b"34"
        assert await backend.read("f", limit=0, encoding=None) == b""
        assert await backend.read("f", offset=10, encoding=None) == b""
        assert await backend.read("f", offset=99, limit=5, encoding=None) == b""
        assert await backend.read("f", offset=8, limit=99, encoding=None) == b"89"

    async def test_negative_counts_are_refused(self, backend: Backend) -> None:
        await backend.write("f", b"x")
        for operation in (
            m.Read(path="f", offset=-1),
            m.Read(path="f", limit=-1),
            m.Ls(limit=-1),
            m.Glob(pattern="*", limit=-1),
            m.Grep(pattern="x", limit=-1),
        ):
            with pytest.raises(e.InvalidArgument, match="0 or more"):
                await ask(backend, operation)

    async def test_append_adds_and_makes(self, backend: Backend) -> None:
        await backend.append("new/log", b"one\n")
        await backend.append("new/log", b"")
        await backend.append("new/log", b"two\n")

        assert await backend.read("new/log", encoding=None) == b"one\ntwo\n"

    async def test_edit_replaces_one_exact_piece(self, backend: Backend) -> None:
        await backend.write("f", b"one two\r\nthree")

        assert await backend.edit("f", b"two\r\n", b"2\n") == 1
        assert await backend.read("f", encoding=None) == b"one 2\nthree"

    async def test_edit_replaces_all_on_request(self, backend: Backend) -> None:
        await backend.write("f", b"a b a b a")

        assert await backend.edit("f", b"a", b"aa", replace_all=True) == 3
        assert await backend.read("f", encoding=None) == b"aa b aa b aa"

    async def test_edit_works_on_large_files(self, backend: Backend) -> None:
        await backend.write("f", b"x" * 200_000 + b"needle" + b"y" * 200_000)

        assert await backend.edit("f", b"needle", b"") == 1
        assert await backend.read("f", encoding=None) == b"x" * 200_000 + b"y" * 200_000

    @pytest.mark.parametrize(
        ("content", "old", "what"),
        [
            (b"one\ntwo\n", b"three", "not found"),
            (b"one\r\ntwo\r\n", b"one\ntwo", "line endings"),
            (b"if x:\n    y\n", b"if x:\n  y", "white space"),
            (b"Hello", b"hello", "upper and lower case"),
            (b"a\nb\na\n", b"a", "2 times, in lines 1, 3"),
            (b"a\n" * 9, b"a", "9 times, in lines 1, 2, 3, 4, 5, …"),
            (b"abc", b"", "empty"),
        ],
    )
    async def test_an_edit_that_fails_says_why_and_changes_nothing(
        self, backend: Backend, content: bytes, old: bytes, what: str
    ) -> None:
        await backend.write("dir/f", content)
        with pytest.raises(e.EditFailed, match=what) as caught:
            await backend.edit("dir/f", old, b"new")

        assert (caught.value.op, caught.value.path) == ("edit", "dir/f")
        assert await backend.read("dir/f", encoding=None) == content

    async def test_stat_tells_files_from_directories(self, backend: Backend) -> None:
        await backend.write("dir/f", b"12345")
        file, directory = await backend.stat("dir/f"), await backend.stat("dir")

        assert (file.type, file.size) == ("file", 5)
        assert (directory.type, directory.size) == ("directory", 0)
        assert file.mode & 0o700 == 0o600
        assert directory.mode & 0o700 == 0o700
        assert MODERN < file.modified < datetime.now(UTC) + timedelta(minutes=1)
        assert (await backend.stat(".")).type == "directory"

    async def test_exists_knows_what_is_there(self, backend: Backend) -> None:
        await backend.write("dir/f", b"")
        known = {
            path: await backend.exists(path)
            for path in ("dir", "dir/", "dir/f", "dir/f/", "dir/g", "dir/f/g", "no/f", ".")
        }

        assert known == {
            "dir": True, "dir/": True, "dir/f": True, "dir/f/": False, "dir/g": False,
            "dir/f/g": False, "no/f": False, ".": True,
        }  # fmt: skip

    async def test_ls_is_sorted_and_does_not_descend(self, backend: Backend) -> None:
        for name in ("b", "a/inner", "C", ".hid", "a.b"):
            await backend.write(name, b"xy")
        listing = await backend.ls()

        assert [each.name for each in listing.entries] == [".hid", "C", "a", "a.b", "b"]
        assert [each.type for each in listing.entries][1:3] == ["file", "directory"]
        assert [each.size for each in listing.entries] == [2, 2, 0, 2, 2]
        assert listing.omitted == 0
        assert await backend.ls("a") == await backend.ls("./a/")

    @pytest.mark.parametrize("count", [5, 300])
    async def test_ls_is_capped_with_an_exact_count(self, backend: Backend, count: int) -> None:
        names = [f"f{number:04}" for number in range(count)]
        for name in reversed(names):
            await backend.write(f"dir/{name}", b"")
        capped = await backend.ls("dir", limit=3)

        assert [each.name for each in capped.entries] == names[:3]
        assert capped.omitted == count - 3
        assert (await backend.ls("dir", limit=0)).omitted == count
        assert (await backend.ls("dir", limit=count)).omitted == 0

    async def test_mkdir_makes_parents(self, backend: Backend) -> None:
        await backend.mkdir("a/b/c")
        await backend.mkdir("a/b/c/")

        assert (await backend.stat("a/b/c")).type == "directory"
        with pytest.raises(e.AlreadyExists):
            await backend.mkdir("a/b", exist_ok=False)
        await backend.mkdir("a/d", exist_ok=False)
        assert await backend.exists("a/d")
