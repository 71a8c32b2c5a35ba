"""Programs that use up what there is, each for real in each mode: what stops them, and what is said.

They are bounded by themselves: should a limit not hold, a test fails and the machine is none the
worse. `none` is no boundary, but its limits are limits.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile

import attrs
import pytest
import trio

from runner.errors import ExecFailed
from runner.messages import Completed, Limits
from runner.processes.host import ProcessHost
from runner.processes.isolation import watching

MODES = ("none", "landlock", "bwrap", "program", "list", "full", "root")
MiB = 1 << 20
FORK_BOMB = """\
import os, time
made = 0
try:
    for made in range(300):
        if os.fork() == 0:
            time.sleep(20); os._exit(0)
except OSError:
    pass
print(made, flush=True)
"""
MEMORY_HOG = f"""\
import time
held = []
for _ in range(100):
    held.append(bytearray(b"1") * (8 * {MiB})); time.sleep(0.01)
print("all of it")
"""
FILLER = """\
import os, sys, time
place, count = os.path.expandvars(sys.argv[1]), int(sys.argv[2])
done = 0
try:
    for done in range(1, count + 1):
        with open(f"{place}/fill-{done}", "wb", buffering=0) as file:
            left = 1 << 20
            while left:
                left -= file.write(b"1" * left)
        time.sleep(0.002)
except OSError as error:
    print(done, error.strerror)
else:
    print("all of it")
"""
SPINNER = "while True: pass"
DAEMON = """\
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: time.sleep(1)
    os._exit(0)
os.wait()
"""


@pytest.fixture(params=MODES)
async def hog(request, modes, python, as_ordinary, by_program, monkeypatch):
    """Runs a Python program in a mode, with limits."""
    if request.param not in modes:
        pytest.skip("needs root: it is what root does")
    mode = modes[request.param]
    monkeypatch.setattr(watching, "DISK_EVERY", 0.05)
    entered = {"ordinary": as_ordinary, "program": by_program}
    base = tempfile.mkdtemp(prefix="runner-hogs-")
    host = ProcessHost()

    async def run(program: str, *words: str, private: int = 0, **limits: float) -> Completed:
        asked = attrs.evolve(mode.isolation, limits=Limits(**limits))
        if private:
            asked = attrs.evolve(asked, private=private)
        argv = [python, "-I", "-c", program, *words]
        env = {"PATH": os.defpath, "HOME": "/nonexistent"}
        try:
            return await host.run(argv, cwd=base, env=env, timeout=60, isolation=asked)
        except ExecFailed as error:
            pytest.skip(str(error))

    run.mode, run.base = request.param, base
    try:
        with entered.get(mode.user, lambda: contextlib.nullcontext(0))() as uid:
            os.chown(base, uid, -1)
            yield run
    finally:
        with trio.CancelScope(shield=True), trio.fail_after(20):
            await host.aclose()
        shutil.rmtree(base)


async def test_a_fork_bomb_stays_small(hog) -> None:
    done = await hog(FORK_BOMB, processes=30)

    assert int(done.out.data()) <= 30
    assert done.leftovers <= 31
    counted = dict(done.isolation.limits)["processes"].startswith("cgroup")
    assert done.limit_exceeded == ("processes" if counted else None)


async def test_a_memory_hog_is_ended_and_says_for_what(hog) -> None:
    done = await hog(MEMORY_HOG, memory=128 * MiB)

    assert (done.limit_exceeded, done.out.data()) == ("memory", b"")
    assert done.exit_code == -9


async def test_a_disk_filler_is_ended_and_says_for_what(hog) -> None:
    done = await hog(FILLER, ".", "300", disk=10 * MiB)

    assert (done.limit_exceeded, done.out.data()) == ("disk", b"")
    assert watching.used(hog.base) < 200 * MiB


async def test_what_is_temporary_cannot_fill_the_machine_either(hog) -> None:
    if hog.mode == "none":
        return  # nothing is private there

    places = ["$TMPDIR"] if hog.mode == "landlock" else ["/tmp", "/dev/shm", "/nonexistent"]
    for place in places:
        done = await hog(FILLER, place, "300", private=16 * MiB)

        if hog.mode == "landlock":
            assert done.limit_exceeded == "disk"
        else:
            count, _, reason = done.out.data().decode().strip().partition(" ")
            assert (int(count) <= 17, reason) == (True, "No space left on device")


async def test_a_program_that_only_computes_is_ended_and_says_for_what(hog) -> None:
    done = await hog(SPINNER, cpu=1)

    assert done.limit_exceeded == "cpu"


async def test_a_daemon_ends_with_its_command(hog) -> None:
    done = await hog(DAEMON)

    assert (done.exit_code, done.leftovers) == (0, 1)


async def test_a_huge_file_ends_at_its_limit(hog) -> None:
    program = "import os\nos.truncate(os.open('f', os.O_CREAT | os.O_RDWR), 1 << 40)"

    done = await hog(program, file_size=MiB)

    assert done.exit_code != 0
    assert os.path.getsize(os.path.join(hog.base, "f")) <= MiB
