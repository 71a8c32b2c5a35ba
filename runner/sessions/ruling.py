"""What a scope's permissions say of what an agent asks for. Pure, but for looking where links lead.

Commands are judged as those of the scope are (`execute`); edits by `write` or `edit`, whatever else
names paths by `read`: by the path as it is written, and by the real one. What no rule knows (a tool
without a path, a question, a path outside of the scope that nothing denies) is left to be asked
about. So is what the rules ask about.

An agent asks before some of what it does, not before all: this is a help, and no boundary.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping

import attrs

from runner.agents.events import ApprovalAsked, Decision
from runner.scopes.judging import judge_line, line_of
from runner.scopes.permissions import (
    Action,
    Grant,
    Kind,
    Ruleset,
    Spot,
    Verdict,
    matching,
    strictest,
)

_SHELLS = frozenset({"sh", "bash", "zsh", "dash"})
# By the names that programs have for their tools; an edit by any other may be both.
_EDITS: Mapping[str, tuple[Kind, ...]] = {
    "Write": ("write",),
    "Edit": ("edit",),
    "MultiEdit": ("edit",),
    "NotebookEdit": ("edit",),
}


@attrs.frozen
class Ruling:
    """The permissions of a session's scope.

    Attributes:
        grants: all of them must allow.
        directory: the session's, absolute.
    """

    grants: tuple[Grant, ...]
    directory: str

    def rule_on(self, asked: ApprovalAsked) -> Decision | None:
        """Decide; None = it is to be asked about."""
        verdicts = [
            each for grant in self.grants for each in self._verdicts(asked, grant)
        ]  # an empty list allows nothing: no rule is about it
        if not verdicts:
            return None
        verdict = strictest(verdicts)
        if verdict.action == "deny":
            return Decision(allow=False, message=f"Refused by the permissions: {verdict.reason}.")
        return Decision(allow=True) if verdict.action == "allow" else None

    def _verdicts(self, asked: ApprovalAsked, grant: Grant) -> Iterator[Verdict]:
        rules = grant.permissions.rules
        if asked.kind == "command":
            line = line_of(_script(asked.text))
            yield from judge_line(rules, line, lambda word: self._spots(word, grant))
        elif asked.kind != "question":
            kinds: tuple[Kind, ...] = ("read",)
            if asked.kind == "edit":
                kinds = _EDITS.get(asked.tool, ("write", "edit"))
            for path in asked.paths:
                for kind in kinds:
                    yield from _judge(rules, kind, self._spots(path, grant))

    def _spots(self, path: str, grant: Grant) -> tuple[Spot, ...]:
        """The names by which a path is judged: as it is written, and the real one."""
        if "\0" in path:
            return ()
        base = grant.base or self.directory
        written = os.path.normpath(os.path.join(self.directory, path))
        real = os.path.realpath(written)
        found = (_spot(written, base), _spot(real, os.path.realpath(base)))
        return tuple(dict.fromkeys(found))


def _script(command: str) -> str:
    """What a shell is asked to carry out: codex says `/bin/bash -lc 'git status'`."""
    try:
        shell, option, script = shlex.split(command)
    except ValueError:
        return command
    is_shell = os.path.basename(shell) in _SHELLS and option in {"-c", "-lc"}
    return script if is_shell else command


def is_guarded(grants: Iterable[Grant]) -> bool:
    """Whether some program is not to be run, or not without asking."""
    return any(each.permissions.rules.may("execute", "deny", "ask") for each in grants)


def allows_programs(grants: Iterable[Grant]) -> bool:
    """Whether every program may be run that no rule is about."""
    return all(each.permissions.rules.default_of("execute") == "allow" for each in grants)


def _spot(path: str, base: str) -> Spot:
    if path == base:
        return Spot(path, ".")
    above = base.rstrip("/") + "/"
    return Spot(path, path[len(above) :] if path.startswith(above) else None)


def _judge(rules: Ruleset, kind: Kind, spots: Iterable[Spot]) -> Iterator[Verdict]:
    for spot in spots:
        rule = matching(rules, kind, spot)
        action: Action = rules.default_of(kind) if rule is None else rule.action
        if rule is None and spot.relative is None and action == "allow":
            action = "ask"  # it is not in the scope: no mere default allows it
        yield Verdict(action=action, kind=kind, target=spot.absolute, rule=rule)
