"""A program that has a commit killed before each of its system calls, one after the other.

It prints what the base, and the records of it, were after each kill and the next opening, as JSON.

    killing.py <place> <before> <after> <now> <merged>     the store is <place>/store.db
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import runpy
import sys

from runner.backends.files import is_temporary
from runner.workspaces.directory_base import apply_to, finish_commits, place_of
from runner.workspaces.filling import fill
from runner.workspaces.lookups import change_workspace
from runner.workspaces.records import CommitRecord
from runner.workspaces.store import Store

HELP = runpy.run_path(str(pathlib.Path(__file__).parent.parent / "restore" / "killing.py"))


def commit(store, place, number, before, after, now):
    base = place + "/base"

    def also():
        store.commits.add(
            CommitRecord(
                id=f"c{number}",
                workspace="w",
                message="m",
                base_before=before,
                base_after=after,
                created_ns=number,
            )
        )
        change_workspace(store, "w", base_root=after)

    where = place_of(place, base)
    apply_to(store, "w", base, before, after, look=lambda: now, place=where, also=also)


def main(place, *roots):
    path, base = place + "/store.db", place + "/base"
    before, after, now, merged = map(bytes.fromhex, roots)
    ends, was_killed = [], True
    with contextlib.ExitStack() as stack:

        def reopened():  # nobody has it open while a child is made
            stack.pop_all().close()
            return stack.enter_context(contextlib.closing(Store.open(path)))

        store = reopened()
        while was_killed:
            number = len(ends)
            HELP["empty"](base)
            fill(store, now, base)
            change_workspace(store, "w", base_root=before)
            stack.pop_all().close()
            was_killed = HELP["killed"](
                lambda number=number: commit(Store.open(path), place, number, before, after, now),
                number,
            )
            store = reopened()
            decided = any(each.id == f"c{number}" for each in store.commits.list("w"))
            finish_commits(store, place)
            is_known = store.workspaces.get("w").base_root == (after if decided else before)
            state = "mixed"
            for name, root in (("before", now), ("after", merged)):
                names = [each for each in os.listdir(base) if not is_temporary(each)]
                if HELP["is_exactly"](store, base, root) and names:
                    state = name
            ends.append([decided, state, is_known and not store.acts()])
        problems = [str(each) for each in store.check().problems]
    debris = [each for each in os.listdir(base) if is_temporary(each)]
    debris += os.listdir(place_of(place, base))
    print(json.dumps({"ends": ends, "problems": problems, "debris": debris}))


if __name__ == "__main__":
    main(*sys.argv[1:])
