"""The tests that every backend passes, shipped to whoever writes one.

Model. Subclass `BackendContract` in your tests and give a fixture `backend` that yields an empty
backend; pytest-trio runs the rest. `TREE`, `GLOBS`, `GREPS` and `REFUSED_PATTERNS` are the tables
of what a search answers; `PATHS` of what a path means. Each topic is a class of its own in a module
here. Everything is asked through messages and answered in `runner.messages`' records, so it says
what a scope promises, not how.

    class TestMine(BackendContract):
        @pytest.fixture
        def backend(self): return MyBackend()

What it does not test: containment against links and races (memory has none), programs, speed.
"""

from __future__ import annotations

from runner.testing.backend_contract.carrying import Carrying
from runner.testing.backend_contract.effects import Effects
from runner.testing.backend_contract.files import Files
from runner.testing.backend_contract.listing import Trees
from runner.testing.backend_contract.looking import Looking
from runner.testing.backend_contract.moving import Moving
from runner.testing.backend_contract.paths import Paths
from runner.testing.backend_contract.searching import Searching
from runner.testing.backend_contract.streaming import Streaming
from runner.testing.backend_contract.tables import GLOBS as GLOBS
from runner.testing.backend_contract.tables import GREPS as GREPS
from runner.testing.backend_contract.tables import PATHS as PATHS
from runner.testing.backend_contract.tables import REFUSED_PATTERNS as REFUSED_PATTERNS
from runner.testing.backend_contract.tables import TREE as TREE


class BackendContract(
    Files, Effects, Moving, Paths, Searching, Looking, Trees, Carrying, Streaming
):
    """What every backend does. Give a fixture `backend`."""
