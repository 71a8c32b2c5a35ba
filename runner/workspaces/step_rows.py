"""Steps as they stand in a row of the journal: JSON. Values only.

A path is its bytes, each as the character of that number: JSON's text cannot have a name that is
not UTF-8.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import assert_never

from runner.backends.beneath import Names
from runner.errors import StoreDamaged
from runner.workspaces.planning import Loosen, MakeDirectory, Put, Remove, SetMode, Step
from runner.workspaces.records import Json


def encode(steps: Iterable[Step]) -> list[Json]:
    """Steps, in their order, as a row has them."""
    return [[*_encoded(step)] for step in steps]


def decode(rows: Json) -> tuple[Step, ...]:
    """Steps as they were encoded; StoreDamaged if that is none of it."""
    if not isinstance(rows, list):
        raise _damaged(rows)
    return tuple([_decoded(row) for row in rows])


def _encoded(step: Step) -> tuple[Json, ...]:
    path = _path(step.names)
    match step:
        case Loosen():
            return "loosen", path
        case Remove():
            return "remove", path, step.directory
        case MakeDirectory():
            return "make", path
        case Put():
            return "put", path, step.number
        case SetMode():
            return "mode", path, step.mode, step.directory
        case _:
            assert_never(step)


def _decoded(row: Json) -> Step:
    match row:
        case ["loosen", str(path)]:
            return Loosen(_names(path))
        case ["remove", str(path), bool(directory)]:
            return Remove(_names(path), directory)
        case ["make", str(path)]:
            return MakeDirectory(_names(path))
        case ["put", str(path), int(number)]:
            return Put(_names(path), number)
        case ["mode", str(path), int(mode), bool(directory)]:
            return SetMode(_names(path), mode, directory)
        case _:
            raise _damaged(row)


def _path(names: Names) -> str:
    return os.fsencode("/".join(names)).decode("latin-1")


def _names(path: str) -> Names:
    return tuple(os.fsdecode(path.encode("latin-1")).split("/"))


def _damaged(row: Json) -> StoreDamaged:
    return StoreDamaged(f"the journal has a step that is none: {row!r}")
