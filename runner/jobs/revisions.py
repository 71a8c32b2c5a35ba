"""Which commit a batch begins at; and how git is run: as nobody has set it up, with no question."""

from __future__ import annotations

import re

from runner.errors import ConfigError
from runner.jobs.bench import Bench
from runner.jobs.plan import Plan

# What is made does not depend on how the user has set up git.
PLAIN_GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
NO_QUESTIONS = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


async def find_revision(plan: Plan, bench: Bench) -> str | None:
    """The commit that the batch's ref means; None without a repository. Creates nothing.

    Raises:
        ConfigError: there is no such ref, or the repository cannot be reached.
    """
    source = plan.source
    if source.kind != "repo":
        return None
    scope = bench.scope(plan.base, env=NO_QUESTIONS)
    if source.is_url:
        argv = ["git", "ls-remote", "--exit-code", source.path, source.ref, f"{source.ref}^{{}}"]
        if _COMMIT.fullmatch(source.ref):
            return source.ref
    else:
        ref = f"{source.ref}^{{commit}}"
        argv = ["git", "-C", source.path, "rev-parse", "--verify", "--end-of-options", ref]
    done = await scope.exec(argv, timeout=60.0)
    if done.ok:
        lines = [line for line in done.stdout.splitlines() if _COMMIT.match(line)]
        if lines:
            return _COMMIT.match(lines[-1])[0]  # type: ignore[index]  # a tag's own comes first
    said = done.stderr.strip().splitlines()
    what = f"git finds no {source.ref!r} in {source.path!r}{f': {said[-1]}' if said else ''}"
    key = "ref" if source.ref != "HEAD" else "repo"
    raise ConfigError(plan.document.problem(("workspace", key), what))
