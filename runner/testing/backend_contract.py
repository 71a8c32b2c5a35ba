"""The tests that every backend passes, shipped to whoever writes one.

Model. Subclass `BackendContract` in your tests and give a fixture `backend` that yields an empty
backend; pytest-trio runs the rest. `TREE`, `GLOBS`, `GREPS` and `REFUSED_PATTERNS` are the tables
of what a search answers; `PATHS` of what a path means. Everything here is asked through messages
and answered in `runner.messages`' records, so it says what a scope promises, not how.

    class TestMine(BackendContract):
        @pytest.fixture
        def backend(self): return MyBackend()

What it does not test: containment against links and races (memory has none), programs, speed.
"""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner.backends.base import LATER, Backend

TREE: Mapping[str, bytes] = {
    "README.md": b"# Shop\n\nA shop that sells things.\nTODO: prices\n",
    "src/app.py": b"import os\n\ndef main():\n    # TODO: write\n    return os.getcwd()\n",
    "src/lib/util.py": b"def add(a, b):\n    return a + b\n",
    "src/lib/util_test.py": b"from util import add\nassert add(1, 2) == 3\n",
    "src/.hidden.py": b"# TODO: hidden\n",
    ".config/settings.ini": b"[todo]\nkey = TODO\n",
    "docs/a b.txt": b"with a space: todo\r\nTODO in CRLF\r\nend",
    "docs/[x].txt": b"--todo\n-e TODO\n",
    "docs/\u00fc\u00f1\u00ee.txt": "gr\u00fc\u00df dich, TODO\n".encode(),
    "data/binary.bin": b"TODO\n" + b"x" * 100_000 + b"\0TODO\n",
    "data/latin.txt": b"caf\xe9 TODO\n",
    "data/empty.txt": b"",
    "data/-rf": b"TODO dash\n",
    "ignored.log": b"TODO log\n",
    ".gitignore": b"*.log\n",
}

# pattern, keyword arguments, the paths that match
GLOBS: tuple[tuple[str, dict[str, object], tuple[str, ...]], ...] = (
    ("*.md", {}, ("README.md",)),
    ("**/*.py", {}, ("src/app.py", "src/lib/util.py", "src/lib/util_test.py")),
    ("src/*.py", {}, ("src/app.py",)),
    ("./src//*.py", {}, ("src/app.py",)),
    ("src/**", {}, ("src/app.py", "src/lib", "src/lib/util.py", "src/lib/util_test.py")),
    ("src/**/", {}, ("src/lib",)),
    ("src/**/util*", {}, ("src/lib/util.py", "src/lib/util_test.py")),
    ("{src,docs}/*.{py,txt}", {}, ("docs/[x].txt", "docs/a b.txt", "docs/üñî.txt", "src/app.py")),
    ("docs/?[ ]b.txt", {}, ("docs/a b.txt",)),
    ("docs/[!a]*.txt", {}, ("docs/[x].txt", "docs/üñî.txt")),
    ("docs/\\[x\\].txt", {}, ("docs/[x].txt",)),
    ("data/-*", {}, ("data/-rf",)),
    ("*/", {}, ("data", "docs", "src")),
    ("*", {}, ("README.md", "data", "docs", "ignored.log", "src")),
    (".*", {}, (".config", ".gitignore")),
    ("**/.hidden*", {}, ("src/.hidden.py",)),
    ("**/*.ini", {}, ()),
    ("**/*.ini", {"hidden": True}, (".config/settings.ini",)),
    (".config/*.ini", {}, (".config/settings.ini",)),
    ("lib/*", {"path": "src"}, ("src/lib/util.py", "src/lib/util_test.py")),
    ("*.py", {"path": "src/lib"}, ("src/lib/util.py", "src/lib/util_test.py")),
    ("src/app.py", {}, ("src/app.py",)),
    ("nothing/*", {}, ()),
    ("*.{log,md}", {}, ("README.md", "ignored.log")),
)

# pattern, keyword arguments, (path, line) of what matches
GREPS: tuple[tuple[str, dict[str, object], tuple[tuple[str, int], ...]], ...] = (
    (
        "TODO",
        {},
        (
            ("README.md", 4),
            ("data/-rf", 1),
            ("data/latin.txt", 1),
            ("docs/[x].txt", 2),
            ("docs/a b.txt", 2),
            ("docs/üñî.txt", 1),
            ("ignored.log", 1),
            ("src/app.py", 4),
        ),
    ),
    ("todo", {}, (("docs/[x].txt", 1), ("docs/a b.txt", 1))),
    ("todo", {"ignore_case": True, "path": "docs/a b.txt"}, (
        ("docs/a b.txt", 1), ("docs/a b.txt", 2),
    )),
    ("TODO", {"glob": "*.py"}, (("src/app.py", 4),)),
    ("TODO", {"glob": "*.py", "hidden": True}, (("src/.hidden.py", 1), ("src/app.py", 4))),
    ("TODO", {"glob": "**/*.{md,log}"}, (("README.md", 4), ("ignored.log", 1))),
    ("TODO", {"glob": "src/*.py"}, (("src/app.py", 4),)),
    ("add", {"glob": "lib/*", "path": "src"}, (
        ("src/lib/util.py", 1), ("src/lib/util_test.py", 1), ("src/lib/util_test.py", 2),
    )),
    ("TODO", {"glob": "[!a-z]*"}, (
        ("README.md", 4), ("data/-rf", 1), ("docs/[x].txt", 2), ("docs/üñî.txt", 1),
    )),
    ("key|[todo]{6}", {"hidden": True, "path": ".config"}, ((".config/settings.ini", 2),)),
    ("--todo", {}, (("docs/[x].txt", 1),)),
    ("-e TODO", {}, (("docs/[x].txt", 2),)),
    ("--files", {}, ()),
    (r"^def \w+\(", {}, (("src/app.py", 3), ("src/lib/util.py", 1))),
    (r"add(1, 2)", {"literal": True}, (("src/lib/util_test.py", 2),)),
    (r"CRLF$", {}, (("docs/a b.txt", 2),)),
    (r"^end$", {}, (("docs/a b.txt", 3),)),
    (r"gr\w+ß?", {"ignore_case": True, "glob": "*.txt"}, (("docs/üñî.txt", 1),)),
    (r"(?i)SHOP|(?P<x>sells)", {}, (("README.md", 1), ("README.md", 3))),
    (r"\bos\b", {}, (("src/app.py", 1), ("src/app.py", 5))),
    (r"[(]a, b[)]", {}, (("src/lib/util.py", 1),)),
    ("TODO", {"path": "data/-rf"}, (("data/-rf", 1),)),
    ("TODO", {"path": "src/.hidden.py"}, (("src/.hidden.py", 1),)),
    ("TODO", {"path": "data/binary.bin"}, ()),
    ("", {"path": "src/lib/util.py"}, (("src/lib/util.py", 1), ("src/lib/util.py", 2))),
    ("anything", {"path": "data/empty.txt"}, ()),
    ("[todo]", {"literal": True, "hidden": True}, ((".config/settings.ini", 1),)),
)  # fmt: skip

REFUSED_PATTERNS: tuple[str, ...] = (
    "foo(", "[z-a]", "*a", "(?=look)", "(?<!behind)", r"(a)\1", "a\nb", "nul\0", "x" * 40_000,
    "lone \udcff", "(?P<x>a)(?P=x)", r"a{2,1}",
)  # fmt: skip

# how a path is written, what is meant; None = it leads out; "" = nothing can be there
PATHS: tuple[tuple[str, str | None], ...] = (
    ("dir/file", "dir/file"),
    ("./dir/./file", "dir/file"),
    ("dir//file", "dir/file"),
    ("dir/sub/../file", "dir/file"),
    ("dir/../dir/file", "dir/file"),
    ("../dir/file", None),
    ("dir/../../dir/file", None),
    ("..", None),
    ("/nowhere/dir/file", None),
    ("", ""),
    ("dir/\0file", ""),
    ("dir/" + "x" * 256, ""),
    ("dir/" + "\u00e9" * 128, ""),
    ("dir/\ud800", ""),
)

MODERN = datetime(2020, 1, 1, tzinfo=UTC)


def _error(answer: str | None) -> type[e.OperationError]:
    return e.InvalidPath if answer == "" else e.PathEscapes


async def _ask(backend: Backend, operation: m.Operation) -> object:
    """Any operation, whatever its answer is."""
    return await backend.ask(cast("m.Message[object]", operation))


class BackendContract:
    """What every backend does. Give a fixture `backend`."""

    @pytest.fixture
    def backend(self) -> Backend:
        """An empty backend; to be overridden."""
        raise NotImplementedError("give a fixture `backend` that returns an empty backend")

    @pytest.fixture
    async def tree(self, backend: Backend) -> Backend:
        """The backend with `TREE` in it."""
        for path, content in TREE.items():
            await backend.write(path, content)
        return backend

    # ------------------------------------------------------------ read, write, append, edit

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
            with pytest.raises(e.OperationError, match="negative"):
                await _ask(backend, operation)

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

    # ------------------------------------------------------------ stat, exists, ls, mkdir

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

    # ------------------------------------------------------------ copy, move, remove

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

    # ------------------------------------------------------------ wrong types and paths

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
            m.Edit(path="dir", old=b"a", new=b"b"),
            m.Edit(path="dir/f/", old=b"x", new=b"b"),
            m.Ls(path="dir/f"),
            m.Mkdir(path="dir/f"),
            m.Mkdir(path="dir/f/g"),
            m.Stat(path="dir/f/"),
            m.Glob(pattern="*", path="dir/f"),
            m.Grep(pattern="x", path="dir/f/"),
        ):
            with pytest.raises(e.WrongType) as caught:
                await _ask(backend, operation)
            assert caught.value.path == operation.path
            assert caught.value.op == type(operation).__name__.lower()

        assert await backend.read("dir/f", encoding=None) == b"x"

    async def test_what_is_missing_is_not_found(self, backend: Backend) -> None:
        for operation in (
            m.Read(path="no/f"),
            m.Stat(path="no"),
            m.Ls(path="no"),
            m.Edit(path="no", old=b"a", new=b"b"),
            m.Copy(source="no", target="b"),
            m.Move(source="no", target="b"),
            m.Glob(pattern="*", path="no"),
            m.Grep(pattern="x", path="no"),
            m.Read(path="no/../f"),
            m.Write(path="no/../f", content=b""),
            m.Mkdir(path="no/../d"),
        ):
            with pytest.raises(e.NotFound) as caught:
                await _ask(backend, operation)
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
            m.Edit(path=written, old=b"a", new=b"b"),
            m.Mkdir(path=written),
            m.Remove(path=written, recursive=True),
            m.Copy(source=written, target="new"),
            m.Copy(source="dir/file", target=written),
            m.Move(source=written, target="new"),
            m.Move(source="dir/file", target=written),
            m.Glob(pattern="*", path=written),
            m.Grep(pattern="x", path=written),
        )
        for operation in operations:
            with pytest.raises(_error(meant)) as caught:
                await _ask(backend, operation)
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

    # ------------------------------------------------------------ search

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

    # ------------------------------------------------------------ how they are carried out

    async def test_every_operation_has_a_checkpoint(self, tree: Backend) -> None:
        """Cancelled before it began: it leaves, and nothing has changed."""
        operations: tuple[m.Operation, ...] = (
            m.Read(path="README.md"),
            m.Stat(path="README.md"),
            m.Exists(path="README.md"),
            m.Ls(),
            m.Glob(pattern="*"),
            m.Grep(pattern="x"),
            m.Write(path="new", content=b""),
            m.Append(path="new", content=b""),
            m.Edit(path="README.md", old=b"TODO", new=b"DONE"),
            m.Mkdir(path="new"),
            m.Copy(source="src", target="new"),
            m.Move(source="src", target="new"),
            m.Remove(path="src", recursive=True),
            m.Exec(command="touch new"),
        )
        for operation in operations:
            with trio.CancelScope() as cancel_scope:
                cancel_scope.cancel()
                await _ask(tree, operation)
            assert cancel_scope.cancelled_caught

        assert not await tree.exists("new")
        assert await tree.read("README.md", encoding=None) == TREE["README.md"]
        assert await tree.exists("src/app.py")

    async def test_it_can_be_used_after_it_was_closed(self, backend: Backend) -> None:
        await backend.write("f", b"x")
        await backend.aclose()
        await backend.aclose()

        assert await backend.read("f", encoding=None) == b"x"
        await backend.aclose()

    async def test_what_is_answered_at_once_is_answered_alike(self, backend: Backend) -> None:
        """`answer_now` answers as `carry_out` does, or LATER; it never answers differently."""
        await backend.write("dir/f", b"content")
        await backend.write("large", b"x" * (1 << 20))
        operations: tuple[m.Operation, ...] = (
            m.Read(path="dir/f"),
            m.Read(path="dir/f", offset=2, limit=3),
            m.Read(path="large"),
            m.Read(path="missing"),
            m.Read(path="dir/f", offset=-1),
            m.Exists(path="dir/f"),
            m.Exists(path="missing"),
            m.Exists(path="../out"),
            m.Stat(path="dir/f"),
            m.Stat(path="dir/f/g"),
            m.Write(path="new/f", content=b"1"),
            m.Write(path="new/f", content=b"2", durable=True),
            m.Write(path="new/large", content=b"x" * (1 << 20)),
            m.Write(path="dir", content=b""),
            m.Ls(),
        )
        for operation in operations:
            now: object = None
            error: e.OperationError | None = None
            try:
                now = backend.answer_now(cast("m.Message[object]", operation))
            except e.OperationError as caught:
                error = caught
            if error is not None:
                with pytest.raises(type(error)) as again:
                    await _ask(backend, operation)
                assert str(again.value) == str(error)
            elif now is not LATER:
                assert await _ask(backend, operation) == now
