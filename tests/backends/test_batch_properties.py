"""Whatever effects are put together: all of them as if one after the other, or none."""

from __future__ import annotations

import os
import shutil
import stat

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import messages as m
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.errors import OperationError

PATHS = st.sampled_from(
    ["f", "g", "d", "d/f", "d/e", "d/e/g", "l", "l/f", "m", "new", "new/f", "d/../f", ".", "d/"]
)
CONTENTS = st.sampled_from([b"", b"1", b"new\n"])
FLAGS = st.booleans()
EFFECTS = st.one_of(
    st.builds(m.Write, path=PATHS, content=CONTENTS),
    st.builds(m.Append, path=PATHS, content=CONTENTS),
    st.builds(
        m.Edit, path=PATHS, replacements=st.just((m.Replacement(old=b"old", new=b"edited"),))
    ),
    st.builds(m.Touch, path=PATHS, exist_ok=FLAGS),
    st.builds(m.Mkdir, path=PATHS, exist_ok=FLAGS),
    st.builds(m.Chmod, path=PATHS, mode=st.sampled_from([0o600, 0o755, 0o700])),
    st.builds(m.Copy, source=PATHS, target=PATHS, overwrite=FLAGS),
    st.builds(m.Move, source=PATHS, target=PATHS, overwrite=FLAGS),
    st.builds(m.Remove, path=PATHS, recursive=FLAGS, missing_ok=FLAGS),
)
BATCHES = st.lists(EFFECTS, min_size=1, max_size=8).map(tuple)


def grow(root):
    (root / "d/e").mkdir(parents=True)
    for path in ("f", "g", "d/f", "d/e/g"):
        (root / path).write_bytes(b"old " + path.encode())
    (root / "l").symlink_to("d")
    (root / "m").symlink_to("g")


def look(root):
    """Everything in a tree, and no temporary name."""
    found = {}
    for path in sorted(root.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        content = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        found[str(path.relative_to(root))] = (mode, content)
    return found


async def in_one(backend, effects):
    try:
        await backend.ask(m.Batch(effects=effects))
    except OperationError:
        return False
    return True


async def one_by_one(backend, effects):
    try:
        for each in effects:
            await backend.ask(each)
    except OperationError:
        return False
    return True


@pytest.mark.parametrize("opener", ["openat2", "walk"])
def test_on_disk_it_is_all_of_them_in_order_or_none(tmp_path, opener):
    @settings(max_examples=150, deadline=None)
    @given(effects=BATCHES)
    def holds(effects):
        roots = tmp_path / "one", tmp_path / "other"
        for each in roots:
            shutil.rmtree(each, ignore_errors=True)
            grow(each)
        before = look(roots[0])
        backend, other = (LocalBackend(each, opener=opener) for each in roots)
        is_done = trio.run(in_one, backend, effects)

        assert is_done == trio.run(one_by_one, other, effects)
        assert look(roots[0]) == (look(roots[1]) if is_done else before)

    holds()


@settings(max_examples=300, deadline=None)
@given(effects=BATCHES)
def test_in_memory_it_is_all_of_them_in_order_or_none(effects):
    tree = {path: b"old " + path.encode() for path in ("f", "g", "d/f", "d/e/g", "l/f", "m")}
    backend, other, before = MemoryBackend(tree), MemoryBackend(tree), MemoryBackend(tree)

    async def everything(where):
        drawn = await where.tree(depth=None, hidden=True)
        return [(each.name, each.mode) for each in drawn.entries], await where.download(
            (await where.list_keys()).paths
        )

    async def body():
        is_done = await in_one(backend, effects)
        assert is_done == await one_by_one(other, effects)
        assert await everything(backend) == await everything(other if is_done else before)

    trio.run(body)
