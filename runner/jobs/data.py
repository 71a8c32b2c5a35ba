"""The rows of a batch: from CSV, JSON lines, a glob or the batch file; each knows where it stands.

All that is wrong in a data file is reported at once, by file and line. It only reads.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping

import attrs
from wcmatch import glob

from runner.config import Document, read_text
from runner.errors import ConfigError, Problem
from runner.jobs.spec import Data


@attrs.frozen(kw_only=True)
class Row:
    """One row of the data.

    Attributes:
        index: from 1.
        place: where it stands, as users are told: `rows.csv:3`.
    """

    index: int
    values: Mapping[str, object]
    place: str


def load_rows(data: Data | None, base: str, document: Document) -> list[Row]:
    """The rows, in the order of the data.

    Args:
        data: what the batch says of them; None = one row without values.
        base: the directory that paths are relative to.
        document: the batch file, for the places of problems.

    Raises:
        ConfigError: a file that is not there, a broken line, no row at all.
    """
    if data is None:
        return [Row(index=1, values={}, place=document.where)]
    if data.rows is not None:
        rows = [
            Row(index=number, values=values, place=f"data.rows[{number}]")
            for number, values in enumerate(data.rows, 1)
        ]
    elif data.glob is not None:
        rows = _glob(data.glob, os.path.join(base, data.root), document)
    else:
        rows = _file(data, base, document)
    if not rows:
        raise ConfigError(document.problem(("data",), "there are no rows"))
    return rows


def _glob(pattern: str, root: str, document: Document) -> list[Row]:
    if not os.path.isdir(root):
        raise ConfigError(document.problem(("data", "root"), f"there is no directory {root!r}"))
    found = glob.glob(
        pattern, root_dir=root, flags=glob.GLOBSTAR | glob.BRACE | glob.NODIR | glob.FORCEUNIX
    )
    if not found:
        what = f"no file matches {pattern!r} in {root!r}"
        raise ConfigError(document.problem(("data", "glob"), what))
    rows: list[Row] = []
    for path in sorted(found):
        name = os.path.basename(path)
        values = {"path": path, "name": name, "stem": os.path.splitext(name)[0]}
        rows.append(Row(index=len(rows) + 1, values=values, place=path))
    return rows


def _file(data: Data, base: str, document: Document) -> list[Row]:
    key = "csv" if data.csv is not None else "jsonl"
    path = os.path.join(base, data.csv or data.jsonl or "")
    try:
        text = read_text(path)
    except ConfigError as exc:
        what = "; ".join(problem.what for problem in exc.problems)
        raise ConfigError(document.problem(("data", key), f"{path}: {what}")) from None
    rows: list[Row] = []
    problems: list[Problem] = []
    for line, found in (_csv_lines if key == "csv" else _json_lines)(text):
        if isinstance(found, str):
            problems.append(Problem(path, line, "", found))
        else:
            rows.append(Row(index=len(rows) + 1, values=found, place=f"{path}:{line}"))
    if problems:
        raise ConfigError(*problems)
    return rows


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, object] | str]]:
    """(line, an object or what is wrong); blank lines are left out."""
    for line, item in enumerate(text.split("\n"), 1):
        if not item.strip():
            continue
        try:
            values = json.loads(item)
        except ValueError as exc:
            yield line, f"not JSON: {exc}"
            continue
        yield line, values if isinstance(values, dict) else "must be a JSON object"


def _csv_lines(text: str) -> Iterator[tuple[int, dict[str, object] | str]]:
    """(line, a row or what is wrong); a row that spans lines is named by its last one."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        twice = {name for name in header if header.count(name) > 1}
        if twice or "" in header:
            yield (
                1,
                f"the column {min(twice)!r} is there twice" if twice else "a column has no name",
            )
            return
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(header):
                many = f"{len(fields)} field{'s' * (len(fields) != 1)}"
                yield reader.line_num, f"has {many}, the header {len(header)}"
            else:
                yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as exc:
        yield reader.line_num, f"not CSV: {exc}"
