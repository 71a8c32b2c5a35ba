"""One answer of the model: the steps of one request, played into its connection.

The stream is begun by the first step that has something to send; so a step before that (a sleep,
a failure) acts on the answer as a whole, and one after it acts in the middle of the stream.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import assert_never

from runner.testing.model.codec import DEFAULT_USAGE, Asked, Codec
from runner.testing.model.directives import recalled, stretch
from runner.testing.model.http import Connection
from runner.testing.model.record import Record
from runner.testing.model.steps import (
    Count,
    Drop,
    Fail,
    Fill,
    Hang,
    Malformed,
    ProgramStep,
    Recall,
    Reset,
    Run,
    Say,
    Sleep,
    Stall,
    Step,
    Stop,
    Think,
    Tool,
    ToolStep,
    Write,
)

PLAIN_ANSWER = "I have read the prompt; no directive in it is for me."
DONE_ANSWER = "Done."
JSON = {"content-type": "application/json"}

_STREAM = {"content-type": "text/event-stream", "cache-control": "no-cache"}
_GARBAGE = b"data: {this is not the protocol\n\n"


class Ended(Exception):
    """The answer is over, and with it the connection."""


class Answer:
    """The state of one answer."""

    def __init__(
        self,
        connection: Connection,
        record: Record,
        *,
        codec: Codec,
        asked: Asked,
        steps: tuple[Step, ...],
        spend: Callable[[int, int | None], bool],
    ) -> None:
        """Pick what this request plays; `spend` counts the steps that have `times`."""
        self._connection = connection
        self._record = record
        self._codec = codec
        self._asked = asked
        self._spend = spend
        self._plain = not steps
        self._begun = False
        self._silent = True  # nothing has been said or called
        picked = stretch(steps, asked.done, self._is_call)
        self._picked = picked if asked.follow is None else []
        usage, stop = DEFAULT_USAGE, ""
        for _, step in self._picked:
            if isinstance(step, Count):
                usage = step.usage
            elif isinstance(step, Stop):
                stop = step.reason
        self._writer = codec.writer(asked, usage, stop)

    def _is_call(self, step: Step) -> bool:
        return (
            isinstance(step, Write | Run | Tool) and self._codec.call(self._asked, step) is not None
        )

    async def play(self) -> None:
        """Play it to its end.

        Raises:
            Ended: the connection is to be closed.
        """
        if self._asked.follow is not None:
            await self._send(self._writer.call(self._asked.follow))
        for number, step in self._picked:
            if await self._play_step(number, step):
                return
        if self._silent:
            await self._say(PLAIN_ANSWER if self._plain else DONE_ANSWER)
        self._record.status, self._record.outcome = 200, "answered"
        if self._asked.stream:
            await self._connection.send(self._writer.end())
            await self._connection.end()
        else:
            await self._connection.respond(200, to_json(self._writer.whole()), JSON)

    async def _play_step(self, number: int, step: Step) -> bool:
        """Play a step; whether it was the end of the answer."""
        match step:
            case Think():
                await self._send(self._writer.think(step.text))
            case Write() | Run() | Tool():
                await self._call(step)
            case Sleep():
                await self._wait(step.seconds)
            case Count() | Stop():
                pass  # they are in the writer
            case Fail():
                if self._spend(number, step.times):
                    await self._fail(step)
                    return True
            case Drop() | Reset() | Stall() | Hang() | Malformed():
                if self._spend(number, step.times):
                    await self._break(step)
            case _:
                await self._say(self._words(step))
        return False

    def _words(self, step: Say | Fill | Recall | ProgramStep) -> str:
        match step:
            case Say():
                return step.text
            case Fill():
                return "x" * step.size
            case Recall():
                return recalled(self._asked.prompts, step)
            case _:
                return f"Only a ScriptedAgent can do this: {step}"

    async def _call(self, step: ToolStep) -> None:
        call = self._codec.call(self._asked, step)
        if call is None:
            await self._say(f"No tool that I know is declared for: {step}")
        else:
            await self._send(self._writer.call(call))

    async def _begin(self) -> None:
        if self._asked.stream and not self._begun:
            self._begun = True
            self._record.status = 200
            await self._connection.begin(200, _STREAM)
            if first := self._writer.begin():
                await self._connection.send(first)

    async def _send(self, data: bytes) -> None:
        self._silent = False
        if self._asked.stream:
            await self._begin()
            await self._connection.send(data)

    async def _say(self, text: str) -> None:
        for data in self._writer.text(text):
            await self._send(data)

    async def _wait(self, seconds: float) -> None:
        if await self._connection.wait_gone(seconds):
            self._record.outcome = "gone"
            raise Ended

    async def _fail(self, step: Fail) -> None:
        self._record.outcome = "failed"
        if self._asked.stream and self._codec.in_stream(step):
            await self._begin()
        if self._begun:
            await self._connection.send(self._writer.fail(step))
            await self._connection.end()
            return
        headers = {**JSON, **self._codec.headers(step)}
        if step.retry_after is not None:
            headers["retry-after"] = f"{step.retry_after:g}"
        self._record.status = step.status
        await self._connection.respond(step.status, to_json(self._codec.error(step)), headers)

    async def _break(self, step: Drop | Reset | Stall | Hang | Malformed) -> None:
        match step:
            case Drop():
                await self._half()
                self._record.outcome = "dropped"
            case Reset():
                self._connection.reset()
                self._record.outcome = "reset"
            case Stall():
                await self._half()
                await self._wait_for_ever()
            case Hang():
                await self._wait_for_ever()
            case Malformed():
                await self._malformed()
            case _:
                assert_never(step)
        raise Ended

    async def _half(self) -> None:
        """Send the beginning of an answer, one that cannot be taken for a whole."""
        if self._asked.stream:
            first = next(iter(self._writer.text("This answer is going to be cut off.")))
            await self._send(first)
        else:
            self._record.status = 200
            whole = to_json(self._writer.whole())
            await self._connection.begin_sized(200, len(whole), JSON)
            await self._connection.send_raw(whole[: len(whole) // 2])

    async def _wait_for_ever(self) -> None:
        await self._connection.wait_gone()
        self._record.outcome = "gone"

    async def _malformed(self) -> None:
        self._record.status, self._record.outcome = 200, "malformed"
        if not self._begun:
            await self._connection.begin(200, _STREAM if self._asked.stream else JSON)
        await self._connection.send(_GARBAGE)
        await self._connection.end()


def to_json(body: Mapping[str, object]) -> bytes:
    """Make the body of an answer."""
    return json.dumps(body).encode()
