from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import StoreDamaged
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import (
    CHUNK,
    NO_ID,
    Kind,
    Object,
    chunk,
    chunks,
    content,
    decode_chunks,
    id_of,
)

IDS = st.none() | st.binary(min_size=32, max_size=32).filter(lambda each: each != NO_ID)


def test_a_content_is_named_by_its_sha256():
    found = content(b"hello")

    assert found == Object(hashlib.sha256(b"hello").digest(), Kind.CONTENT, b"hello")
    assert "hello" not in repr(found)


def test_a_content_of_more_than_a_chunk_is_none():
    assert len(content(bytes(CHUNK)).data) == CHUNK
    with pytest.raises(ValueError, match="1048577 bytes are no content"):
        content(bytes(CHUNK + 1))


@pytest.mark.parametrize("size", [0, 1, 1000, CHUNK])
def test_a_chunk_of_zeros_only_is_none(size):
    assert chunk(bytes(size)) is None


@pytest.mark.parametrize("data", [b"\1", bytes(999) + b"\1", bytes(CHUNK - 1) + b"\1"])
def test_any_other_chunk_is_a_content(data):
    assert chunk(data) == content(data)


@given(last=st.integers(1, CHUNK), ids=st.lists(IDS, min_size=2, max_size=40))
def test_a_list_of_chunks_comes_back_as_it_was(last, ids):
    size = (len(ids) - 1) * CHUNK + last

    found = chunks(size, ids)
    read = decode_chunks(found.data)

    assert found.kind is Kind.CHUNKS
    assert (read.size, list(read.ids)) == (size, ids)
    assert sum(read.length(number) for number in range(len(ids))) == size
    assert read.length(len(ids) - 1) == last


@pytest.mark.parametrize(
    ("size", "count"), [(CHUNK, 1), (0, 0), (CHUNK + 1, 1), (CHUNK + 1, 3), (2 * CHUNK, 3)]
)
def test_a_list_of_another_number_of_chunks_is_refused(size, count):
    with pytest.raises(ValueError, match=f"{count} chunks are not those of a file of {size}"):
        chunks(size, [None] * count)


def test_a_list_with_an_id_of_another_length_is_refused():
    with pytest.raises(ValueError, match="another length than 32"):
        chunks(2 * CHUNK, [None, b"short"])


WHOLE = chunks(2 * CHUNK, [None, content(b"x").id]).data


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_a_list_of_chunks_that_is_cut_anywhere_is_damaged(length):
    with pytest.raises(StoreDamaged):
        decode_chunks(WHOLE[:length])


@pytest.mark.parametrize("data", [b"", b"x" * 100, EMPTY.data, WHOLE + bytes(32), b"R" + WHOLE[1:]])
def test_what_is_no_list_of_chunks_is_damaged(data):
    with pytest.raises(StoreDamaged):
        decode_chunks(data)


def test_a_list_of_chunks_of_a_small_file_is_damaged():
    small = WHOLE[:16] + CHUNK.to_bytes(8, "big") + WHOLE[24:56]

    with pytest.raises(StoreDamaged, match="not that of 1048576 bytes"):
        decode_chunks(small)


def test_a_file_whose_content_is_a_listing_or_a_list_of_chunks_is_never_taken_for_one():
    for other in (EMPTY, encode([Entry(b"a", EntryType.FIFO, 0o600, NO_ID)])):
        assert content(other.data).id != other.id
    assert content(WHOLE).id != id_of(Kind.CHUNKS, WHOLE)
