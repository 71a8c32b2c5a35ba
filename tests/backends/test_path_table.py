"""Hostile and friendly paths × every verb × both openers: what each does, and what stays untouched.

The mini-language for trees is that of Go's os.Root tests: `dir/` is a directory, `name` a file that
holds its own name, `name => text` a link. `$OUT` is an absolute path outside the scope (where a
secret lies), `$ROOT` the scope's own absolute path. Everything is harmless: what lies outside is a
temporary directory, too.
"""

from __future__ import annotations

import hashlib
import os
import stat
from os.path import lexists
from pathlib import Path

import attrs
import pytest

from runner import errors as e
from runner import messages as m
from runner.backends.local import LocalBackend
from runner.operations.hashlines import line_hash

ESCAPES = "escapes"
MISSING = "missing"  # it could be made
NO_WAY = "no way"  # missing, and a part of the way to it, too, in a way that nobody can make
WRONG = "wrong"  # a file in the middle, or a slash after a file
LOOP = "loop"
LINK = "link"
ROOT = "root"
UP = "up"  # ends in `..`, inside


@attrs.frozen
class Case:
    """One path in one tree.

    Attributes:
        follows: with all links followed: a real path (directories end in `/`), or a word above;
            `missing: path` says where it would be made.
        entry: the same with a link at the end not followed; None = the same.
    """

    name: str
    tree: tuple[str, ...]
    path: str
    follows: str
    entry: str | None = None


def _links(count):
    """A chain of links that ends at a file."""
    chain = [f"l{number} => l{number + 1}" for number in range(count - 1)]
    return ("target", *chain, f"l{count - 1} => target")


CASES = [
    # friendly
    Case("a file", ("a/b",), "a/b", "a/b"),
    Case("a directory", ("a/b/",), "a/b", "a/b/"),
    Case("a directory with a slash", ("a/b/",), "a/b/", "a/b/"),
    Case("missing", ("a/",), "a/b", "missing: a/b"),
    Case("missing parents", ("a/",), "a/b/c/d", "missing: a/b/c/d"),
    Case("dots and slashes", ("a/b",), "./a//./b", "a/b"),
    Case("down and up", ("a/b", "c"), "a/../c", "c"),
    Case("up to the root and down", ("a/x/", "c"), "a/x/../../c", "c"),
    Case("absolute, inside", ("a/b",), "$ROOT/a/b", "a/b"),
    Case("absolute, the root", ("a",), "$ROOT", "./", ROOT),
    Case("absolute, missing", ("a",), "$ROOT/new/b", "missing: new/b"),
    Case("the root", ("a",), ".", "./", ROOT),
    Case("the root by up", ("a/",), "a/..", "./", UP),
    Case("a directory by up", ("a/b/",), "a/b/..", "a/", UP),
    Case("a link to a file", ("target", "l => target"), "l", "target", LINK),
    Case("a link to a directory", ("d/f", "l => d"), "l", "d/", LINK),
    Case("through a link to a directory", ("d/f", "l => d"), "l/f", "d/f"),
    Case("a link with a slash", ("d/f", "l => d/"), "l", "d/", LINK),
    Case("a link that goes up, inside", ("f", "a/b/l => ../../f"), "a/b/l", "f", LINK),
    Case("a link to up", ("f", "a/l => .."), "a/l/f", "f"),
    Case("a link to the root", ("f", "l => ."), "l/f", "f"),
    Case("up after a link is physical", ("x/y/", "x/f", "l => x/y"), "l/../f", "x/f"),
    Case("links in links", ("d/f", "m => d", "l => m"), "l/f", "d/f"),
    Case("a link in the middle of a link", ("d/e/f", "m => d", "l => m/e"), "l/f", "d/e/f"),
    Case("a chain of 40 links", _links(40), "l0", "target", LINK),
    Case("a link to what is missing", ("l => d/new", "d/"), "l", "missing: d/new", LINK),
    # neither
    Case("a chain of 41 links", _links(41), "l0", LOOP, LINK),
    Case("a circle", ("l => m", "m => l"), "l", LOOP, LINK),
    Case("through a circle", ("l => l",), "l/f", LOOP),
    Case("through a dangling link", ("l => gone",), "l/f", NO_WAY),
    Case("up from what is missing", ("f",), "gone/../f", NO_WAY),
    Case("through a file", ("f",), "f/g", WRONG),
    Case("a file with a slash", ("f",), "f/", WRONG),
    Case("up from a file", ("f", "g"), "f/../g", WRONG),
    Case("a link with a slash to a file", ("f", "l => f/"), "l", WRONG, LINK),
    Case("through a link to a file", ("f", "l => f"), "l/g", WRONG),
    # hostile
    Case("up", ("f",), "..", ESCAPES),
    Case("up and out", ("f",), "../secret", ESCAPES),
    Case("up twice", ("a/b",), "a/../../secret", ESCAPES),
    Case("up many", ("a/b",), "a/../../../../../../../../../etc/passwd", ESCAPES),
    Case("out and in again", ("f",), "../scope/f", ESCAPES),
    Case("absolute, outside", ("f",), "$OUT/secret", ESCAPES),
    Case("absolute, a sibling with our name in front", ("f",), "$ROOT-other/f", ESCAPES),
    Case("absolute, in and out", ("f",), "$ROOT/../secret", ESCAPES),
    Case("the file system's root", ("f",), "/", ESCAPES),
    Case("a link up", ("l => ..",), "l", ESCAPES, LINK),
    Case("through a link up", ("l => ..",), "l/secret", ESCAPES),
    Case("a link to the secret", ("l => ../secret",), "l", ESCAPES, LINK),
    Case("a link to the secret, from below", ("a/l => ../../secret",), "a/l", ESCAPES, LINK),
    Case("an absolute link", ("l => $OUT/secret",), "l", ESCAPES, LINK),
    Case("through an absolute link", ("l => $OUT",), "l/secret", ESCAPES),
    Case("an absolute link that stays inside", ("f", "l => $ROOT/f"), "l", ESCAPES, LINK),
    Case("a link to /", ("l => /",), "l", ESCAPES, LINK),
    Case("a link out and in again", ("f", "l => ../scope/f"), "l", ESCAPES, LINK),
    Case("a link to a link out", ("m => ..", "l => m/secret"), "l", ESCAPES, LINK),
    Case("up through a link", ("a/b/", "l => a"), "l/../../secret", ESCAPES),
    Case("a dangling link outside", ("l => ../planted",), "l", ESCAPES, LINK),
    Case("missing, below a link out", ("l => ..",), "l/planted/deeper", ESCAPES),
]


def grow(root, out, entries):
    """Make a tree in the mini-language."""
    for each in entries:
        name, _, target = each.partition(" => ")
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            path.symlink_to(target.replace("$OUT", str(out)).replace("$ROOT", str(root)))
        elif name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(name)


def look(top):
    """All that is in a directory: types, modes, contents, link texts."""
    found = {}
    for directory, directories, names in os.walk(top):
        for name in directories + names:
            path = Path(directory, name)
            status = path.lstat()
            content = None
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file():
                content = path.read_bytes()
            found[str(path.relative_to(top))] = (stat.S_IFMT(status.st_mode), content)
    return found


OBSERVED = {ESCAPES: e.PathEscapes, LOOP: e.InvalidPath, NO_WAY: e.NotFound, WRONG: e.WrongType}


class Place:
    """A scope beside a secret, grown for one verb of one case."""

    def __init__(self, top, case, opener):
        self.out = top
        self.root = top / "scope"
        self.root.mkdir(parents=True)
        (top / "secret").write_text("SECRET")
        (top / "scope-other").mkdir()
        (top / "scope-other" / "f").write_text("SECRET")
        grow(self.root, top, case.tree)
        grow(self.root, top, ("extra",))
        self.path = case.path.replace("$OUT", str(top)).replace("$ROOT", str(self.root))
        self.backend = LocalBackend(self.root, opener=opener)
        self.before = look(top)

    def outside(self):
        """What lies outside of the scope."""
        return {k: v for k, v in look(self.out).items() if not k.startswith("scope/")}

    async def refused(self, error, operation):
        """The operation is refused with this error, and nothing at all has changed."""
        with pytest.raises(error) as caught:
            await operation
        assert caught.value.path == self.path
        assert look(self.out) == self.before


def outcome(case):
    """What a followed path is: a word, `file`, `directory` or `missing`; and its real path."""
    if case.follows in OBSERVED:
        return case.follows, ""
    if case.follows.startswith("missing: "):
        return MISSING, case.follows.removeprefix("missing: ")
    return ("directory" if case.follows.endswith("/") else "file"), case.follows.rstrip("/")


@pytest.fixture(params=CASES, ids=[each.name for each in CASES])
def case(request):
    return request.param


@pytest.fixture
def place(tmp_path, case, opener):
    return Place(tmp_path / "outer", case, opener)


async def test_read(place, case):
    kind, real = outcome(case)
    errors = {**OBSERVED, MISSING: e.NotFound, "directory": e.WrongType}
    if kind in errors:
        await place.refused(errors[kind], place.backend.read(place.path, encoding=None))
    else:
        assert (
            await place.backend.read(place.path, encoding=None) == (place.root / real).read_bytes()
        )


async def test_stat(place, case):
    kind, _ = outcome(case)
    errors = {**OBSERVED, MISSING: e.NotFound}
    if kind in errors:
        await place.refused(errors[kind], place.backend.stat(place.path))
    else:
        assert (await place.backend.stat(place.path)).type == kind


async def test_exists(place, case):
    kind, _ = outcome(case)
    if kind == ESCAPES:
        await place.refused(e.PathEscapes, place.backend.exists(place.path))
    else:
        assert await place.backend.exists(place.path) == (kind in {"file", "directory"})


async def streamed(backend, path):
    """All of a file, through a stream."""
    async with backend.open_stream(path) as stream:
        return b"".join([piece async for piece in stream])


async def written(backend, path):
    """A file, through a stream."""
    async with backend.open_stream(path, "wb") as stream:
        await stream.send(b"NEW")


@pytest.mark.parametrize("verb", ["read_lines", "digest", "download", "open_stream"])
async def test_files_are_looked_at(place, case, verb):
    kind, real = outcome(case)
    backend = place.backend
    errors = {**OBSERVED, MISSING: e.NotFound, "directory": e.WrongType}
    if verb == "download":
        (item,) = await backend.download([place.path])
        if kind in errors:
            assert item.error.kind == errors[kind].__name__
            assert (item.path, item.content) == (place.path, None)
        else:
            assert (item.error, item.content) == (None, (place.root / real).read_bytes())
        assert look(place.out) == place.before
        return
    operation = {
        "read_lines": backend.read_lines,
        "digest": backend.digest,
        "open_stream": lambda path: streamed(backend, path),
    }[verb](place.path)
    if kind in errors:
        await place.refused(errors[kind], operation)
        return
    answer = await operation
    content = (place.root / real).read_bytes()
    if verb == "open_stream":
        assert answer == content
    elif verb == "read_lines":
        assert answer.text.encode() == content
    else:
        assert answer == hashlib.sha256(content).hexdigest()


async def test_realpath(place, case):
    kind, real = outcome(case)
    if kind in OBSERVED:
        await place.refused(OBSERVED[kind], place.backend.realpath(place.path))
        return
    answer = await place.backend.realpath(place.path)
    assert answer == os.path.realpath(place.root / real)
    assert answer == os.path.realpath(place.root / place.path)
    assert look(place.out) == place.before


async def started(backend, path):
    """What a program says that was started there."""
    return await (await backend.start(("pwd", "-P"), cwd=path)).done()


@pytest.mark.parametrize("verb", ["ls", "tree", "glob", "grep", "exec", "start"])
async def test_directories_are_entered(place, case, verb):
    kind, real = outcome(case)
    errors = {**OBSERVED, MISSING: e.NotFound, "file": e.WrongType}
    backend = place.backend
    operations = {
        "ls": lambda: backend.ls(place.path),
        "tree": lambda: backend.tree(place.path, depth=1, hidden=True),
        "glob": lambda: backend.glob("*", place.path, hidden=True),
        "grep": lambda: backend.grep("SECRET|", place.path),
        "exec": lambda: backend.exec(("pwd", "-P"), cwd=place.path),
        "start": lambda: started(backend, place.path),
    }
    operation = operations[verb]()
    if verb == "grep" and kind == "file":
        assert len((await operation).matches) == 1
    elif kind in errors:
        await place.refused(errors[kind], operation)
    else:
        answer = await operation
        names = sorted(os.listdir(place.root / real))
        if verb in {"ls", "tree"}:
            assert [each.name for each in answer.entries] == names
        elif verb == "glob":
            assert [os.path.basename(each) for each in answer.paths] == names
        elif verb == "grep":
            assert all("SECRET" not in each.text for each in answer.matches)
        else:
            assert answer.stdout.rstrip("\n") == str((place.root / real).resolve())
    await backend.aclose()


def whole_line(content):
    return m.LineChange(first=1, first_hash=line_hash(content or "SECRET"), text=b"NEW")


async def uploaded(backend, path):
    """An upload of one, with its error raised."""
    (stored,) = await backend.upload([(path, b"NEW")])
    if stored.error is not None:
        kind = getattr(e, stored.error.kind)
        raise kind("upload", stored.path, stored.error.reason, scope=backend.name)


@pytest.mark.parametrize(
    "verb", ["write", "append", "edit", "edit_lines", "upload", "batch", "open_stream", "log"]
)
async def test_files_are_written(place, case, verb):
    kind, real = outcome(case)
    backend = place.backend
    operation = {
        "write": lambda: backend.write(place.path, b"NEW"),
        "append": lambda: backend.append(place.path, b"NEW"),
        "edit": lambda: backend.edit(place.path, real.encode() or b"SECRET", b"NEW"),
        "edit_lines": lambda: backend.edit_lines(place.path, [whole_line(real)]),
        "upload": lambda: uploaded(backend, place.path),
        "open_stream": lambda: written(backend, place.path),
        "log": lambda: backend.exec("printf NEW", log=place.path),
        "batch": lambda: backend.ask(m.Batch(effects=(m.Write(path=place.path, content=b"NEW"),))),
    }[verb]()
    errors = {**OBSERVED, "directory": e.WrongType}
    if verb in {"edit", "edit_lines"}:
        errors[MISSING] = e.NotFound
    if kind in errors:
        await place.refused(errors[kind], operation)
        return
    await operation
    old = "" if kind == MISSING or verb != "append" else real
    assert (place.root / real).read_text() == old + "NEW"
    assert not (place.root / real).is_symlink()
    before = {k: v for k, v in place.before.items() if not k.startswith("scope/")}
    assert place.outside() == before


@pytest.mark.parametrize("verb", ["touch", "chmod"])
async def test_what_is_there_is_touched(place, case, verb):
    kind, real = outcome(case)
    errors = dict(OBSERVED)
    if verb == "touch":
        errors["directory"] = e.WrongType
        operation = place.backend.touch(place.path)
    else:
        errors[MISSING] = e.NotFound
        operation = place.backend.chmod(place.path, 0o700)
    if kind in errors:
        await place.refused(errors[kind], operation)
        return
    await operation
    if verb == "chmod":
        assert (place.root / real).stat().st_mode & 0o777 == 0o700
    before = {k: v for k, v in place.before.items() if not k.startswith("scope/")}
    assert place.outside() == before


async def test_mkdir(place, case):
    kind, real = outcome(case)
    errors = {**OBSERVED, "file": e.WrongType}
    if case.entry == LINK and kind == MISSING:
        errors[MISSING] = e.NotFound  # as mkdir(2): a link stands there
    if kind in errors:
        await place.refused(errors[kind], place.backend.mkdir(place.path))
    else:
        await place.backend.mkdir(place.path)
        assert (place.root / real).is_dir()


def entry_errors(case, *, missing):
    """The error of verbs that work on an entry (a link at the end is not followed)."""
    kind = case.entry or outcome(case)[0]
    errors = {**OBSERVED, ROOT: e.PermissionDenied, UP: e.InvalidPath}
    if missing is not None:
        errors[MISSING] = missing
    return kind, errors.get(kind)


def final_entry(place, case):
    """The entry itself: the parents resolved, the last name as written."""
    parent, _, name = place.path.rstrip("/").rpartition("/")
    return (place.root / parent).resolve() / name


async def test_remove(place, case):
    _, error = entry_errors(case, missing=e.NotFound)
    if error is not None:
        await place.refused(error, place.backend.remove(place.path, recursive=True))
        return
    entry = final_entry(place, case)
    await place.backend.remove(place.path, recursive=True)
    assert not lexists(entry)
    before = {k: v for k, v in place.before.items() if not k.startswith("scope/")}
    assert place.outside() == before
    _, real = outcome(case)
    if case.entry == LINK and real and outcome(case)[0] != MISSING:
        assert (place.root / real).exists()


@pytest.mark.parametrize("verb", ["copy", "move"])
async def test_entries_are_taken(place, case, verb):
    _, error = entry_errors(case, missing=e.NotFound)
    transfer = place.backend.copy if verb == "copy" else place.backend.move
    if error is not None:
        await place.refused(error, transfer(place.path, "taken"))
        return
    entry = final_entry(place, case)
    kind = stat.S_IFMT(entry.lstat().st_mode)
    text = os.readlink(entry) if entry.is_symlink() else None
    await transfer(place.path, "taken")
    taken = place.root / "taken"
    assert stat.S_IFMT(taken.lstat().st_mode) == kind
    assert lexists(entry) == (verb == "copy")
    if text is not None:  # a link is copied as a link, and leads nowhere else than before
        assert os.readlink(taken) == text
        if case.follows == ESCAPES:
            with pytest.raises(e.PathEscapes):
                await place.backend.read("taken")
    before = {k: v for k, v in place.before.items() if not k.startswith("scope/")}
    assert place.outside() == before


@pytest.mark.parametrize("verb", ["copy", "move"])
async def test_entries_are_put(place, case, verb):
    kind, error = entry_errors(case, missing=None)
    transfer = place.backend.copy if verb == "copy" else place.backend.move
    if kind == "directory":
        error = e.WrongType
    if error is not None:
        await place.refused(error, transfer("extra", place.path, overwrite=True))
        return
    await transfer("extra", place.path, overwrite=True)
    entry = final_entry(place, case)
    assert not entry.is_symlink()  # a link there is replaced, never followed
    assert entry.read_text() == "extra"
    before = {k: v for k, v in place.before.items() if not k.startswith("scope/")}
    assert place.outside() == before
