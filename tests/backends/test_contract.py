"""One suite on every backend: `runner.testing.backend_contract`."""

from __future__ import annotations

import typing

import pytest

from runner import messages as m
from runner.backends import local, memory
from runner.backends.memory import MemoryBackend
from runner.testing.backend_contract import TREE, BackendContract


class TestLocal(BackendContract):
    """The local backend, by openat2 and by the walk."""

    @pytest.fixture
    def backend(self, local):
        return local


class TestMemory(BackendContract):
    """The memory backend."""

    @pytest.fixture
    def backend(self):
        return MemoryBackend()


async def test_memory_starts_with_what_it_is_given():
    backend = MemoryBackend({**TREE, "text": "süß"})

    assert await backend.read("text", encoding=None) == "süß".encode()
    assert await backend.read("src/app.py", encoding=None) == TREE["src/app.py"]
    assert repr(backend) == "<MemoryBackend 8 entries>"


@pytest.mark.parametrize("table", [{**local.NOW_BY, **local.LATER_BY}, memory.BY])
def test_every_operation_stands_in_the_tables_of_every_backend(table):
    assert set(table) == set(typing.get_args(m.Operation))
