"""What holds programs inside their scope: what is asked for, and what is in force. Values only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

import attrs

from runner.errors import ConfigError

Mode: TypeAlias = Literal["none", "bwrap", "landlock", "auto"]
ModeInForce: TypeAlias = Literal["none", "bwrap", "landlock"]
Network: TypeAlias = Literal["none", "full"] | tuple[str, ...]
Limit: TypeAlias = Literal["memory", "processes", "cpu", "file_size", "open_files", "wall", "disk"]

FEWEST_FILES = 32  # our own process inside needs some
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(:(\d{1,5}|\*))?")
_LITERAL = re.compile(r"\[[0-9a-fA-F:.]+\](:(\d{1,5}|\*))?")


def _is_positive(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise ConfigError(f"limits.{attribute.name} must be more than 0, not {value!r}")


def _are_enough(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < FEWEST_FILES:
        raise ConfigError(f"limits.{attribute.name} must be {FEWEST_FILES} or more, not {value!r}")


@attrs.frozen(kw_only=True)
class Limits:
    """What a program and all that it starts may use up; None = no limit.

    Attributes:
        memory: bytes, of all its processes together.
        processes: how many at the same time, threads included.
        cpu: seconds of processor time for each process.
        file_size: bytes of each file that it writes.
        open_files: for each process; at least 32.
        wall: seconds until it is ended, as by a timeout.
        disk: bytes that it may add to its scope; looked at twice a second.
    """

    memory: int | None = attrs.field(default=None, validator=_is_positive)
    processes: int | None = attrs.field(default=None, validator=_is_positive)
    cpu: float | None = attrs.field(default=None, validator=_is_positive)
    file_size: int | None = attrs.field(default=None, validator=_is_positive)
    open_files: int | None = attrs.field(default=None, validator=_are_enough)
    wall: float | None = attrs.field(default=None, validator=_is_positive)
    disk: int | None = attrs.field(default=None, validator=_is_positive)

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


def _network(value: str | list[str] | tuple[str, ...]) -> Network:
    return value if isinstance(value, str) else tuple(value)  # type: ignore[return-value]


def _is_network(_: object, __: object, value: object) -> None:
    if value in {"none", "full"}:
        return
    if isinstance(value, str):
        what = f'network is "none", "full" or a list of hosts, not {value!r}'
        raise ConfigError(what)
    assert isinstance(value, tuple)
    for each in value:
        if not isinstance(each, str) or not (_HOST.fullmatch(each) or _LITERAL.fullmatch(each)):
            what = (
                f'network: {each!r} is no host such as "pypi.org", "*.pypi.org:443" or "[::1]:80"'
            )
            raise ConfigError(what)


def _are_paths(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    for each in value:
        if not each.startswith("/") or "\0" in each:
            raise ConfigError(f"isolation.{attribute.name}: {each!r} is not an absolute path")


def _path_tuple(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
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

    mode: Mode = attrs.field(
        default="auto", validator=attrs.validators.in_(("none", "bwrap", "landlock", "auto"))
    )
    required: bool = False
    network: Network = attrs.field(default="none", converter=_network, validator=_is_network)
    readable: tuple[str, ...] = _paths()
    writable: tuple[str, ...] = _paths()
    hidden: tuple[str, ...] = _paths()
    limits: Limits = Limits()
    nesting: bool = False
    debugging: bool = False
    sockets: bool = True
    private: int = attrs.field(default=256 << 20, validator=_is_positive)

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
