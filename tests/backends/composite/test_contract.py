"""The contract of backends, on composites: without routes, and with routes in the midst of it.

With routes, a few tests of the contract say what cannot be so: that an empty backend has no entries
(routes are always there), that `src` can be moved and removed (a route is in it), and that the
`.gitignore` at the top holds everywhere (each member has its own). They are left out by name; the
rest of the contract holds unchanged, in both modes.
"""

from __future__ import annotations

import typing

import pytest

from runner import messages as m
from runner.backends import composite
from runner.backends.composite import CompositeBackend
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.testing.backend_contract import BackendContract

ROUTES = (("src/lib", "data", ".config"), ("docs", "src", "src/lib"))


class TestWithoutRoutes(BackendContract):
    """A default alone, in both modes."""

    @pytest.fixture(params=[True, False])
    def backend(self, request):
        return CompositeBackend(MemoryBackend(), {}, strip=request.param)


class WithRoutes(BackendContract):
    """What is not so with routes."""

    test_ls_is_sorted_and_does_not_descend = None  # an empty backend has no entries
    test_what_a_path_means = None
    test_what_is_missing_is_not_found = None
    test_strange_names_survive = None
    test_a_batch_is_carried_out_whole = None
    test_move_of_a_file_and_of_a_tree = None  # `src` can be moved
    test_remove = None
    test_gitignore = None  # the rules at the top hold everywhere


class TestMemoryWithRoutes(WithRoutes):
    """Memory with routes into memory."""

    @pytest.fixture(params=ROUTES, ids=str)
    def routes(self, request):
        return request.param

    @pytest.fixture(params=[True, False], ids=["stripped", "kept"])
    def backend(self, request, routes):
        members = {each: MemoryBackend() for each in routes}
        return CompositeBackend(MemoryBackend(), members, strip=request.param)


class TestLocalWithRoutes(WithRoutes):
    """Directories and memory, mixed."""

    @pytest.fixture(params=[True, False], ids=["stripped", "kept"])
    async def backend(self, tmp_path, request):
        routes = {"src": MemoryBackend(), "src/lib": LocalBackend(tmp_path / "lib")}
        yield (
            made := CompositeBackend(LocalBackend(tmp_path / "top"), routes, strip=request.param)
        )
        await made.aclose()


def test_every_operation_on_files_stands_in_the_table():
    operations = m.Observation, m.Effect, m.Streaming
    assert set(composite.BY) == {each for kind in operations for each in typing.get_args(kind)}
