"""Messages are what their annotations say, or refused with a reason."""

from __future__ import annotations

import codecs
import math
import typing

import attrs
import pytest

from runner import messages as m
from runner.backends.composite import CompositeBackend
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.errors import ConfigError, DecodeFailed, InvalidArgument, InvalidPath
from runner.operations import soundness
from runner.operations.hashlines import line_hash
from runner.operations.soundness import require_sound

OPERATIONS = typing.get_args(m.Operation)
LINE = m.LineChange(first=1, first_hash="0", text=b"")


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_field_of_every_operation_is_looked_at(kind):
    fields = soundness._known(kind)

    assert [each.name for each in fields] == [each.name for each in attrs.fields(kind)]
    assert all(not each.kind.takes(object()) for each in fields)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (m.Read(path=5), "path is 5: it must be text"),
        (m.Read(path="a", offset=-1), "offset is -1: it must be a whole number, 0 or more"),
        (m.Read(path="a", limit=1.5), "limit is 1.5: it must be a whole number, 0 or more or None"),
        (m.Read(path="a", limit=True), "limit is True: it must be"),
        (
            m.ReadLines(path="a", offset=1 << 64),
            "offset is 18446744073709551616: it must be a whole",
        ),
        (m.Write(path="a", content="text"), "content is 'text': it must be bytes"),
        (m.Write(path="a", content=b"", durable="no"), "durable is 'no': it must be True or False"),
        (m.Write(path="a", content=b"", expected=b""), "expected is b'': it must be text or None"),
        (m.Grep(pattern="a", output="pages"), "it must be 'lines' or 'files' or 'counts'"),
        (
            m.Grep(pattern="a", types=["py"]),
            r"types is \['py'\]: it must be a list, each of it text",
        ),
        (m.Upload(files=(("a", "b"),)), r"it must be a list, each of it \(text, bytes\)"),
        (m.Upload(files=(("a",),)), "it must be a list"),
        (m.Edit(path="a", replacements=(m.Replacement(old=3, new=b""),)), "a Replacement with"),
        (m.EditLines(path="a", changes=(attrs.evolve(LINE, first="1"),)), "a LineChange with"),
        (m.Batch(effects=(m.Read(path="a"),)), "it must be a list, each of it a Write with"),
        (m.Batch(effects=(m.Write(path="a", content="x"),)), "it must be a list"),
        (m.Exec(command="a", timeout=math.nan), "timeout is nan: it must be seconds, 0 or more"),
        (m.Exec(command=("a", 5)), r"command is \('a', 5\): it must be text or a list"),
        (m.Poll(id="a", position=m.Position(out=-1)), "a Position with"),
    ],
)
def test_what_no_operation_takes_is_named_with_what_it_must_be(message, words):
    with pytest.raises(InvalidArgument, match=words) as refused:
        require_sound(message, "here")

    assert refused.value.scope == "here"
    assert refused.value.hint


@pytest.mark.parametrize(
    "message",
    [
        m.Read(path="a", offset=5, limit=(1 << 63) - 1),
        m.ReadLines(path="a", offset=-5),
        m.Exec(command=("a", "b"), timeout=math.inf, silence=1, input=b""),
        m.Upload(files=(("a", b""), ("b", b""))),
        m.Batch(effects=(m.Write(path="a", content=b""), m.EditLines(path="a", changes=(LINE,)))),
        m.Grep(pattern="a", types=("py",), per_file=3, output="counts"),
    ],
)
def test_what_an_operation_takes_passes(message):
    require_sound(message, "here")


def test_a_value_that_cannot_be_shown_is_named_by_its_type():
    class Odd:
        def __repr__(self):
            raise ValueError

    with pytest.raises(InvalidArgument, match="path is a Odd"):
        require_sound(m.Stat(path=Odd()), "here")
    with pytest.raises(InvalidArgument, match="…: it must be text"):
        require_sound(m.Stat(path=b"x" * (1 << 20)), "here")


@pytest.mark.parametrize(
    "backend", [MemoryBackend(), CompositeBackend(MemoryBackend(), {}), LocalBackend(".")]
)
async def test_what_is_no_operation_is_refused(backend):
    class Unknown(m.Message[None]):
        pass

    with pytest.raises(InvalidArgument, match="is no message"):
        await backend.ask("read")
    with pytest.raises(InvalidArgument, match="no such operation"):
        await backend.ask(Unknown())


# ---------------------------------------------------------------- what methods make of arguments


@pytest.fixture
def backend():
    return MemoryBackend({"a.txt": "one\n"})


async def test_one_text_is_no_list(backend):
    for call in (
        lambda: backend.download("a.txt"),
        lambda: backend.upload("a.txt"),
        lambda: backend.grep("one", types="py"),
        lambda: backend.edit_many("a.txt", "one"),
    ):
        with pytest.raises(InvalidArgument, match="must be a list"):
            await call()


async def test_contents_may_be_any_kind_of_bytes_and_uploads_a_mapping(backend):
    await backend.write("b", bytearray(b"array"))
    await backend.append("b", memoryview(b" and view"))
    stored = await backend.upload({"c": "text", "d": b"bytes"})

    assert await backend.read("b") == "array and view"
    assert [each.path for each in stored] == ["c", "d"]
    assert await backend.read("c") == "text"


async def test_a_text_that_cannot_be_stored_fails_for_itself(backend):
    stored = await backend.upload([("b", "b"), ("c", "\ud800"), ("d\0", ""), ("e", "e")])

    assert [each.error and each.error.kind for each in stored] == [
        None,
        "DecodeFailed",
        "InvalidPath",
        None,
    ]
    assert [each.path for each in stored] == ["b", "c", "d\0", "e"]
    assert await backend.read("e") == "e"


@pytest.mark.parametrize("encoding", ["nonsense", "hex", "utf\0-8", "\ud800", 5])
async def test_an_encoding_that_is_none_is_refused_before_anything_is_done(backend, encoding):
    for call in (
        lambda: backend.read("a.txt", encoding=encoding),
        lambda: backend.write("b", "x", encoding=encoding),
        lambda: backend.append("b", "", encoding=encoding),
    ):
        with pytest.raises(DecodeFailed, match="there is no encoding"):
            await call()
    for mode in ("rb", "wb", "ab"):
        with pytest.raises(DecodeFailed, match="there is no encoding"):
            async with backend.open_stream("b", mode, encoding=encoding):
                pass

    assert not await backend.exists("b")


@pytest.mark.parametrize("encoding", ["idna", "punycode", "undefined"])
async def test_codecs_with_errors_of_their_own_are_errors_of_ours(backend, encoding):
    await backend.write("odd", b"\n" * 80 + b"-\xff\n")
    with pytest.raises(DecodeFailed):
        await backend.read("odd", encoding=encoding)
    with pytest.raises(DecodeFailed):
        async with backend.open_stream("odd", encoding=encoding) as stream:
            while await stream.receive():
                pass
    if encoding != "punycode":  # which takes all
        with pytest.raises(DecodeFailed):
            await backend.write("b", "." * 80 + "\ud800", encoding=encoding)


async def test_a_codec_that_knows_only_whole_texts_has_no_streams(backend):
    def find(name):
        utf8 = codecs.lookup("utf-8")
        return codecs.CodecInfo(utf8.encode, utf8.decode) if name == "whole_only" else None

    codecs.register(find)
    try:
        assert await backend.read("a.txt", encoding="whole_only") == "one\n"
        for mode in ("rb", "wb"):
            with pytest.raises(DecodeFailed, match="piece by piece"):
                async with backend.open_stream("a.txt", mode, encoding="whole_only"):
                    pass
    finally:
        codecs.unregister(find)


async def test_a_stream_takes_what_it_was_opened_for(backend):
    async with backend.open_stream("b", "ab") as stream:
        await stream.send(bytearray(b"b"))
        for wrong in ("text", 5, 1 << 40, None):
            with pytest.raises(InvalidArgument, match="this stream takes bytes"):
                await stream.send(wrong)
    async with backend.open_stream("c", "wb", encoding="utf-8") as stream:
        with pytest.raises(InvalidArgument, match="this stream takes text"):
            await stream.send(b"bytes")

    assert await backend.read("b") == "b"


async def test_errors_of_a_stream_name_the_file(backend):
    async with backend.open_stream("a.txt") as stream:
        with pytest.raises(InvalidArgument) as refused:
            await stream.receive(-1)

    assert (refused.value.op, refused.value.path) == ("receive", "a.txt")


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", "x" * 256, 5, None])
def test_what_no_directory_can_be_called_is_refused_where_it_is_named(path):
    with pytest.raises(ConfigError):
        LocalBackend(path)
    with pytest.raises(ConfigError):
        LocalBackend(".", beneath=path or "\0")


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800", "x" * 256, 5, None, "..", "/tmp"])
async def test_a_scope_of_a_scope_needs_a_path_that_can_be(tmp_path, path):
    from runner import open_runner

    async with open_runner(state=tmp_path / "state") as runner:
        with pytest.raises(InvalidPath):
            runner.scope(tmp_path / "scope").scope(path)
        if path not in {"..", "/tmp"}:
            with pytest.raises(ConfigError):
                runner.scope(path)


def test_memory_begins_with_paths_and_contents():
    for files in (5, ["a"], "a"):
        with pytest.raises(ConfigError, match="no mapping"):
            MemoryBackend(files)
    with pytest.raises(InvalidArgument, match="content is 5"):
        MemoryBackend({"a": 5})


async def test_pieces_of_several_edits_may_be_text():
    files = MemoryBackend({"a": "größe 1\nzwei\n"})
    pieces = [m.Replacement(old="größe", new="Größe"), m.Replacement(old=b"1", new="2")]
    assert await files.edit_many("a", pieces) == 2
    hashed = line_hash(b"zwei")
    await files.edit_lines("a", [m.LineChange(first=2, first_hash=hashed, text="drei\n")])
    assert await files.read("a") == "Größe 2\ndrei\n"
    with pytest.raises(InvalidArgument, match="a Replacement with"):
        await files.edit_many("a", [m.Replacement(old="\ud800", new="")])
