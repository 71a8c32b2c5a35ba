"""The filter: carried out by a small machine here, against what it is to refuse."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.processes.isolation import seccomp
from runner.processes.isolation.seccomp import ALLOW, ARCHITECTURES, KILL, NUMBERS, make_filter

COLUMN = {"x86_64": 0, "aarch64": 1, "riscv64": 1}


def carry_out(program: bytes, machine: str, number: int, *arguments: int) -> int:
    """What the kernel would do: classic BPF, as far as it is used here."""
    data = struct.pack("=IIQ6Q", number, ARCHITECTURES[machine], 0, *(*arguments, *[0] * 6)[:6])
    code = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        kind, hit, miss, value = code[at]
        at += 1
        if kind == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif kind == seccomp.RETURN:
            return value
        else:
            is_hit = {
                seccomp.JUMP_IF: accumulator == value,
                seccomp.JUMP_IF_ANY_BIT: bool(accumulator & value),
                seccomp.JUMP_IF_AT_LEAST: accumulator >= value,
            }[kind]
            at += hit if is_hit else miss


def answer(machine: str, name: str, *arguments: int, **options: bool) -> object:
    number = NUMBERS[name][COLUMN[machine]]
    assert number is not None
    said = carry_out(make_filter(machine, **options), machine, number, *arguments)
    return "allowed" if said == ALLOW else errno.errorcode[said & 0xFFFF]


@pytest.fixture(params=sorted(ARCHITECTURES))
def machine(request) -> str:
    return request.param


def test_what_nobody_needs_is_refused(machine) -> None:
    for name in seccomp.PLAIN:
        if NUMBERS[name][COLUMN[machine]] is not None:
            assert answer(machine, name) == "EPERM", name


@given(number=st.integers(0, 600), argument=st.integers(0, 2**64 - 1))
def test_what_is_not_on_the_list_is_allowed(number, argument) -> None:
    listed = {each[0] for each in NUMBERS.values()}
    said = carry_out(make_filter("x86_64"), "x86_64", number, argument, argument)

    assert said == ALLOW or number in listed


@given(high=st.integers(0, 2**32 - 1))
def test_the_upper_half_of_an_argument_hides_nothing(high) -> None:
    for command in (seccomp.TIOCSTI, seccomp.TIOCLINUX, seccomp.TIOCSETD):
        assert answer("x86_64", "ioctl", 0, command | high << 32) == "EPERM"
    assert answer("x86_64", "socket", 40 | high << 32) == "EAFNOSUPPORT"
    assert answer("x86_64", "unshare", 0x10000000 | high << 32) == "EPERM"


def test_ordinary_arguments_pass(machine) -> None:
    assert answer(machine, "ioctl", 0, 0x5401) == "allowed"
    assert answer(machine, "clone", 0x01200011) == "allowed"
    assert answer(machine, "unshare", 0x400) == "allowed"
    assert answer(machine, "personality", 0xFFFFFFFF) == "allowed"
    assert answer(machine, "clone3") == "ENOSYS"
    for family in (1, 2, 10, 16):
        assert answer(machine, "socket", family) == "allowed"
    assert answer(machine, "fchmod", 0, 0o4755) == "allowed"


def test_switches(machine) -> None:
    assert answer(machine, "socket", 1, unix=False) == "EAFNOSUPPORT"
    assert answer(machine, "socketpair", 1, unix=False) == "allowed"
    assert answer(machine, "socket", 10, internet=False) == "EAFNOSUPPORT"
    assert answer(machine, "ptrace", debugging=True) == "allowed"
    assert answer(machine, "unshare", 0x10000000, nesting=True) == "allowed"
    assert answer(machine, "mount", nesting=True) == "allowed"
    assert answer(machine, "keyctl", nesting=True, debugging=True) == "EPERM"
    assert answer(machine, "fchmod", 0, 0o4755, suid=False) == "EPERM"
    assert answer(machine, "fchmod", 0, 0o0755, suid=False) == "allowed"
    assert answer(machine, "openat2", suid=False) == "ENOSYS"


def test_programs_of_another_architecture_are_killed() -> None:
    assert carry_out(make_filter("x86_64"), "aarch64", 39) == KILL
    assert carry_out(make_filter("x86_64"), "x86_64", 0x40000000 | 39) & 0xFFFF == errno.ENOSYS
