"""Lists of hosts: which names, ports and addresses they let through."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import ConfigError
from runner.messages import Isolation
from runner.processes.isolation.hosts import List, is_public

LIST = List(
    ["pypi.org", "*.example.org:443", "any.net:*", "10.1.2.3:8080", "[::1]:80", "localhost:99"]
)


@pytest.mark.parametrize(
    ("host", "port", "is_there"),
    [
        ("pypi.org", 443, True),
        ("pypi.org", 80, True),
        ("PyPI.org.", 443, True),
        ("pypi.org", 22, False),
        ("files.pypi.org", 443, False),
        ("evilpypi.org", 443, False),
        ("pypi.org.evil.com", 443, False),
        ("a.example.org", 443, True),
        ("a.b.example.org", 443, True),
        ("example.org", 443, False),
        ("a.example.org", 80, False),
        ("xexample.org", 443, False),
        ("any.net", 1, True),
        ("10.1.2.3", 8080, True),
        ("10.1.2.3", 80, False),
        ("::1", 80, True),
        ("0:0::1", 80, True),
        ("127.0.0.1", 80, False),
    ],
)
def test_the_list(host, port, is_there) -> None:
    assert LIST.has(host, port) is is_there


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.1.2.3",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
        ),
        *(
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
        ),
        *(
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fe80::1%eth0",
        ),
        "192.0.2.1",
    ],
)
def test_addresses_of_our_own_network_are_not_public(address) -> None:
    assert not is_public(address)
    assert not LIST.takes("pypi.org", address, 443)


def test_addresses_of_the_internet_are_public() -> None:
    for address in ("1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"):
        assert LIST.takes("pypi.org", address, 443)


def test_an_address_that_is_listed_itself_is_taken() -> None:
    assert LIST.takes("any.net", "10.1.2.3", 8080)
    assert not LIST.takes("any.net", "10.1.2.3", 80)
    assert LIST.takes("localhost", "127.0.0.1", 99)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_no_address_is_let_through_by_its_number_alone(address, port) -> None:
    listed = {ipaddress.ip_address("10.1.2.3"), ipaddress.ip_address("::1")}

    assert address in listed or not LIST.has(str(address), port)


@pytest.mark.parametrize(
    "entry", ["", "*", "a b", "http://x", "x:y", "x:123456", "*.*.x", "-x", "x/y"]
)
def test_what_is_no_host_is_refused_at_once(entry) -> None:
    with pytest.raises(ConfigError, match="network"):
        Isolation(network=(entry,))
