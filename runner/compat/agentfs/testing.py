"""`TemporaryWorkspace`: a workspace for one test, which is gone afterwards.

@TemporaryWorkspace()
def test_something(workspace): …

with TemporaryWorkspace({"a.txt": "one"}) as workspace: …
"""

from __future__ import annotations

import functools
import inspect
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from runner.compat.agentfs.config import Config
from runner.compat.agentfs.project import AgentFS
from runner.compat.agentfs.workspace import Workspace


class TemporaryWorkspace:
    """A workspace for as long as a block, or a test, lasts; decorator and context manager.

    Args:
        files: what is in it, by path.
        base_path: the project that it is made of; None = one of its own, with nothing in it.
        config: as for `AgentFS`.
        name: what it is called.

    As a decorator it gives the function `workspace`, and takes that out of its signature, so that
    pytest does not look for a fixture. The function may be a coroutine function.
    """

    def __init__(
        self,
        files: Mapping[str, str | bytes] | None = None,
        *,
        base_path: str | os.PathLike[str] | None = None,
        config: Config | Mapping[str, Any] | None = None,
        name: str = "temporary",
    ) -> None:
        """Nothing happens yet."""
        self._files, self._base, self._config = dict(files or {}), base_path, config
        self._name = name
        self._stacks: list[ExitStack] = []

    def __enter__(self) -> Workspace:
        with ExitStack() as stack:
            made = self._made(stack)
            self._stacks.append(stack.pop_all())
        return made

    def __exit__(self, *raised: object) -> None:
        self._stacks.pop().__exit__(*raised)  # type: ignore[arg-type]  # as it got them

    async def __aenter__(self) -> Workspace:
        return self.__enter__()  # a moment, in which the event loop waits

    async def __aexit__(self, *raised: object) -> None:
        self.__exit__(*raised)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with a workspace."""

        def fresh() -> TemporaryWorkspace:
            return TemporaryWorkspace(
                self._files, base_path=self._base, config=self._config, name=self._name
            )

        @functools.wraps(function)
        def method(*args: Any, **kwargs: Any) -> Any:
            with fresh() as workspace:
                return function(*args, workspace=workspace, **kwargs)

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with fresh() as workspace:
                return await function(*args, workspace=workspace, **kwargs)

        made: Callable[..., Any] = coroutine if inspect.iscoroutinefunction(function) else method
        signature = inspect.signature(function)
        rest = [each for name, each in signature.parameters.items() if name != "workspace"]
        made.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        return made

    def _made(self, stack: ExitStack) -> Workspace:
        base, state = self._base, None
        if base is None:
            top = stack.enter_context(tempfile.TemporaryDirectory(prefix="agentfs-"))
            base, state = Path(top, "project"), Path(top, "state")
            base.mkdir()
        afs = stack.enter_context(AgentFS(base, self._config, state=state))
        workspace = stack.enter_context(afs.workspace.temp(self._name))
        for path, content in self._files.items():
            workspace.write_file(path, content)
        return workspace
