"""`runner schema`: what it prints is what `configs/schemas/` has."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize("kind", ["batch", "runner", "agent"])
def test_the_schemas_in_configs_are_up_to_date(runner, repository, kind: str) -> None:
    ended = runner("schema", kind)

    assert (ended.code, ended.err) == (0, "")
    kept = (repository / "configs" / "schemas" / f"{kind}.json").read_text()
    assert ended.out == kept, f"runner schema {kind} > configs/schemas/{kind}.json"
    assert json.loads(kept)["title"] == f"runner: a {kind} file"
