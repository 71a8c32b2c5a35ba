"""A backend behind permissions that allow is a backend like any other."""

from __future__ import annotations

import pytest

from runner.backends.composite import CompositeBackend
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.scopes.permissions import Rule, Rules, Ruleset
from runner.scopes.permitted import PermittedBackend
from runner.testing.backend_contract import BackendContract

NOBODY = Rules(rules=(Rule(pattern="**/nobody-has-this/**", action="deny"),))
ALLOWING = Ruleset(
    default="allow",
    read=NOBODY,
    write=NOBODY,
    edit=NOBODY,
    remove=NOBODY,
    execute=Rules(rules=(Rule(pattern="nobody *", action="deny"),)),
    ls=NOBODY,
    glob=NOBODY,
    grep=NOBODY,
)


class TestPermittedLocal(BackendContract):
    """Everything is looked at, and allowed."""

    @pytest.fixture(params=["openat2", "walk"])
    async def backend(self, request, tmp_path):
        inner = LocalBackend(tmp_path / "scope", opener=request.param)
        (tmp_path / "scope").mkdir()
        backend = PermittedBackend(inner, ALLOWING)
        yield backend
        await backend.aclose()


class TestPermittedMemory(BackendContract):
    """The same in memory."""

    @pytest.fixture
    def backend(self):
        return PermittedBackend(MemoryBackend(), ALLOWING)


class TestPermittedComposite(BackendContract):
    """The same on a composite: everything is asked of its members."""

    @pytest.fixture(params=[True, False], ids=["stripped", "kept"])
    async def backend(self, request, tmp_path):
        (tmp_path / "scope").mkdir()
        inner = CompositeBackend(LocalBackend(tmp_path / "scope"), {}, strip=request.param)
        backend = PermittedBackend(inner, ALLOWING)
        yield backend
        await backend.aclose()


class TestPermittedRoutes(BackendContract):
    """The same, with routes in the midst of what the contract uses."""

    @pytest.fixture(params=[True, False], ids=["stripped", "kept"])
    async def backend(self, request, tmp_path):
        (tmp_path / "scope").mkdir()
        (tmp_path / "docs").mkdir()
        members = {"docs": LocalBackend(tmp_path / "docs"), "src/lib": MemoryBackend()}
        default = LocalBackend(tmp_path / "scope")
        backend = PermittedBackend(
            CompositeBackend(default, members, strip=request.param), ALLOWING
        )
        yield backend
        await backend.aclose()

    # What is not so with routes: see the contract of composites.
    test_ls_is_sorted_and_does_not_descend = None
    test_what_a_path_means = None
    test_what_is_missing_is_not_found = None
    test_strange_names_survive = None
    test_a_batch_is_carried_out_whole = None
    test_move_of_a_file_and_of_a_tree = None
    test_remove = None
    test_gitignore = None
