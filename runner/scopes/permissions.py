"""Permissions: which operations a scope allows, denies, or asks about. Rules and records; pure.

Model. Every operation is of one or several *kinds* (`Kind`; concerns.py says which). A `Ruleset`
has `Rules` for each kind: the first whose pattern matches decides, else the kind's default, else
the ruleset's. A path is judged as it was written *and* as it really is, links followed; of several
judgements the strictest counts: deny, then ask, then allow. So it is with several rulesets, one
inside the other (`Grant`): a scope of a scope can only narrow.

Patterns (patterns.py) that begin with `/` or `**` are matched against the absolute path, all others
against the path from the directory that the rules were given for. For `execute` the target is the
command line, and each simple command in it: `git *` does not allow `git status; rm x`. That is a
help against accidents: a program that is allowed to run does what it likes, and the boundary around
it is the sandbox.

What this does not do: look at files, ask anybody, or keep time (permitted.py does).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal, TypeAlias, get_args

import attrs

from runner.errors import ConfigError
from runner.messages import Message
from runner.scopes.patterns import UnusablePattern, command_regex, is_absolute, path_regex

Kind: TypeAlias = Literal["read", "write", "edit", "execute", "glob", "grep", "ls", "remove"]
Action: TypeAlias = Literal["allow", "deny", "ask"]

KINDS: tuple[Kind, ...] = get_args(Kind)
_STRICTNESS: dict[Action, int] = {"allow": 0, "ask": 1, "deny": 2}


class UnusableRule(ConfigError, ValueError):
    """A rule's pattern cannot be used; a ValueError too, so that a file's reader can place it."""


@attrs.frozen(kw_only=True, cache_hash=True)
class Rule:
    """What is done with the targets that a pattern matches.

    Attributes:
        description: why; stands in errors and questions.
    """

    pattern: str
    action: Action
    description: str = ""


@attrs.frozen(kw_only=True, cache_hash=True)
class Rules:
    """The rules of one kind; the first that matches decides.

    Attributes:
        default: if none matches; None = the ruleset's default.
    """

    rules: tuple[Rule, ...] = ()
    default: Action | None = None


@attrs.frozen(kw_only=True, cache_hash=True)
class Ruleset:
    """Rules for every kind; a kind without any has the default.

    Attributes:
        remove: None = as `write`, since who may write a file may empty it.
    """

    default: Action = "ask"
    read: Rules | None = None
    write: Rules | None = None
    edit: Rules | None = None
    execute: Rules | None = None
    glob: Rules | None = None
    grep: Rules | None = None
    ls: Rules | None = None
    remove: Rules | None = None

    def __attrs_post_init__(self) -> None:
        for kind in KINDS:
            regex = command_regex if kind == "execute" else path_regex
            for rule in self.of(kind).rules:
                try:
                    regex(rule.pattern)
                except UnusablePattern as error:
                    raise UnusableRule(f"a rule for {kind}: {error}") from None

    def of(self, kind: Kind) -> Rules:
        """The rules of a kind."""
        own: Rules | None = getattr(self, kind)
        if own is None and kind == "remove":
            own = self.write
        return own or Rules()

    def default_of(self, kind: Kind) -> Action:
        """What is done if no rule matches."""
        return self.of(kind).default or self.default

    def may(self, kind: Kind, *actions: Action) -> bool:
        """Whether any target can come to one of these actions."""
        return self.default_of(kind) in actions or any(
            rule.action in actions for rule in self.of(kind).rules
        )


# ---------------------------------------------------------------- who is asked, what is recorded


@attrs.frozen(kw_only=True)
class Question:
    """An operation that somebody must allow. Exactly one for each operation.

    Attributes:
        op: the operation, as the method of `Scope`.
        targets: what it is about, with the kinds that ask: `(("write", "/shop/a.txt"),)`.
        rule: the rule that asks; None = a default.
        reason: the same in a sentence.
        message: all of it, with what would be written.
    """

    op: str
    targets: tuple[tuple[Kind, str], ...]
    rule: Rule | None
    reason: str
    message: Message[object]


@attrs.frozen(kw_only=True)
class Decision:
    """What was decided about one operation.

    Attributes:
        allowed: whether it was carried out.
        by: what decided: a rule, a default, an answer, or that none came: its deadline passed,
            nobody is there to ask, or asking failed.
    """

    op: str
    targets: tuple[tuple[Kind, str], ...]
    allowed: bool
    by: Literal["rule", "default", "answer", "deadline", "nobody", "failure"]
    rule: Rule | None = None


Ask: TypeAlias = Callable[[Question], bool | Awaitable[bool]]
Record: TypeAlias = Callable[[Decision], object]


@attrs.frozen(kw_only=True, cache_hash=True)
class Permissions:
    """A ruleset, and what is done when it asks.

    Attributes:
        rules: the ruleset.
        ask: answers questions; sync (short) or async. It may use the scope, but for operations that
            it would itself have to be asked about: those are denied. Several questions at a time
            come at the same time.
        deadline: seconds for an answer; None = no limit.
        default: the answer when none comes: its deadline passed, or there is nobody to ask.
        record: told every decision; a list's `append` will do.
    """

    rules: Ruleset
    # By identity: a callable need be neither hashable nor comparable.
    ask: Ask | None = attrs.field(default=None, eq=id)
    deadline: float | None = 60.0
    default: Literal["allow", "deny"] = "deny"
    record: Record | None = attrs.field(default=None, eq=id)


@attrs.frozen(kw_only=True, cache_hash=True)
class Grant:
    """Permissions, and the directory that they were given for.

    Attributes:
        base: absolute; None = the directory of the backend that they are used on.
    """

    permissions: Permissions
    base: str | None = None


# ---------------------------------------------------------------- judging


@attrs.frozen
class Spot:
    """A path to be judged: absolute, and from the directory of the rules (None: not in there)."""

    absolute: str
    relative: str | None


@attrs.frozen(kw_only=True)
class Verdict:
    """What the rules say about one target."""

    action: Action
    kind: Kind
    target: str
    rule: Rule | None

    @property
    def reason(self) -> str:
        """The verdict in a sentence."""
        what = {"allow": "allowed", "deny": "denied", "ask": "to be asked about"}[self.action]
        if self.rule is None:
            return f"{self.kind} is {what} for {self.target!r}: no rule is about it"
        why = f": {self.rule.description}" if self.rule.description else ""
        return f"{self.kind} is {what} for {self.target!r} by the rule {self.rule.pattern!r}{why}"


def judge_spot(ruleset: Ruleset, kind: Kind, spot: Spot) -> Verdict:
    """The verdict about one name of a path."""
    if spot.relative is None:  # moved since: no rule can say what it is
        return Verdict(action="deny", kind=kind, target=spot.absolute, rule=None)
    found = matching(ruleset, kind, spot)
    action = ruleset.default_of(kind) if found is None else found.action
    return Verdict(action=action, kind=kind, target=spot.absolute, rule=found)


def matching(ruleset: Ruleset, kind: Kind, spot: Spot) -> Rule | None:
    """The first rule that matches a path."""
    for rule in ruleset.of(kind).rules:
        name = spot.absolute if is_absolute(rule.pattern) else spot.relative
        if name is not None and path_regex(rule.pattern).match(name):
            return rule
    return None


def judge_command(ruleset: Ruleset, line: str, commands: Sequence[str]) -> Verdict:
    """The strictest verdict about a command line and the simple commands in it.

    A rule without wildcards that is the line itself decides at once. The line as a whole is only
    denied, never allowed, by a pattern: what `*` matches there may be another command.
    """
    rules = ruleset.of("execute").rules
    for rule in rules:
        if rule.pattern == line:
            return Verdict(action=rule.action, kind="execute", target=line, rule=rule)
    verdicts: list[Verdict] = []
    commands = commands or (line,)
    judged = frozenset(commands)
    for target in dict.fromkeys((line, *commands)):
        found = next((each for each in rules if command_regex(each.pattern).match(target)), None)
        action = ruleset.default_of("execute") if found is None else found.action
        if target in judged or (action == "deny" and found is not None):
            verdicts.append(Verdict(action=action, kind="execute", target=target, rule=found))
    return strictest(verdicts)


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that counts: the first of the strictest."""
    return max(verdicts, key=lambda each: _STRICTNESS[each.action])


def hides(ruleset: Ruleset, kind: Kind, spots: Iterable[Spot]) -> bool:
    """Whether an entry stays out of the answers to ls, glob or grep.

    It does if it is denied for that kind, or if a rule (not a mere default: a scope may be listed
    and not read) denies reading it. What has to be asked about is shown.
    """
    for spot in spots:
        found = matching(ruleset, kind, spot)
        if (ruleset.default_of(kind) if found is None else found.action) == "deny":
            return True
        reading = matching(ruleset, "read", spot)
        if reading is not None and reading.action == "deny":
            return True
        if kind == "grep" and reading is None and ruleset.default_of("read") == "deny":
            return True
    return False


def denies_by_rule(ruleset: Ruleset, kind: Kind, spots: Iterable[Spot]) -> bool:
    """Whether a rule, and not a mere default, denies this kind or reading."""
    for spot in spots:
        kinds: tuple[Kind, Kind] = (kind, "read")
        for each in kinds:
            rule = matching(ruleset, each, spot)
            if rule is not None and rule.action == "deny":
                return True
    return False


def may_hide(ruleset: Ruleset, kind: Kind) -> bool:
    """Whether `hides` can be true of anything."""
    return (
        ruleset.may(kind, "deny")
        or any(rule.action == "deny" for rule in ruleset.of("read").rules)
        or (kind == "grep" and ruleset.may("read", "deny"))
    )


def allowed_patterns(ruleset: Ruleset, kind: Kind) -> tuple[str, ...]:
    """What the rules allow by name: for the hint of an error."""
    return tuple(each.pattern for each in ruleset.of(kind).rules if each.action == "allow")
