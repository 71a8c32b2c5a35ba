"""The contract of wrong types, what is missing, what a path means."""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

import pytest

from runner import errors as e
from runner import messages as m
from runner.backends.base import Backend
from runner.testing.backend_contract.base import Contract, ask, error_of
from runner.testing.backend_contract.tables import PATHS


class Paths(Contract):
    """What every backend does: wrong types, what is missing, what a path means."""

    async def test_a_directory_is_no_file_and_a_file_no_directory(self, backend: Backend) -> None:
        await backend.write("dir/f", b"x")
        for operation in (
            m.Read(path="dir"),
            m.Read(path="dir/f/"),
            m.Read(path="."),
            m.Write(path="dir", content=b""),
            m.Write(path=".", content=b""),
            m.Write(path="new/", content=b""),
            m.Write(path="dir/..", content=b""),
            m.Write(path="dir/f/g", content=b""),
            m.Append(path="dir", content=b""),
            m.Touch(path="dir/f/"),
            m.Touch(path="new/"),
            m.Touch(path="dir/f/g"),
            m.Chmod(path="dir/f/", mode=0o600),
            m.Edit(path="dir", replacements=(m.Replacement(old=b"a", new=b"b"),)),
            m.Edit(path="dir/f/", replacements=(m.Replacement(old=b"x", new=b"b"),)),
            m.Ls(path="dir/f"),
            m.Mkdir(path="dir/f"),
            m.Mkdir(path="dir/f/g"),
            m.Stat(path="dir/f/"),
            m.Glob(pattern="*", path="dir/f"),
            m.Grep(pattern="x", path="dir/f/"),
        ):
            with pytest.raises(e.WrongType) as caught:
                await ask(backend, operation)
            assert caught.value.path == operation.path
            assert caught.value.op == type(operation).__name__.lower()

        assert await backend.read("dir/f", encoding=None) == b"x"

    async def test_what_is_missing_is_not_found(self, backend: Backend) -> None:
        for operation in (
            m.Read(path="no/f"),
            m.Stat(path="no"),
            m.Ls(path="no"),
            m.Edit(path="no", replacements=(m.Replacement(old=b"a", new=b"b"),)),
            m.Copy(source="no", target="b"),
            m.Move(source="no", target="b"),
            m.Glob(pattern="*", path="no"),
            m.Grep(pattern="x", path="no"),
            m.Read(path="no/../f"),
            m.Write(path="no/../f", content=b""),
            m.Mkdir(path="no/../d"),
            m.Touch(path="no/../f"),
            m.Chmod(path="no", mode=0o600),
        ):
            with pytest.raises(e.NotFound) as caught:
                await ask(backend, operation)
            assert caught.value.op == type(operation).__name__.lower()

        assert (await backend.ls()).entries == ()

    @pytest.mark.parametrize(("written", "meant"), PATHS)
    async def test_what_a_path_means(
        self, backend: Backend, written: str, meant: str | None
    ) -> None:
        await backend.write("dir/file", b"here")
        await backend.mkdir("dir/sub")
        if meant:
            await backend.append(written, b" and there")
            assert (
                await backend.read(meant, encoding=None)
                == await backend.read(written, encoding=None)
                == b"here and there"
            )
            return
        operations: tuple[m.Operation, ...] = (
            m.Read(path=written),
            m.Stat(path=written),
            m.Exists(path=written),
            m.Ls(path=written),
            m.Write(path=written, content=b"x"),
            m.Append(path=written, content=b"x"),
            m.Edit(path=written, replacements=(m.Replacement(old=b"a", new=b"b"),)),
            m.Mkdir(path=written),
            m.Touch(path=written),
            m.Chmod(path=written, mode=0o600),
            m.Remove(path=written, recursive=True),
            m.Copy(source=written, target="new"),
            m.Copy(source="dir/file", target=written),
            m.Move(source=written, target="new"),
            m.Move(source="dir/file", target=written),
            m.Glob(pattern="*", path=written),
            m.Grep(pattern="x", path=written),
        )
        for operation in operations:
            with pytest.raises(error_of(meant)) as caught:
                await ask(backend, operation)
            assert caught.value.path == written
            assert caught.value.scope is not None

        assert await backend.read("dir/file", encoding=None) == b"here"
        assert len((await backend.ls()).entries) == 1

    @pytest.mark.parametrize(
        "name", ["x" * 255, "new\nline", "-rf", " ", "tab\t", "*?[", "\udcff\udcfe", "~", "a\\b"]
    )
    async def test_strange_names_survive(self, backend: Backend, name: str) -> None:
        path = f"dir/{name}"
        await backend.write(path, b"needle\n")
        await backend.append(path, b"x")
        await backend.edit(path, b"x", b"y")

        assert [each.name for each in (await backend.ls("dir")).entries] == [name]
        assert (await backend.glob("**/*")).paths == ("dir", path)
        assert [each.path for each in (await backend.grep("needle")).matches] == [path]
        assert [each.path for each in (await backend.grep("needle", path)).matches] == [path]
        await backend.copy(path, f"{name}/copy")
        await backend.move(f"{name}/copy", "moved")
        await backend.remove(name)
        assert (
            await backend.read("moved", encoding=None)
            == await backend.read(path, encoding=None)
            == b"needle\ny"
        )
