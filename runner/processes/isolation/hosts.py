"""Which hosts a list lets through: names, ports, and the addresses that a name may stand for. Pure.

    "pypi.org"           that name, on ports 80 and 443
    "*.pythonhosted.org" every name below it, not that name itself
    "pypi.org:8443"      that port; ":*" is every port
    "192.0.2.7:80"       an address, which is the only way to reach one by its number

A name that is on the list says nothing about where it points: whoever owns it could let it point
into our own network. So an address that is not of the public internet is refused unless the list
has that very address (or the name `localhost`, which can mean nothing else).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import attrs

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
USUAL = frozenset({80, 443})
LOCAL = "localhost"


@attrs.frozen
class Rule:
    """One entry of the list; no ports are all ports."""

    host: str
    below: bool
    ports: frozenset[int]

    def matches(self, host: str, port: int) -> bool:
        """Whether a name, in lower case, and a port are meant."""
        if self.ports and port not in self.ports:
            return False
        return host.endswith("." + self.host) if self.below else host == self.host


def parse_rule(text: str) -> Rule:
    """Read an entry, whose form has been checked."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.lstrip(":")
    else:
        host, _, port = text.partition(":")
    ports = USUAL if not port else frozenset() if port == "*" else frozenset({int(port)})
    below = host.startswith("*.")
    return Rule(normal(host[2:] if below else host), below, ports)


def normal(host: str) -> str:
    """A name or an address in the one form in which it is compared."""
    host = host.lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def inner(address: Address) -> Address:
    """The address that is meant by one of version 6 that holds one of version 4."""
    if isinstance(address, ipaddress.IPv6Address):
        found = address.ipv4_mapped or address.sixtofour
        if found is None and address in ipaddress.IPv6Network("64:ff9b::/96"):
            found = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return found or address
    return address


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet."""
    address = inner(ipaddress.ip_address(text.partition("%")[0]))
    return address.is_global and not address.is_multicast


class List:
    """The list."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Read it."""
        self._rules = tuple(map(parse_rule, entries))

    def has(self, host: str, port: int) -> bool:
        """Whether a name or an address, as a program asks for it, is on the list."""
        name = normal(host)
        return any(rule.matches(name, port) for rule in self._rules)

    def takes(self, host: str, address: str, port: int) -> bool:
        """Whether one of the addresses that a name of the list stands for may be reached."""
        return is_public(address) or normal(host) == LOCAL or self.has(address, port)
