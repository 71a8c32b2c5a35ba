"""Objects and versions on their way: what was put is had back, and nothing else is taken for it."""

from __future__ import annotations

import json
import struct

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import RemoteDamaged
from runner.workspaces.listing import EMPTY
from runner.workspaces.objects import CHUNK, Kind, Object, ObjectId, chunks, content
from runner.workspaces.sync.remote import file_name_of, name_of, scheme_of
from runner.workspaces.sync.versions import Named, Version, decode, encode
from runner.workspaces.sync.wire import pack, unpack

IDS = st.binary(min_size=32, max_size=32).map(ObjectId)
TEXTS = st.text(max_size=20)
NUMBERS = st.integers(0, 2**63)
SNAPSHOTS = st.builds(Named, name=TEXTS, description=TEXTS, root=IDS, created_ns=NUMBERS)
VERSIONS = st.builds(
    Version,
    workspace=TEXTS,
    root=IDS,
    previous=st.none() | IDS,
    number=NUMBERS,
    device=TEXTS,
    created_ns=NUMBERS,
    snapshots=st.lists(SNAPSHOTS, max_size=4).map(tuple),
)


@given(st.binary(max_size=3000))
def test_an_object_arrives_as_it_was_sent(data: bytes) -> None:
    for each in (content(data), content(data * 5), EMPTY, chunks(2 * CHUNK, [None, None])):
        assert each == unpack(each.id, pack(each))


@given(st.binary(max_size=3000), st.data())
def test_an_object_of_which_any_byte_is_another_is_none(data: bytes, drawn: st.DataObject) -> None:
    each = content(data)
    packed = bytearray(pack(each))
    at = drawn.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= drawn.draw(st.integers(1, 255))

    try:
        found = unpack(each.id, bytes(packed))
    except RemoteDamaged:
        return
    assert found == each  # a bit that zstd does not look at


@given(st.binary(max_size=60))
def test_whatever_a_remote_gives_nothing_else_is_raised(data: bytes) -> None:
    header = struct.pack(">4sBBQ", b"RNR1", Kind.CONTENT, 1, 100)
    for packed in (data, b"RNR1" + data, header + data):
        with pytest.raises(RemoteDamaged):
            unpack(content(b"another").id, packed)


def test_a_size_that_is_a_lie_takes_no_memory() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 20))
    for size in (100, 1 << 40):
        packed = struct.pack(">4sBBQ", b"RNR1", Kind.CONTENT, 1, size) + bomb
        with pytest.raises(RemoteDamaged, match="size"):
            unpack(content(b"x").id, packed)


@given(VERSIONS)
def test_a_version_is_had_back(version: Version) -> None:
    made = encode(version)

    assert version == decode(made.id, made.data)


def test_a_version_that_is_too_large_for_an_object_leaves_its_oldest_snapshots_out() -> None:
    many = [
        Named(name=f"snapshot {n}", root=ObjectId(bytes([n % 251]) * 32), created_ns=n)
        for n in range(12_000)
    ]
    made = encode(Version(workspace="w", root=EMPTY.id, created_ns=1, snapshots=tuple(many)))

    kept = decode(made.id, made.data).snapshots
    assert len(made.data) <= CHUNK
    assert tuple(many[-len(kept) :]) == kept
    assert 6_000 < len(kept) < 12_000


GOOD = json.loads(encode(Version(workspace="w", root=EMPTY.id, created_ns=1)).data)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "runner version 9"},
        {"root": "zz"},
        {"root": "00"},
        {"root": 5},
        {"previous": ""},
        {"number": -1},
        {"number": True},
        {"created_ns": "now"},
        {"workspace": None},
        {"snapshots": [["a", "b"]]},
        {"snapshots": 3},
    ],
)
def test_what_is_no_version_is_an_error(change: dict[str, object]) -> None:
    for said in (json.dumps({**GOOD, **change}), "[" * 100_000, "", "[]", "{}"):
        with pytest.raises(RemoteDamaged, match=r"no version|unknown form"):
            decode(ObjectId(bytes(32)), said.encode())


@given(st.text(max_size=30))
def test_every_name_is_that_of_one_plain_file(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    found = file_name_of(name)
    assert name == name_of(found)
    assert found.isascii()
    assert not {*"/.~: \\^?*["} & {*found}


def test_a_url_has_a_scheme() -> None:
    assert ("git+ssh", "git@host:x") == scheme_of("git+ssh://git@host:x")
    with pytest.raises(ValueError, match="no scheme"):
        scheme_of("/mnt/backup")


def test_an_object_s_bytes_are_not_in_its_repr() -> None:
    assert "secret" not in repr(Object(ObjectId(bytes(32)), Kind.CONTENT, b"secret"))
