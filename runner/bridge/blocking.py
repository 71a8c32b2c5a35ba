"""runner for synchronous programs: every call waits, in the caller's thread.

    from runner.bridge import blocking

    with blocking.open_runner() as r:
        scope = r.scope("work/shop")
        scope.write("notes/a.txt", "hi")
        with r.session(scope, agent="shell") as session:
            turn = session.send("ls")

The names are those of `runner`, without `async` and `await`. Ctrl-C puts the call down before it
propagates; a second one does not wait for that. May be used from any number of threads.
"""

from __future__ import annotations

import os
from typing import Any

from runner import runtime
from runner.bridge.manners import Blocking
from runner.bridge.proxies import Home
from runner.config import RunnerConfig

BLOCKING = Blocking()


def open_runner(
    config: RunnerConfig | str | os.PathLike[str] | None = None,
    *,
    state: str | os.PathLike[str] | None = None,
) -> Any:
    """A runner, for as long as the block lasts; see `runner.open_runner`."""
    manager = runtime.open_runner(config, state=state)
    return BLOCKING.wrap(manager, Home(once=True))


def wrap(target: Any) -> Any:
    """A blocking stand-in for an object of runner's that is used by itself, such as a backend.

    It holds trio's thread from its first call until `close`, or until it is forgotten.
    """
    return BLOCKING.wrap(target)
