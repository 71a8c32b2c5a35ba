"""pydantic-ai-backend's ready-made rulesets, and the patterns in them."""

from __future__ import annotations

from collections.abc import Iterable

from runner.compat.pydantic_ai_backends.permissions import (
    OperationPermissions,
    PermissionAction,
    PermissionRule,
    PermissionRuleset,
)

SECRETS_PATTERNS = [
    "**/.env",
    "**/.env.*",
    "**/*.pem",
    "**/*.key",
    "**/*.crt",
    "**/credentials*",
    "**/secrets*",
    "**/*secret*",
    "**/*password*",
    "**/.aws/**",
    "**/.ssh/**",
    "**/.gnupg/**",
]
SYSTEM_PATTERNS = [
    f"/{top}/**" for top in ("etc", "var", "usr", "bin", "sbin", "boot", "sys", "proc")
]
DANGEROUS_COMMANDS = [
    "rm -rf /*",
    "rm -rf /",
    ":(){:|:&};:",
    "dd if=*of=/dev/*",
    "mkfs*",
    "> /dev/sda",
    "chmod -R 777 /",
]


def deny_rules(patterns: Iterable[str], description: str) -> list[PermissionRule]:
    """A rule for each pattern."""
    return [PermissionRule(each, "deny", description) for each in patterns]


def _ruleset(
    default: PermissionAction,
    actions: str,
    write_patterns: list[str] | None = None,
    description: str = "Protect sensitive files",
) -> PermissionRuleset:
    """A preset: the actions of read, write, edit, execute, glob, grep and ls, in words."""
    read, write, edit, execute, glob, grep, ls = (_ACTIONS[each] for each in actions.split())
    secrets = deny_rules(SECRETS_PATTERNS, "Protect sensitive files")
    changes = deny_rules(
        SECRETS_PATTERNS if write_patterns is None else write_patterns, description
    )
    commands = deny_rules(DANGEROUS_COMMANDS, "Block dangerous commands")
    return PermissionRuleset(
        default=default,
        read=OperationPermissions(read, secrets),
        write=OperationPermissions(write, [] if write == "deny" else changes),
        edit=OperationPermissions(edit, [] if edit == "deny" else list(changes)),
        execute=OperationPermissions(execute, [] if execute == "deny" else commands),
        glob=OperationPermissions(glob),
        grep=OperationPermissions(grep),
        ls=OperationPermissions(ls),
    )


_ACTIONS: dict[str, PermissionAction] = {"allow": "allow", "deny": "deny", "ask": "ask"}
DEFAULT_RULESET = _ruleset("ask", "allow ask ask ask allow allow allow")
PERMISSIVE_RULESET = _ruleset(
    "allow",
    "allow allow allow allow allow allow allow",
    SECRETS_PATTERNS + SYSTEM_PATTERNS,
    "Protect sensitive and system files",
)
READONLY_RULESET = _ruleset("deny", "allow deny deny deny allow allow allow")
STRICT_RULESET = _ruleset("ask", "ask ask ask ask ask ask ask")


def create_ruleset(
    *,
    default: PermissionAction = "ask",
    allow_read: bool = True,
    allow_write: bool = False,
    allow_edit: bool = False,
    allow_execute: bool = False,
    allow_glob: bool = True,
    allow_grep: bool = True,
    allow_ls: bool = True,
    deny_secrets: bool = True,
) -> PermissionRuleset:
    """A ruleset by switches: what is not allowed is asked for."""
    secrets = deny_rules(SECRETS_PATTERNS, "Protect sensitive files") if deny_secrets else []

    def own(allowed: bool, rules: list[PermissionRule]) -> OperationPermissions:
        return OperationPermissions("allow" if allowed else "ask", list(rules))

    return PermissionRuleset(
        default=default,
        read=own(allow_read, secrets),
        write=own(allow_write, secrets),
        edit=own(allow_edit, secrets),
        execute=own(allow_execute, []),
        glob=own(allow_glob, []),
        grep=own(allow_grep, []),
        ls=own(allow_ls, []),
    )
