"""Who may change a workspace: one at a time, on the whole machine; the kernel takes locks back."""

import os
import signal

import pytest

from runner.errors import WorkspaceBusy
from runner.workspaces.locking import Lock, is_gone


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "lock")


def test_a_lock_is_held_by_one_and_says_by_which_process(path):
    lock = Lock.take(path, "ws")

    with pytest.raises(WorkspaceBusy) as caught:
        Lock.take(path, "ws")

    assert caught.value.pid == os.getpid()
    assert caught.value.name == "ws"
    assert f"process {os.getpid()}" in str(caught.value)
    lock.release()
    lock.release()  # as often as one likes
    assert not lock.is_held
    again = Lock.take(path, "ws")
    assert again.is_held
    again.release()


def test_the_lock_of_a_killed_process_is_free_and_that_of_a_living_one_is_not(path):
    ready, tell = os.pipe()
    pid = os.fork()
    if not pid:
        Lock.take(path, "ws")
        os.write(tell, b"x")
        signal.pause()
        os._exit(0)
    os.read(ready, 1)
    with pytest.raises(WorkspaceBusy) as caught:
        Lock.take(path, "ws")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert caught.value.pid == pid
    assert is_gone(pid)
    assert not is_gone(os.getpid())
    assert not is_gone(None)
    Lock.take(path, "ws").release()
    os.close(ready)
    os.close(tell)


def test_a_lock_that_is_given_back_is_free_though_a_program_is_just_being_started(path):
    lock = Lock.take(path, "ws")
    between_fork_and_exec = os.dup(lock._file)
    lock.release()

    Lock.take(path, "ws").release()
    os.close(between_fork_and_exec)


def test_a_forked_child_has_nothing_of_a_lock_and_takes_nothing_from_it(path):
    lock = Lock.take(path, "ws")
    pid = os.fork()
    if not pid:
        try:
            assert not lock.is_held
            try:
                Lock.take(path, "ws")
            except WorkspaceBusy:
                os._exit(7)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 7
    assert lock.is_held
    lock.release()


def test_a_lock_in_a_directory_that_is_gone_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        Lock.take(str(tmp_path / "gone" / "lock"), "ws")


def test_a_lock_whose_file_was_removed_is_not_the_one_that_others_find(path):
    first = Lock.take(path, "ws")
    os.unlink(path)
    second = Lock.take(path, "ws")

    assert first.is_held
    assert second.is_held
    with pytest.raises(WorkspaceBusy):
        Lock.take(path, "ws")
    first.release()
    second.release()


def test_what_stands_in_a_lock_is_only_for_people(path):
    with open(path, "w") as file:
        file.write("something else\n")
    lock = Lock.take(path, "ws")
    os.truncate(path, 0)

    with pytest.raises(WorkspaceBusy) as caught:
        Lock.take(path, "ws")

    assert caught.value.pid is None
    lock.release()
