"""A model provider on this machine, for tests of agent programs: no key, no network, no cost.

    python -m runner.testing.model_server [--port N] [--print-url]

It speaks Anthropic's Messages API (`/v1/messages`, `/v1/messages/count_tokens`), OpenAI's
Responses API (`/v1/responses`) and Google's (`/v1beta/models/MODEL:generateContent` and
`:streamGenerateContent`), streaming and not, on 127.0.0.1 only. The prompt itself says what
the model does: see `runner.testing.model.directives` for the lines that it understands.

    async with open_model_server() as server:       # in your nursery's world
        server.url, server.requests
    with model_server_thread() as server: ...       # in a thread: for sync code, and pytest

As a program it prints one line with its URL, and serves until SIGTERM, SIGINT, or the end of its
standard input if that is a pipe. `GET /requests` gives the log.
"""

from __future__ import annotations

import argparse
import os
import signal
import stat
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import attrs
import trio

from runner.testing.model.record import Record
from runner.testing.model.server import ModelServer

HOST = "127.0.0.1"


@attrs.frozen(kw_only=True)
class Served:
    """A server that is running.

    Attributes:
        url: without a slash at the end.
        requests: the log, oldest first; it grows while the server runs.
        close: ends it; from any thread, more often than once does nothing.
    """

    url: str
    requests: Sequence[Record]
    close: Callable[[], None]

    def claude_env(self) -> dict[str, str]:
        """The variables that make Claude Code ask this server."""
        return {
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": "dummy",
            "IS_SANDBOX": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }

    def codex_env(self) -> dict[str, str]:
        """The variables that go with `codex_config`."""
        return {"STUB_KEY": "dummy"}

    def codex_config(self, *, request_max_retries: int = 1, stream_max_retries: int = 1) -> str:
        """Make the lines of a `config.toml` that make Codex ask this server."""
        return f"""\
model_provider = "stub"

[model_providers.stub]
name = "stub"
base_url = "{self.url}/v1"
wire_api = "responses"
env_key = "STUB_KEY"
request_max_retries = {request_max_retries}
stream_max_retries = {stream_max_retries}
"""


def _closer(cancel_scope: trio.CancelScope) -> Callable[[], None]:
    token = trio.lowlevel.current_trio_token()

    def close() -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(cancel_scope.cancel)

    return close


@asynccontextmanager
async def open_model_server(*, port: int = 0) -> AsyncGenerator[Served, None]:
    """Serve in the caller's own trio; leaving the context cuts all connections.

    Args:
        port: 0 = any free one.
    """
    server = ModelServer()
    listeners = await trio.open_tcp_listeners(port, host=HOST)
    number = listeners[0].socket.getsockname()[1]
    serving = trio.CancelScope()
    failure: Exception | None = None

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        with serving:
            task_status.started()  # the listeners listen already
            await trio.serve_listeners(server.serve, listeners)

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        try:
            yield Served(
                url=f"http://{HOST}:{number}", requests=server.requests, close=_closer(serving)
            )
        except Exception as error:  # noqa: BLE001 - raised below, bare instead of in a group
            failure = error
        serving.cancel()
    if failure is not None:
        raise failure


@contextmanager
def model_server_thread(*, port: int = 0) -> Generator[Served, None, None]:
    """Serve in a thread with a trio of its own: a test may block, the server goes on.

    Args:
        port: 0 = any free one.
    """
    ready = threading.Event()
    served: list[Served] = []
    failure: list[Exception] = []

    async def serve() -> None:
        async with open_model_server(port=port) as server:
            with trio.CancelScope() as cancel_scope:
                served.append(attrs.evolve(server, close=_closer(cancel_scope)))
                ready.set()
                await trio.sleep_forever()

    def run() -> None:
        try:
            trio.run(serve)
        except Exception as error:  # noqa: BLE001 - raised where the thread is joined
            failure.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="model-server", daemon=True)
    thread.start()
    ready.wait()
    try:
        if served:
            yield served[0]
    finally:
        for server in served:
            server.close()
        thread.join()
    if failure:
        raise failure[0]


# ---------------------------------------------------------------- as a program


async def _wait_signal() -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            return


async def _wait_stdin() -> None:
    """Wait for the end of our input; for ever if nobody can end it (/dev/null, a terminal)."""
    # Closed before we began: descriptor 0 is something of our own by now.
    mode = 0 if sys.stdin is None else os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        await trio.sleep_forever()
    while True:
        await trio.lowlevel.wait_readable(0)
        if not os.read(0, 1 << 16):
            return


async def _serve_until_told(port: int, *, url_only: bool) -> None:
    async with open_model_server(port=port) as server, trio.open_nursery() as nursery:

        async def end_after(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(end_after, _wait_signal)
        nursery.start_soon(end_after, _wait_stdin)
        print(server.url if url_only else f"model server at {server.url}", flush=True)  # noqa: T201


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 16:
        raise argparse.ArgumentTypeError(f"must be 0 to 65535, not {number}")
    return number


def main(argv: Sequence[str] | None = None) -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.testing.model_server",
        description="A model provider on 127.0.0.1 that does what directives in the prompt say.",
        epilog="Ends with SIGTERM, SIGINT, or the end of standard input if that is a pipe.",
    )
    parser.add_argument("--port", type=_port, default=0, help="default: any free one")
    parser.add_argument("--print-url", action="store_true", help="print the URL and nothing else")
    options = parser.parse_args(argv)
    trio.run(lambda: _serve_until_told(options.port, url_only=options.print_url))


if __name__ == "__main__":
    main()
