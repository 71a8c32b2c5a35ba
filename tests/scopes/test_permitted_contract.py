"""A backend behind permissions that allow is a backend like any other."""

from __future__ import annotations

import pytest

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
