"""runner's public names, as a program that is not trio's has them.

A class whose objects live in trio's thread is the class of their stand-ins, which can be called as
it can; what opens something gives a context manager that waits as its program does; records, errors
and rules are themselves. What is new among runner's names is here, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import runner
from runner.bridge.home import Home
from runner.bridge.proxies import Manner, not_wrapping


def public(manner: Manner, name: str) -> Any:
    """One of runner's public names.

    Raises:
        AttributeError: it is none.
    """
    if name not in runner.__all__:
        raise AttributeError(f"runner has no public name {name!r}")
    value = getattr(runner, name)
    if isinstance(value, type):
        return manner.class_of(value)
    return _opening(manner, value) if inspect.isasyncgenfunction(inspect.unwrap(value)) else value


def _opening(manner: Manner, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function; what it opens has a home of its own, which cannot be used again afterwards."""

    def opening(*args: Any, **kwargs: Any) -> Any:
        home = Home(once=True)
        return manner.wrap(manner.bind(home, function, args, kwargs)(), home)

    return not_wrapping(opening, function)
