"""The program of a replay: it says again what was recorded, to whoever says the same to it.

    python -I -S replay_program.py RECORDING COUNTER recorded|at-once one-turn|many

It plays the next process of the recording: COUNTER is a file that says how many have been played.
What the recorded program said after something was said to it comes when the like is said again: a
line of the same shape (its type, method or subtype), whatever text is in it. Lines that are not
like any that is still to come are ignored; one that comes earlier than in the recording makes it
play what lies before. Ids that are made anew each time (uuids, the numbers of requests) are
replaced in what it says by those that it was told.

Only the standard library: it starts in some 20 ms, and imports nothing of runner.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sys
import time

TYPE_CHECKING = False  # importing typing would cost a third of the start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def steps_of(data: bytes, number: int) -> list[dict[str, Any]]:
    """The steps of a process of a recording, from 0; none if there is no such process."""
    found: list[list[dict[str, Any]]] = []
    for line in data.splitlines()[1:]:
        try:
            step = json.loads(line)
        except ValueError:  # a torn last line
            break
        if "start" in step:
            found.append([])
        else:
            found[-1].append(step)
    return found[number] if number < len(found) else []


def shape_of(line: str) -> tuple[object, ...]:
    """What makes a line like another: everything but the texts and the ids in it."""
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        return ("text",)
    request, response = message.get("request"), message.get("response")
    subtype = request.get("subtype") if isinstance(request, dict) else None
    return (
        message.get("type"),
        message.get("method"),
        subtype,
        isinstance(response, dict) or "result" in message or "error" in message,
    )


class Player:
    """Plays the steps of one process.

    Args:
        steps: what was recorded of it.
        input: where it is spoken to.
        write: says a piece on a stream, "out" or "err".
        sleep: waits some seconds; None = everything comes at once.
        one_turn: its input is part of its start: nothing is waited for.
    """

    def __init__(
        self,
        steps: list[dict[str, Any]],
        input: BinaryIO,  # noqa: A002 - what it is
        write: Callable[[str, bytes], None],
        sleep: Callable[[float], None] | None,
        *,
        one_turn: bool,
    ) -> None:
        self.steps = steps
        self.input = input
        self.write = write
        self.sleep = sleep
        self.one_turn = one_turn
        self.at = 0.0
        self.uuids: dict[str, str] = {}
        self.numbers: dict[object, object] = {}

    def play(self) -> int:
        """Play it; how it ends: an exit code, or minus a signal's number."""
        position = 0
        while position < len(self.steps):
            step = self.steps[position]
            self.wait(step)
            if "exit" in step:
                return int(step["exit"])
            if ("in" in step or "in64" in step) and not self.one_turn:
                heard = self.listen(position)
                if heard is None:
                    return 0
                position = heard
            elif "closed" in step and not self.one_turn:
                while self.input.readline():
                    pass
            else:
                self.say(step)
            position += 1
        # It was never seen to end: it stays until its input does.
        while not self.one_turn and self.input.readline():
            pass
        return 0

    def wait(self, step: dict[str, Any]) -> None:
        """Let the time pass that passed before a step."""
        passed, self.at = step["at"] - self.at, step["at"]
        if self.sleep is not None and passed > 0 and "in" not in step:
            self.sleep(passed)

    def listen(self, position: int) -> int | None:
        """Wait for the line at a step, or one further on; which it was. None: the input ended."""
        while line := self.input.readline():
            heard = line.decode("utf-8", "replace")
            shape = shape_of(heard)
            for number in range(position, len(self.steps)):
                step = self.steps[number]
                if "in" in step and shape_of(step["in"]) == shape:
                    for passed in self.steps[position:number]:
                        self.say(passed)
                    self.learn(step["in"], heard)
                    self.at = step["at"]
                    return number
        return None

    def learn(self, recorded: str, heard: str) -> None:
        """Note which ids stand for the recorded ones."""
        before, now = _UUID.findall(recorded), _UUID.findall(heard)
        if len(before) == len(now):
            self.uuids.update(zip(before, now, strict=True))
        if shape_of(recorded) != ("text",) and "method" in json.loads(recorded):
            self.numbers[json.loads(recorded).get("id")] = json.loads(heard).get("id")

    def say(self, step: dict[str, Any]) -> None:
        """Say what was said at a step; nothing if it is none of the program's."""
        for stream in ("out", "err"):
            if stream in step:
                self.write(stream, self.told(step[stream]).encode())
            elif stream + "64" in step:
                self.write(stream, base64.b64decode(step[stream + "64"]))

    def told(self, text: str) -> str:
        """A text with the ids that it was told."""
        if self.uuids:
            text = _UUID.sub(lambda found: self.uuids.get(found[0], found[0]), text)
        shape = shape_of(text)
        if shape != ("text",) and shape[1] is None:  # an answer to a request of ours, by its number
            message = json.loads(text)
            number = message.get("id")
            if self.numbers.get(number, number) != number:
                message["id"] = self.numbers[number]
                text = json.dumps(message, ensure_ascii=False) + "\n"
        return text


def next_process(path: str) -> int:
    """How many processes were played before this one, which counts as played from now on."""
    try:
        with open(path, encoding="ascii") as file:
            played = int(file.read())
    except FileNotFoundError:
        played = 0
    with open(path, "w", encoding="ascii") as file:
        file.write(str(played + 1))
    return played


def main(recording: str, counter: str, timing: str, turns: str) -> int:
    """Play the next process of a recording on our standard streams."""
    with open(recording, "rb") as file:
        steps = steps_of(file.read(), next_process(counter))
    if not steps:
        sys.stderr.write("the recording has no more processes\n")
        return 1

    def write(stream: str, data: bytes) -> None:
        number = 1 if stream == "out" else 2
        while data:
            data = data[os.write(number, data) :]

    sleep = time.sleep if timing == "recorded" else None
    player = Player(steps, sys.stdin.buffer, write, sleep, one_turn=turns == "one-turn")
    return player.play()


def end(code: int) -> None:
    """End as the recorded program did."""
    if code < 0:  # pragma: no cover - who is killed writes no coverage; tested from outside
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":  # pragma: no cover - with -S, coverage's start-up file is not read
    end(main(*sys.argv[1:]))
