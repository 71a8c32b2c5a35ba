"""Walking by descriptors: any order, any depth, few descriptors, no links."""

from __future__ import annotations

import contextlib
import os
import random

import pytest

from runner.backends.descent import KEPT, Descent


def inode(fd):
    return os.fstat(fd).st_ino


@pytest.fixture
def top(root):
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("seed", range(10))
def test_it_is_where_the_path_leads_in_any_order(root, top, seed):
    depth = 2 * KEPT + 10
    ways = []
    for first in "ab":
        names = (first, *("d" * (number % 3 + 1) for number in range(depth)))
        root.joinpath(*names).mkdir(parents=True)
        ways += [names[:length] for length in range(len(names) + 1)]
    chance = random.Random(seed)
    with contextlib.closing(Descent(top)) as descent:
        for names in chance.choices(ways, k=100) + ways + ways[::-1]:
            assert inode(descent.go(names)) == root.joinpath(*names).stat().st_ino
            assert len(descent._fds) <= KEPT


def test_a_failed_move_leaves_it_usable(root, top):
    (root / "a" / "b").mkdir(parents=True)
    (root / "l").symlink_to("a")
    with contextlib.closing(Descent(top)) as descent:
        for names in (("a", "missing", "x"), ("l", "b"), ("l",)):
            with pytest.raises((FileNotFoundError, NotADirectoryError)):
                descent.go(names)
            assert inode(descent.go(("a", "b"))) == (root / "a" / "b").stat().st_ino
        assert descent.go(()) == top
