"""pydantic-ai-backend's permissions for calls that cannot ask: what is refused, what is hidden."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from runner.compat.pydantic_ai_backends.permissions import (
    PermissionAskError,
    PermissionChecker,
    PermissionOperation,
)


class Guard:
    """A checker at work, or none: then everything is allowed.

    Args:
        checker: judges; targets are real, absolute paths, or commands.
        root: where commands run.
        denies: whether what would have to be asked for is refused; else it is an error.
    """

    def __init__(self, checker: PermissionChecker | None, root: Path, *, denies: bool) -> None:
        self.checker = checker
        self._root = root
        self._denies = denies

    def reason(self, operation: PermissionOperation, target: str) -> str | None:
        """Why an operation is refused; None if it is not.

        Raises:
            PermissionAskError: it would have to be asked for.
        """
        action = "allow" if self.checker is None else self.checker.check_sync(operation, target)
        if self.checker is None or action == "allow":
            return None
        if action == "ask" and not self._denies:
            raise PermissionAskError(operation, target, "Approval required but no callback")
        plain = f"Permission denied for {operation} on '{target}'"
        if action == "ask":
            return f"{plain} (approval required)"
        rule = self.checker.find_matching_rule(operation, target)
        return f"Permission denied: {rule.description}" if rule and rule.description else plain

    def hides(self, operation: PermissionOperation, target: str) -> bool:
        """Whether an entry stays out of a listing; what is asked for is seen."""
        if self.checker is None:
            return False
        if operation == "grep" and self.checker.is_denied("read", target):
            return True
        return self.checker.is_denied(operation, target)

    def command_reason(self, command: str) -> str | None:
        """Why a command is refused, by itself or by a path that it plainly names. A help only."""
        reason = self.reason("execute", command)
        if reason is not None or self.checker is None:
            return reason
        for target in sorted(self._targets(command)):
            for operation in ("read", "write"):
                if self.checker.is_denied(operation, target):
                    what = f"command references '{target}', which is denied for {operation}"
                    return f"Permission denied: {what}"
        return None

    def _targets(self, command: str) -> set[str]:
        """The paths that a command plausibly names, as written and as they really are."""
        try:
            words = shlex.split(command)
        except ValueError:  # a quote that is not closed
            words = [each.strip("\"'") for each in command.split()]
        words += [each.partition("=")[2] for each in words if "=" in each]
        named = {str(self._root / os.path.expanduser(each)) for each in words if each}
        return {each for each in named if "\0" not in each} | {
            os.path.realpath(each) for each in named if "\0" not in each
        }
