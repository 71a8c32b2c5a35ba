"""One attempt's directory, as the attempt sees it, and the patch of what changes in it.

The patch begins with what the directory was when the first turn began: what setup did to it is
found by two scans, and is no part of it. Making and removing directories is directories.py's.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runner.jobs.outcome import touched
from runner.jobs.patch import Patches
from runner.scopes.scope import Scope
from runner.sessions.turn import Turn
from runner.watching.files import Tree


@attrs.define(eq=False, kw_only=True)
class Directory:
    """Where one attempt works: a directory; a `Workplace`.

    Attributes:
        path: absolute.
        job: whose.
        patches: of the batch.
        baseline: the tree that the patch is made against; None = there is no patch.
    """

    scope: Scope
    path: str
    job: str
    patches: Patches
    baseline: str | None
    snapshots: None = None
    _before: Tree = attrs.field(factory=Tree)

    @property
    def is_compared(self) -> bool:
        """Whether a patch can be made of what is changed here."""
        return self.baseline is not None

    async def before_setup(self) -> None:
        """The setup commands are about to run."""
        if self.baseline is not None:
            self._before = await self.patches.scanner(self.path).scan()

    async def after_setup(self) -> None:
        """The setup commands have run."""
        if self.baseline is not None:
            scanner = self.patches.scanner(self.path)
            changes = await scanner.compare(self._before, await scanner.scan())
            made = await self.patches.baseline_after(self.baseline, self.path, self.job, changes)
            self.baseline = made

    async def write_patch(self, turns: Sequence[Turn]) -> bool:
        """Write the job's patch; whether there is one.

        Raises:
            OperationError, OSError: it could not be made.
        """
        assert self.baseline is not None
        return await self.patches.write(self.baseline, self.path, self.job, touched(turns))
