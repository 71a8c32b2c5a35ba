"""Run benchmarks: `python -m tests.benchmarks [name…]`, from the root of the repository.

Each module `bench_<name>.py` beside this file has a function `run() -> list[Row]`. A benchmark
that cannot run here raises `CannotRun` with the reason. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tests.benchmarks.measure import CannotRun, Row

HERE = Path(__file__).parent
NAMES = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
FORMAT = "{:<62} {:>10} {:>19} {:>8}  {}"


def show(name: str) -> list[Row]:
    try:
        rows: list[Row] = importlib.import_module(f"tests.benchmarks.bench_{name}").run()
    except CannotRun as reason:
        print(f"{name}: not run: {reason}")
        return []
    for row in rows:
        spread = f"{row.low:.3g} .. {row.high:.3g}"
        target = "" if row.target is None else row.target_text()
        verdict = "" if row.target is None else "ok" if row.is_met() else "MISSED"
        print(FORMAT.format(row.what, row.figure(), spread, target, verdict), flush=True)
    return rows


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    print(FORMAT.format("what", "median", "quartiles", "target", ""))
    rows = [row for name in names or NAMES for row in show(name)]
    return 0 if all(row.is_met() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
