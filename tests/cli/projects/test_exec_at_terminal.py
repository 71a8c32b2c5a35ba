"""A person's way into a workspace: a program that has the terminal of the shell before it."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from runner.errors import ExecFailed
from runner.messages import Exec, Isolation
from runner.runtime import open_runner

PATIENCE = 60.0


@attrs.define
class Person:
    """Somebody at a terminal with a shell, which waits for commands."""

    pid: int
    fd: int
    seen: str = ""

    def types(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def sees(self, text: str) -> str:
        """What comes up to a text; it is not seen again."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            left = max(0.0, end - time.monotonic())
            assert select.select([self.fd], [], [], left)[0], (text, self.seen)
            self.seen += os.read(self.fd, 1 << 16).decode().replace("\r", "")
        before, _, self.seen = self.seen.partition(text)
        return before

    def does(self, line: str, prompt: str = "OUT> ") -> str:
        """What a line says, until its shell waits again."""
        self.types(line + "\n")
        self.sees(line + "\n")  # it is echoed
        return self.sees(prompt)


@pytest.fixture
def person(project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs a shell with job control: apt-get install bash")
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)
    env = {**os.environ, "PS1": "OUT> ", "TERM": "dumb"}
    pid, fd = pty.fork()
    if pid == 0:  # pragma: no cover - another program
        os.chdir(project.cwd)
        os.execve(bash, ["bash", "--norc", "--noprofile", "--noediting", "-i"], env)
    somebody = Person(pid, fd)
    try:
        somebody.sees("OUT> ")
        yield somebody
    finally:
        if somebody.fd >= 0:
            os.close(somebody.fd)  # it hangs up
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_shell_in_a_workspace_has_the_terminal_and_its_jobs(
    person: Person, project, until: Callable[..., None], is_alive: Callable[[int], bool]
) -> None:
    assert 0 == project("workspace", "create", "one", "--way", "copy").code
    (shown,) = project.json("workspace", "ls")
    person.types("runner workspace exec one bash --norc --noprofile --noediting -i\n")
    person.sees("# " if os.geteuid() == 0 else "$ ")
    person.types("PS1='I''N> '\n")
    person.sees("IN> ")
    assert f"{shown['path']}\n" == person.does("pwd", "IN> ")
    person.types("sh -c 'echo on; exec sleep 1000'\n")
    person.sees("\non\n")
    person.types("\x03")  # Ctrl-C is for the program in front, not for us
    person.sees("IN> ")
    person.types("sh -c 'echo on; exec sleep 1000'\n")
    person.sees("\non\n")
    person.types("\x1a")  # Ctrl-Z
    person.sees("Stopped")
    person.sees("IN> ")
    background = int(person.does("sleep 1000 & echo $!", "IN> ").split()[-1])
    person.types("suspend\n")  # this shell itself: so the other one goes on
    person.sees("Stopped")
    person.sees("OUT> ")
    person.types("fg\n")
    person.sees("IN> ")
    assert "x\n" in person.does("echo x > new; cat new", "IN> ")
    person.types("exit 7\n")
    person.types("exit 7\n")  # bash asks again, as there are stopped jobs
    person.sees("OUT> ")

    assert "7\n" == person.does("echo $?")
    until(lambda: not is_alive(background), "what it has left in the background is gone")
    (row,) = project.json("audit", "one", "--operation", "exec")
    assert (7, "exited") == (row["details"]["exit_code"], row["details"]["outcome"])
    assert "A  new\n" == project("workspace", "status", "one", "--porcelain").out


def test_what_is_typed_is_for_the_program_and_the_end_of_one_of_us_is_the_others(
    person: Person, project, until: Callable[..., None], is_alive: Callable[[int], bool]
) -> None:
    assert 0 == project("workspace", "create", "one", "--way", "copy").code
    person.types("runner workspace exec one -- sh -c 'echo o''n; exec cat'\n")
    person.sees("\non\n")
    person.types("\x1a")
    person.sees("Stopped")
    person.sees("OUT> ")
    person.types("fg\nagain\n")
    for _ in ("echoed", "by the program"):
        person.sees("again\n")
    person.types("\x03")
    person.sees("OUT> ")
    assert "130\n" == person.does("echo $?")

    late = person.does("runner workspace exec --timeout 100ms one 'stty -echo; sleep 1000'")
    assert "ended: it ran for 100ms\n" in late
    assert "3\n" == person.does("echo $?")  # it is echoed: the terminal is as it was

    person.types("runner workspace exec one 'echo $$ $PPID o''n; exec sleep 1000'\n")
    program, ours = map(int, person.sees(" on\n").split()[-2:])
    os.kill(ours, signal.SIGKILL)
    until(lambda: not is_alive(program), "it ends with us")
    person.sees("OUT> ")

    person.types("runner workspace exec one 'echo $$ o''n; exec sleep 1000'\n")
    program = int(person.sees(" on\n").split()[-1])
    os.close(person.fd)
    person.fd = -1
    until(lambda: not is_alive(program), "it ends with the terminal")


async def test_without_a_terminal_or_held_there_is_none_to_give(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    async with open_runner(state=tmp_path / "state") as r:
        project = r.project(tmp_path / "app")
        ws = await project.create("one", base="empty")
        held = await project.get("one", isolation=Isolation(mode="bwrap"))
        with pytest.raises(ExecFailed, match="no terminal that it could have"):
            await ws.ask(Exec(command=("true",), terminal=True))
        with pytest.raises(ExecFailed, match="what holds programs cannot give them a terminal"):
            await held.ask(Exec(command="true", terminal=True))
