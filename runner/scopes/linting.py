"""The lint at work: a command of a scope is looked at before it is sent off.

Of several lints (an outer scope's first) all must let it pass; what one `on_dangerous` lets pass is
still for the others to judge. The rules are safety's.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from runner.errors import DangerousCommand
from runner.scopes.safety import Danger, Lint, OnDangerous, Policy, find_danger


def lint_of(given: Policy | Lint, on_dangerous: OnDangerous | None = None) -> tuple[Lint, ...]:
    """The lint for what may be given for it; none if it is off."""
    lint = given if isinstance(given, Lint) else Lint(policy=given)
    if on_dangerous is not None:
        lint = Lint(policy=lint.policy, allowed=lint.allowed, on_dangerous=on_dangerous)
    return () if lint.policy == "off" else (lint,)


async def require_harmless(
    lints: Sequence[Lint], op: str, command: str | tuple[str, ...], scope: str
) -> None:
    """Raise DangerousCommand if a lint finds something in a command and nobody lets it pass."""
    for lint in lints:
        danger = find_danger(command, lint.policy, lint.allowed)
        if danger is not None and not await _passes(lint, danger):
            raise DangerousCommand(
                op, danger.command, danger.reason, scope=scope, hint=danger.hint, rule=danger.rule
            )


async def _passes(lint: Lint, danger: Danger) -> bool:
    if lint.on_dangerous is None:
        return False
    answer = lint.on_dangerous(danger)
    if inspect.isawaitable(answer):
        answer = await answer
    return answer is True
