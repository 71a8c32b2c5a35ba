"""The model server: takes requests, plays the directives of their prompts, keeps a log.

Stateless but for two things: the log, and how often a `times=N` directive has been played, which
is counted per prompt. All else follows from the request: its last prompt has the directives, the
tool results after it say how far they have come. So a resumed conversation, a request that is
repeated and any number of clients at once just work.

    request -> codec.read -> stretch (what this request plays) -> steps -> writer -> answer

It does not check keys, limit rates or know models; and it never logs a key.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping

import trio

from runner.agents.events import ErrorClass
from runner.testing.model.answer import JSON, Answer, Ended, to_json
from runner.testing.model.anthropic import AnthropicCodec
from runner.testing.model.codec import (
    DEFAULT_USAGE,
    Codec,
    NotUnderstood,
    is_asking_for_summary,
    summed_up,
)
from runner.testing.model.directives import DirectiveError, parse
from runner.testing.model.google import GoogleCodec
from runner.testing.model.http import Connection, HttpError, Request
from runner.testing.model.openai import OpenAICodec
from runner.testing.model.record import Record, auth_kind
from runner.testing.model.steps import Fail

_CODECS: Mapping[str, Codec] = {
    "/v1/messages": AnthropicCodec(),
    "/v1/messages/count_tokens": AnthropicCodec(),
    "/v1/responses": OpenAICodec(),
}
_COUNTING = ("/count_tokens", ":countTokens")
_SESSION_HEADERS = ("x-claude-code-session-id", "session-id")


class ModelServer:
    """The state of a server: its log and its counts; `runner.testing.model_server` opens it."""

    def __init__(self) -> None:
        self.requests: list[Record] = []
        self._played: Counter[tuple[bytes, int]] = Counter()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one client until one of us has had enough."""
        connection = Connection(stream)
        async with stream:
            try:
                while (request := await connection.receive()) is not None:
                    await self._answer(connection, request)
                    if not request.keep_alive:
                        return
            except HttpError as error:
                await self._refuse(connection, error)
            except (Ended, trio.BrokenResourceError):
                pass

    async def _refuse(self, connection: Connection, error: HttpError) -> None:
        record = Record(method="?", path="?", status=error.status, outcome="failed")
        self.requests.append(record)
        body = to_json({"error": {"type": "http_error", "message": error.reason}})
        try:
            await connection.respond(error.status, body, {**JSON, "connection": "close"})
            # What it still sends has to be read, or the close is an RST that eats our answer.
            await connection.wait_gone(1.0)
        except trio.BrokenResourceError:
            record.outcome = "gone"

    async def _answer(self, connection: Connection, request: Request) -> None:
        session = next((v for k in _SESSION_HEADERS if (v := request.headers.get(k))), "")
        record = Record(
            method=request.method,
            path=request.path,
            auth=auth_kind(request.headers),
            session=session,
        )
        self.requests.append(record)
        codec = _codec_of(request.path)
        try:
            if codec is not None and request.method == "POST":
                await self._answer_model(connection, request, record, codec)
            else:
                record.status, body = self._page(request.method, request.path)
                record.outcome = "answered" if record.status == 200 else "failed"
                await connection.respond(record.status, to_json(body), JSON)
        except trio.BrokenResourceError:
            record.outcome = "gone"
            raise

    async def _answer_model(
        self, connection: Connection, request: Request, record: Record, codec: Codec
    ) -> None:
        record.api = codec.name
        try:
            asked = codec.read(_body(request))
            record.prompt, record.done = asked.prompt, asked.done
            record.stream, record.model = asked.stream, asked.model
            is_summary = is_asking_for_summary(asked.prompt)
            steps = summed_up(asked.prompts) if is_summary else parse(asked.prompt)
        except (NotUnderstood, DirectiveError) as error:
            record.status, record.outcome = 400, "failed"
            fail = Fail(status=400, error=ErrorClass.BAD_REQUEST, message=str(error))
            await connection.respond(400, to_json(codec.error(fail)), JSON)
            return
        if request.path.endswith(_COUNTING):
            record.status, record.outcome = 200, "answered"
            key = "totalTokens" if codec.name == "google" else "input_tokens"
            await connection.respond(200, to_json({key: DEFAULT_USAGE.input_tokens}), JSON)
            return
        prompt = hashlib.sha256(asked.prompt.encode("utf-8", "surrogatepass")).digest()

        def spend(number: int, times: int | None) -> bool:
            self._played[prompt, number] += 1
            return times is None or self._played[prompt, number] <= times

        answer = Answer(connection, record, codec=codec, asked=asked, steps=steps, spend=spend)
        await answer.play()

    def _page(self, method: str, path: str) -> tuple[int, dict[str, object]]:
        if _codec_of(path) is not None or method not in {"GET", "HEAD"}:
            return 405, {"error": {"type": "invalid_request_error", "message": f"no {method} here"}}
        if path == "/":
            return 200, {"server": "runner.testing.model_server"}
        if path == "/requests":
            return 200, {"requests": [record.as_dict() for record in self.requests]}
        if path == "/v1/models":
            model = {"id": "stub", "type": "model", "object": "model", "display_name": "stub"}
            model |= {"created_at": "2025-01-01T00:00:00Z", "owned_by": "runner"}
            return 200, {"object": "list", "data": [model], "has_more": False, "models": []}
        return 404, {"error": {"type": "not_found_error", "message": "no such page"}}


def _codec_of(path: str) -> Codec | None:
    return _CODECS.get(path) or GoogleCodec.of_path(path)


def _body(request: Request) -> Mapping[str, object]:
    if "content-encoding" in request.headers:
        raise NotUnderstood("the body is compressed, which I cannot read")
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise NotUnderstood(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise NotUnderstood("the body is no JSON object")
    return body
