"""`runner batch`: the commands about batches."""

from __future__ import annotations

from runner.cli.lazy import LazyGroup

batch = LazyGroup(
    "batch",
    {"run": ("runner.cli.batch_run:run", "Run a batch of jobs; the same command again resumes.")},
    summary="Batches of jobs, from TOML files.",
)
