"""Short names of directories: links in a directory for everybody, which go with the program.

Such a name may be anybody's. It is used only if it is a link of our own that leads where it is to
lead, as a run that was killed may have left it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable

Links = Iterable[tuple[str, str]]  # (the short name, where it leads)


def make_links(links: Links) -> None:
    """Make links that are not there.

    Raises:
        OSError: a name is somebody else's, or leads elsewhere.
    """
    for path, target in links:
        try:
            os.symlink(target, path)
        except FileExistsError:
            status = os.lstat(path)
            is_ours = stat.S_ISLNK(status.st_mode) and status.st_uid == os.geteuid()
            if not (is_ours and os.readlink(path) == target):
                what = "it is needed as a short name, and is something else"
                raise FileExistsError(errno.EEXIST, what, path) from None


def remove_links(links: Links) -> None:
    """Remove links, if they lead where they did."""
    for path, target in links:
        with contextlib.suppress(OSError):
            if os.readlink(path) == target:
                os.unlink(path)
