"""A scope on the live tree of a workspace: what its backend is made of, from the outside in.

permissions     what may be done, if anything is said of that
read_only       nothing is changed, if the workspace is so
LiveBackend     holds the tree while it is open (backend.py)
AuditedBackend  writes down what is done (auditing.py)
JournaledBackend  batches: all or nothing, also if this process is killed (journaled.py)
LocalBackend    files and programs, by descriptors
"""

from __future__ import annotations

from functools import partial

import attrs

from runner.backends.base import Backend
from runner.backends.local import LocalBackend
from runner.backends.read_only import ReadOnlyBackend
from runner.processes.host import ProcessHost
from runner.scopes.making import ScopeOptions, make_scope
from runner.scopes.permitted import PermittedBackend
from runner.scopes.scope import Asker, Ground, Scope
from runner.scopes.who import Who
from runner.scopes.worker import WorkerAsker
from runner.workspaces.actor import WorkspaceActor
from runner.workspaces.auditing import AuditedBackend
from runner.workspaces.backend import LiveBackend
from runner.workspaces.glancing import Glancer
from runner.workspaces.journaled import JournaledBackend
from runner.workspaces.making import Attached
from runner.workspaces.means import Means
from runner.workspaces.messages import AskBase, Attach
from runner.workspaces.records import WorkspaceRecord


def scope_on(
    actor: WorkspaceActor, record: WorkspaceRecord, means: Means, options: ScopeOptions
) -> Scope:
    """A scope on the live tree of a workspace; nothing happens before it is used."""

    def make_backend(ground: Ground) -> Backend:
        enter = partial(means.supervisor.ask, actor.spec, Attach())
        make_inner = partial(_inner, actor, record, means, ground)
        made: Backend = LiveBackend(actor.live, enter, make_inner, means.host)
        if record.read_only:
            made = ReadOnlyBackend(made)
        if ground.permissions:
            made = PermittedBackend(made, ground.permissions)
        return made.straight() if ground.is_straight else made

    def asker_of(ground: Ground) -> Asker:
        return WorkerAsker(means.workers, ground, make_backend, means.idle_after)

    tree = actor.live.tree
    return make_scope(record.name, tree, asker_of, workspace=record.id, **options)


def _inner(  # noqa: PLR0917 - the last two are what is known when the tree is there
    actor: WorkspaceActor,
    record: WorkspaceRecord,
    means: Means,
    ground: Ground,
    attached: Attached,
    host: ProcessHost,
) -> Backend:
    """The backend of a live tree that is there; it is not made anew if it is gone."""
    live, here = actor.live, attrs.evolve(ground, root=attached.root)
    is_top = here.inner == "."
    local = LocalBackend(
        here.directory,
        host=host,
        isolation=here.isolation,
        decided=here.reaching,
        beneath=None if is_top else here.root,
        create=not is_top,
    )
    made = JournaledBackend(local, live, here.inner)
    if live.witness is None or not means.audit:
        return made
    who = ground.who.within(Who(agent=record.agent_id))
    glancer = Glancer(live.looking, live.witness)
    return AuditedBackend(
        made,
        live.trail,
        who,
        live.witness,
        inside=here.inner,
        glancer=glancer,
        write_seen=local.write_seen if is_top else None,
        find_base=partial(means.supervisor.ask, actor.spec, AskBase()),
    )
