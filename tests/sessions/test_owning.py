"""Who owns a session: one at a time on the whole machine, and none that is gone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.sessions.owning import Owners, note_owner, owner_of


@pytest.fixture
def owners(tmp_path: Path) -> Iterator[Owners]:
    """Those of this process."""
    owners = Owners(str(tmp_path))
    yield owners
    owners.forget()


def private(state: Path, session: str) -> str:
    path = state / "sessions" / session
    path.mkdir(parents=True, exist_ok=True)
    return str(path)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_any_number_of_sessions_take_one_descriptor_and_none_when_they_are_given_up(
    owners: Owners, tmp_path: Path
) -> None:
    before = descriptors()
    names = [f"session-{number}" for number in range(5000)]

    assert all(map(owners.claim, names))
    assert before + 1 == descriptors()
    for name in names:
        owners.release(name)
    assert before == descriptors()
    assert "0 sessions" in repr(owners)
    assert 0 == (tmp_path / "owners").stat().st_size


def test_two_handles_of_one_runner_are_two(owners: Owners) -> None:
    assert owners.claim("one")
    assert not owners.claim("one")
    owners.release("one")
    owners.release("one")
    assert owners.claim("one")


def test_two_runners_of_one_process_exclude_each_other(owners: Owners, tmp_path: Path) -> None:
    other = Owners(str(tmp_path))
    assert owners.claim("one")
    assert not other.claim("one")
    assert other.claim("two")
    other.release("two")  # the file is closed, and nothing of ours is lost
    assert not other.claim("one")
    owners.release("one")
    assert other.claim("one")
    other.forget()


def test_who_owns_a_session_is_known_to_all(owners: Owners, tmp_path: Path) -> None:
    one = private(tmp_path, "one")
    assert "" == owner_of(one)  # nobody ever owned any
    owners.claim("one")
    assert "another process" == owner_of(one)  # which has not said so yet
    note_owner(one)
    assert f"process {os.getpid()}" == owner_of(one)
    assert "" == owner_of(private(tmp_path, "two"))
    owners.release("one")
    assert "" == owner_of(one)


def test_that_it_cannot_be_said_who_owns_it_is_no_error(owners: Owners, tmp_path: Path) -> None:
    owners.claim("one")
    note_owner(str(tmp_path / "sessions" / "one"))  # whose directory is not there

    assert "another process" == owner_of(str(tmp_path / "sessions" / "one"))


def test_what_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Owners(str(tmp_path / "not there")).claim("one")


def test_where_the_file_was_replaced_all_is_owned_again_in_the_new_one(
    owners: Owners, tmp_path: Path
) -> None:
    assert owners.claim("one")
    (tmp_path / "owners").unlink()
    assert owners.claim("two")
    other = Owners(str(tmp_path))
    assert [False, False] == [other.claim("one"), other.claim("two")]

    (tmp_path / "owners").unlink()
    (tmp_path / "owners").touch()  # somebody else was quicker
    assert owners.claim("three")
    assert [False] * 3 == list(map(other.claim, ("one", "two", "three")))


def test_where_the_state_directory_is_gone_nothing_can_be_owned(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    owners = Owners(str(state))
    assert owners.claim("one")
    shutil.rmtree(state)
    with pytest.raises(FileNotFoundError):
        owners.claim("two")
    owners.forget()


# ---------------------------------------------------------------- other processes

HOLD = """
import sys, time
from runner.sessions.owning import Owners
owners = Owners(sys.argv[1])
print(owners.claim("one"), flush=True)
time.sleep(60)
"""


def test_the_kernel_takes_back_what_a_killed_process_owned(owners: Owners, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"True\n" == process.stdout.readline()
        refused = owners.claim("one")
        assert owners.claim("two")
        process.send_signal(signal.SIGKILL)

    assert not refused
    assert owners.claim("one")


FORK = """
import os, sys
from runner.sessions.owning import Owners, owner_of
owners = Owners(sys.argv[1])
assert owners.claim("one")
if not os.fork():
    sys.stdin.readline()  # a child that lives on, and has nothing to do with sessions
    os._exit(0)
reader, writer = os.pipe()
if not os.fork():
    owners.release("one")  # is not its own, and stays its parent's
    os.write(writer, str(owners.claim("one")).encode())
    os._exit(0)
print(os.read(reader, 100).decode(), owner_of(f"{sys.argv[1]}/sessions/one"), flush=True)
"""


def test_a_forked_child_owns_nothing_and_holds_nothing_up(owners: Owners, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", FORK, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert b"False another process\n" == parent.stdout.readline()
        parent.wait(20)  # its child lives on
        assert owners.claim("one")
        parent.stdin.write(b"end\n")


RACE = """
# Workers own one of three sessions for a moment, again and again, and write that they do into a
# file of the session, which nobody else may write meanwhile. They are killed at random.
import os, random, signal, sys, time
from runner.sessions.owning import Owners

state, kills = sys.argv[1], int(sys.argv[2])
owners = Owners(state)
owners.claim("of the parent")

def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False

def told(path):
    with open(path, "a+") as file:
        file.seek(0)
        return file.read()

def tell(path, text):
    with open(path, "w") as file:
        file.write(text)

def own(path, mine):
    earlier = told(path)
    until = time.monotonic() + 10
    while earlier and lives(earlier.split()[0]):  # it was killed, or it is another owner
        assert time.monotonic() < until and earlier == told(path), f"{mine} beside {earlier}"
    tell(path, mine)
    for _ in range(random.randrange(4)):
        time.sleep(random.random() / 2000)
        assert told(path) == mine, f"{mine} beside {told(path)}"
    tell(path, "")

def work():
    random.seed()
    count = 0
    while os.getppid() == parent:
        name = random.choice("abc")
        if owners.claim(name):
            count += 1
            own(f"{state}/{name}", f"{os.getpid()} {count}")
            owners.release(name)

def start():
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    return pid

parent = os.getpid()
workers = [start() for _ in range(5)]
for _ in range(kills):
    time.sleep(random.random() / 100)
    pid = workers.pop(random.randrange(len(workers)))
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "it had failed"
    workers.append(start())
for pid in workers:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
assert all(map(owners.claim, "abc"))
print("never two")
"""


def test_there_are_never_two_owners_however_they_race_and_are_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", RACE, str(tmp_path), "150"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)

    assert ("never two\n", "") == (done.stdout, done.stderr)
