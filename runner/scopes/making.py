"""Making scopes: what may be said about one, whatever it stands on."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import Any, TypedDict

from runner.messages import AnswerT, Isolation, Message
from runner.messages.isolation import Decided
from runner.scopes.linting import lint_of
from runner.scopes.operation_log import OperationLog
from runner.scopes.permissions import Permissions, Ruleset
from runner.scopes.presets import PresetName
from runner.scopes.reaching import reaching
from runner.scopes.safety import Lint, OnDangerous, Policy
from runner.scopes.scope import AskerOf, Ground, Scope
from runner.scopes.who import Who, require_who

NO_ENV: Mapping[str, str] = MappingProxyType({})


class ScopeOptions(TypedDict, total=False):
    """What may be said about a scope; see `Runner.scope`, which says what each is."""

    env: Mapping[str, str] | None
    isolation: Isolation | None
    decided: Decided | None
    permissions: Permissions | Ruleset | PresetName | None
    lint: Policy | Lint
    on_dangerous: OnDangerous | None
    operation_log: OperationLog | None
    who: Who | None


def make_scope(
    name: str,
    root: str,
    asker_of: AskerOf,
    *,
    workspace: str = "",
    env: Mapping[str, str] | None = None,
    isolation: Isolation | None = None,
    decided: Decided | None = None,
    permissions: Permissions | Ruleset | PresetName | None = None,
    lint: Policy | Lint = "footgun",
    on_dangerous: OnDangerous | None = None,
    operation_log: OperationLog | None = None,
    who: Who | None = None,
) -> Scope:
    """A scope on a directory; nothing happens before its first operation.

    Args:
        name: what it is called, in errors and logs.
        root: the directory, absolute.
        asker_of: the way to its worker.
        workspace: the id of the workspace whose live tree it is; empty = it is none.
        env: as the rest, see `Runner.scope`.
        isolation: what is to hold its programs.
        decided: told of each decision of the proxy.
        permissions: what may be done in it.
        lint: which commands are taken for accidents.
        on_dangerous: told what the lint finds.
        operation_log: told of every operation.
        who: on whose behalf it is worked in it, for the audit of a workspace.

    Raises:
        ConfigError: there is no preset of that name; or `who` is none.
    """
    logs = () if operation_log is None else (operation_log,)
    told = reaching(name, isolation, logs, decided)
    ground = Ground(
        root=root,
        isolation=isolation,
        reaching=told,
        workspace=workspace,
        who=require_who(who),
    )
    return Scope(
        name,
        ground.granting(permissions),
        dict(env) if env else NO_ENV,
        asker_of,
        lints=lint_of(lint, on_dangerous),
        logs=logs,
    )


def require_options(options: ScopeOptions) -> None:
    """Raise ConfigError if a scope cannot be made with these."""

    def nobody(_message: Message[AnswerT], /) -> Coroutine[Any, Any, AnswerT]:
        raise NotImplementedError

    make_scope("", "/", lambda _ground: nobody, **options)
