"""The system calls that a program inside is refused: a BPF program, put together here. Pure.

It is a list of what is denied, not of what is allowed: programs are to run, and what they can see
is decided by namespaces. On the list is what reaches the kernel's less used and more often broken
parts, other processes' memory, mounts and namespaces, and the ways out that no namespace covers
(AF_VSOCK, TIOCSTI). Sources: seccomp(2), Docker's default profile, systemd's RestrictSUIDSGID=.

Arguments are 64 bits wide, and the kernel looks at the lower half of an ioctl's command and of a
socket's family only; so do we, else a bit set in the upper half would get by.
"""

from __future__ import annotations

import errno
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}
X32 = 0x40000000

# name: number on x86_64, and on machines with the generic table (None: there is no such call).
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "acct": (163, 89),
    "syslog": (103, 116),
    "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18),
    "vhangup": (153, 58),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "fanotify_init": (300, 262),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "unshare": (272, 97),
    "clone": (56, 220),
    "clone3": (435, 435),
    "ioctl": (16, 29),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "personality": (135, 92),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "creat": (85, None),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
}
DEBUGGING = ("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd")
NESTING = (
    *("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig"),
    *("fsmount", "fspick", "mount_setattr", "setns", "sethostname", "setdomainname"),
)
PLAIN = tuple(NUMBERS)[: tuple(NUMBERS).index("unshare")]

NAMESPACES = 0x7E020080  # every CLONE_NEW* flag, time included
TIOCSTI, TIOCLINUX, TIOCSETD = 0x5412, 0x541C, 0x5423
PLAIN_PERSONALITIES = (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SUID_OR_SGID = 0o6000
# Where the mode stands among the arguments; openat2 keeps it in memory, where no filter can look.
MODES = (
    *(("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2), ("open", 2), ("openat", 3)),
    *(("creat", 1), ("mknod", 1), ("mknodat", 2), ("mkdir", 1), ("mkdirat", 2)),
)

LOAD, JUMP_IF, JUMP_IF_ANY_BIT, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
ALLOW, KILL = 0x7FFF0000, 0x80000000


def _refuse(number: int) -> int:
    return 0x00050000 | number


class Filter:
    """A BPF program as it grows; each rule falls through to the next one if it does not hold."""

    def __init__(self, machine: str) -> None:
        """Begin with what is refused as a whole: programs of another architecture."""
        self._column = 0 if machine == "x86_64" else 1
        self._code: list[tuple[int, int, int, int]] = [
            (LOAD, 0, 0, 4),
            (JUMP_IF, 1, 0, ARCHITECTURES[machine]),
            (RETURN, 0, 0, KILL),
            (LOAD, 0, 0, 0),
        ]
        if machine == "x86_64":  # x32 has numbers of its own, in which the list does not hold
            self._code += [(JUMP_IF_AT_LEAST, 0, 1, X32), (RETURN, 0, 0, _refuse(errno.ENOSYS))]

    def refuse(self, name: str, number: int = errno.EPERM) -> None:
        """Refuse a call, whatever its arguments."""
        call = NUMBERS[name][self._column]
        if call is not None:
            self._code += [(JUMP_IF, 0, 1, call), (RETURN, 0, 0, _refuse(number))]

    def refuse_if(
        self,
        name: str,
        argument: int,
        *,
        bits: int = 0,
        values: Iterable[int] = (),
        but: Iterable[int] = (),
        number: int = errno.EPERM,
    ) -> None:
        """Refuse a call whose argument has any of some bits, is one of some values, or is not."""
        call = NUMBERS[name][self._column]
        if call is None:
            return
        allowed = tuple(but)
        tests = [(JUMP_IF_ANY_BIT, bits)] if bits else [(JUMP_IF, each) for each in values]
        tests += [(JUMP_IF, each) for each in allowed]
        body: list[tuple[int, int, int, int]] = [(LOAD, 0, 0, 16 + 8 * argument)]  # lower half
        for index, (kind, value) in enumerate(tests):
            body.append((kind, len(tests) - index - 1, 0, value))  # on a hit, go behind the tests
        refusal, going_on = (RETURN, 0, 0, _refuse(number)), (RETURN, 0, 0, ALLOW)
        hit, miss = (going_on, refusal) if allowed else (refusal, going_on)
        # The last test: hit goes to `hit`, anything else falls one further.
        kind, _, _, value = body[-1]
        body[-1] = (kind, 0, 1, value)
        body += [hit, miss]
        self._code += [(JUMP_IF, 0, len(body), call), *body]

    def bytes(self) -> bytes:
        """The program, in the kernel's form; what no rule refuses is allowed."""
        code = [*self._code, (RETURN, 0, 0, ALLOW)]
        return b"".join(struct.pack("=HBBI", *each) for each in code)


def make_filter(
    machine: str,
    *,
    nesting: bool = False,
    debugging: bool = False,
    internet: bool = True,
    unix: bool = True,
    suid: bool = True,
) -> bytes:
    """Put the program together.

    Args:
        machine: as `platform.machine` says.
        nesting: whether programs may make namespaces and mounts of their own.
        debugging: whether they may trace each other.
        internet: whether they may have sockets of the internet at all.
        unix: whether they may have unix sockets that reach others; pairs reach nobody.
        suid: whether they may make files that run with their owner's rights.
    """
    spared = (*(NESTING if nesting else ()), *(DEBUGGING if debugging else ()))
    program = Filter(machine)
    for name in PLAIN:
        if name not in spared:
            program.refuse(name)
    if not nesting:
        program.refuse_if("unshare", 0, bits=NAMESPACES)
        program.refuse_if("clone", 0, bits=NAMESPACES)
        # Its flags are in memory, where no filter can look; the C library falls back to clone.
        program.refuse("clone3", errno.ENOSYS)
    program.refuse_if("ioctl", 1, values=(TIOCSTI, TIOCLINUX, TIOCSETD))
    families = [AF_NETLINK, *((AF_UNIX,) if unix else ())]
    families += [AF_INET, AF_INET6] if internet else []
    program.refuse_if("socket", 0, but=families, number=errno.EAFNOSUPPORT)
    program.refuse_if("socketpair", 0, but=(AF_UNIX,), number=errno.EAFNOSUPPORT)
    if not debugging:
        program.refuse_if("personality", 0, but=PLAIN_PERSONALITIES)
    if not suid:
        for name, argument in MODES:
            program.refuse_if(name, argument, bits=SUID_OR_SGID)
        program.refuse("openat2", errno.ENOSYS)
    return program.bytes()
