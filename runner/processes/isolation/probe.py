"""What works on this machine, found out by doing it: once in each process.

A mode works if a program in it writes its scope, cannot write or see beyond it, and has the network
that it is to have and no other. Anything else is a reason, which results and `runner doctor` tell.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import attrs
import trio

from runner.errors import ExecFailed
from runner.messages.programs import Completed
from runner.processes.isolation import landlock, program, syscalls, users

PATIENCE = 20.0
BESIDE, SECRET = "what-stands-beside", "not for you"
SCRIPT = f"""\
echo inside > mine || exit 10
if (cat ../{BESIDE}) 2>/dev/null; then exit 12; fi
(echo x > ../{BESIDE}) 2>/dev/null  # in a private /tmp that may be, and nothing comes of it
if (echo x > /usr/.runner-probe) 2>/dev/null; then exit 13; fi
[ "$1" = bwrap ] || exit 0
while read -r name _; do
    case $name in Inter*|face*|lo:*) ;; *) exit 14 ;; esac
done < /proc/net/dev
"""
WRONG = {
    10: "the scope cannot be written",
    12: "what stands beside the scope can be read",
    13: "/usr can be written",
    14: "the network can be reached",
}
MEND_NAMESPACES = (
    "allow user namespaces: sysctl user.max_user_namespaces=10000, "
    "kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; "
    "or apt-get install bubblewrap, which AppArmor lets; "
    "in a container: --security-opt seccomp=unconfined"
)
MEND_PROGRAM = "install a bwrap of today: apt-get install bubblewrap"
MEND_LANDLOCK = "boot with a kernel from 5.13 on and lsm=...,landlock"


@attrs.frozen(kw_only=True)
class Probe:
    """Whether a mode works here.

    Attributes:
        works: whether it does.
        reason: why not; or what it is made of.
        mend: what would help.
    """

    works: bool
    reason: str = ""
    mend: str = ""


Way: TypeAlias = Literal["bwrap", "bwrap program", "landlock"]  # the first is our own launcher
Run = Callable[[Way, str, str], Awaitable[Completed]]
_known: dict[tuple[str, str], Probe] = {}
_turn = trio.Lock()


async def probe(way: Way, run: Run, *, identity: str) -> Probe:
    """Find out whether a way to hold programs works, unless that is known.

    Args:
        way: which one.
        run: runs a script, in exactly that way, in a directory.
        identity: who runs it; for another one it may be otherwise.
    """
    key = way, identity
    if key not in _known:
        async with _turn:
            if key not in _known:
                _known[key] = await _try(way, run)
    return _known[key]


def _cannot(way: Way) -> Probe | None:
    if not syscalls.has_numbers():
        return Probe(works=False, reason=f"it is not made for {syscalls.MACHINE} machines")
    if way == "bwrap program":
        if not (found := program.find_program()):
            return Probe(works=False, reason="it is not installed", mend=MEND_PROGRAM)
        if not program.takes_descriptors(found):
            reason = "it is older than 0.10, and has no --bind-fd"
            return Probe(works=False, reason=reason, mend=MEND_PROGRAM)
    if way == "landlock":
        if not landlock.abi():
            return Probe(works=False, reason="the kernel has no Landlock", mend=MEND_LANDLOCK)
        if users.own_ids()[0] == 0:
            mend = "run runner as an ordinary user"
            return Probe(works=False, reason="root's rights are more than files", mend=mend)
    return None


async def _try(way: Way, run: Run) -> Probe:
    if (refusal := _cannot(way)) is not None:
        return refusal
    mend = MEND_LANDLOCK if way == "landlock" else MEND_NAMESPACES
    with tempfile.TemporaryDirectory(prefix="runner-probe-") as base:
        scope = _furnish(base)
        try:
            with trio.fail_after(PATIENCE):
                done = await run(way, scope, SCRIPT)
        except (ExecFailed, OSError) as error:
            reason = error.reason if isinstance(error, ExecFailed) else str(error)
            return Probe(works=False, reason=reason, mend=mend)
        except trio.TooSlowError:
            return Probe(works=False, reason=f"a trial did not end in {PATIENCE:.0f} s", mend=mend)
        if wrong := _what_is_wrong(base, done):
            return Probe(works=False, reason=wrong, mend=mend)
        assert done.isolation is not None
        return Probe(works=True, reason=", ".join(done.isolation.layers))


def _furnish(base: str) -> str:
    """Make a scope and what stands beside it, which a program could read and write but for us."""
    scope, beside = os.path.join(base, "scope"), os.path.join(base, BESIDE)
    os.mkdir(scope)
    with open(beside, "w", encoding="ascii") as file:
        file.write(SECRET)
    for path in (base, scope, beside):
        os.chown(path, *users.own_ids())
    return scope


def _what_is_wrong(base: str, done: Completed) -> str:
    if done.exit_code:
        said = done.err.data().decode(errors="replace").strip()
        return WRONG.get(done.exit_code, f"a trial ended with {done.exit_code}: {said}")
    with open(os.path.join(base, BESIDE), encoding="ascii") as file:
        if file.read() != SECRET:
            return "what stands beside the scope can be written"
    return "" if os.listdir(os.path.join(base, "scope")) == ["mine"] else WRONG[10]


def forget() -> None:
    """Find everything out anew; for tests."""
    _known.clear()
