"""A program whose child is killed in the midst of something that is done through handles.

Of its own, and small: a fork of it costs little. The child is killed before one of its system
calls; another child opens the project then, and says what it finds. All of that is printed, as JSON.

    killing.py <directory> <how many points of each> <seed>
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import warnings

import trio

import runner
import runner.runtime
from runner.workspaces.mounts import mounted_in, unmount

warnings.simplefilter("ignore")  # a fork has none of the threads: they are not needed
CALLS = {
    *("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink"),
    *("os.chmod", "os.chown", "os.truncate", "os.listdir", "os.scandir", "os.utime"),
    *("sqlite3.connect", "fcntl.flock", "fcntl.ioctl"),
}
FILES = {"a": "1", "d/b": "2", "d/e/c": "3"}
CHANGED = {**FILES, "a": "changed", "new": "n"}


def opened(top):
    config = runner.RunnerConfig(grace=1)
    return runner.open_runner(config, state=f"{top}/state")


async def prepare(top):
    async with opened(top) as r:
        project = r.project(f"{top}/base")
        for way in ("copy", "overlay"):
            ws = await project.create(f"kept-{way}", way=way)
            for name, text in CHANGED.items():
                if FILES.get(name) != text:
                    await ws.write(name, text)
            await ws.status()
        await project.unmount()


async def create(project, way):
    await project.create("made", way=way)


async def rename(project, way):
    await project.rename(f"kept-{way}", "renamed")


async def delete(project, way):
    await project.delete(f"kept-{way}", force=True)


async def unmount_it(project, way):
    await project.unmount(f"kept-{way}")


async def snapshot(project, way):
    await (await project.get(f"kept-{way}")).snapshots.create("s")


async def batch(project, way):
    """By a scope inside, behind permissions."""
    inner = (await project.get(f"kept-{way}", permissions="permissive")).scope("d")
    async with inner.batch() as changes:
        await changes.write("b", "batched")
        await changes.move("e/c", "f/g")
        await changes.write("new", "new")


KINDS = [
    *((batch, "copy"), (batch, "overlay")),
    *((create, "copy"), (create, "overlay"), (delete, "copy"), (delete, "overlay")),
    *((rename, "copy"), (snapshot, "copy"), (snapshot, "overlay"), (unmount_it, "overlay")),
]


async def work(top, kind, way, begin):
    if kind is rename:  # which is one transaction: before it, and after it
        begin()
    async with opened(top) as r:
        project = r.project(f"{top}/base")
        await project.list()
        begin()
        await kind(project, way)
        if kind is not rename:
            begin(end=True)


async def look(top):
    """What the next one finds."""
    async with opened(top) as r:
        project = r.project(f"{top}/base")
        found = {}
        for each in await project.list():
            ws = await project.get(each.name)
            texts = {name: await ws.read(name) for name in CHANGED if await ws.exists(name)}
            changes = [str(change) for change in (await ws.status()).changes]
            names = [each.name for each in await ws.snapshots.list()]
            found[each.name] = [texts, changes, names]
        rescued = []
        for each in await project.snapshots():
            if each.kind == "rescue":
                async with project.temp(snapshot=each.name) as ws:
                    rescued.append({name: await ws.read(name) for name in CHANGED})
        ids = {each.id for each in await project.list()}
        await project.unmount()  # also what was mounted by who was killed
        return {
            "workspaces": found,
            "rescued": rescued,
            "problems": [*(await project.check()).problems],
            "strangers": sorted(ids ^ set(os.listdir(f"{project.directory}/workspaces"))),
        }


def in_child(act, *words, at=None):
    """What a child says; None if it was killed. Its calls are counted from when it begins."""
    near, far = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(_child(act, words, at, far))
        except BaseException:  # noqa: BLE001 - it is a child, and ends here
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    os.close(far)
    with open(near) as said:
        text = said.read()
    how = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if how not in {-signal.SIGKILL, 0}:
        raise SystemExit(f"a child ended with {how}")
    return json.loads(text) if how == 0 else None


def _child(act, words, at, far):
    count, is_counting = 0, False

    def begin(*, end=False):
        nonlocal is_counting
        is_counting = not end

    def hook(event, _arguments):
        nonlocal count
        if is_counting and event in CALLS:
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)

    if act is work:
        sys.addaudithook(hook)
        words = (*words, begin)
    answer = trio.run(act, *words)
    os.write(far, json.dumps(count if act is work else answer).encode())
    return 0


def renewed(top):
    """The state as it was prepared; nothing is mounted in it."""
    for each in mounted_in(top):
        unmount(each.point)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(f"{top}/state")
    shutil.copytree(f"{top}/prepared", f"{top}/state", symlinks=True)


def main(top, points, seed):
    rng = random.Random(int(seed))
    for name, text in FILES.items():
        os.makedirs(os.path.dirname(f"{top}/base/{name}"), exist_ok=True)
        with open(f"{top}/base/{name}", "w") as file:
            file.write(text)
    in_child(prepare, top)
    os.rename(f"{top}/state", f"{top}/prepared")
    ends = []
    for kind, way in KINDS:
        renewed(top)
        calls = in_child(work, top, kind, way)
        chosen = sorted(rng.sample(range(1, calls + 1), min(int(points), calls)))
        for at in chosen:
            renewed(top)
            was_killed = in_child(work, top, kind, way, at=at) is None
            found = in_child(look, top)
            mounts = [each.point for each in mounted_in(top)]
            ends.append([kind.__name__, way, at, was_killed, found, mounts])
    print(json.dumps(ends))


if __name__ == "__main__":
    main(*sys.argv[1:])
