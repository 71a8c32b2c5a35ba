"""The contract of reading and writing piece by piece."""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner.backends.base import Backend
from runner.testing.backend_contract.base import Contract

LARGE = b"0123456789abcde\n" * 200_000


class Streaming(Contract):
    """What every backend does with `open_stream`."""

    async def test_a_stream_gives_all_of_a_file(self, backend: Backend) -> None:
        await backend.write("d/f", LARGE)

        async with backend.open_stream("d/f") as stream:
            assert stream.size == len(LARGE)
            pieces = [piece async for piece in stream]
            assert await stream.receive() == b""

        assert b"".join(pieces) == LARGE
        assert len(pieces) > 10
        assert not backend.holds()

    async def test_a_piece_is_as_large_as_it_may_be(self, backend: Backend) -> None:
        await backend.write("f", LARGE)

        async with backend.open_stream("f", "rb") as stream:
            assert await stream.receive(10) == LARGE[:10]
            assert await stream.receive(300_000) == LARGE[10:300_010]
            assert len(await stream.receive(1 << 30)) >= 1 << 20
            with pytest.raises(e.InvalidArgument, match="0 or more"):
                await stream.receive(-1)

    async def test_a_file_is_read_as_it_was_when_it_was_opened(self, backend: Backend) -> None:
        await backend.write("f", b"old")

        async with backend.open_stream("f") as stream:
            await backend.write("f", b"something new")
            assert await stream.receive() == b"old"
            assert await stream.receive() == b""
        async with backend.open_stream("f") as stream:
            assert await stream.receive(4) == b"some"
            await backend.append("f", b" and more")
            assert b"".join([piece async for piece in stream]) == b"thing new"
        async with backend.open_stream("f") as stream:
            await backend.remove("f")
            assert await stream.receive() == b"something new and more"

    async def test_what_is_written_is_there_when_the_block_is_left(self, backend: Backend) -> None:
        await backend.write("w/f", b"old")

        async with backend.open_stream("w/f", "wb") as stream:
            for at in range(0, len(LARGE), 500_000):
                await stream.send(LARGE[at : at + 500_000])
            assert await backend.read("w/f", encoding=None) == b"old"
            assert [each.name for each in (await backend.ls("w")).entries] == ["f"]
            assert backend.holds()

        assert await backend.read("w/f", encoding=None) == LARGE
        assert not backend.holds()

    async def test_parents_are_made_and_an_empty_file_is_one(self, backend: Backend) -> None:
        async with backend.open_stream("a/b/f", "wb", durable=True):
            assert not await backend.exists("a/b/f")

        assert await backend.read("a/b/f", encoding=None) == b""

    async def test_left_by_an_error_the_file_is_as_before(self, backend: Backend) -> None:
        await backend.write("w/f", b"old")
        with pytest.raises(ZeroDivisionError):
            async with backend.open_stream("w/f", "wb") as stream:
                await stream.send(b"new")
                raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError):
            async with backend.open_stream("w/g", "wb") as stream:
                await stream.send(LARGE)
                raise ZeroDivisionError

        assert await backend.read("w/f", encoding=None) == b"old"
        assert [each.name for each in (await backend.ls("w")).entries] == ["f"]
        assert not backend.holds()

    async def test_left_by_a_cancellation_the_file_is_as_before(self, backend: Backend) -> None:
        await backend.write("w/f", b"old")
        with trio.CancelScope() as cancel_scope:
            async with backend.open_stream("w/f", "wb") as stream:
                await stream.send(b"new")
                cancel_scope.cancel()
                await stream.send(b"newer")

        assert cancel_scope.cancelled_caught
        assert await backend.read("w/f", encoding=None) == b"old"
        assert [each.name for each in (await backend.ls("w")).entries] == ["f"]
        assert not backend.holds()

    async def test_pieces_are_appended_at_once(self, backend: Backend) -> None:
        await backend.write("f", "one\n")
        async with backend.open_stream("f", "ab") as stream:
            await stream.send(b"two\n")
            assert await backend.read("f") == "one\ntwo\n"
            await backend.append("f", "other\n")
            await stream.send(LARGE)
        async with backend.open_stream("d/new", "ab", encoding="utf-16") as text:
            await text.send("a")
            await text.send("b")

        assert await backend.read("f", encoding=None) == b"one\ntwo\nother\n" + LARGE
        assert await backend.read("d/new", encoding="utf-16") == "ab"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1", "utf-8-sig"])
    async def test_text_is_torn_nowhere(self, backend: Backend, encoding: str) -> None:
        text = "aé\r\n" * 50_000
        async with backend.open_stream("f", "wb", encoding=encoding) as writer:
            for at in range(0, len(text), 7001):
                await writer.send(text[at : at + 7001])
        assert await backend.read("f", encoding=encoding) == text

        pieces = []
        async with backend.open_stream("f", encoding=encoding) as reader:
            while piece := await reader.receive(4099):
                pieces.append(piece)

        assert "".join(pieces) == text

    @pytest.mark.parametrize("limit", [1, 3, 4, 1 << 16])
    async def test_what_is_no_text_is_named_by_its_position(
        self, backend: Backend, limit: int
    ) -> None:
        await backend.write("f", b"abc\xc3\xa9d\xff")
        await backend.write("half", b"abc\xe2\x82")

        for path, byte, at in (("f", "0xff", 6), ("half", "0xe2", 3)):
            async with backend.open_stream(path, encoding="utf-8") as stream:
                with pytest.raises(e.DecodeFailed, match=f"byte {byte} at {at}$|at {at} "):
                    while await stream.receive(limit):
                        pass

    async def test_what_cannot_be_encoded_is_named_by_its_position(self, backend: Backend) -> None:
        await backend.write("f", b"old")
        with pytest.raises(e.DecodeFailed, match="character 6"):
            async with backend.open_stream("f", "wb", encoding="ascii") as stream:
                await stream.send("abc")
                await stream.send("defé")

        assert await backend.read("f", encoding=None) == b"old"

    @pytest.mark.parametrize("encoding", ["no-such", "hex", "a\0b"])
    async def test_an_encoding_that_makes_no_text_is_refused(
        self, backend: Backend, encoding: str
    ) -> None:
        await backend.write("f", b"x")
        with pytest.raises(e.DecodeFailed, match="no encoding"):
            async with backend.open_stream("f", encoding=encoding):
                pass
        with pytest.raises(e.DecodeFailed, match="no encoding"):
            async with backend.open_stream("f", "wb", encoding=encoding):
                pass
        assert await backend.read("f") == "x"

    async def test_what_cannot_be_opened_says_why(self, backend: Backend) -> None:
        await backend.write("d/f", b"x")
        for mode in ("rb", "wb", "ab"):
            for path, error in (
                ("d", e.WrongType),
                ("d/f/g", e.WrongType),
                ("../x", e.PathEscapes),
                ("", e.InvalidPath),
            ):
                with pytest.raises(error):
                    async with backend.open_stream(path, mode):
                        pass
        with pytest.raises(e.NotFound) as missing:
            async with backend.open_stream("nowhere"):
                pass
        assert (missing.value.op, missing.value.path) == ("open_stream", "nowhere")
        with pytest.raises(e.InvalidArgument, match="mode"):
            backend.open_stream("f", "r+b")  # type: ignore[call-overload]
        assert not backend.holds()

    async def test_who_asks_for_a_stream_that_is_not_open_is_told_so(
        self, backend: Backend
    ) -> None:
        await backend.write("f", b"x")
        async with backend.open_stream("f") as left:
            pass
        with pytest.raises(e.NotFound, match="no such open stream"):
            await left.receive()
        opened = await backend.ask(m.OpenReader(path="f"))
        for message in (
            m.WriteStream(id=opened.id, data=b"x"),
            m.CommitStream(id=opened.id),
            m.ReadStream(id="nobody"),
        ):
            with pytest.raises(e.NotFound, match="no such open stream"):
                await backend.ask(message)  # type: ignore[misc] # any of them
        await backend.ask(m.CloseStream(id=opened.id))
        await backend.ask(m.CloseStream(id=opened.id))
        assert not backend.holds()

    async def test_many_tasks_may_share_the_pieces_of_one_stream(self, backend: Backend) -> None:
        await backend.write("f", LARGE)
        pieces: list[bytes] = []

        async with backend.open_stream("f") as stream, trio.open_nursery() as nursery:

            async def take() -> None:
                while piece := await stream.receive(100_000):
                    pieces.append(piece)

            for _ in range(5):
                nursery.start_soon(take)

        assert sum(map(len, pieces)) == len(LARGE)
