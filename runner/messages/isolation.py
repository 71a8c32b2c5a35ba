"""What holds programs inside their scope: what is asked for, and what is in force. Values only."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias, cast

import attrs

from runner.errors import ConfigError

Mode: TypeAlias = Literal["none", "bwrap", "landlock", "auto"]
ModeInForce: TypeAlias = Literal["none", "bwrap", "landlock"]
Network: TypeAlias = Literal["none", "full"] | tuple[str, ...]
Limit: TypeAlias = Literal["memory", "processes", "cpu", "file_size", "open_files", "wall", "disk"]

LEAST_MEMORY = 32 << 20  # our own process inside needs some
FEWEST_FILES = 32  # likewise
MOST = 1 << 62  # more than any machine has
_MODES = ("none", "bwrap", "landlock", "auto")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(:(?P<port>\d{1,5}|\*))?")
_LITERAL = re.compile(r"\[(?P<address>[0-9a-fA-F:.]+)\](:(?P<port>\d{1,5}|\*))?")
_Attribute: TypeAlias = "attrs.Attribute[Any]"  # which cannot be subscribed at run time


def _at_least(least: int, of: str = "limits") -> Callable[[object, _Attribute, object], None]:
    def check(_: object, attribute: _Attribute, value: object) -> None:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (is_whole and least <= cast("int", value) <= MOST):
            what = f"{attribute.name} must be a whole number, {least} or more, not {value!r}"
            raise ConfigError(f"{of}.{what}")

    return check


def _is_duration(_: object, attribute: _Attribute, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 < cast("float", value) <= MOST):
        what = f"{attribute.name} must be seconds, more than 0, not {value!r}"
        raise ConfigError(f"limits.{what}")


def _is_bool(_: object, attribute: _Attribute, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"isolation.{attribute.name} must be True or False, not {value!r}")


def _is_mode(_: object, attribute: _Attribute, value: object) -> None:
    if value not in _MODES:
        what = f"{attribute.name} must be one of {', '.join(map(repr, _MODES))}, not {value!r}"
        raise ConfigError(f"isolation.{what}")


def _is_given(_: object, attribute: _Attribute, value: object) -> None:
    if value is None:
        raise ConfigError(f"isolation.{attribute.name} must be given: there is no end without")


def _are_limits(_: object, __: object, value: object) -> None:
    if not isinstance(value, Limits):
        raise ConfigError(f"isolation.limits must be Limits, not {value!r}")


@attrs.frozen(kw_only=True)
class Limits:
    """What a program and all that it starts may use up; None = no limit.

    Attributes:
        memory: bytes, of all its processes together; at least 32 MiB.
        processes: how many at the same time, threads included.
        cpu: seconds of processor time for each process.
        file_size: bytes of each file that it writes.
        open_files: for each process; at least 32.
        wall: seconds until it is ended, as by a timeout.
        disk: bytes that it may add to its scope; looked at twice a second.
    """

    memory: int | None = attrs.field(default=None, validator=_at_least(LEAST_MEMORY))
    processes: int | None = attrs.field(default=None, validator=_at_least(1))
    cpu: float | None = attrs.field(default=None, validator=_is_duration)
    file_size: int | None = attrs.field(default=None, validator=_at_least(1))
    open_files: int | None = attrs.field(default=None, validator=_at_least(FEWEST_FILES))
    wall: float | None = attrs.field(default=None, validator=_is_duration)
    disk: int | None = attrs.field(default=None, validator=_at_least(1))

    def narrowed(self, inner: Limits) -> Limits:
        """The stricter of both, each for itself."""
        mine, other = attrs.asdict(self), attrs.asdict(inner)
        return Limits(
            **{
                name: min(
                    (each for each in (mine[name], other[name]) if each is not None), default=None
                )
                for name in mine
            }
        )


def _network(value: object) -> Network:
    if isinstance(value, str):
        return cast("Network", value)
    if not isinstance(value, Iterable):
        raise ConfigError(f'network is "none", "full" or a list of hosts, not {value!r}')
    return tuple(value)


def _is_network(_: object, __: object, value: object) -> None:
    if value in ("none", "full"):
        return
    if isinstance(value, str):
        what = f'network is "none", "full" or a list of hosts, not {value!r}'
        raise ConfigError(what)
    assert isinstance(value, tuple)
    for each in value:
        if not _is_host(each):
            what = (
                f'network: {each!r} is no host such as "pypi.org", "*.pypi.org:443" or "[::1]:80"'
            )
            raise ConfigError(what)


def _is_host(value: object) -> bool:
    found = isinstance(value, str) and (_HOST.fullmatch(value) or _LITERAL.fullmatch(value))
    if not found:
        return False
    named = found.groupdict()
    if named.get("address"):
        try:
            ipaddress.IPv6Address(named["address"])
        except ValueError:
            return False
    port = named["port"]
    return port in {None, "*"} or 0 < int(port) < 1 << 16


def _are_paths(_: object, attribute: _Attribute, value: tuple[object, ...]) -> None:
    for each in value:
        if not isinstance(each, str) or not _is_path(each):
            what = f"{each!r} is not an absolute path"
            raise ConfigError(f"isolation.{attribute.name}: {what}")
        path = os.path.normpath(f"/{each.lstrip('/')}")  # which leaves two at the beginning
        if path == "/":
            what = "not the whole machine: name directories"
            raise ConfigError(f"isolation.{attribute.name}: {what}")
        if attribute.name != "hidden" and _is_beneath(path, ("/proc",)):
            what = f"{each!r} cannot be shown: programs have a /proc of their own"
            raise ConfigError(f"isolation.{attribute.name}: {what}")


def _is_path(text: str) -> bool:
    try:
        return text.startswith("/") and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _path_tuple(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(f"isolation: paths come in a list, not as {value!r}")
    return tuple(value)


def _paths() -> tuple[str, ...]:
    made: tuple[str, ...] = attrs.field(default=(), converter=_path_tuple, validator=_are_paths)
    return made


@attrs.frozen(kw_only=True)
class Isolation:
    """What is asked for.

    Attributes:
        mode: "none" is no boundary. "bwrap": namespaces as bubblewrap makes them, in which only
            the scope can be written and little else be seen. "landlock": rules on files only.
            "auto": the first of bwrap, landlock and none that works here.
        required: whether it is an error if something of this cannot be had. If not, the next best
            is in force, and `InForce.lacking` says what is not.
        network: "none"; "full", the machine's own; or names of hosts, such as "pypi.org",
            "*.pypi.org" (not pypi.org itself) or "pypi.org:443" (without a port: 80 and 443; `:*`:
            all), that are reached through a proxy (HTTP and CONNECT) and nothing else is.
        readable: absolute paths that can be read as well.
        writable: absolute paths that can be written as well.
        hidden: absolute paths that are empty inside.
        limits: what may be used up.
        nesting: whether programs may make sandboxes of their own inside, as agent programs do.
        debugging: whether programs may trace each other, as debuggers do.
        sockets: whether programs may have unix sockets, by which they reach whoever has put one
            into the scope; without, some programs do not run (multiprocessing.Manager, say).
        private: bytes that each of /tmp, /dev/shm and HOME may hold, which are in memory, its own,
            and gone with it; in mode landlock what TMPDIR may hold, on disk, beyond which the
            program is ended.
    """

    mode: Mode = attrs.field(default="auto", validator=_is_mode)
    required: bool = attrs.field(default=False, validator=_is_bool)
    network: Network = attrs.field(default="none", converter=_network, validator=_is_network)
    readable: tuple[str, ...] = _paths()
    writable: tuple[str, ...] = _paths()
    hidden: tuple[str, ...] = _paths()
    limits: Limits = attrs.field(default=Limits(), validator=_are_limits)
    nesting: bool = attrs.field(default=False, validator=_is_bool)
    debugging: bool = attrs.field(default=False, validator=_is_bool)
    sockets: bool = attrs.field(default=True, validator=_is_bool)
    private: int = attrs.field(default=256 << 20, validator=[_is_given, _at_least(1, "isolation")])

    def narrowed(self, inner: Isolation) -> Isolation:
        """What holds for a scope with `inner` inside a scope with this: the stricter of both."""
        return Isolation(
            mode=_stricter(self.mode, inner.mode),
            required=self.required or inner.required,
            network=_narrower(self.network, inner.network),
            readable=self._within(inner.readable, self.readable + self.writable),
            writable=self._within(inner.writable, self.writable),
            hidden=tuple(dict.fromkeys((*self.hidden, *inner.hidden))),
            limits=self.limits.narrowed(inner.limits),
            nesting=self.nesting and inner.nesting,
            debugging=self.debugging and inner.debugging,
            sockets=self.sockets and inner.sockets,
            private=min(self.private, inner.private),
        )

    def _within(self, wanted: tuple[str, ...], granted: tuple[str, ...]) -> tuple[str, ...]:
        if self.mode == "none":
            return wanted
        return tuple(each for each in wanted if _is_beneath(each, granted))


def narrowed(outer: Isolation | None, inner: Isolation | None) -> Isolation | None:
    """What holds for a scope inside another one; None is nothing."""
    if outer is None or inner is None:
        return outer or inner
    return outer.narrowed(inner)


def _stricter(mine: Mode, inner: Mode) -> Mode:
    order = ("none", "landlock", "auto", "bwrap")
    return max(mine, inner, key=order.index)


def _narrower(mine: Network, inner: Network) -> Network:
    if "none" in (mine, inner):
        return "none"
    if mine == "full":
        return inner
    if inner == "full":
        return mine
    return tuple(each for each in inner if each in mine)


def _is_beneath(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots)


@attrs.frozen(kw_only=True)
class InForce:
    """What is in force for a program.

    Attributes:
        mode: "bwrap" and "landlock" are boundaries, as far as the documentation of each says;
            "none" is none.
        layers: what it is made of.
        network: "none", "full" or "proxy".
        limits: how each limit is kept: "cgroup v2", "cgroup v1", "rlimit" or "watched".
        lacking: what was asked for and is not in force, and why.
    """

    mode: ModeInForce
    layers: tuple[str, ...] = ()
    network: Literal["none", "full", "proxy"] = "full"
    limits: tuple[tuple[Limit, str], ...] = ()
    lacking: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class NetworkDecision:
    """What the proxy has decided when a program asked for a host.

    Attributes:
        host, port: as the program asked for them.
        allowed: whether it was let through.
        reason: why not.
        address: where it was let through to.
    """

    host: str
    port: int
    allowed: bool
    reason: Literal["", "not on the list", "no such host", "not a public address", "no answer"] = ""
    address: str = ""


Decided: TypeAlias = Callable[[NetworkDecision], object]
