"""A program that has a child killed before each of its system calls, one after the other.

Of its own, and small: a fork of it costs little, and has no tests' tools in it. It prints what the
tree was after each kill, and after what was decided had been finished, as JSON.

    killing.py restore|batch|apply <place> <before> <after>     the store is <place>/store.db
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys

from runner.backends.files import is_temporary
from runner.workspaces.batching import Batch
from runner.workspaces.examining import unlike
from runner.workspaces.filling import fill
from runner.workspaces.journal import roll_forward, roll_forward_base
from runner.workspaces.listing import EntryType
from runner.workspaces.planning import walk
from runner.workspaces.restoring import Application, apply, restore
from runner.workspaces.staging import opened
from runner.workspaces.store import Store

CALLS = {
    *("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink"),
    *("os.chmod", "os.chown", "os.truncate", "os.listdir", "sqlite3.connect"),
}


def batch(store, tree):
    with Batch(store, "w", tree) as changes:
        changes.write("a/changed.txt", b"by the batch")
        changes.write("new/deep/file", b"new", mode=0o600)
        changes.append("a/kept.txt", b" and more")
        changes.move("a/b", "moved")
        changes.copy("links", "copied")
        changes.remove("was-directory", recursive=True)
        changes.write("was-directory", b"a file now")
        changes.remove("was-file")
        changes.mkdir("was-file/now/a/directory")
        changes.chmod("tool", 0o711)
        changes.chmod("new/deep", 0o500)
        changes.remove("links", recursive=True)
        changes.write("links/again", b"a directory of the same name")
        changes.move("dangling", "also dangling")


def differences(store, before, after):
    """What makes one tree the other, as a commit has it."""
    old, new = (dict(walk(store.listing, root)) for root in (before, after))
    return [
        Application(path="/".join(names), before=old.get(names), after=new.get(names))
        for names in sorted(old.keys() | new.keys())
        if old.get(names) != new.get(names)
    ]


def killed(work, at):
    """Whether a child that carries work out was killed before one of its system calls."""
    pid = os.fork()
    if pid == 0:
        left = at

        def count(event, _arguments):
            nonlocal left
            if event in CALLS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(count)
            work()
        except BaseException:  # noqa: BLE001 - it is a child, and ends here
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    how = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if how not in {-signal.SIGKILL, 0}:
        raise SystemExit(f"a child ended with {how}")
    return how != 0


def shared(names_and_files):
    """Which names are one file, whatever the number of that is."""
    found = {}
    for names, file in names_and_files:
        found.setdefault(file or names, set()).add(names)
    return sorted(sorted(each) for each in found.values())


def files_of(tree):
    for above, directories, names in os.walk(tree):
        for name in [*directories, *names]:
            path = os.path.join(above, name)
            status = os.lstat(path)
            if not os.path.isdir(path) or os.path.islink(path):
                yield tuple(os.path.relpath(path, tree).split("/")), status.st_ino


def is_exactly(store, tree, root):
    with opened(tree) as top:
        if any(unlike(store.listing, root, top)):
            return False
    entries = walk(store.listing, root)
    wanted = [(names, each.group) for names, each in entries if each.type != EntryType.DIRECTORY]
    return shared(wanted) == shared(files_of(tree))


def empty(directory):
    """Not removed: something may be mounted there."""
    os.makedirs(directory, exist_ok=True)
    for each in os.listdir(directory):
        path = f"{directory}/{each}"
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def is_clean(place):
    names = [name for _, *each in os.walk(f"{place}/tree") for some in each for name in some]
    return not os.listdir(f"{place}/staging") and not any(map(is_temporary, names))


def main(kind, place, before, after):  # noqa: C901 - one loop, to be read as one
    path, workspace, tree = place + "/store.db", place + "/workspace", place + "/workspace/tree"
    before, after = bytes.fromhex(before), bytes.fromhex(after)

    def work(store):
        if kind == "restore":
            restore(store, "w", tree, before, after)
        elif kind == "batch":
            batch(store, tree)
        else:
            apply(store, "w", tree, wanted, place=workspace + "/staging")

    def finish(store):
        roll_forward_base(store, tree)
        roll_forward(store, "w", tree, workspace + "/staging")

    def state(store):
        for name, root in (("before", before), ("after", after)):
            if is_exactly(store, tree, root):
                return name if is_clean(workspace) else "debris"
        return "mixed"

    ends, was_killed = [], True
    with contextlib.ExitStack() as stack:

        def reopened():  # nobody has it open while a child is made
            stack.pop_all().close()
            return stack.enter_context(contextlib.closing(Store.open(path)))

        store = reopened()
        wanted = differences(store, before, after)
        while was_killed:
            empty(tree)
            empty(workspace + "/staging")
            fill(store, before, tree)
            stack.pop_all().close()
            was_killed = killed(lambda: work(Store.open(path)), len(ends))
            store = reopened()
            decided = bool(store.journal.list())
            if decided and len(ends) % 3 == 0:  # killed a second time, while it is finished
                stack.pop_all().close()
                killed(lambda: finish(Store.open(path)), len(ends) % 29)
                store = reopened()
            finish(store)
            ends.append([decided, state(store)])
        problems = [str(each) for each in store.check().problems]
    print(json.dumps({"ends": ends, "problems": problems}))


if __name__ == "__main__":
    main(*sys.argv[1:])
