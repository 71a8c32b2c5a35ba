"""What would hold a program, found out by holding one: `true`, in an empty directory."""

from __future__ import annotations

import os
import tempfile

from runner.messages.isolation import InForce, Isolation
from runner.processes.isolation import users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.processes.host import ProcessHost

ENV = {"PATH": os.defpath, "HOME": "/nonexistent"}


async def try_isolation(host: ProcessHost, isolation: Isolation) -> InForce:
    """What is in force for a program when this is asked for.

    Args:
        host: runs it.
        isolation: what is asked for.

    Raises:
        ExecFailed: it is required and cannot be had, or a path of it cannot be shown.
    """
    with tempfile.TemporaryDirectory(prefix="runner-trial-") as directory:
        os.chown(directory, *users.own_ids())
        done = await host.run(("true",), cwd=directory, env=ENV, isolation=isolation)
    assert done.isolation is not None  # something was asked for
    return done.isolation
