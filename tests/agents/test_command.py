"""The command agent: the template, the ways of a prompt, the readings of an output."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.agents.command import ARGUMENT_LIMIT, KEPT_TEXT, CommandDriver, find, parse_path
from runner.agents.driver import CommandAgent, Setting
from runner.agents.events import ErrorClass, Raw, Text, TurnEnded, TurnStarted
from runner.errors import ConfigError


def setting(prompt: str = "-do it") -> Setting:
    return Setting(cwd="/w", private="/p", conversation="c1", resume=False, prompt=prompt, turn=3)


def driver(*argv: str, **options) -> CommandDriver:
    return CommandDriver(CommandAgent(argv=argv or ("tool",), **options))


def ended(written: bytes, exit_code: int = 0, **options) -> TurnEnded:
    talk = driver(**options).conversation(setting())
    for index in range(len(written)):
        talk.receive(written[index : index + 1])
    return talk.receive_end(exit_code, b"")[-1]


# ---------------------------------------------------------------- the launch


def test_a_prompt_goes_to_the_standard_input_unless_said_otherwise():
    launch = driver("tool", "-C{cwd}", "{session}", pass_env=("KEY",), env={"A": "1"}).launch(
        setting()
    )

    assert launch.argv == ("tool", "-C/w", "c1")
    assert launch.stdin == b"-do it"
    assert (launch.pass_env, launch.env, launch.files) == (("KEY",), (("A", "1"),), ())


def test_a_prompt_as_an_argument_stands_where_the_template_says():
    launch = driver("tool", "--", "{prompt}", prompt="argument").launch(setting())

    assert launch.argv == ("tool", "--", "-do it")
    assert (launch.stdin, launch.files) == (b"", ())


def test_a_prompt_as_a_file_is_written_into_the_private_directory():
    launch = driver("tool", "-f={prompt_file}", prompt="file").launch(setting("é"))

    assert launch.argv == ("tool", "-f=/p/turn-3.txt")
    assert (launch.stdin, launch.files) == (b"", (("/p/turn-3.txt", "é".encode()),))


def test_a_value_is_never_taken_for_a_template():
    launch = driver("tool", "{prompt}", prompt="argument").launch(setting("{cwd} {{session}}"))

    assert launch.argv == ("tool", "{cwd} {{session}}")


def test_other_braces_stand_for_themselves():
    launch = driver("jq", "{a: .b}", "{{cwd}}", "{}", "${{HOME}}").launch(setting())

    assert launch.argv == ("jq", "{a: .b}", "{cwd}", "{}", "${HOME}")


@pytest.mark.parametrize(
    ("argv", "options", "said"),
    [
        ((), {}, "argv is empty"),
        (("",), {}, "argv is empty"),
        (("t", "{promt}"), {}, "{promt}, which is no placeholder"),
        (("t", "{promt}"), {}, "write {{promt}}"),
        (("t",), {"prompt": "argument"}, 'prompt = "argument" needs {prompt} in argv'),
        (("t",), {"prompt": "file"}, 'prompt = "file" needs {prompt_file} in argv'),
        (("t", "{prompt}"), {}, '{prompt}, which needs prompt = "argument"'),
        (("t", "{prompt_file}"), {}, '{prompt_file}, which needs prompt = "file"'),
        (("t",), {"message": "a"}, 'needs output = "json" or "jsonl"'),
        (("t",), {"message": "a..b", "output": "json"}, "'a..b' is no path"),
    ],
)
def test_a_template_that_cannot_work_is_refused_at_once(argv, options, said):
    with pytest.raises(ConfigError) as caught:
        CommandDriver(CommandAgent(argv=argv, **options))

    assert said in str(caught.value)


def test_everything_that_is_wrong_is_said_together():
    with pytest.raises(ConfigError) as caught:
        driver("t", "{a}", "{b}", prompt="file", message="[")

    assert len(caught.value.problems) == 5


@pytest.mark.parametrize(
    ("prompt", "said"), [("a\0b", "NUL"), ("x" * (ARGUMENT_LIMIT + 1), "131072 bytes")]
)
def test_a_prompt_that_no_argument_can_carry_is_refused(prompt, said):
    with pytest.raises(ConfigError, match=said):
        driver("t", "{prompt}", prompt="argument").launch(setting(prompt))


# ---------------------------------------------------------------- the output


def test_the_message_is_the_whole_text():
    end = ended("\n one\ntwo é\n\n".encode())

    assert (end.ok, end.message, end.stop) == (True, "one\ntwo é", "exit 0")


def test_of_an_endless_text_the_end_is_kept():
    talk = driver().conversation(setting())
    for _ in range(5):
        talk.receive(b"x" * (KEPT_TEXT - 1) + b"\n")
    talk.receive(b"end")
    message = talk.receive_end(0, b"")[-1].message

    assert len(message) == KEPT_TEXT
    assert message.endswith("x\nend")


def test_text_passes_by_as_it_comes():
    talk = driver().conversation(setting())

    assert talk.receive(b"a\xc3") == [TurnStarted(turn="3"), Text(text="a")]
    assert talk.receive(b"\xa9") == [Text(text="é")]
    assert [type(event) for event in talk.receive_end(0, b"")] == [TurnEnded]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("result", "fine"),
        ("items[0].text", "a"),
        ("items[-1].text", "b"),
        (".items[1].text", "b"),
        ("items[0]", '{"text":"a"}'),
        ("count", "3"),
        ("", '{"result":"fine","items":[{"text":"a"},{"text":"b"}],"count":3,"none":null}'),
    ],
)
def test_the_message_stands_at_a_path_of_the_document(path, expected):
    document = (
        b'{"result": "fine",\n "items": [{"text": "a"}, {"text": "b"}], "count": 3, "none": null}\n'
    )
    end = ended(document, output="json", message=path)

    assert (end.ok, end.message) == (True, expected)


@pytest.mark.parametrize(
    "path", ["none", "missing", "result[0]", "items.a", "items[2]", "items[-3]", "result.x"]
)
def test_a_good_exit_without_the_message_is_no_good_end(path):
    end = ended(b'{"result": "fine", "items": [1, 2], "none": null}', output="json", message=path)

    assert (end.ok, end.error) == (False, ErrorClass.PROTOCOL)
    assert end.error_text == f"the output is no JSON document with {path!r} in it"


def test_a_document_is_told_as_text_at_its_end():
    talk = driver(output="json", message="a").conversation(setting())

    assert talk.receive(b'{"a":') == [TurnStarted(turn="3")]
    assert talk.receive(b'"x"}') == []
    assert talk.receive_end(0, b"")[0] == Text(text="x")


def test_a_document_that_is_none_is_a_protocol_error_and_a_bad_exit_stays_what_it_is():
    assert ended(b"oops", output="json").error is ErrorClass.PROTOCOL
    assert ended(b"oops", 2, output="json").error is ErrorClass.FAILED
    assert ended(b'{"a": "so far"}', 2, output="json", message="a").message == "so far"


def test_the_message_is_in_the_last_line_that_has_the_path():
    lines = b'{"type":"start"}\n\nnoise\n{"text":"one"}\n{"text":"two"}\r\n{"type":"end"}'
    end = ended(lines, output="jsonl", message="text")

    assert (end.ok, end.message) == (True, "two")


def test_without_a_path_the_last_json_line_counts():
    assert ended(b'{"a":1}\n"last"\nnoise\n', output="jsonl").message == "last"


def test_no_line_with_the_path_is_a_protocol_error():
    end = ended(b'{"a":1}\n', output="jsonl", message="b[0]")

    assert (end.ok, end.error) == (False, ErrorClass.PROTOCOL)
    assert end.error_text == "the output has no JSON line with 'b[0]' in it"


def test_lines_pass_by_raw():
    talk = driver(output="jsonl").conversation(setting())

    assert talk.receive(b'{"type":"x"}\nnoise\n[]')[1:] == [
        Raw(kind="x", data=b'{"type":"x"}'),
        Raw(kind="", data=b"noise"),
    ]
    assert talk.receive_end(0, b"")[0] == Raw(kind="", data=b"[]")


@pytest.mark.parametrize("text", [".", "a.", "[x]", "a[", "a]", "a[0]b", "a..b", "[]"])
def test_what_is_no_path_is_refused(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        parse_path(text)


@given(st.lists(st.text("abc_-", min_size=1) | st.integers(), max_size=5))
def test_a_path_is_read_as_it_is_written(steps):
    written = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)

    assert tuple(steps) == parse_path(written)


def test_true_and_false_are_values():
    assert find({"a": False}, ("a",)) == "false"


def test_the_driver_says_what_it_is():
    tool = driver()

    assert (tool.name, tool.process_per_turn) == ("command", True)
    assert [rung.act for rung in tool.ladder] == ["SIGINT", "SIGTERM"]
