"""Attempts to get out: a program, run inside by `test_escapes.py` and never imported.

It reads from standard input what stands outside, makes every attempt in a child of its own, and
writes for each whether it got out. Each is harmless if it does: it opens what it should not and
writes nothing, asks for a signal 0, a trace by PTRACE_SEIZE which stops nobody, and a connection to
loopback only; of AF_VSOCK it asks for the socket only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import platform
import resource
import signal
import socket
import struct
import sys
import termios

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
OUTSIDE: dict = {}
ATTEMPTS: dict = {}
REFUSED = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EAFNOSUPPORT}
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x20000


def attempt(function):
    ATTEMPTS[function.__name__] = function
    return function


def call(name, *arguments):
    """A system call by its name: its answer, or minus the errno."""
    number = OUTSIDE["numbers"][name]
    if number is None:
        return -errno.ENOSYS
    answer = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return -ctypes.get_errno() if answer < 0 else answer


def reaches(name, *arguments):
    """Whether the kernel's own code was reached: it complains about the arguments, say."""
    return -call(name, *arguments) not in REFUSED


def opens(path, flags):
    os.close(os.open(path, flags))
    return True


def pid():
    return OUTSIDE["pid"]


def ours(path):
    return os.path.join(OUTSIDE["scope"], path)


# ------------------------------------------------------------ files


@attempt
def write_outside():
    return opens(OUTSIDE["secret"], os.O_WRONLY)


@attempt
def read_outside():
    return opens(OUTSIDE["secret"], os.O_RDONLY)


@attempt
def truncate_outside():
    size = os.stat(OUTSIDE["secret"]).st_size
    os.truncate(OUTSIDE["secret"], size)  # to what it is: nothing changes
    return True


@attempt
def see_that_it_is_there():
    return os.path.exists(OUTSIDE["secret"])


@attempt
def list_outside():
    return os.path.basename(OUTSIDE["secret"]) in os.listdir(os.path.dirname(OUTSIDE["secret"]))


@attempt
def see_sibling_scope():
    return os.listdir(OUTSIDE["sibling"]) != []


@attempt
def create_beside():
    path = os.path.join(os.path.dirname(OUTSIDE["secret"]), "made-" + OUTSIDE["token"])
    opens(path, os.O_WRONLY | os.O_CREAT)
    return path  # whether it is there outside, the test looks


@attempt
def write_by_symlink():
    os.symlink(OUTSIDE["secret"], ours("link"))
    return opens(ours("link"), os.O_WRONLY)


@attempt
def read_by_symlink_to_directory():
    os.symlink(os.path.dirname(OUTSIDE["secret"]), ours("way"))
    return opens(ours("way/" + os.path.basename(OUTSIDE["secret"])), os.O_RDONLY)


@attempt
def read_by_dot_dot():
    return opens("../" + os.path.basename(OUTSIDE["secret"]), os.O_RDONLY)


@attempt
def read_by_proc_self_root():
    return opens("/proc/self/root" + OUTSIDE["secret"], os.O_RDONLY)


@attempt
def read_by_root_of_outside_process():
    return opens(f"/proc/{pid()}/root" + OUTSIDE["secret"], os.O_RDONLY)


@attempt
def read_by_cwd_of_outside_process():
    return opens(f"/proc/{pid()}/cwd/" + os.path.basename(OUTSIDE["secret"]), os.O_RDONLY)


@attempt
def read_by_descriptor_of_outside_process():
    return opens(f"/proc/{pid()}/fd/{OUTSIDE['fd']}", os.O_RDONLY)


@attempt
def read_by_root_of_pid_1():
    return opens("/proc/1/root" + OUTSIDE["secret"], os.O_RDONLY)


@attempt
def hard_link_to_outside():
    os.link(OUTSIDE["secret"], ours("hard"))
    return opens(ours("hard"), os.O_WRONLY)


@attempt
def hard_link_that_was_there():
    return opens(ours("old-link"), os.O_WRONLY)


@attempt
def rename_to_outside():
    with open(ours("goes"), "w"):
        pass
    target = os.path.join(os.path.dirname(OUTSIDE["secret"]), "moved-" + OUTSIDE["token"])
    os.rename(ours("goes"), target)
    return target


@attempt
def chmod_outside():
    os.chmod(OUTSIDE["secret"], 0o600)  # as it is
    return True


@attempt
def utime_outside():
    status = os.stat(OUTSIDE["secret"])
    os.utime(OUTSIDE["secret"], ns=(status.st_atime_ns, status.st_mtime_ns))
    return True


@attempt
def watch_outside():
    fd = libc.inotify_init1(0)
    return libc.inotify_add_watch(fd, os.fsencode(OUTSIDE["secret"]), 2) >= 0


@attempt
def write_usr():
    opens("/usr/made-" + OUTSIDE["token"], os.O_WRONLY | os.O_CREAT)
    return True


@attempt
def write_etc():
    return opens("/etc/passwd", os.O_WRONLY)


@attempt
def read_shadow():
    return opens("/etc/shadow", os.O_RDONLY)


@attempt
def leave_something_in_tmp():
    path = "/tmp/made-" + OUTSIDE["token"]
    opens(path, os.O_WRONLY | os.O_CREAT)
    return path


@attempt
def leave_something_in_shared_memory():
    path = "/dev/shm/made-" + OUTSIDE["token"]
    opens(path, os.O_WRONLY | os.O_CREAT)
    return path


@attempt
def write_root():
    return opens("/made-" + OUTSIDE["token"], os.O_WRONLY | os.O_CREAT)


@attempt
def write_dev():
    return opens("/dev/made-" + OUTSIDE["token"], os.O_WRONLY | os.O_CREAT)


@attempt
def set_uid_file_of_another():
    """A file with the set-uid bit, of an owner who is not who runs this."""
    opens(ours("suid"), os.O_WRONLY | os.O_CREAT)
    os.chmod(ours("suid"), 0o4755)
    return ours("suid")


@attempt
def set_uid_file_by_open():
    opens(ours("suid2"), os.O_WRONLY | os.O_CREAT)
    os.close(os.open(ours("suid3"), os.O_WRONLY | os.O_CREAT, 0o6755))
    return ours("suid3")


# ------------------------------------------------------------ the kernel's files


@attempt
def open_core_pattern():
    return opens("/proc/sys/kernel/core_pattern", os.O_WRONLY)


@attempt
def open_proc_sys_vm():
    return opens("/proc/sys/vm/overcommit_memory", os.O_WRONLY)


@attempt
def open_sysrq():
    return opens("/proc/sysrq-trigger", os.O_WRONLY)


@attempt
def open_uevent_helper():
    return opens("/sys/kernel/uevent_helper", os.O_WRONLY)


@attempt
def open_a_cgroup():
    for base, _, names in os.walk("/sys/fs/cgroup"):
        for name in names:
            if name == "cgroup.procs":
                with contextlib.suppress(OSError):
                    return opens(os.path.join(base, name), os.O_WRONLY)
    return False


@attempt
def open_devices():
    for name in ("mem", "kmem", "kmsg", "vda", "sda", "nvme0n1", "fuse", "kvm", "vsock"):
        with contextlib.suppress(OSError):
            return opens("/dev/" + name, os.O_RDWR)
    return False


@attempt
def make_a_device():
    os.mknod(ours("device"), 0o20600, os.makedev(1, 3))  # another /dev/null
    return True


@attempt
def raise_the_limit_on_namespaces():
    return opens("/proc/sys/user/max_user_namespaces", os.O_WRONLY)


# ------------------------------------------------------------ processes


@attempt
def see_outside_process():
    with open(f"/proc/{pid()}/cmdline", "rb") as file:
        return OUTSIDE["token"].encode() in file.read()


@attempt
def signal_outside_process():
    os.kill(pid(), 0)
    return see_outside_process()


@attempt
def signal_the_keepers_parent():
    """Who could end us is killed first: what that would need."""
    os.kill(OUTSIDE["guardian"], 0)
    return True


@attempt
def trace_outside_process():
    return call("ptrace", 0x4206, pid(), 0, 0) == 0  # PTRACE_SEIZE


@attempt
def read_memory_of_outside_process():
    buffer = ctypes.create_string_buffer(8)
    here = struct.pack("QQ", ctypes.addressof(buffer), 8)
    iov = ctypes.create_string_buffer(here)
    return -call(
        "process_vm_readv", pid(), ctypes.addressof(iov), 1, ctypes.addressof(iov), 1, 0
    ) in {
        errno.EFAULT,
        -8,
    }


@attempt
def take_descriptor_of_outside_process():
    fd = os.pidfd_open(pid())
    return call("pidfd_getfd", fd, OUTSIDE["fd"], 0) >= 0


@attempt
def read_environment_of_outside_process():
    with open(f"/proc/{pid()}/environ", "rb") as file:
        return OUTSIDE["token"].encode() in file.read()


@attempt
def slow_outside_process_down():
    os.setpriority(os.PRIO_PROCESS, pid(), os.getpriority(os.PRIO_PROCESS, pid()) + 1)
    return see_outside_process()


@attempt
def read_limits_of_outside_process():
    resource.prlimit(pid(), resource.RLIMIT_NOFILE)
    return see_outside_process()


@attempt
def enter_namespaces_of_outside_process():
    fd = os.open(f"/proc/{pid()}/ns/mnt", os.O_RDONLY)
    return reaches("setns", fd, 0x20000)


@attempt
def enter_namespaces_of_pid_1():
    fd = os.open("/proc/1/ns/mnt", os.O_RDONLY)
    return call("setns", fd, 0) == 0


@attempt
def read_environment_of_pid_1():
    with open("/proc/1/environ", "rb") as file:
        return len(file.read()) > 0


@attempt
def open_memory_of_pid_1():
    return opens("/proc/1/mem", os.O_RDWR)


@attempt
def trace_pid_1():
    return call("ptrace", 0x4206, 1, 0, 0) == 0


@attempt
def open_memory_of_our_parents():
    """Whoever started us is the keeper: its memory would hold what other programs were given."""
    parent = OUTSIDE["keeper"]
    return opens(f"/proc/{parent}/mem", os.O_RDWR)


@attempt
def trace_our_keeper():
    return call("ptrace", 0x4206, OUTSIDE["keeper"], 0, 0) == 0


@attempt
def shared_memory_of_outside():
    return libc.shmget(OUTSIDE["shm"], 0, 0) >= 0


# ------------------------------------------------------------ what is inherited


@attempt
def inherited_descriptors():
    return [fd for fd in OUTSIDE["inherited"] if fd > 2] != []


@attempt
def leave_by_inherited_descriptor():
    for fd in OUTSIDE["inherited"]:
        with contextlib.suppress(OSError):
            inner = os.open("..", os.O_RDONLY, dir_fd=fd)
            return os.path.basename(OUTSIDE["secret"]) in os.listdir(inner)
    return False


@attempt
def inherited_environment():
    return any(OUTSIDE["daemon"] in value for value in os.environ.values())


@attempt
def reopen_standard_streams_elsewhere():
    return any(
        os.path.isdir(f"/proc/self/fd/{fd}/..")
        and os.path.isfile(os.readlink(f"/proc/self/fd/{fd}"))
        for fd in (0, 1, 2)
    )


# ------------------------------------------------------------ rights


def _status(name):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))


@attempt
def new_privileges():
    return _status("NoNewPrivs") == "0"


@attempt
def some_capability():
    return int(_status("CapEff"), 16) != 0 or int(_status("CapPrm"), 16) != 0


@attempt
def capabilities_to_come():
    return int(_status("CapBnd"), 16) != 0


@attempt
def be_root():
    os.setresuid(0, 0, 0)
    return True


@attempt
def make_a_user_namespace():
    return call("unshare", CLONE_NEWUSER) == 0


@attempt
def make_a_user_namespace_by_clone():
    child = call("clone", CLONE_NEWUSER | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    return child > 0


@attempt
def make_a_user_namespace_by_clone3():
    arguments = ctypes.create_string_buffer(struct.pack("8Q", CLONE_NEWUSER, 0, 0, 0, 17, 0, 0, 0))
    child = call("clone3", ctypes.addressof(arguments), 64)
    if child == 0:
        os._exit(0)
    return child > 0


@attempt
def mount_something():
    return libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0


@attempt
def mount_in_a_namespace_of_its_own():
    if call("unshare", CLONE_NEWUSER | CLONE_NEWNS) != 0:
        return False
    return libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0


@attempt
def remount_usr():
    return libc.mount(b"none", b"/usr", None, 0x20 | 0x1000, None) == 0  # MS_REMOUNT | MS_BIND


@attempt
def bind_mount():
    return libc.mount(b"/usr", os.fsencode(OUTSIDE["scope"]), None, 0x1000, None) == 0


@attempt
def unmount_tmp():
    return libc.umount2(b"/tmp", 2) == 0


@attempt
def change_root():
    os.chroot("/proc/self/root")
    return True


@attempt
def name_the_machine():
    name = socket.gethostname().encode()
    return libc.sethostname(name, len(name)) == 0


# ------------------------------------------------------------ less used parts of the kernel


def _terminal():
    os.setsid()
    _, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    return slave


@attempt
def push_into_a_terminal():
    fcntl.ioctl(_terminal(), termios.TIOCSTI, b"x")
    return True


@attempt
def push_into_a_terminal_with_high_bits():
    byte = ctypes.create_string_buffer(b"x")
    return call("ioctl", _terminal(), termios.TIOCSTI | 1 << 32, ctypes.addressof(byte)) == 0


@attempt
def keyrings():
    return reaches("keyctl", 0, -3, 0)


@attempt
def load_bpf():
    return reaches("bpf", 9999, 0, 0)


@attempt
def io_uring():
    return reaches("io_uring_setup", 0, 0)


@attempt
def user_faults():
    return reaches("userfaultfd", 1)


@attempt
def performance_counters():
    return reaches("perf_event_open", 0, 0, -1, -1, 0)


@attempt
def open_by_handle():
    return reaches("open_by_handle_at", -1, 0, 0)


@attempt
def file_handles():
    return reaches("name_to_handle_at", -1, 0, 0, 0, 0)


@attempt
def another_personality():
    return call("personality", 0x0040000) >= 0


@attempt
def calls_of_another_table():
    if platform.machine() != "x86_64":
        return False
    return libc.syscall(ctypes.c_long(0x40000000 | 39)) > 0


# ------------------------------------------------------------ the network


def _connects(family, kind, address):
    with socket.socket(family, kind) as sock:
        sock.settimeout(5)
        sock.connect(address)
        return True


@attempt
def tcp_to_loopback():
    return _connects(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", OUTSIDE["tcp"]))


@attempt
def a_proxy_that_is_not_ours():
    with socket.create_connection(("localhost", OUTSIDE["tcp"]), 5) as sock:
        sock.sendall(b"CONNECT localhost:1 HTTP/1.1\r\n\r\n")
        return True


@attempt
def dns_by_udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.sendto(b"?", ("127.0.0.1", OUTSIDE["udp"]))
        return sock.recv(10) == b"!"


@attempt
def our_proxy_to_loopback():
    return _through_proxy(f"127.0.0.1:{OUTSIDE['tcp']}")


@attempt
def our_proxy_by_a_number():
    return _through_proxy(f"2130706433:{OUTSIDE['tcp']}")


@attempt
def our_proxy_to_an_unlisted_name():
    return _through_proxy(f"ip6-localhost:{OUTSIDE['tcp']}")


def _through_proxy(target):
    with socket.create_connection(("127.0.0.1", 3128), 5) as sock:
        sock.sendall(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
        return b" 200 " in sock.recv(1000)


@attempt
def abstract_socket_of_outside():
    return _connects(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + OUTSIDE["abstract"])


@attempt
def named_socket_of_outside():
    return _connects(socket.AF_UNIX, socket.SOCK_STREAM, OUTSIDE["named"])


@attempt
def socket_that_somebody_put_in_the_scope():
    return _connects(socket.AF_UNIX, socket.SOCK_STREAM, ours("sock"))


@attempt
def vsock():
    socket.socket(40, socket.SOCK_STREAM).close()  # nothing is connected
    return True


@attempt
def raw_packets():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    return True


@attempt
def raw_internet():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    return True


@attempt
def kernel_cryptography():
    socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close()
    return True


@attempt
def see_interfaces():
    return any(name != "lo" for _, name in socket.if_nameindex())


@attempt
def have_a_route():
    with open("/proc/net/route") as file:
        return len(file.readlines()) > 1


# ------------------------------------------------------------ staying


@attempt
def outlive_the_command():
    """A double fork, a session of its own, everything closed: whether it is there, the test looks."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 100)
            os.execvpe("sleep", ["sleep", OUTSIDE["nap"]], {"PATH": os.defpath})
        os._exit(0)
    return OUTSIDE["nap"]


# ------------------------------------------------------------ all of them


def carry_out(name):
    near, far = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(near)
        try:
            answer = ATTEMPTS[name]()
        except (OSError, StopIteration, OverflowError) as error:
            answer = False
            os.environ["WHY"] = str(error)
        os.write(far, json.dumps([answer, os.environ.get("WHY", "")]).encode())
        os._exit(0)
    os.close(far)
    with open(near) as file:
        said = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return [False, signal.Signals(os.WTERMSIG(status)).name]
    return json.loads(said)


def main():
    inherited = [int(fd) for fd in os.listdir("/proc/self/fd")]
    OUTSIDE.update(json.load(sys.stdin))
    OUTSIDE["inherited"] = [fd for fd in inherited if os.path.exists(f"/proc/self/fd/{fd}")]
    OUTSIDE["keeper"] = os.getppid()
    print(json.dumps({name: carry_out(name) for name in ATTEMPTS}))


main()
