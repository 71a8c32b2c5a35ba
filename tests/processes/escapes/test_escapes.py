"""Attempts to get out, each made for real in each mode, and what is expected of each.

In the table `E` gets out, `-` does not, and `e` may: that depends on the kernel's configuration.
`none` is no boundary and says so: what does not get out there is refused to any ordinary program.
What gets out of the others is what they say of themselves:

- a hard link to a file outside that stands in the scope already: the file is in both places;
- a unix socket that somebody outside has put into the scope, as long as `sockets` allows any;
- network "full" is the machine's own, with its loopback;
- Landlock holds neither metadata nor sockets with names, shows all processes and their limits, and
  has no shared memory of its own (Documentation/userspace-api/landlock.rst).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import stat

import pytest
import trio

from runner.errors import ExecFailed
from runner.processes.host import ProcessHost
from runner.processes.isolation.seccomp import NUMBERS
from runner.processes.isolation.syscalls import MACHINE

PROGRAM = os.path.join(os.path.dirname(__file__), "attempts.py")
COLUMNS = ("none", "landlock", "bwrap", "program", "list", "full", "root")
TABLE = """
write_outside                               E        -        -        -        -        -        -
read_outside                                E        -        -        -        -        -        -
truncate_outside                            E        -        -        -        -        -        -
see_that_it_is_there                        E        E        -        -        -        -        -
list_outside                                E        -        -        -        -        -        -
see_sibling_scope                           E        -        -        -        -        -        -
create_beside                               E        -        -        -        -        -        -
write_by_symlink                            E        -        -        -        -        -        -
read_by_symlink_to_directory                E        -        -        -        -        -        -
read_by_dot_dot                             E        -        -        -        -        -        -
read_by_proc_self_root                      E        -        -        -        -        -        -
read_by_root_of_outside_process             e        -        -        -        -        -        -
read_by_cwd_of_outside_process              e        -        -        -        -        -        -
read_by_descriptor_of_outside_process       e        -        -        -        -        -        -
read_by_root_of_pid_1                       -        -        -        -        -        -        -
hard_link_to_outside                        E        -        -        -        -        -        -
hard_link_that_was_there                    E        E        E        E        E        E        E
rename_to_outside                           E        -        -        -        -        -        -
chmod_outside                               E        E        -        -        -        -        -
utime_outside                               E        E        -        -        -        -        -
watch_outside                               e        e        -        -        -        -        -
write_usr                                   -        -        -        -        -        -        -
write_etc                                   -        -        -        -        -        -        -
read_shadow                                 -        -        -        -        -        -        -
leave_something_in_tmp                      E        -        -        -        -        -        -
leave_something_in_shared_memory            E        -        -        -        -        -        -
write_root                                  -        -        -        -        -        -        -
write_dev                                   -        -        -        -        -        -        -
set_uid_file_of_another                     -        -        -        -        -        -        -
set_uid_file_by_open                        -        -        -        -        -        -        -
open_core_pattern                           -        -        -        -        -        -        -
open_proc_sys_vm                            -        -        -        -        -        -        -
open_sysrq                                  -        -        -        -        -        -        -
open_uevent_helper                          -        -        -        -        -        -        -
open_a_cgroup                               -        -        -        -        -        -        -
open_devices                                -        -        -        -        -        -        -
make_a_device                               -        -        -        -        -        -        -
raise_the_limit_on_namespaces               -        -        -        -        -        -        -
see_outside_process                         E        E        -        -        -        -        -
signal_outside_process                      E        e        -        -        -        -        -
signal_the_keepers_parent                   E        e        -        -        -        -        -
trace_outside_process                       e        -        -        -        -        -        -
read_memory_of_outside_process              e        -        -        -        -        -        -
take_descriptor_of_outside_process          e        -        -        -        -        -        -
read_environment_of_outside_process         E        -        -        -        -        -        -
slow_outside_process_down                   E        E        -        -        -        -        -
read_limits_of_outside_process              E        E        -        -        -        -        -
enter_namespaces_of_outside_process         -        -        -        -        -        -        -
enter_namespaces_of_pid_1                   -        -        -        -        -        -        -
read_environment_of_pid_1                   -        -        -        -        -        -        -
open_memory_of_pid_1                        -        -        -        -        -        -        -
trace_pid_1                                 -        -        -        -        -        -        -
open_memory_of_our_parents                  e        -        -        -        -        -        -
trace_our_keeper                            e        -        -        -        -        -        -
shared_memory_of_outside                    E        E        -        -        -        -        -
inherited_descriptors                       -        -        -        -        -        -        -
leave_by_inherited_descriptor               -        -        -        -        -        -        -
inherited_environment                       -        -        -        -        -        -        -
reopen_standard_streams_elsewhere           -        -        -        -        -        -        -
new_privileges                              E        -        -        -        -        -        -
some_capability                             -        -        -        -        -        -        -
capabilities_to_come                        E        E        -        -        -        -        -
be_root                                     -        -        -        -        -        -        -
make_a_user_namespace                       e        -        -        -        -        -        -
make_a_user_namespace_by_clone              e        -        -        -        -        -        -
make_a_user_namespace_by_clone3             e        -        -        -        -        -        -
mount_something                             -        -        -        -        -        -        -
mount_in_a_namespace_of_its_own             e        -        -        -        -        -        -
remount_usr                                 -        -        -        -        -        -        -
bind_mount                                  -        -        -        -        -        -        -
unmount_tmp                                 -        -        -        -        -        -        -
change_root                                 -        -        -        -        -        -        -
name_the_machine                            -        -        -        -        -        -        -
push_into_a_terminal                        e        -        -        -        -        -        -
push_into_a_terminal_with_high_bits         e        -        -        -        -        -        -
keyrings                                    e        -        -        -        -        -        -
load_bpf                                    e        -        -        -        -        -        -
io_uring                                    e        -        -        -        -        -        -
user_faults                                 e        -        -        -        -        -        -
performance_counters                        e        -        -        -        -        -        -
open_by_handle                              e        -        -        -        -        -        -
file_handles                                e        -        -        -        -        -        -
another_personality                         e        -        -        -        -        -        -
calls_of_another_table                      e        -        -        -        -        -        -
tcp_to_loopback                             E        -        -        -        -        E        -
a_proxy_that_is_not_ours                    E        -        -        -        -        E        -
dns_by_udp                                  E        -        -        -        -        E        -
our_proxy_to_loopback                       -        -        -        -        -        -        -
our_proxy_by_a_number                       -        -        -        -        -        -        -
our_proxy_to_an_unlisted_name               -        -        -        -        -        -        -
abstract_socket_of_outside                  E        e        -        -        -        e        -
named_socket_of_outside                     E        E        -        -        -        -        -
socket_that_somebody_put_in_the_scope       E        E        E        E        E        E        E
vsock                                       e        -        -        -        -        -        -
raw_packets                                 -        -        -        -        -        -        -
raw_internet                                e        -        -        -        -        -        -
kernel_cryptography                         e        -        -        -        -        -        -
see_interfaces                              e        e        -        -        -        e        -
have_a_route                                e        e        -        -        -        e        -
outlive_the_command                         -        -        -        -        -        -        -
"""
ROWS = [row.split() for row in TABLE.strip().splitlines()]
EXPECTED = {row[0]: dict(zip(COLUMNS, row[1:], strict=True)) for row in ROWS}
MODES = [name for name in COLUMNS if name != "root" or os.geteuid() == 0]


@pytest.fixture(scope="session")
def outcome_of(modes, make_outside, python, as_ordinary, by_program):
    """Make all attempts in a mode, once; what got out."""

    @functools.cache
    def make(name: str) -> dict[str, tuple[bool, str]]:
        mode = modes[name]
        entered = {"ordinary": as_ordinary, "program": by_program}
        with entered.get(mode.user, lambda: contextlib.nullcontext(0))() as owner:
            outside = make_outside(owner)
            before = os.stat(outside.secret)
            try:
                try:
                    found = trio.run(_make_attempts, mode.isolation, outside, python)
                except ExecFailed as error:
                    pytest.skip(str(error))
                judged = {each: _judge(outside, owner, *said) for each, said in found.items()}
                with open(outside.secret) as file:
                    assert file.read() == "nobody's business"
                assert os.stat(outside.secret).st_mode == before.st_mode
            finally:
                outside.close()
            return judged

    return make


async def _make_attempts(isolation, outside, python) -> dict[str, list]:
    host = ProcessHost()
    column = 0 if MACHINE == "x86_64" else 1
    numbers = {name: number[column] for name, number in NUMBERS.items()}
    try:
        env = {"PATH": os.defpath, "HOME": "/nonexistent"}
        os.environ["ESCAPES_TOKEN"] = "of-the-daemon"
        await host.run(["true"], cwd=outside.scope, env=env)  # so that there is a guardian
        assert host._keepers.guardian is not None
        more = {
            "numbers": numbers,
            "guardian": host._keepers.guardian.pid,
            "daemon": "of-the-daemon",
        }
        with open(PROGRAM, encoding="utf-8") as file:
            program = file.read()
        done = await host.run(
            [python, "-I", "-c", program],
            cwd=outside.scope,
            env=env,
            input=json.dumps({**outside.facts(), **more}).encode(),
            timeout=60,
            isolation=isolation,
        )
        assert done.exit_code == 0, done
        assert done.isolation.lacking == (), done.isolation
        return json.loads(done.out.data())
    finally:
        del os.environ["ESCAPES_TOKEN"]
        await host.aclose()


def _judge(outside, owner: int, answer: object, why: str) -> tuple[bool, str]:
    """Whether an attempt got out; where it only says what to look for, we look."""
    if isinstance(answer, bool):
        return answer, why
    assert isinstance(answer, str)
    if answer.isdigit():
        return _runs(answer), "it runs on"
    try:
        status = os.stat(answer)
    except FileNotFoundError:
        return False, "it is not there outside"
    if answer.startswith(outside.scope):  # in the scope it may be, but not with somebody's rights
        return bool(status.st_mode & stat.S_ISUID) and status.st_uid != _user(owner), "set-uid"
    os.unlink(answer)
    return True, "it is there outside"


def _user(owner: int) -> int:
    return -1 if owner == 0 else owner


def _runs(token: str) -> bool:
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if token.encode() in file.read():
                    return True
        except OSError:
            pass
    return False


@pytest.mark.parametrize("attempt", EXPECTED)
@pytest.mark.parametrize("mode", MODES)
def test_an_attempt_to_get_out_ends_as_the_table_says(mode, attempt, outcome_of) -> None:
    got_out, why = outcome_of(mode)[attempt]

    assert EXPECTED[attempt][mode] in ("e", "E" if got_out else "-"), why


@pytest.mark.parametrize("mode", MODES)
def test_the_table_has_every_attempt(mode, outcome_of) -> None:
    assert set(EXPECTED) == set(outcome_of(mode))
