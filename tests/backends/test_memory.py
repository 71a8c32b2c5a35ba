"""What only the memory backend does: limits."""

from __future__ import annotations

import contextlib

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from runner import errors as e
from runner import messages as m
from runner.backends.memory import MemoryBackend, MemoryLimits
from runner.backends.memory.tree import size_of
from runner.testing.backend_contract import BackendContract


class TestLimited(BackendContract):
    """The contract, under limits that are not reached."""

    @pytest.fixture
    def backend(self):
        return MemoryBackend(limits=MemoryLimits(total=1 << 30, file=1 << 28))


async def test_a_file_that_is_too_large_is_no_space_and_changes_nothing():
    backend = MemoryBackend(limits=MemoryLimits(file=5))
    await backend.write("a", b"12345")
    for effect in (
        backend.write("a", b"123456"),
        backend.write("new/b", b"123456"),
        backend.append("a", b"6"),
        backend.edit("a", b"1", b"123"),
        backend.edit_lines("a", [m.LineChange(first=1, first_hash="5994471a", text=b"123456")]),
    ):
        with pytest.raises(e.NoSpace, match="larger than a file may be here") as caught:
            await effect
        assert caught.value.scope == "memory:"

    assert await backend.read("a") == "12345"
    assert not await backend.exists("new")


async def test_the_total_is_shared_by_all_files():
    backend = MemoryBackend({"a": b"1234"}, limits=MemoryLimits(total=10))
    await backend.write("b", b"123456")
    for effect in (
        backend.write("c", b"1"),
        backend.append("a", b"5"),
        backend.copy("a", "c"),
        backend.edit("a", "1", "11"),
    ):
        with pytest.raises(e.NoSpace, match="no space left"):
            await effect
    await backend.touch("empty")
    await backend.move("a", "b", overwrite=True)
    await backend.copy("b", "c")
    await backend.remove("c")
    await backend.write("d", b"123456")

    assert (await backend.list_keys()).paths == ("b", "d", "empty")
    stored = await backend.upload([("e", b"1"), ("b", b""), ("f", b"1234")])
    assert [each.error and each.error.kind for each in stored] == ["NoSpace", None, None]


async def test_a_batch_that_runs_full_is_undone_and_its_room_is_free_again():
    backend = MemoryBackend(limits=MemoryLimits(total=10))
    with pytest.raises(e.NoSpace, match="effect 2 of a batch"):
        async with backend.batch() as batch:
            await batch.write("a", b"12345678")
            await batch.write("b", b"123")
    await backend.write("b", b"1234567890")

    assert (await backend.list_keys()).paths == ("b",)


async def test_what_is_there_at_the_beginning_counts():
    with pytest.raises(e.NoSpace):
        MemoryBackend({"a": b"123"}, limits=MemoryLimits(total=2))
    with pytest.raises(e.ConfigError, match="negative"):
        MemoryLimits(total=-1)


PATH = st.sampled_from(["a", "b", "d/a", "d/e/b", "d", "d/e"])
EFFECT = st.one_of(
    st.builds(m.Write, path=PATH, content=st.binary(max_size=6)),
    st.builds(m.Append, path=PATH, content=st.binary(max_size=4)),
    st.builds(m.Copy, source=PATH, target=PATH, overwrite=st.booleans()),
    st.builds(m.Move, source=PATH, target=PATH, overwrite=st.booleans()),
    st.builds(m.Remove, path=PATH, recursive=st.booleans()),
    st.builds(m.Mkdir, path=PATH),
)
STEP = EFFECT | st.builds(m.Batch, effects=st.lists(EFFECT, max_size=4).map(tuple))


@given(st.lists(STEP, max_size=20))
def test_what_is_used_is_what_is_there(steps):
    async def body():
        backend = MemoryBackend(limits=MemoryLimits(total=12, file=8))
        for step in steps:
            with contextlib.suppress(e.OperationError):
                await backend.ask(step)
            tree = backend._tree
            assert tree.used == size_of(tree.top) <= 12

    trio.run(body)
