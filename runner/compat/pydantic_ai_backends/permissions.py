"""pydantic-ai-backend's permissions: rules, and the checker.

Rules are dataclasses here, where the peer's are pydantic models: same names, defaults and order.
The presets are in presets.py.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar, get_args

T = TypeVar("T")
PermissionAction = Literal["allow", "deny", "ask"]
PermissionOperation = Literal["read", "write", "edit", "execute", "glob", "grep", "ls"]
AskCallback = Callable[[PermissionOperation, str, str], Awaitable[bool]]
AskFallback = Literal["deny", "error"]


def _require_action(action: object) -> None:
    if action not in get_args(PermissionAction):
        raise ValueError(f"an action is 'allow', 'deny' or 'ask', not {action!r}")


def _made(cls: type[T], given: object) -> T:
    """An object of a class, or one made of a dictionary."""
    if isinstance(given, dict):
        return cls(**given)
    if not isinstance(given, cls):
        raise ValueError(f"{given!r} is no {cls.__name__}")  # noqa: TRY004 - as the peer's
    return given


@dataclass
class PermissionRule:
    """What is done about paths or commands that match a pattern."""

    pattern: str
    action: PermissionAction
    description: str = ""

    def __post_init__(self) -> None:
        """Refuse what could never match, or would be no decision."""
        pattern: object = self.pattern
        if not isinstance(pattern, str):
            what = f"the pattern of a rule is a text, not {pattern!r}"
            raise ValueError(what)  # noqa: TRY004 - as the peer's
        _require_action(self.action)


@dataclass
class OperationPermissions:
    """The rules of one operation, of which the first that matches counts, and the default."""

    default: PermissionAction = "allow"
    rules: list[PermissionRule] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take rules that are plain dictionaries, as of a document."""
        _require_action(self.default)
        self.rules = [_made(PermissionRule, each) for each in self.rules]


@dataclass
class PermissionRuleset:
    """The rules of all operations; what has none gets the default."""

    default: PermissionAction = "ask"
    read: OperationPermissions | None = None
    write: OperationPermissions | None = None
    edit: OperationPermissions | None = None
    execute: OperationPermissions | None = None
    glob: OperationPermissions | None = None
    grep: OperationPermissions | None = None
    ls: OperationPermissions | None = None

    def __post_init__(self) -> None:
        """Take the rules of an operation as a plain dictionary, as of a document."""
        _require_action(self.default)
        for name in get_args(PermissionOperation):
            given = getattr(self, name)
            setattr(self, name, None if given is None else _made(OperationPermissions, given))

    def get_operation_permissions(self, operation: PermissionOperation) -> OperationPermissions:
        """The rules of an operation."""
        own: OperationPermissions | None = getattr(self, operation)
        return OperationPermissions(default=self.default) if own is None else own


class PermissionAskError(Exception):
    """Somebody would have to be asked, and nobody is there."""

    def __init__(self, operation: PermissionOperation, target: str, reason: str = "") -> None:
        self.operation = operation
        self.target = target
        self.reason = reason
        what = f"Permission required for {operation} on '{target}'"
        super().__init__(f"{what}: {reason}" if reason else what)


class PermissionDeniedError(Exception):
    """It is denied, by a rule, a default, or who was asked."""

    def __init__(
        self, operation: PermissionOperation, target: str, rule: PermissionRule | None = None
    ) -> None:
        self.operation = operation
        self.target = target
        self.rule = rule
        what = f"Permission denied for {operation} on '{target}'"
        super().__init__(f"{what}: {rule.description}" if rule and rule.description else what)


PermissionError = PermissionAskError  # noqa: A001 - the peer's older name


# ---------------------------------------------------------------- patterns

_PIECE = re.compile(
    r"(?P<tree>\*\*/)|(?P<any>\*\*)|(?P<star>\*)|(?P<one>\?)|(?P<set>\[[!^]?+\]?+[^\]]*\])"
)
_PIECES = {"tree": "(?:.*/)?", "any": ".*", "star": "[^/]*", "one": "[^/]"}
_NOTHING = re.compile(r"(?!)")


@functools.lru_cache(maxsize=512)
def glob_to_regex(pattern: str) -> re.Pattern[str]:
    """A pattern as an anchored regular expression; one that is malformed matches nothing."""
    parts: list[str] = []
    at = 0
    for piece in _PIECE.finditer(pattern):
        parts.append(re.escape(pattern[at : piece.start()]))
        kind = str(piece.lastgroup)
        members = re.sub(r"^\[[!^]", "[^", piece[0]).replace("[", "\\[")[1:]
        parts.append(_PIECES.get(kind) or members)
        at = piece.end()
    parts.append(re.escape(pattern[at:]))
    try:
        return re.compile("^" + "".join(parts) + "$")
    except re.error:
        return _NOTHING


class PermissionChecker:
    """Judges operations by a ruleset, and asks where it says so."""

    def __init__(
        self,
        ruleset: PermissionRuleset,
        ask_callback: AskCallback | None = None,
        ask_fallback: AskFallback = "error",
    ) -> None:
        self._ruleset = ruleset
        self._ask = ask_callback
        self._fallback: AskFallback = ask_fallback

    @property
    def ruleset(self) -> PermissionRuleset:
        """By which it judges."""
        return self._ruleset

    def find_matching_rule(
        self, operation: PermissionOperation, target: str
    ) -> PermissionRule | None:
        """The first rule that matches."""
        rules = self._ruleset.get_operation_permissions(operation).rules
        return next((each for each in rules if glob_to_regex(each.pattern).match(target)), None)

    def check_sync(self, operation: PermissionOperation, target: str) -> PermissionAction:
        """What the rules say, without asking anybody."""
        rule = self.find_matching_rule(operation, target)
        own = self._ruleset.get_operation_permissions(operation)
        return own.default if rule is None else rule.action

    async def check(self, operation: PermissionOperation, target: str, reason: str = "") -> bool:
        """True if it is allowed, also by who is asked.

        Raises:
            PermissionDeniedError: it is not.
            PermissionAskError: nobody is there to be asked, and `ask_fallback="error"`.
        """
        action = self.check_sync(operation, target)
        if action == "deny":
            raise PermissionDeniedError(
                operation, target, self.find_matching_rule(operation, target)
            )
        if action == "allow":
            return True
        if self._ask is not None:
            if await self._ask(operation, target, reason):
                return True
        elif self._fallback == "error":
            raise PermissionAskError(operation, target, reason)
        raise PermissionDeniedError(operation, target)

    def is_allowed(self, operation: PermissionOperation, target: str) -> bool:
        """Whether it goes without asking."""
        return self.check_sync(operation, target) == "allow"

    def is_denied(self, operation: PermissionOperation, target: str) -> bool:
        """Whether it does not go at all."""
        return self.check_sync(operation, target) == "deny"

    def requires_approval(self, operation: PermissionOperation, target: str) -> bool:
        """Whether somebody has to be asked."""
        return self.check_sync(operation, target) == "ask"
