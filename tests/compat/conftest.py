"""What the tests of the peers' names share: running under trio or asyncio."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import threading
import time
from pathlib import Path

import pytest
import trio


def _turso_of_sync():
    """The fixture of another directory's tests: the real server."""
    path = Path(__file__).parents[1] / "workspaces/sync/conftest.py"
    spec = importlib.util.spec_from_file_location("conftest_of_sync", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.turso


turso = _turso_of_sync()


@pytest.fixture(params=["trio", "asyncio"])
def run(request):
    """Runs a coroutine function, under the one or the other."""

    def run(main, *args):
        if request.param == "trio":
            return trio.run(main, *args)
        return asyncio.run(main(*args))

    run.library = request.param
    return run


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    deadline = time.monotonic() + 10
    while any(each.name == "runner trio" for each in threading.enumerate()):
        gc.collect()
        if time.monotonic() > deadline:
            break  # after a test that failed, which keeps its objects
        threading.Event().wait(0.005)
