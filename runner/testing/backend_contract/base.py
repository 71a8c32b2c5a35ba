"""What every topic of the contract stands on: the fixtures, and a way to ask anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import pytest

from runner import errors as e
from runner import messages as m
from runner.backends.base import Backend
from runner.testing.backend_contract.tables import TREE

MODERN = datetime(2020, 1, 1, tzinfo=UTC)


def error_of(answer: str | None) -> type[e.OperationError]:
    """The error for a row of `PATHS` that names no place inside."""
    return e.InvalidPath if answer == "" else e.PathEscapes


async def ask(backend: Backend, operation: m.Operation) -> object:
    """Any operation, whatever its answer is."""
    return await backend.ask(cast("m.Message[object]", operation))


class Contract:
    """Gives an empty backend, and one with `TREE` in it."""

    @pytest.fixture
    def backend(self) -> Backend:
        """An empty backend; to be overridden."""
        raise NotImplementedError("give a fixture `backend` that returns an empty backend")

    @pytest.fixture
    async def tree(self, backend: Backend) -> Backend:
        """The backend with `TREE` in it."""
        for path, content in TREE.items():
            await backend.write(path, content)
        return backend
