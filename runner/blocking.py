"""runner for synchronous programs: every call waits, in the caller's thread.

    from runner import blocking

    with blocking.open_runner() as r:
        scope = r.scope("work/shop")
        scope.write("notes/a.txt", "hi")
        with r.session(scope, agent="shell") as session:
            turn = session.send("ls")

The names are all those of `runner`, without `async` and `await`. Ctrl-C puts the call down before
it propagates; a second one does not wait for that. May be used from any number of threads.

A backend that is made by itself (`blocking.LocalBackend("work")`) holds trio's thread from its
first call until `close`, or until it is forgotten.
"""

from __future__ import annotations

from typing import Any

import runner
from runner.bridge.manners import Blocking
from runner.bridge.names import public

__all__ = [*runner.__all__, "wrap"]  # noqa: PLE0604 - whatever runner has

BLOCKING = Blocking()


def wrap(target: Any) -> Any:
    """The blocking stand-in for an object of runner's that was made for a trio program."""
    return BLOCKING.wrap(target)


def __getattr__(name: str) -> Any:
    value = globals()[name] = public(BLOCKING, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *runner.__all__})
