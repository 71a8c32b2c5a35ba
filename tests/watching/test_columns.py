"""States as bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.watching.columns import Columns, State, columns, decode, joined

_large = st.integers(0, 2**63 - 1)
_times = st.integers(-(2**62), 2**62)  # nanoseconds; before 1970 too
_states = st.tuples(
    st.integers(0, 2**64 - 1), _large, _times, _times, st.integers(0, 0o177777), st.integers(1, 9)
)
_names = st.binary(min_size=1).filter(lambda name: b"\0" not in name)
_files = st.dictionaries(_names.map(lambda name: name.decode("utf-8", "surrogateescape")), _states)


def states(files: Columns) -> dict[str, State]:
    return dict(zip(files.names, files.states(), strict=True))


@given(_files)
def test_what_is_encoded_is_decoded(files: dict[str, State]) -> None:
    kept = columns(files)

    assert files == states(kept) == decode(kept.encode())
    assert list(files) == list(kept.names)
    assert [state[3] for state in files.values()] == kept.changed()
    assert all(state[5] == 1 for state in files.values()) == kept.have_one_name()


@given(_files, st.integers(0, 10), st.integers(0, 10))
def test_parts_are_as_they_would_be_alone(files: dict[str, State], one: int, other: int) -> None:
    kept, first, last = columns(files), min(one, other), max(one, other)
    some = dict(list(files.items())[first:last])

    assert columns(some).encode() == kept.encode(first, last)


@given(st.lists(_files.map(columns), max_size=3))
def test_pieces_are_put_together_in_their_order(pieces: list[Columns]) -> None:
    together = joined(pieces)

    assert [name for piece in pieces for name in piece.names] == list(together.names)
    assert [each for piece in pieces for each in piece.states()] == list(together.states())
