"""Holders: processes that have something mounted in namespaces of their own."""

from __future__ import annotations

import errno
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.errors import ConfigError
from runner.processes import holding
from runner.processes.holding import Holder
from runner.processes.host import ProcessHost
from runner.processes.sweep import sweep_run

ENV = {"PATH": os.defpath}
Hold = Callable[..., Holder]


@pytest.fixture
def target(tmp_path: Path) -> str:
    """Where something is mounted."""
    (tmp_path / "here").mkdir()
    return str(tmp_path / "here")


@pytest.fixture
def hold(target: str) -> Iterator[Hold]:
    """Start holders, which are gone afterwards; skipped where there are no user namespaces."""
    held = []

    def start(
        kind: str = "tmpfs", where: str = target, options: str = "size=1m", run_id: str = "r"
    ) -> Holder:
        try:
            held.append(Holder(kind, "ours", where, options, run_id=run_id))
        except PermissionError as error:
            pytest.skip(f"{error}: allow user namespaces, see `runner doctor`")
        return held[-1]

    yield start

    for each in held:
        each.close()
        assert not each.alive


def test_what_it_has_mounted_is_seen_in_its_namespaces_only(hold: Hold, target: str) -> None:
    holder = hold()
    Path(holder.outside(target), "file").write_text("inside")

    assert holder.target == target
    assert os.listdir(target) == []
    assert os.listdir(holder.outside(target)) == ["file"]
    assert target not in Path("/proc/self/mountinfo").read_text()


async def test_programs_of_a_host_that_enters_see_it_by_the_same_name(
    hold: Hold, target: str
) -> None:
    holder = hold()
    host = ProcessHost(enter=holder.enter)
    os.mkdir(holder.outside(target) + "/d")
    fd = os.open(holder.outside(target) + "/d", os.O_PATH)
    try:
        line = "pwd; id -u; echo made > file; cd /; ls $1/d; grep CapEff /proc/self/status"
        done = await host.run(["sh", "-c", line, "sh", target], cwd=fd, env=ENV)
    finally:
        os.close(fd)
        await host.aclose()

    rights = "CapEff:\t0000000000000000"
    assert done.out.data().decode().split("\n")[:-1] == [
        *(f"{target}/d", str(os.geteuid()), "file", rights)
    ]
    assert Path(holder.outside(target), "d", "file").read_text() == "made\n"


async def test_a_single_program_enters_by_a_prefix(hold: Hold, target: str) -> None:
    holder, host = hold(), ProcessHost()
    try:
        argv = [*holder.enter, "sh", "-c", "echo $TOKEN > $1/file; exit 7", "sh", target]
        done = await host.run(argv, cwd=holder.outside(target), env={**ENV, "TOKEN": "t"})
    finally:
        await host.aclose()

    assert done.exit_code == 7
    assert Path(holder.outside(target), "file").read_text() == "t\n"


def test_what_cannot_be_mounted_is_said(hold: Hold, target: str) -> None:
    hold()  # or skip
    with pytest.raises(OSError, match="No such device") as none:
        Holder("no-such-kind", "ours", target, "", run_id="r")
    with pytest.raises(OSError, match="No such file") as nowhere:
        Holder("tmpfs", "ours", target + "/nowhere", "", run_id="r")

    assert (none.value.errno, nowhere.value.errno) == (errno.ENODEV, errno.ENOENT)


def test_one_that_does_not_begin_is_an_error_and_gone(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(holding.holder, "BOOT", "")
        with pytest.raises(OSError, match="ended before it had mounted"):
            Holder("tmpfs", "ours", target, "", run_id="r")
        patch.setattr(holding.holder, "BOOT", "import sys; sys.stdin.read()")
        patch.setattr(holding, "PATIENCE", 0.05)
        with pytest.raises(OSError, match="no answer"):
            Holder("tmpfs", "ours", target, "", run_id="r")
    with pytest.raises(ConfigError):
        Holder("tmpfs", "ours", target, "", run_id="../r")


def test_it_ends_with_close_also_if_it_was_stopped(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = hold(), hold()
    first.close()
    first.close()
    monkeypatch.setattr(holding, "LEAVING", 0.05)
    os.kill(second.pid, signal.SIGSTOP)
    second.close()

    assert not first.alive
    assert not second.alive


def test_signals_of_a_terminal_do_not_end_it(hold: Hold, target: str) -> None:
    holder = hold()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(holder.pid, number)

    os.mkdir(holder.outside(target) + "/d")
    assert holder.alive


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_it_ends_with_a_host_that_is_killed(
    hold: Hold, target: str, until, is_stopped: bool
) -> None:
    hold()  # or skip
    run_id = f"killed-{os.getpid()}-{is_stopped}"
    near, far = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that the child has not; it needs none
        child = os.fork()
    if child == 0:  # pragma: no cover - it is killed
        try:
            holder = Holder("tmpfs", "ours", target, "", run_id=run_id)
            if is_stopped:
                os.kill(holder.pid, signal.SIGSTOP)
            os.write(far, str(holder.pid).encode())
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(far)
    with open(near) as said:
        pid = int(said.read())
    os.waitpid(child, 0)
    if is_stopped:
        assert sweep_run(run_id) == 0  # it is made to go on, and ends by itself

    def is_over() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] in "ZX"
        except OSError:
            return True

    await until(is_over)
