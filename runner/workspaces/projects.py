"""The projects of a runner, and where each is kept.

    <state>/projects/<name>-<12 hex of the base's real path>/store.db
                                                            /workspaces/<id>/{lock,tree,…}
                                                            /hooks/pre-commit, post-snapshot, …

What a project is in this process is in shared.py; the handles (project.py, workspace.py) are what
users have.
"""

from __future__ import annotations

import hashlib
import os

import attrs

from runner.errors import ConfigError
from runner.workspaces.means import Means
from runner.workspaces.shared import Shared


@attrs.define(eq=False)
class Projects:
    """The projects of a runner. Made by `open_runner`.

    Attributes:
        directory: where they are kept.
        means: what they share.
    """

    directory: str
    means: Means
    _open: dict[str, Shared] = attrs.field(factory=dict)

    def shared(
        self, path: str | os.PathLike[str], store: str | os.PathLike[str] | None = None
    ) -> Shared:
        """The project on a directory; nothing is touched.

        Raises:
            ConfigError: its state would lie inside it, or is that of another directory.
        """
        base = os.path.realpath(path)
        directory = directory_of(self.directory, base) if store is None else os.path.realpath(store)
        if directory == base or directory.startswith(base.rstrip("/") + "/"):
            raise ConfigError(
                f"the project {base!r} would have its store inside itself, at {directory!r}:"
                " give another `store`, or the runner another `state`"
            )
        found = self._open.get(directory)
        if found is None:
            found = self._open[directory] = Shared(base, directory, self.means)
        if found.base != base:
            raise ConfigError(
                f"the store at {directory!r} is in use for the project {found.base!r}: give the"
                f" project {base!r} another `store`"
            )
        return found

    def having(self, workspace: str) -> Shared | None:
        """The project in which the workspace of an id is, if it was used in this process."""
        return next((each for each in self._open.values() if each.has(workspace)), None)

    def close(self) -> None:
        """Close all of them; takes long, in a thread."""
        for each in self._open.values():
            each.close()


def directory_of(place: str, base: str) -> str:
    """Where a project is kept, if nobody says otherwise.

    Args:
        place: where all of them are.
        base: its directory, without links.
    """
    digest = hashlib.sha256(os.fsencode(base)).hexdigest()[:12]
    name = os.path.basename(base) or "root"
    short = os.fsencode(name)[:64].decode("utf-8", "replace")
    return os.path.join(os.path.realpath(place), f"{short}-{digest}")
