"""The plan for one program: everything that `enter` does inside, decided outside.

`users` says who the program is, `root` what it sees, `seccomp` and `landlock` what it is refused on
top. What is wrong here is a `Lacking`, which says what and why.
"""

from __future__ import annotations

import marshal
import math
import os
import resource
from collections.abc import Iterable, Mapping

import attrs

from runner.messages.isolation import MOST, Isolation
from runner.processes.isolation import landlock, syscalls
from runner.processes.isolation.program import namespaces, steps_of
from runner.processes.isolation.root import ETC, SYSTEM, USR_LINKS, Root
from runner.processes.isolation.seccomp import ARCHITECTURES, make_filter
from runner.processes.isolation.users import User, choose_user

NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)
PROXY_PORT = 3128
NET = 512 << 20  # bytes beyond a limit on memory that somebody looks at, until the kernel refuses


@attrs.frozen(kw_only=True)
class Plan:
    """What to ask the guardian for, and what the process reads then.

    Attributes:
        flags: for clone(2).
        mapped: as `User.mapped`.
        data: for each process on the way in: ours, or bwrap's and then ours.
        visible: beneath what a program must stand to be found inside; empty = anywhere.
    """

    flags: int
    mapped: int
    data: tuple[bytes, ...]
    visible: tuple[str, ...] = ()


def make_plan(
    isolation: Isolation,
    mode: str,
    *,
    scope: str,
    directory: str,
    home: str,
    certificates: Iterable[str] = (),
    cgroups: Iterable[str] = (),
    rlimits: Mapping[int, int] | None = None,
    private: str = "",
    program: str = "",
    outside: str = "",
) -> Plan:
    """Decide everything.

    Args:
        isolation: what is asked for.
        mode: which mode of it.
        scope: the only directory that can be written, absolute.
        directory: where the program runs, absolute, in the scope.
        home: the HOME of the program.
        certificates: files, or directories, that are shown if they are there.
        cgroups: directories of the groups that it is to be in.
        rlimits: limits of each process.
        private: a directory that is the program's own, in mode landlock.
        program: the bwrap program that is to make the namespaces; "" = we do.
        outside: what leads us to the scope, put before its path.

    Raises:
        Lacking: it cannot be done.
    """
    user = choose_user(outside + scope) if mode == "bwrap" else User(kind="", uid=0, gid=0)
    plan: dict[str, object] = {
        "user": user.kind,
        "uid": user.uid,
        "gid": user.gid,
        "cgroups": tuple(cgroups),
        "rlimits": tuple((rlimits or {}).items()),
        "hostname": "sandbox" if mode == "bwrap" else "",
        "network": False,
        "listen": 0,
        "nesting": isolation.nesting,
        "trees": (),
        "mounts": (),
        "directory": "",
        "guarded": mode != "none",
        "landlock": None,
        "seccomp": b"",
    }
    if mode == "none":
        return Plan(flags=0, mapped=0, data=(marshal.dumps(plan),))
    root = Root(scope, home, user, outside)
    abi = landlock.abi()
    if mode == "landlock":
        writable = [
            scope,
            private,
            *isolation.writable,
            "/dev/null",
            "/dev/tty",
            "/dev/full",
            "/proc",
        ]
        readable = [*_system(), *isolation.readable, *certificates, "/dev", *_etc(isolation)]
        plan["landlock"] = _landlock(writable, readable, abi, no_tcp=isolation.network == "none")
        plan["seccomp"] = _filter(isolation, internet=isolation.network == "full")
        return Plan(flags=0, mapped=0, data=(marshal.dumps(plan),))
    root.build(isolation, certificates)
    flags = NAMESPACES | (syscalls.CLONE_NEWUSER if user.kind == "own" else 0)
    if isolation.network != "full":
        flags |= syscalls.CLONE_NEWNET
        plan["network"] = True
        plan["listen"] = 0 if isolation.network == "none" else PROXY_PORT
    plan["trees"], plan["mounts"] = tuple(root.trees), tuple(root.mounts)
    plan["directory"] = directory
    if abi and not isolation.nesting:  # which would refuse mounts
        writable = [*root.writable, "/proc", "/dev"]
        plan["landlock"] = _landlock(writable, ["/"], abi, no_tcp=False)
    plan["seccomp"] = _filter(isolation, suid=not user.mapped)
    visible = tuple(root.visible)
    if program:
        outer = _for_program(plan, root, program, nesting=isolation.nesting)
        data = marshal.dumps(outer), marshal.dumps(plan)
        return Plan(flags=0, mapped=0, data=data, visible=visible)
    return Plan(flags=flags, mapped=user.mapped, data=(marshal.dumps(plan),), visible=visible)


def _for_program(
    plan: dict[str, object], root: Root, program: str, *, nesting: bool
) -> dict[str, object]:
    """Take out of a plan what the program bwrap does, which is a plan of its own then."""
    outer = {
        "program": program,
        "arguments": namespaces(network=bool(plan["network"]), nesting=nesting),
        "steps": steps_of(root),
        "cgroups": plan["cgroups"],
    }
    plan |= {"user": "", "hostname": "", "network": False, "cgroups": (), "trees": (), "mounts": ()}
    return outer


def _landlock(
    writable: Iterable[str], readable: Iterable[str], abi: int, *, no_tcp: bool
) -> dict[str, object]:
    return {
        "writable": tuple(writable),
        "readable": tuple(readable),
        "no_tcp": no_tcp,
        "version": abi,
    }


_filters: dict[tuple[bool, ...], bytes] = {}


def _filter(isolation: Isolation, *, internet: bool = True, suid: bool = True) -> bytes:
    if syscalls.MACHINE not in ARCHITECTURES:
        return b""
    key = isolation.nesting, isolation.debugging, isolation.sockets, internet, suid
    if key not in _filters:
        _filters[key] = make_filter(
            syscalls.MACHINE,
            nesting=isolation.nesting,
            debugging=isolation.debugging,
            unix=isolation.sockets,
            internet=internet,
            suid=suid,
        )
    return _filters[key]


def _system() -> list[str]:
    return [each for each in (*SYSTEM, *USR_LINKS) if os.path.exists(each)]


def _etc(isolation: Isolation) -> list[str]:
    names = [*ETC, "passwd", "group", "hosts"]
    if isolation.network == "full":
        names.append("resolv.conf")
    return [path for name in names if os.path.exists(path := f"/etc/{name}")]


def rlimits_of(isolation: Isolation, *, processes: bool, memory: bool) -> dict[int, int]:
    """The limits that each process has for itself.

    Args:
        isolation: what is asked for.
        processes: whether to limit their number so.
        memory: whether to limit memory so: a net beneath one that looks on, so it is wider.
    """
    limits = isolation.limits
    found: dict[int, int] = {resource.RLIMIT_CORE: 0}
    if limits.cpu is not None:
        # The kernel counts in nanoseconds, of which 2**64 are 584 years: more would be few again.
        found[resource.RLIMIT_CPU] = min(math.ceil(limits.cpu), 1 << 32)
    if limits.file_size is not None:
        found[resource.RLIMIT_FSIZE] = limits.file_size
    if limits.open_files is not None:
        found[resource.RLIMIT_NOFILE] = limits.open_files
    if processes and limits.processes is not None:
        found[resource.RLIMIT_NPROC] = limits.processes
    if memory and limits.memory is not None:
        found[resource.RLIMIT_DATA] = limits.memory + max(limits.memory, NET)
    return {number: min(limit, MOST) for number, limit in found.items()}
