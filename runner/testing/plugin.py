"""The pytest fixtures that runner ships to its users.

pytest loads this in every test run of everybody who has runner installed: so it imports nothing
but pytest, and each fixture imports what it needs when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from runner.testing.model_server import Served


@pytest.fixture
def model_server() -> Iterator[Served]:
    """A model provider on this machine, with a log of its own for each test.

    It runs in a thread, so it serves sync and async tests alike, also while the test blocks.
    See `runner.testing.model_server`, and `runner.testing.model.directives` for the prompts.
    """
    from runner.testing.model_server import model_server_thread  # noqa: PLC0415

    with model_server_thread() as server:
        yield server
