"""Writing to descriptors: whole, also when it takes several writes, and readers who have gone."""

from __future__ import annotations

import os
import threading

import pytest

from runner.cli.streams import OutputClosed, complain, encode, put, write_all


def test_text_is_utf8_and_names_that_are_none_come_out_as_they_are() -> None:
    assert encode("é") == "é".encode()
    assert encode(os.fsdecode(b"a\xff")) == b"a\xff"
    assert encode("a\ud83d") == b"a?"


def test_a_large_text_is_written_whole_also_to_a_pipe_that_does_not_block() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    data = os.urandom(1 << 20)
    got = bytearray()

    def read() -> None:
        while piece := os.read(reader, 1 << 16):
            got.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    write_all(writer, data)
    os.close(writer)
    thread.join()
    os.close(reader)

    assert bytes(got) == data


def test_a_reader_who_has_gone_is_output_closed() -> None:
    reader, writer = os.pipe()
    os.close(reader)

    with pytest.raises(OutputClosed):
        write_all(writer, b"x")
    os.close(writer)

    with pytest.raises(OutputClosed):
        write_all(writer, b"x")


def test_put_and_complain_are_lines(capfd) -> None:
    put("one")
    complain("two")

    out, err = capfd.readouterr()
    assert (out, err) == ("one\n", "two\n")


@pytest.mark.parametrize("descriptor", [1, 2])
def test_a_command_whose_outputs_are_closed_has_no_traceback(runner, descriptor: int) -> None:
    program = f"import os, sys; os.close({descriptor}); from runner.__main__ import main; main()"

    ended = runner("schema", "batch", program=("-c", program))

    assert ended.code == (141 if descriptor == 1 else 0)
    assert "Traceback" not in ended.err


def test_a_reader_who_leaves_is_no_traceback(runner) -> None:
    process = runner.start("schema", "batch")
    process.stdout.close()

    _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_batch_goes_on_with_standard_streams_that_were_closed(runner, closed) -> None:
    (runner.cwd / "b.toml").write_text('name = "b"\nprompt = "echo said"\n')
    program = (
        f"import os, sys; [os.close(each) for each in {closed}];"
        "os.execv(sys.executable, [sys.executable, '-m', 'runner', *sys.argv[1:]])"
    )

    ended = runner("batch", "run", "b.toml", "-o", "out", program=("-c", program))

    assert (ended.code, "Traceback" in ended.err) == (0, False)
    assert '"final_message":"said"' in (runner.cwd / "out/results.jsonl").read_text()
