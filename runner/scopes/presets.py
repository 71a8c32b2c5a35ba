"""Ready-made rulesets, and the patterns that they are made of. Values only.

- default: look at everything but secrets; ask before anything is changed or run.
- permissive: everything, but for secrets, system directories and a few destructive commands.
- read-only: look at everything but secrets; nothing is changed or run.
- strict: ask before everything; secrets are denied.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from runner.errors import ConfigError
from runner.scopes.permissions import Action, Permissions, Rule, Rules, Ruleset

SECRETS_PATTERNS = (
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
)
SYSTEM_PATTERNS = (
    "/etc/**",
    "/var/**",
    "/usr/**",
    "/bin/**",
    "/sbin/**",
    "/boot/**",
    "/sys/**",
    "/proc/**",
)
DANGEROUS_COMMANDS = (
    "rm -rf /*",
    "rm -rf /",
    ":(){:|:&};:",
    "dd if=*of=/dev/*",
    "mkfs*",
    "> /dev/sda",
    "chmod -R 777 /",
)

PresetName: TypeAlias = Literal["default", "permissive", "read-only", "strict"]


def deny_rules(patterns: tuple[str, ...], description: str) -> tuple[Rule, ...]:
    """Rules that deny, for one reason."""
    return tuple(Rule(pattern=each, action="deny", description=description) for each in patterns)


_SECRETS = deny_rules(SECRETS_PATTERNS, "it may hold secrets")
_SYSTEM = deny_rules(SYSTEM_PATTERNS, "it belongs to the system")
_DANGEROUS = deny_rules(DANGEROUS_COMMANDS, "it destroys more than a workspace")


def _preset(default: Action, *, looking: Action, changing: Action, system: bool = False) -> Ruleset:
    changes = Rules(default=changing, rules=_SECRETS + (_SYSTEM if system else ()))
    return Ruleset(
        default=default,
        read=Rules(default=looking, rules=_SECRETS),
        write=changes,
        edit=changes,
        remove=changes,
        execute=Rules(default=changing, rules=_DANGEROUS),
        glob=Rules(default=looking),
        grep=Rules(default=looking),
        ls=Rules(default=looking),
    )


DEFAULT_RULESET = _preset("ask", looking="allow", changing="ask")
PERMISSIVE_RULESET = _preset("allow", looking="allow", changing="allow", system=True)
READONLY_RULESET = _preset("deny", looking="allow", changing="deny")
STRICT_RULESET = _preset("ask", looking="ask", changing="ask")

PRESETS: dict[PresetName, Ruleset] = {
    "default": DEFAULT_RULESET,
    "permissive": PERMISSIVE_RULESET,
    "read-only": READONLY_RULESET,
    "strict": STRICT_RULESET,
}


def create_ruleset(  # noqa: D417 - the switches are alike
    *,
    default: Action = "ask",
    allow_read: bool = True,
    allow_write: bool = False,
    allow_edit: bool = False,
    allow_execute: bool = False,
    allow_glob: bool = True,
    allow_grep: bool = True,
    allow_ls: bool = True,
    allow_remove: bool = False,
    deny_secrets: bool = True,
) -> Ruleset:
    """A ruleset of switches: each kind is allowed, or asked about.

    Args:
        default: of the ruleset; every kind has one of its own.
        allow_read: and so on: whether the kind is allowed without asking.
        deny_secrets: whether `SECRETS_PATTERNS` are denied for read, write, edit and remove.
    """
    secrets = _SECRETS if deny_secrets else ()

    def rules(*, allowed: bool, denied: tuple[Rule, ...] = ()) -> Rules:
        return Rules(default="allow" if allowed else "ask", rules=denied)

    return Ruleset(
        default=default,
        read=rules(allowed=allow_read, denied=secrets),
        write=rules(allowed=allow_write, denied=secrets),
        edit=rules(allowed=allow_edit, denied=secrets),
        remove=rules(allowed=allow_remove, denied=secrets),
        execute=rules(allowed=allow_execute),
        glob=rules(allowed=allow_glob),
        grep=rules(allowed=allow_grep),
        ls=rules(allowed=allow_ls),
    )


def permissions_of(given: Permissions | Ruleset | PresetName) -> Permissions:
    """Permissions, from all that may be given for them.

    Raises:
        ConfigError: there is no preset of that name, or it is nothing of the kind.
    """
    if isinstance(given, Permissions):
        return given
    if isinstance(given, Ruleset):
        return Permissions(rules=given)
    if not isinstance(given, str) or given not in PRESETS:
        raise ConfigError(f"there are no permissions {given!r}: there are {', '.join(PRESETS)}")
    return Permissions(rules=PRESETS[given])
