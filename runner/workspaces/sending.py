"""A workspace written to a file elsewhere: which format, and what goes into it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import attrs

from runner.backends.threads import CHUNK, breathe
from runner.errors import ConfigError
from runner.workspaces.comparing import Source, is_same_tree
from runner.workspaces.diff import Diff
from runner.workspaces.exporting import Exported, export_patch, export_tar
from runner.workspaces.exporting_agentfs import export_agentfs
from runner.workspaces.exporting_git import Revision, export_bundle
from runner.workspaces.listing import Entry
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import WorkspaceRecord

if TYPE_CHECKING:
    from runner.workspaces.shared import Shared

ExportFormat: TypeAlias = Literal["patch", "tar", "bundle", "agentfs"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
_ENDS: dict[str, ExportFormat] = {
    ".patch": "patch",
    ".diff": "patch",
    ".tar": "tar",
    ".tar.gz": "tar",
    ".tgz": "tar",
    ".bundle": "bundle",
    ".db": "agentfs",
}


@attrs.frozen
class _Breathing:
    """A store, read for as long as nobody has cancelled: an export may take minutes."""

    source: Source

    def listing(self, id_: ObjectId, /) -> Sequence[Entry]:
        breathe()
        return self.source.listing(id_)

    def content(self, id_: ObjectId, /) -> Iterator[bytes | int]:
        for each in self.source.content(id_):
            if isinstance(each, bytes):
                breathe()
                yield each
                continue
            for at in range(0, each, CHUNK):  # a hole may be larger than any disk
                breathe()
                yield min(CHUNK, each - at)


def format_of(path: str | os.PathLike[str], wanted: str | None) -> ExportFormat:
    """The format that is meant.

    Raises:
        ConfigError: there is no such one, or the path's end says none.
    """
    for each in FORMATS:
        if each == wanted:
            return each
    if wanted is not None:
        raise ConfigError(f"format={wanted!r}: it is {', '.join(map(repr, FORMATS))}")
    name = os.fspath(path)
    for end, each in _ENDS.items():
        if name.endswith(end):
            return each
    raise ConfigError(f"{name!r} ends in none of {', '.join(_ENDS)}: say `format`")


async def export(
    shared: Shared,
    record: WorkspaceRecord,
    wanted: ExportFormat,
    path: str | os.PathLike[str],
    *,
    before: ObjectId,
    root: ObjectId,
    overwrite: bool,
) -> Exported:
    """Write it; see `Workspace.export`."""
    store, in_thread = await shared.open(), shared.means.in_thread
    source = _Breathing(store)
    if wanted == "patch":
        return await in_thread(
            lambda: export_patch(Diff(source, before, root), path, overwrite=overwrite)
        )
    if wanted == "tar":
        return await in_thread(partial(export_tar, source, root, path, overwrite=overwrite))
    if wanted == "agentfs":
        return await in_thread(partial(export_agentfs, source, root, path, overwrite=overwrite))
    commits = await in_thread(partial(store.commits.list, record.id))
    first = commits[0].base_before if commits else before
    revisions = [Revision(root=first, message=f"What {record.name} was made from")]
    revisions += map(Revision.of, commits)
    if not await in_thread(partial(is_same_tree, source.listing, revisions[-1].root, root)):
        revisions.append(Revision(root=root, message=f"Uncommitted changes of {record.name}"))
    return await export_bundle(
        shared.means.host,
        source,
        revisions,
        path,
        overwrite=overwrite,
        limiter=shared.means.limiter,
    )
