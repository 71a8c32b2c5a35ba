"""A composite answers as one tree that holds what is visible of its members: for any of them."""

from __future__ import annotations

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import messages as m
from runner.backends.composite import CompositeBackend
from runner.backends.composite.routes import Routes
from runner.backends.memory import MemoryBackend
from runner.errors import InvalidPattern, NotFound, OperationError, WrongType

NAME = st.sampled_from(["a", "b", "c", "a.b", "a-b", ".d", "{e}"])
PATH = st.lists(NAME, min_size=1, max_size=4).map("/".join)
FILES = st.dictionaries(PATH, st.sampled_from(["hit\n", "hit\nno\nhit\n", "no\n"]), max_size=8)
PREFIX = st.lists(NAME, min_size=1, max_size=3).map("/".join)
SEGMENT = st.sampled_from(
    [
        "a",
        "*",
        "**",
        "?",
        "a*",
        ".*",
        "[ab]",
        "{a,b}",
        "{a/b,c}",
        "{b,**/c}",
        "\\{e\\}",
        "{e}",
        "*/",
    ]
)
PATTERN = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)
LIMIT = st.integers(0, 8)


def _consistent(files):
    """Without files that are directories of others."""
    return {
        path: text
        for path, text in files.items()
        if not any(other.startswith(path + "/") for other in files)
    }


async def _whole(default, members, routes):
    """One tree of what is visible."""
    whole = MemoryBackend()
    for prefix in members:
        await whole.mkdir(prefix)
    for prefix, files in {"": default, **members}.items():
        for path, text in files.items():
            names = tuple((f"{prefix}/{path}" if prefix else path).split("/"))
            if "/".join(routes.owner(names).prefix) != prefix:
                continue
            if not routes.is_standing(names) and not await _has_file_above(whole, names):
                await whole.write("/".join(names), text)
    return whole


async def _has_file_above(whole, names):
    for depth in range(1, len(names)):
        path = "/".join(names[:depth])
        if await whole.exists(path) and (await whole.stat(path)).type == "file":
            return True
    return False


async def _composite(default, members, strip):
    made = {}
    for prefix, files in members.items():
        made[prefix] = member = MemoryBackend()
        for path, text in files.items():
            await member.write(path if strip else f"{prefix}/{path}", text)
    top = MemoryBackend()
    for path, text in default.items():
        await top.write(path, text)
    return CompositeBackend(top, made, strip=strip)


async def _answer(backend, message):
    try:
        answer = await backend.ask(message)
    except OperationError as error:
        # Below a hidden file nothing is there, which the member knows as a part of the wrong type.
        kind = NotFound if isinstance(error, WrongType) else type(error)
        return kind, error.op, error.path
    if isinstance(answer, m.Listing | m.Drawing):
        return [(each.name, each.type, each.size) for each in answer.entries], answer.omitted
    return answer


@settings(max_examples=150, deadline=None)
@given(
    default=FILES.map(_consistent),
    members=st.dictionaries(PREFIX, FILES.map(_consistent), min_size=1, max_size=3),
    strip=st.booleans(),
    data=st.data(),
)
def test_what_is_asked_of_a_composite_is_answered_as_by_one_tree(default, members, strip, data):
    routes = Routes(MemoryBackend(), {each: MemoryBackend() for each in members}, strip=strip)
    place = data.draw(st.one_of(st.just("."), PATH, st.sampled_from(sorted(members))))
    pattern, limit, hidden = data.draw(PATTERN), data.draw(LIMIT), data.draw(st.booleans())
    output = data.draw(st.sampled_from(["lines", "files", "counts"]))
    messages = (
        m.Ls(path=place, limit=limit),
        m.Glob(pattern=pattern, path=place, limit=limit, hidden=hidden),
        m.Glob(pattern=pattern, path=place, limit=100, hidden=hidden),
        m.Grep(pattern="hit", path=place, limit=limit, hidden=hidden, output=output),
        m.Grep(
            pattern="hit",
            path=place,
            limit=limit,
            hidden=hidden,
            glob=data.draw(st.one_of(st.none(), PATTERN)),
            per_file=data.draw(st.one_of(st.none(), st.integers(0, 2))),
        ),
        m.Tree(
            path=place,
            depth=data.draw(st.one_of(st.none(), st.integers(0, 4))),
            limit=limit,
            hidden=hidden,
        ),
        m.ListKeys(prefix=data.draw(st.one_of(st.just(""), PATH)), limit=limit),
        m.Exists(path=place),
        m.Read(path=place),
    )

    async def compare():
        whole = await _whole(default, members, routes)
        made = await _composite(default, members, strip)
        for message in messages:
            expected = await _answer(whole, message)
            if expected == (InvalidPattern, "glob", pattern):
                continue
            assert await _answer(made, message) == expected, message

    trio.run(compare)
