"""The contract of copy, move, remove."""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

import pytest

from runner import errors as e
from runner.backends.base import Backend
from runner.testing.backend_contract.base import Contract
from runner.testing.backend_contract.tables import TREE


class Moving(Contract):
    """What every backend does: copy, move, remove."""

    async def test_copy_of_a_file(self, backend: Backend) -> None:
        await backend.write("a", b"content" * 20_000)
        await backend.copy("a", "new/b")

        assert (
            await backend.read("new/b", encoding=None)
            == await backend.read("a", encoding=None)
            == b"content" * 20_000
        )

    async def test_copy_of_a_tree(self, tree: Backend) -> None:
        await tree.copy("src", "copy/of/src/")
        before = await tree.glob("**", "src", hidden=True)
        after = await tree.glob("**", "copy/of/src", hidden=True)

        assert after.paths == tuple(f"copy/of/{each}" for each in before.paths)
        assert await tree.read("copy/of/src/app.py", encoding=None) == TREE["src/app.py"]

    async def test_a_copy_is_its_own(self, backend: Backend) -> None:
        await backend.write("d/f", b"one")
        await backend.copy("d", "e")
        await backend.append("e/f", b" two")

        assert await backend.read("d/f", encoding=None) == b"one"

    async def test_move_of_a_file_and_of_a_tree(self, tree: Backend) -> None:
        await tree.move("README.md", "new/name.md")
        await tree.move("src", "new/src")

        assert await tree.read("new/name.md", encoding=None) == TREE["README.md"]
        assert await tree.read("new/src/lib/util.py", encoding=None) == TREE["src/lib/util.py"]
        assert not await tree.exists("src")
        assert not await tree.exists("README.md")

    @pytest.mark.parametrize("verb", ["copy", "move"])
    async def test_nothing_is_replaced_unasked(self, backend: Backend, verb: str) -> None:
        await backend.write("a", b"a")
        await backend.write("b", b"b")
        transfer = backend.copy if verb == "copy" else backend.move
        with pytest.raises(e.AlreadyExists) as caught:
            await transfer("a", "b")

        assert (caught.value.op, caught.value.path) == (verb, "b")
        assert (
            await backend.read("a", encoding=None) + await backend.read("b", encoding=None) == b"ab"
        )
        await transfer("a", "b", overwrite=True)
        assert await backend.read("b", encoding=None) == b"a"
        assert await backend.exists("a") == (verb == "copy")

    @pytest.mark.parametrize("verb", ["copy", "move"])
    async def test_what_may_replace_what(self, backend: Backend, verb: str) -> None:
        transfer = backend.copy if verb == "copy" else backend.move
        await backend.write("f", b"f")
        await backend.write("full/x", b"x")
        await backend.write("tree/y", b"y")
        await backend.mkdir("empty")
        for source, target, error in (
            ("f", "empty", e.WrongType),
            ("tree", "f", e.WrongType),
            ("tree", "full", e.NotEmpty),
            ("tree", "tree/in/itself", e.InvalidPath),
            ("tree/", "tree/y/z", e.WrongType),
            (".", "elsewhere", e.PermissionDenied),
            ("f", ".", e.PermissionDenied),
            ("f", "tree/..", e.InvalidPath),
            ("tree/..", "g", e.InvalidPath),
            ("f", "new/", e.WrongType),
            ("f/", "new", e.WrongType),
            ("missing", "new", e.NotFound),
            ("f", "../out", e.PathEscapes),
            ("../out", "new", e.PathEscapes),
        ):
            with pytest.raises(error):
                await transfer(source, target, overwrite=True)
        await transfer("tree", "empty", overwrite=True)

        assert await backend.read("empty/y", encoding=None) == b"y"
        assert not await backend.exists("new")
        assert not await backend.exists("tree/in")

    async def test_remove(self, tree: Backend) -> None:
        await tree.remove("README.md")
        with pytest.raises(e.NotEmpty):
            await tree.remove("src")
        await tree.remove("src", recursive=True)
        await tree.mkdir("bare")
        await tree.remove("bare/")

        assert not any([await tree.exists(each) for each in ("README.md", "src", "bare")])

    async def test_remove_of_what_is_not_there(self, backend: Backend) -> None:
        await backend.write("f", b"")
        for path in ("missing", "missing/deeper"):
            with pytest.raises(e.NotFound) as caught:
                await backend.remove(path)
            assert (caught.value.op, caught.value.path) == ("remove", path)
            await backend.remove(path, missing_ok=True)
            await backend.remove(path, recursive=True, missing_ok=True)
        with pytest.raises(e.WrongType):
            await backend.remove("f/")

    @pytest.mark.parametrize("path", [".", "./", "dir/.."])
    async def test_the_root_stays(self, backend: Backend, path: str) -> None:
        await backend.write("dir/f", b"kept")
        with pytest.raises((e.PermissionDenied, e.InvalidPath)):
            await backend.remove(path, recursive=True)

        assert await backend.read("dir/f", encoding=None) == b"kept"
