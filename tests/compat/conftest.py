"""What the tests of the peers' names share: running under trio or asyncio."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest
import trio


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
