"""How the files of a directory are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.watching.columns import State, columns
from runner.watching.files import differing, make_folder

_states = st.tuples(*[st.integers(0, 3)] * 6)
_many = st.dictionaries(st.sampled_from([f"n{n}\udcff\n" for n in range(40)]), _states)


@given(
    _many,
    st.dictionaries(st.sampled_from([f"n{n}\udcff\n" for n in range(50)]), st.none() | _states),
    st.booleans(),
)
def test_a_folder_in_parts_is_what_it_would_be_in_one(
    files: dict[str, State], found: dict[str, State | None], by_hash: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.watching.files.PART", 2)
        before = make_folder((1, 1), 0, columns(files), by_hash=by_hash)
        after = before.with_files(found, 7)
        old, new = differing(before, after)
    expected = {**files, **found}

    assert files == before.files()
    assert {name: state for name, state in expected.items() if state} == after.files()
    assert (len(files), len(after.files()), 7) == (before.count, after.count, after.changed)
    for name in files.keys() | after.files().keys():
        if files.get(name) != after.files().get(name):
            assert (files.get(name), after.files().get(name)) == (old.get(name), new.get(name))
        else:
            assert old.get(name) == new.get(name)
