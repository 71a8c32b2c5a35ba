"""What can still be judged of a batch file whose form is wrong somewhere.

A file is told everything that is wrong with it at once: a misspelt key must not hide that another
key's program is not installed. So what is wrong in form is cut out, value by value, until the rest
makes a batch; and the rest is then looked at like any other. A rule that fails only because of what
was cut is a consequence, not a mistake: who writes `promt = "..."` is not told that there is no
prompt.

The batch that comes out is for finding problems, never to be carried out. Values only: no I/O.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable

import attrs

from runner.config import Document
from runner.errors import Problem
from runner.jobs.spec import Batch
from runner.strict import Mistakes, structure_value
from runner.toml_lines import KeyPath

PROMPTS = ("prompt", "prompts", "prompt_file")


@attrs.frozen(kw_only=True)
class Salvage:
    """A file without what is wrong in its form.

    Attributes:
        batch: what is left, with `name` and a prompt filled in where there is none.
        document: the same, as tables.
        problems: what is wrong in form.
        has_rows: whether `data` is as the file says, so that its rows can be judged.
        has_agent: whether `agent` is.
    """

    batch: Batch
    document: Document
    problems: tuple[Problem, ...]
    has_rows: bool
    has_agent: bool


def salvage(document: Document) -> Salvage:
    """Cut out what is wrong in form."""
    data: dict[str, object] = copy.deepcopy(dict(document.data))
    found: list[tuple[KeyPath, str]] = []  # what to report
    cut: set[KeyPath] = set()
    while True:
        try:
            batch = structure_value(data, Batch)
        except Mistakes as exc:
            for path, what in exc.mistakes:
                is_new = path not in cut or not path
                if is_new and not _is_consequence(path, what, found):
                    found.append((path, what + _hint(path, data)))
                if not path:
                    _mend(data)
                # What is still wrong, or is not there, takes the whole of its table along.
                elif not _cut(data, path if path not in cut else path[:1]):
                    _cut(data, path[:1])
                cut.add(path)
        else:
            return Salvage(
                batch=batch,
                document=attrs.evolve(document, data=data),
                problems=tuple(document.problem(path, what) for path, what in found),
                has_rows=all(path[:1] != ("data",) for path, _ in found),
                has_agent="agent" in data or "agent" not in document.data,
            )


def _hint(path: KeyPath, data: dict[str, object]) -> str:
    """What may have been meant by a value of another key."""
    if path == ("isolation",) and data.get("isolation") in ("workspace", "directory"):
        return "; how the files of attempts are kept apart is said by workspace.isolation"
    return ""


def _is_consequence(path: KeyPath, what: str, found: Iterable[tuple[KeyPath, str]]) -> bool:
    """Whether a rule of a table speaks of a key that is wrong, or misspelt, in that table."""
    words = set(re.findall(r"[a-z_]+", what))
    inside = ((key[-1], text) for key, text in found if key and key[:-1] == path)
    return any(words & {key, *re.findall(r"'([a-z_]+)'", text)} for key, text in inside)


def _cut(data: dict[str, object], path: KeyPath) -> bool:
    """Take a value out; in a list another takes its place, so that the rest keep theirs.

    Returns:
        Whether it was there. The name always is, from now on.
    """
    *tables, last = path
    if path[0] not in data and tables:
        return True  # it went with its table
    inner: object = data
    for name in tables:
        inner = inner[name]  # type: ignore[index]  # so far the mistake's path is the data's
    was_there = False
    if isinstance(inner, list):
        inner[last] = "?"  # type: ignore[index]
        was_there = True
    elif isinstance(inner, dict):
        was_there = last in inner
        inner.pop(last, None)
    if path == ("name",):
        data["name"] = "name"
    return was_there


def _mend(data: dict[str, object]) -> None:
    """Let the rules about the whole of a batch hold, as the record states them."""
    prompts = [key for key in PROMPTS if key in data and (key != "prompts" or data[key])]
    if len(prompts) == 1:  # then it is the name's rule
        data["name"] = "name"
    for key in prompts[1:]:
        del data[key]
    if not prompts:
        data["prompt"] = "prompt"
