"""`runner doctor`: what works here, what does not, how to mend it, and whether the main job can."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import sys
from pathlib import Path

import pytest
import trio

from runner.cli import machine, probes
from runner.cli.machine import Finding
from runner.processes.host import ProcessHost
from runner.processes.isolation import probe, syscalls
from runner.processes.isolation.cgroups import Tree


def _by_name(ended) -> dict[str, dict[str, str]]:
    record = json.loads(ended.out)
    assert record["schema"] == "runner.doctor/1"
    return {check["name"]: check for check in record["checks"]}


def test_here_the_main_job_can_run(runner) -> None:
    ended = runner("doctor")

    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "The main job can run: runner batch run FILE"
    assert "!!" not in ended.out


def test_it_leaves_no_trace(runner) -> None:
    runner("doctor")

    assert list(runner.home.iterdir()) == []
    assert list(runner.cwd.iterdir()) == []


def test_as_json_every_check_has_a_state_and_what_was_found(runner) -> None:
    checks = _by_name(runner("doctor", "--json"))

    for name in ("python", "git", "shell", "processes", "state"):
        assert checks[name]["state"] == "ok"
        assert checks[name]["what"]
    assert str(runner.home) in checks["state"]["what"]


def _only(tmp_path: Path, *programs: str) -> dict[str, str]:
    """A PATH with nothing but these."""
    place = tmp_path / "bin"
    place.mkdir()
    for name in programs:
        found = shutil.which(name)
        assert found is not None
        (place / name).symlink_to(found)
    return {"PATH": str(place)}


def test_without_git_it_says_so_and_how_to_mend_it(runner, tmp_path) -> None:
    ended = runner("doctor", "--json", env=_only(tmp_path, "sh"))
    checks = _by_name(ended)

    assert ended.code == 8
    assert checks["git"]["state"] == "bad"
    assert "install git" in checks["git"]["mend"]
    for name in ("claude", "codex", "bwrap", "socat"):
        assert checks[name]["state"] == "lacking"
        assert checks[name]["mend"]


def test_without_anything_every_needed_part_is_bad(runner, tmp_path) -> None:
    ended = runner("doctor", env=_only(tmp_path))

    assert ended.code == 8
    assert "!!  git " in ended.out
    assert "!!  shell " in ended.out
    assert "cannot run before" in ended.out.splitlines()[-1]


def _program(directory: Path, name: str, script: str) -> None:
    file = directory / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_programs_that_are_there_but_broken_are_told_with_what_they_say(runner, tmp_path) -> None:
    env = _only(tmp_path, "sh", "git")
    place = tmp_path / "bin"
    _program(place, "claude", "echo 'cannot load' >&2; exit 3")
    _program(place, "codex", ":")
    _program(place, "bwrap", "echo 'setting up uid map: Permission denied' >&2; exit 1")
    _program(place, "socat", "echo about; echo 'socat version 9'")

    checks = _by_name(runner("doctor", "--json", env=env))

    assert checks["claude"]["what"].endswith("exit code 3: cannot load")
    assert checks["codex"]["state"] == "lacking"
    assert checks["bwrap"]["what"] == "exit code 1: setting up uid map: Permission denied"
    assert checks["socat"]["what"].startswith("socat version 9 (")


def test_a_broken_shell_is_bad(runner, tmp_path) -> None:
    env = _only(tmp_path, "git")
    _program(tmp_path / "bin", "sh", "exit 0")

    ended = runner("doctor", env=env)

    assert ended.code == 8
    assert "a POSIX shell must stand in PATH" in ended.out


async def test_a_program_that_does_not_answer_is_not_waited_for(tmp_path, monkeypatch) -> None:
    _program(tmp_path, "claude", "exec sleep 600")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(probes, "PATIENCE", 0.2)
    host = probes.ProcessHost()

    finding = await probes.probe_claude(probes.Room(host=host, home=str(tmp_path)))
    await host.aclose()

    assert finding.state == "lacking"
    assert "no answer" in finding.what


async def test_namespaces_that_are_refused_are_told_with_the_switch(tmp_path, monkeypatch) -> None:
    switch = tmp_path / "switch"
    switch.write_text("1\n")
    monkeypatch.setattr(probes, "TRY_NAMESPACE", "raise SystemExit(1)")
    host = probes.ProcessHost()
    room = probes.Room(host=host, home=str(tmp_path))

    monkeypatch.setattr(probes, "SWITCHES", [("/nowhere", "1", ""), (str(switch), "1", "mend it")])
    known = await probes.probe_namespaces(room)
    monkeypatch.setattr(probes, "SWITCHES", [(str(switch), "0", "mend it")])
    unknown = await probes.probe_namespaces(room)
    await host.aclose()

    assert (known.state, known.what, known.mend) == ("lacking", "refused (EPERM)", "mend it")
    assert "seccomp" in unknown.mend


async def test_processes_that_are_not_ended_are_bad(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(probes, "LEAVE_A_PROCESS", "pass")
    host = probes.ProcessHost()

    finding = await probes.probe_processes(probes.Room(host=host, home=str(tmp_path)))
    await host.aclose()

    assert finding.state == "bad"
    assert "0 of 1" in finding.what


def test_a_state_directory_that_cannot_be_written_is_bad(tmp_path) -> None:
    file = tmp_path / "file"
    file.write_text("")

    assert machine.probe_state("/proc/nothing/here").state == "bad"
    assert machine.probe_state(str(tmp_path / "new" / "er")).what.count("(will be made)") == 1
    assert machine.probe_state(str(tmp_path)).what.count("(will be made)") == 0


def test_too_little_space_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "MIN_FREE", 1 << 62)

    finding = machine.probe_state(str(tmp_path))

    assert finding.state == "lacking"
    assert "make space" in finding.mend


@pytest.mark.parametrize("name", ["probe_files", "probe_process_limit"])
def test_limits_are_told_as_they_are(name: str, monkeypatch) -> None:
    probe = getattr(machine, name)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, resource.RLIM_INFINITY))

    low = probe()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    high = probe()

    assert (low.state, low.what) == ("lacking", "64 (up to unlimited may be asked for)")
    assert (high.state, high.what) == ("ok", "unlimited")


def test_elsewhere_than_on_linux_it_says_what_is_not_held(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert machine.probe_python().state == "lacking"


def _refuse(*_: object) -> int:
    raise PermissionError(1, "Operation not permitted")


def test_calls_that_are_refused_are_told(monkeypatch) -> None:
    monkeypatch.setattr(os, "pidfd_open", _refuse)
    monkeypatch.setattr(machine.syscalls, "openat2", _refuse)

    assert machine.probe_python().state == "bad"
    assert machine.probe_openat2() == Finding(
        name="openat2",
        state="lacking",
        what="refused (Operation not permitted): "
        "paths are walked name by name instead, which is slower",
    )


def test_the_state_directory_of_the_configuration_is_looked_at(runner) -> None:
    (runner.cwd / "runner.toml").write_text('state = "/proc/nothing"\n')

    ended = runner("doctor", "--config", "runner.toml")

    assert ended.code == 8
    assert "!!  state" in ended.out


async def test_what_would_hold_programs_is_told_with_its_layers_or_with_what_helps(
    tmp_path, monkeypatch
) -> None:
    host = ProcessHost()
    room = probes.Room(host=host, home=str(tmp_path))
    try:
        here = await probes.probe_isolation(room)
        monkeypatch.setattr(probe, "_known", {})
        monkeypatch.setattr(syscalls, "MACHINE", "pdp11")
        nowhere = await probes.probe_isolation(room)
    finally:
        probe.forget()
        await host.aclose()

    assert here.state == "lacking" or here.what.startswith("mode ")
    assert nowhere.state == "lacking"
    assert "pdp11" in nowhere.what
    assert "user namespaces" in nowhere.mend


async def test_how_limits_are_kept_is_told(tmp_path, monkeypatch) -> None:
    room = probes.Room(host=ProcessHost(), home=str(tmp_path))
    monkeypatch.setattr(probes, "group_tree", lambda: None)
    without = await probes.probe_limits(room)
    monkeypatch.setattr(probes, "group_tree", lambda: Tree(version=1, memory="/m"))
    with_memory = await probes.probe_limits(room)

    assert (without.state, with_memory.state) == ("lacking", "ok")
    assert "watched" in without.what
    assert with_memory.what == "memory: cgroup v1"


def test_who_makes_the_namespaces_is_said_where_we_may_not(by_program) -> None:
    async def examine():
        host = ProcessHost()
        try:
            return await probes.probe_isolation(probes.Room(host=host, home="/nonexistent"))
        finally:
            await host.aclose()

    with by_program():
        found = trio.run(examine)

    if "bwrap program" in found.what:
        pytest.skip("needs bwrap: apt-get install bubblewrap")
    assert found.what.startswith("mode bwrap: made by /")


def test_it_says_by_which_way_workspaces_are_made(runner) -> None:
    check = _by_name(runner("doctor", "--json"))["workspaces"]

    assert check["what"].startswith("made by ")
    assert check["state"] == ("lacking" if "made by copy" in check["what"] else "ok")
    assert ("to make them at once" in check["mend"]) == (check["state"] == "lacking")


async def test_where_only_copies_work_it_says_why_and_what_helps(tmp_path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("runner.workspaces.probing._known", {})
    monkeypatch.setattr("runner.workspaces.mounts.mount", refuse)
    place = tmp_path / "not" / "made"
    room = probes.Room(host=ProcessHost(), home=str(tmp_path), state=str(place))
    monkeypatch.setattr("runner.workspaces.probing.fcntl.ioctl", refuse)
    finding = await probes.probe_workspaces(room)

    assert finding.state == "lacking"
    assert finding.what == (
        "made by copy: every file is copied; overlay: it cannot be mounted here: Invalid argument;"
        " reflink: files cannot share their blocks here: Invalid argument"
    )
    assert finding.mend.startswith("to make them at once: keep workspaces on")
    assert list(tmp_path.iterdir()) == []
