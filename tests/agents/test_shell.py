"""The shell agent: the launch, the message, the end; and once with a real shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tracemalloc

import attrs
import pytest

from runner.agents.driver import Setting, ShellAgent
from runner.agents.events import ErrorClass, Text, TurnEnded, TurnStarted
from runner.agents.shell import KEPT, SHORT, TRAP, ShellDriver
from runner.errors import LocalProtocolError

SETTING = Setting(
    cwd="/work", private="/private", conversation="c1", resume=False, prompt="echo hi\n", turn=2
)


def conversation():
    return ShellDriver(ShellAgent()).conversation(SETTING)


def ended(output: bytes, exit_code: int = 0, stderr: bytes = b"") -> TurnEnded:
    talk = conversation()
    talk.receive(output)
    return talk.receive_end(exit_code, stderr)[-1]


def launch(prompt: str, shell: str = "sh"):
    setting = Setting(
        cwd="/w", private="/private", conversation="c", resume=False, prompt=prompt, turn=2
    )
    return ShellDriver(ShellAgent(shell=shell, env={"A": "1"})).launch(setting)


@pytest.mark.parametrize("shell", ["sh", "/bin/bash"])
def test_a_short_script_is_an_argument_and_the_input_empty(shell):
    found = launch("-echo hi\n", shell)

    assert found.argv == (shell, "-c", TRAP + "-echo hi\n", "turn-2.sh")
    assert found.files == ()
    assert found.env == (("A", "1"),)
    assert found.stdin == b""


@pytest.mark.parametrize(
    ("prompt", "shell"),
    [
        ("x" * (SHORT + 1), "sh"),
        ('tail -n 1 "$0"', "sh"),
        ("tail -n 1 ${0}", "bash"),
        ("cat $BASH_SOURCE", "bash"),
        ("print(1)", "python3"),
        ("a\0b", "sh"),
    ],
)
def test_a_script_that_is_long_or_needs_a_file_is_a_file(prompt, shell):
    found = launch(prompt, shell)

    assert found.argv == (shell, "/private/turn-2.sh")
    assert found.files == (("/private/turn-2.sh", prompt.encode()),)
    assert found.env == (("A", "1"),)
    assert found.stdin == b""


@pytest.mark.parametrize("rest", ["", "\n#" + "x" * SHORT])
def test_names_that_are_no_utf8_reach_the_script_as_they_were(rest):
    found = launch("cat " + os.fsdecode(b"\xff.txt") + rest)
    files = [content for _, content in found.files]

    assert b"cat \xff.txt" in b"".join([*map(os.fsencode, found.argv), *files])


def carried_out(found, place):
    """What becomes of a launch: exit code, output, and errors without the script's own name."""
    for path, content in found.files:
        (place / os.path.basename(path)).write_bytes(content)
    done = subprocess.run(
        [word.replace("/private", str(place)) for word in found.argv],
        input=found.stdin,
        capture_output=True,
        cwd=place,
        check=False,
    )
    errors = done.stderr.decode().replace(f"{place}/", "").replace(" -c:", "")
    return done.returncode, done.stdout, re.sub(r" \d+ (?=Segm|Term)", " PID ", errors)


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize(
    "prompt",
    [
        "echo $$ > /dev/null; kill -9 $$",
        "sh -c 'kill -11 $$'",
        "sh -c 'kill -11 $$'\n",
        "true && sh -c 'kill -15 $$'",
        "echo a\nnosuch\nfi",
        "echo 'x",
        "cat << E\nfoo",
        "#!/bin/false\necho a",
        "trap 'echo bye' EXIT; exit 3",
        "exec sh -c 'kill -9 $$'",
        "# only a comment",
        "-x",
        "f() { return 3; }; f",
        "echo $#: $*; set -e; false; echo no",
    ],
)
def test_a_script_does_not_notice_whether_it_is_a_file(tmp_path, shell, prompt):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}; the system's packages have it")
    argument = launch(prompt, shell)
    file = attrs.evolve(
        argument,
        argv=(shell, "/private/turn-2.sh"),
        files=(("/private/turn-2.sh", prompt.encode()),),
    )

    assert not argument.files
    assert carried_out(argument, tmp_path) == carried_out(file, tmp_path)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (b"", ""),
        (b"one\ntwo\n", "two"),
        (b"one\ntwo", "two"),
        (b"one\r\ntwo  \r\n", "two"),
        (b"one\n \n\t\n\n", "one"),
        (b"  indented\n", "  indented"),
        (b"\xff\n", "\N{REPLACEMENT CHARACTER}"),
        ("grüße\n".encode(), "grüße"),
    ],
)
def test_the_message_is_the_last_line_that_is_not_blank(output, expected):
    end = ended(output)

    assert expected == end.message
    assert (end.ok, end.error, end.stop) == (True, None, "exit 0")


def test_an_exit_code_is_a_failure_told_with_the_end_of_stderr():
    noise = b"".join(b"line %d\n" % number for number in range(100))
    end = ended(b"so far\n", 3, noise + b"sh: nosuch: not found\n\n")

    assert (end.ok, end.error, end.stop, end.message) == (
        False,
        ErrorClass.FAILED,
        "exit 3",
        "so far",
    )
    assert end.error_text.startswith("exit code 3: line 81\n")
    assert end.error_text.endswith("\nsh: nosuch: not found")
    assert end.raw == {"exit_code": 3}


@pytest.mark.parametrize(("code", "name"), [(-9, "SIGKILL"), (-99, "signal 99")])
def test_a_shell_ended_by_a_signal_has_crashed(code, name):
    end = ended(b"", code)

    assert (end.error, end.stop, end.error_text) == (ErrorClass.CRASHED, name, f"ended by {name}")


def test_an_end_that_was_asked_for_is_interrupted():
    talk = conversation()
    talk.interrupt()

    assert talk.data_to_send() == b""
    assert talk.receive_end(-2, b"")[-1].error is ErrorClass.INTERRUPTED


def test_a_script_that_ends_well_in_spite_of_an_interrupt_is_good():
    talk = conversation()
    talk.interrupt()

    assert talk.receive_end(0, b"")[-1].ok


def test_output_passes_by_as_text_and_characters_are_never_cut():
    talk = conversation()
    data = "aé\N{GRINNING FACE}\n".encode() + b"\xc3"
    events = [
        event for index in range(len(data)) for event in talk.receive(data[index : index + 1])
    ]
    events += talk.receive_end(0, b"")

    assert events[0] == TurnStarted(turn="2")
    text = "".join(event.text for event in events if isinstance(event, Text))
    assert text == "aé\N{GRINNING FACE}\n\N{REPLACEMENT CHARACTER}"


def test_the_turn_is_known_by_the_id_given_or_by_its_number():
    named, numbered = conversation(), conversation()
    named.send_turn("t-7", "echo hi\n")

    assert [event.turn for event in named.receive_end(0, b"")] == ["t-7", "t-7"]
    assert [event.turn for event in numbered.receive_end(0, b"")] == ["2", "2"]


def test_a_process_takes_one_turn_only():
    talk = conversation()
    assert talk.ready
    talk.send_turn("a", "")
    assert not talk.ready

    with pytest.raises(LocalProtocolError):
        talk.send_turn("b", "")


def test_after_the_end_nothing_more_comes():
    talk = conversation()

    assert talk.receive(b"") == []
    assert len(talk.receive_end(0, b"")) == 2
    assert talk.receive(b"late\n") == []
    assert talk.receive_end(0, b"") == []
    with pytest.raises(LocalProtocolError):
        talk.send_turn("b", "")


def test_an_endless_output_costs_no_memory():
    talk = conversation()
    line, flood = b"x" * 999 + b"\n", b"y" * 65536
    tracemalloc.start()
    try:
        for _ in range(20_000):
            talk.receive(line)
        for _ in range(1000):
            talk.receive(flood)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * KEPT
    assert talk.receive_end(0, b"")[-1].message == "y" * KEPT


def test_the_driver_says_what_it_is():
    driver = ShellDriver(ShellAgent())

    assert (driver.name, driver.process_per_turn) == ("shell", True)
    assert [rung.act for rung in driver.ladder] == ["SIGINT", "SIGTERM"]


def test_a_real_shell_carries_it_out(tmp_path):
    private = tmp_path / "private"
    private.mkdir()
    setting = Setting(
        cwd=str(tmp_path),
        private=str(private),
        conversation="c",
        resume=False,
        prompt="cat; echo one > two.txt; echo; echo -n done; echo trouble >&2; exit 4",
    )
    driver = ShellDriver(ShellAgent())
    launch = driver.launch(setting)
    for path, content in launch.files:
        (private / os.path.basename(path)).write_bytes(content)
    done = subprocess.run(
        launch.argv, input=launch.stdin, capture_output=True, cwd=tmp_path, check=False
    )
    talk = driver.conversation(setting)
    talk.receive(done.stdout)
    end = talk.receive_end(done.returncode, done.stderr)[-1]

    assert (end.message, end.error_text) == ("done", "exit code 4: trouble")
    assert (tmp_path / "two.txt").read_text() == "one\n"
