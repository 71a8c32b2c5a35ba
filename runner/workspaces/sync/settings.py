"""What is kept of a workspace's sync: where to, how, and what both sides had in common last.

It is a row of the project's store; a token never is, but where one is to be found may be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, TypeAlias, cast, get_args

import attrs

from runner.agents.secret import Secret
from runner.errors import ConfigError
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import Json
from runner.workspaces.records import Remote as Row
from runner.workspaces.sync.remote import scheme_of

Mode: TypeAlias = Literal["manual", "periodic", "real-time"]
Strategy: TypeAlias = Literal["manual", "last-write-wins", "local", "remote", "merge"]
Side: TypeAlias = Literal["local", "remote"]
MODES: tuple[Mode, ...] = get_args(Mode)
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
SIDES: tuple[Side, ...] = get_args(Side)
SCHEMES = ("file", "git+https", "git+ssh", "git+http", "git+file", "libsql", "https", "http", "s3")
DATABASES = ("libsql", "https", "http")
TOKEN = 20  # characters of a user's name that is none
ORIGIN = "origin"  # the one remote of a workspace
REF = "sync"  # under which the store keeps what both sides had in common last
THEIRS = "sync theirs"  # and what was fetched last
SENT = "sync sent"  # and what was pushed last
INTERVAL = 300.0


@attrs.frozen(kw_only=True)
class Settings:
    """How a workspace is synced.

    Attributes:
        url: where to.
        under: the workspace's name there.
        token: where one is to be found; None = there is none, or it was given as text and is only
            known to this process.
        mode: whether anything is done unasked: every `interval` seconds, or as soon as something
            was changed here (and every `interval` seconds for what was changed there).
        interval: seconds.
        strategy: what is done with a path that both sides changed: "manual" (nothing is applied,
            somebody decides), "last-write-wins", "local", "remote", or "merge" (texts by lines; the
            rest is as for "manual").
        device: what this place is called in versions.
        version: the version that both sides had in common last; None = none yet.
        number: of that.
        sent: the version that was put there last, and of which it is not known whether it became
            the newest one; None = there is none.
        last_sync_ns: when that was.
        trouble: why the last try was none; empty = it was fine.
        conflicts: paths that both sides changed, and how, when that was tried last.
        against: the remote's version that these conflicts are with.
        choices: which side somebody has decided for, by path; as long as the remote's version is
            that one.
    """

    url: str
    under: str
    token: Secret | None = None
    mode: Mode = "manual"
    interval: float = INTERVAL
    strategy: Strategy = "manual"
    device: str = ""
    version: ObjectId | None = None
    number: int = 0
    sent: ObjectId | None = None
    last_sync_ns: int = 0
    trouble: str = ""
    conflicts: tuple[tuple[str, str], ...] = ()
    against: ObjectId | None = None
    choices: Mapping[str, Side] = attrs.field(factory=dict)

    def as_wanted(self, now: Settings) -> Settings:
        """What came of a round, with how it is to be synced as it is said now."""
        choices = {**self.choices, **now.choices} if now.against == self.against else self.choices
        return attrs.evolve(
            self,
            token=now.token,
            mode=now.mode,
            interval=now.interval,
            strategy=now.strategy,
            choices=choices,
        )

    def row(self, workspace: str, created_ns: int) -> Row:
        """As the store keeps it."""
        secret = self.token
        details: dict[str, Json] = {
            "under": self.under,
            "token": None
            if secret is None
            else {"env": secret.env, "file": secret.file, "command": [*secret.command]},
            "mode": self.mode,
            "interval": self.interval,
            "strategy": self.strategy,
            "device": self.device,
            "version": _hex(self.version),
            "number": self.number,
            "sent": _hex(self.sent),
            "last_sync_ns": self.last_sync_ns,
            "trouble": self.trouble,
            "conflicts": [[*each] for each in self.conflicts],
            "against": _hex(self.against),
            "choices": {**self.choices},
        }
        return Row(
            workspace=workspace, name=ORIGIN, url=self.url, details=details, created_ns=created_ns
        )

    @classmethod
    def of(cls, row: Row) -> Settings:
        """What `row` was made of."""
        said = dict(cast("Mapping[str, object]", row.details))
        token = cast("dict[str, object] | None", said["token"])
        conflicts = cast("list[list[str]]", said["conflicts"])
        return cls(
            url=row.url,
            under=cast("str", said["under"]),
            token=None
            if token is None
            else Secret(
                env=cast("str", token["env"]),
                file=cast("str", token["file"]),
                command=tuple(cast("list[str]", token["command"])),
            ),
            mode=cast("Mode", said["mode"]),
            interval=cast("float", said["interval"]),
            strategy=cast("Strategy", said["strategy"]),
            device=cast("str", said["device"]),
            version=_id(said["version"]),
            number=cast("int", said["number"]),
            sent=_id(said["sent"]),
            last_sync_ns=cast("int", said["last_sync_ns"]),
            trouble=cast("str", said["trouble"]),
            conflicts=tuple((path, kind) for path, kind in conflicts),
            against=_id(said["against"]),
            choices=cast("dict[str, Side]", said["choices"]),
        )


def _hex(id_: ObjectId | None) -> str | None:
    return None if id_ is None else id_.hex()


def _id(said: object) -> ObjectId | None:
    return ObjectId(bytes.fromhex(said)) if isinstance(said, str) else None


def _require_no_secret(scheme: str, rest: str) -> None:
    """URLs are kept, and shown."""
    user = rest.partition("/")[0].rpartition("@")[0]
    what = ""
    if ":" in user:
        what = "a password"
    elif user and scheme != "git+ssh" and len(user) >= TOKEN:
        what = "what looks like a token"
    elif scheme in DATABASES and (user or "?" in rest or "#" in rest):
        what = "more than a host"
    if what:
        raise ConfigError(f"sync: the URL has {what} in it, and URLs are kept: use `token`")


def check_settings(settings: Settings) -> Settings:
    """The same, if they can be used.

    Raises:
        ConfigError: which one cannot, and what could.
    """
    try:
        scheme, rest = scheme_of(settings.url)
    except ValueError as exc:
        raise ConfigError(f"sync: {exc}") from None
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise ConfigError(f"sync: there is no remote of the kind {scheme}://; there are {known}")
    if not rest or "\0" in rest:
        raise ConfigError(f"sync: {settings.url!r} says no place")
    if scheme in {"file", "git+file"} and not rest.startswith("/"):
        example = f"{scheme}:///mnt/share"
        raise ConfigError(f"sync: {settings.url!r}: the path must be absolute, {example}")
    _require_no_secret(scheme, rest)
    for name, value, known_values in (
        ("mode", settings.mode, MODES),
        ("strategy", settings.strategy, STRATEGIES),
    ):
        if value not in known_values:
            raise ConfigError(f"sync: `{name}` is {value!r}; it can be {', '.join(known_values)}")
    interval = settings.interval
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not interval > 0:
        raise ConfigError(f"sync: `interval` is {interval!r}; it must be a number of seconds")
    if not math.isfinite(interval):
        raise ConfigError("sync: `interval` has no end; for no sync unasked say mode 'manual'")
    return settings
