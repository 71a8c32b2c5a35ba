"""Whatever a caller gives: an answer, or an error of ours that says all; a refusal changes nothing.

Each operation on files is called, on every kind of backend and on a scope, with one to three of its
arguments replaced by what nobody should give: other types, half of a surrogate pair, a NUL, numbers
beyond every file, patterns without end.
"""

from __future__ import annotations

import inspect
import math
import os
from pathlib import PurePosixPath

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import open_runner
from runner.backends.composite import CompositeBackend
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.backends.read_only import ReadOnlyBackend
from runner.errors import InvalidArgument, OperationError
from runner.messages import LineChange, Replacement

TREE = {
    "a.txt": b"one\ntwo\nthree\n",
    "d/b": b"\xff\xfe",
    "d/e/c.py": b"x=1\n",
    ".gitignore": b"*.o",
}

NUMBERS = [0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 1.5]
TEXTS = [
    *("", ".", "a.txt", "d", "d/", "d/e/c.py", "nope", "new/x", "..", "/etc/passwd", "~", "a\0b"),
    *("\ud800", "\udcff", "é" * 200, "x" * 5000, "/".join(["y" * 200] * 30), "a.txt/", "-e", "\n"),
    *("**", "[", "{a,", "(((", "\\", "*" * 300, "(a+)+$", "{a,b}" * 9, "(?i)x", "[[:alpha:]]"),
    *("utf-8", "utf-16", "hex", "idna", "punycode", "undefined", "utf\0-8", "nonsense", "latin-1"),
    *("rb", "wb", "ab", "r+", "lines", "files", "counts", "keep", "py", "0" * 64),
]
THINGS = [
    *(None, True, False, math.nan, math.inf, -math.inf, 1j, ..., object(), type, len),
    *(b"", b"a.txt", b"\xff", bytearray(b"zz"), memoryview(b"mm"), PurePosixPath("a.txt")),
    *([], (), {}, set(), ["a.txt"], ("a.txt", "\0", "d"), [None], [1], {"a": 1}, {"u": b"x"}),
    *([("u", "x"), ("v", "\ud800")], [("q", 1)], [("q",)], [(1, b"")], ["ab"], [["w", b""]]),
    [Replacement(old=b"o", new=b"0", replace_all=True)],
    [Replacement(old="o", new=3)],  # type: ignore[arg-type]
    Replacement(old=b"a", new=b"b"),
    [LineChange(first=1, first_hash="x", text=b"")],
    [LineChange(first="1", first_hash=None, text="s")],  # type: ignore[arg-type]
    [LineChange(first=10**30, first_hash="x", text=b"", last=-4, last_hash="q")],
]
HOSTILE = st.sampled_from([*NUMBERS, *TEXTS, *THINGS])
OBSERVING = (
    "read read_lines head tail digest realpath download list_keys tree stat exists ls glob grep"
).split()
CHANGING = (
    "write append edit edit_many edit_lines touch mkdir chmod copy move remove upload"
).split()
FRIENDLY = {
    "path": "a.txt",
    "source": "a.txt",
    "target": "t",
    "pattern": "a*",
    "content": "x",
    "old": "two",
    "new": "2",
    "mode": 0o644,
    "paths": ["a.txt"],
    "files": [("u", "x")],
    "replacements": [Replacement(old=b"one", new=b"1")],
    "changes": [],
}


def arguments(method):
    """Friendly arguments, up to three of them replaced."""
    names = [each for each in inspect.signature(method).parameters if each != "self"]
    hostile = st.dictionaries(st.sampled_from(names), HOSTILE, min_size=1, max_size=3)
    friendly = {name: FRIENDLY[name] for name in names if name in FRIENDLY}
    return hostile.map(lambda replaced: {**friendly, **replaced})


def calls_of(name):
    return st.tuples(st.just(name), arguments(getattr(MemoryBackend, name)))


CALLS = st.one_of(
    *map(calls_of, [*OBSERVING, *CHANGING]),
    st.tuples(st.just("batch"), st.sampled_from(CHANGING[:-1]).flatmap(calls_of)),
    st.tuples(st.just("open_stream"), st.tuples(arguments(MemoryBackend.open_stream), HOSTILE)),
)


async def call(backend, name, given_):
    """One operation."""
    if name == "batch":
        effect, given_ = given_
        async with backend.batch() as batch:
            await batch.write("noted", "1")
            await getattr(batch, effect)(**given_)
    elif name == "open_stream":
        given_, data = given_
        async with backend.open_stream(**given_) as stream:
            await (stream.send if hasattr(stream, "send") else stream.receive)(data)
    else:
        await getattr(backend, name)(**given_)


async def everything(backend):
    """All files and their contents, and all directories."""
    paths = (await backend.glob("**", hidden=True)).paths
    return paths, await backend.download(paths)


async def try_one(backend, name, given_):
    await backend.upload(TREE)
    before = await everything(backend)
    error = None
    try:
        with trio.fail_after(30):
            await call(backend, name, given_)
    except OperationError as caught:
        error = caught
    if error is not None:
        assert error.op
        assert error.scope is not None
        assert error.reason
        assert error.hint, str(error)
        assert error.path is None or isinstance(error.path, str)
    if isinstance(error, InvalidArgument) and name != "open_stream":
        assert await everything(backend) == before


def local(path):
    return LocalBackend(path / "local")


def memory(_path):
    return MemoryBackend()


def composite(path):
    return CompositeBackend(LocalBackend(path / "top"), {"d": MemoryBackend(), "t": local(path)})


@pytest.mark.parametrize(("make", "examples"), [(local, 150), (memory, 600), (composite, 150)])
def test_a_backend_answers_or_says_what_is_wrong(tmp_path, make, examples):
    backend = make(tmp_path)

    @settings(max_examples=examples, deadline=None)
    @given(call=CALLS)
    def one(call):
        trio.run(try_one, backend, *call)

    one()
    trio.run(backend.aclose)


def test_a_scope_answers_or_says_what_is_wrong_and_its_worker_lives_on(tmp_path):
    async def body(call):
        async with open_runner(state=tmp_path / "state") as run:
            scope = run.scope(tmp_path / "scope")
            await try_one(scope, *call)
            assert run.statistics().workers.crashed == 0

    @settings(max_examples=40, deadline=None)
    @given(call=CALLS)
    def one(call):
        trio.run(body, call)

    one()


@pytest.mark.parametrize("name", [*OBSERVING, *CHANGING])
async def test_a_view_for_reading_looks_at_arguments_too(name):
    view = ReadOnlyBackend(MemoryBackend({"a.txt": b"x"}))
    method = getattr(view, name)
    names = [each for each in inspect.signature(method).parameters if each != "self"]
    friendly = {each: FRIENDLY[each] for each in names if each in FRIENDLY}
    with pytest.raises(InvalidArgument):
        await method(**{**friendly, names[0]: 5})


def test_paths_of_pathlib_are_told_what_to_give(tmp_path):
    async def body():
        with pytest.raises(InvalidArgument, match=r"str\(path\)"):
            await LocalBackend(tmp_path).read(PurePosixPath("a.txt"))

    trio.run(body)
    assert os.listdir(tmp_path) == []
