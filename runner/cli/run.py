"""`runner run`: one prompt, here and now, in a directory as it is; output streamed.

It is a session and its scope, and no batch: nothing is copied, nothing is tried again, nothing is
kept. Standard output is the agent's, standard error ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence

import attrs
import click
import trio

from runner.agents.driver import Agent, McpServer
from runner.agents.events import (
    ApprovalDecided,
    ErrorClass,
    RateLimited,
    Retry,
    Text,
    ToolCall,
)
from runner.agents.registry import make_agent
from runner.agents.varying import vary
from runner.cli import options, words
from runner.cli.board import tokens_of
from runner.cli.endings import ended_by
from runner.cli.exits import Exit
from runner.cli.signals import Ladder, Step
from runner.cli.streams import STDERR, STDOUT, discard_output
from runner.cli.writer import Writer
from runner.config import RunnerConfig, load_record
from runner.errors import ConfigError, Problem, SessionClosed
from runner.messages import Isolation
from runner.runtime import open_runner
from runner.scopes.scope import Scope
from runner.sessions.followers import Follower
from runner.sessions.patterns import DEFAULT_IGNORE
from runner.sessions.session import Session
from runner.sessions.state import OnLost
from runner.sessions.turn import Turn
from runner.strict import parse_seconds

SCHEMA = "runner.turn/1"
ONE_PROCESS_PER_TURN = ("shell", "command")  # their text is a stream, that of the others messages


@click.command(epilog=options.CODES)
@click.argument("prompt")
@click.option(
    "-a", "--agent", "name", metavar="AGENT", help="shell, claude, codex, or an agent's TOML file."
)
@click.option(
    "-w", "--workspace", "directory", metavar="DIR", default=".", help="Where it works.  [.]"
)
@click.option(
    "--verify", metavar="CMD", multiple=True, help="A command that must exit with 0 afterwards."
)
@options.agent
@options.limits
@options.changes
@options.config
@options.json
def run(
    *,
    prompt: str,
    name: str | None,
    directory: str,
    verify: tuple[str, ...],
    sandbox: str | None,
    model: str | None,
    billing: str | None,
    timeout: str | None,
    silence: str | None,
    max_park: str | None,
    ignore: tuple[str, ...],
    watch: bool,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Run one prompt, here and now, in a directory as it is.

    PROMPT - reads it from standard input. The agent's output goes to standard output.
    """
    config = load_record(config_file, RunnerConfig) if config_file else RunnerConfig()
    order = Order(
        prompts=(read_prompt(prompt),),
        agent=read_agent(name or config.default_agent, sandbox, model, billing),
        directory=existing(directory),
        verify=verify,
        timeout=read_seconds("--timeout", timeout),
        silence=read_seconds("--silence", silence),
        max_park=read_seconds("--max-park", max_park),
        ignore=ignore or DEFAULT_IGNORE,
        watch=watch,
        as_json=as_json,
    )
    return trio.run(main, config, order)


@attrs.frozen(kw_only=True)
class Order:
    """What is to be done.

    Attributes:
        prompts: a turn for each; one that is interrupted is the last.
        session: the id of the one to go on with; empty = one that is not kept.
        env: variables of its scope; `isolation` holds what runs there.
        servers: of tools (MCP), for its agent.
        recording: the path of the recording that is to be made; empty = none.
        on_lost: what comes of a conversation that its program does not have any more.
    """

    prompts: tuple[str, ...]
    agent: Agent
    directory: str
    verify: Sequence[str]
    timeout: float | None
    as_json: bool
    silence: float | None = None
    max_park: float | None = None
    ignore: Sequence[str] = DEFAULT_IGNORE
    watch: bool = True
    session: str = ""
    env: Mapping[str, str] = attrs.field(factory=dict)
    isolation: Isolation | None = None
    servers: Sequence[McpServer] = ()
    recording: str = ""
    on_lost: OnLost = "error"


# ---------------------------------------------------------------- what the user said


def read_prompt(prompt: str) -> str:
    """The prompt that a word of the command line stands for.

    Raises:
        ConfigError: it is empty.
    """
    text = prompt
    if prompt == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    if not text.strip():
        raise ConfigError("the prompt is empty")
    return text


def read_agent(
    name: str, sandbox: str | None = None, model: str | None = None, billing: str | None = None
) -> Agent:
    """The agent of a name, or of a TOML file, with what the options say otherwise.

    Raises:
        ConfigError: there is none, its file cannot be used, or it does not have an option.
    """
    if name.endswith(".toml") or "/" in name:
        agent: Agent = load_record(name, Agent)  # type: ignore[arg-type]  # a union of records
    else:
        agent = make_agent(name)
    return vary(agent, sandbox=sandbox, model=model, billing=billing)


def existing(directory: str) -> str:
    """The directory, which is there.

    Raises:
        ConfigError: it is not.
    """
    if not os.path.isdir(directory):
        raise ConfigError(Problem(directory, None, "", "there is no such directory"))
    return directory


def read_seconds(option: str, text: str | None) -> float | None:
    """The seconds of a duration that an option says.

    Raises:
        ConfigError: it is none.
    """
    if text is None:
        return None
    try:
        seconds = parse_seconds(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as exc:
        raise ConfigError(Problem(option, None, "", str(exc))) from None
    if not seconds:
        raise ConfigError(Problem(option, None, "", "must be more than 0 seconds"))
    return seconds


# ---------------------------------------------------------------- carrying it out


async def main(config: RunnerConfig, order: Order) -> int:
    """Carry it out, its output streamed; the answer is the exit code."""
    out, err = Writer(STDOUT), Writer(STDERR)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(out.run)
        nursery.start_soon(err.run)
        code = await _carry_out(config, order, out, err)
        await out.flushed()
        await err.flushed()
        nursery.cancel_scope.cancel()
    if out.is_closed:
        discard_output()
        return Exit.BROKEN_PIPE
    return code


async def _carry_out(config: RunnerConfig, order: Order, out: Writer, err: Writer) -> int:
    code: int = Exit.INTERRUPTED
    work, verifying = trio.CancelScope(), trio.CancelScope()
    async with trio.open_nursery() as nursery, open_runner(config) as runner:
        scope = runner.scope(order.directory, env=order.env, isolation=order.isolation)
        session = runner.session(
            scope,
            order.agent,
            id=order.session or None,
            timeout=order.timeout,
            silence=order.silence,
            max_park=order.max_park,
            ignore=order.ignore,
            watch=order.watch,
            durable=bool(order.session),
            servers=order.servers,
            recording=order.recording or None,
            on_lost=order.on_lost,
        )

        async def interrupt() -> None:
            with contextlib.suppress(SessionClosed):
                await session.interrupt()
            verifying.cancel()

        def start_interrupt() -> None:
            nursery.start_soon(interrupt)

        out.on_close = start_interrupt  # nobody listens any more, so nobody wants the rest
        ladder = Ladder(
            steps=(
                Step("interrupting; once more ends everything at once", start_interrupt),
                Step("ending everything at once", work.cancel),
            ),
            say=err.put_line,
            begin_at=0,
        )
        await nursery.start(ladder.watch)
        with work:  # not around the runner: it has to end what is put down here
            turns = await _follow(session, order, out, err)
            is_verified = False
            with verifying:
                is_verified = turns[-1].ok and await _verify(scope, order.verify, err)
            for turn in turns:
                _report(turn, is_verified, order, out, err)
            if turns[-1].unrecorded:
                err.put_line(turns[-1].unrecorded)
            code = _code(turns, is_verified=is_verified, has_checks=bool(order.verify))
        nursery.cancel_scope.cancel()
    return code if ladder.last is None else ended_by(ladder.last)


async def _follow(session: Session, order: Order, out: Writer, err: Writer) -> list[Turn]:
    """Carry out the turns, and let their events be seen as they come."""
    turns: list[Turn] = []
    is_stream = order.agent.kind in ONE_PROCESS_PER_TURN
    voice = Voice(out=err if order.as_json else out, err=err, is_stream=is_stream)
    async with session.events() as events, trio.open_nursery() as nursery:
        nursery.start_soon(_show, events, voice)
        async with session:
            for prompt in order.prompts:
                if not turns or turns[-1].error is not ErrorClass.INTERRUPTED:
                    turns.append(await session.send(prompt))
        # The session is closed: the events come to their end.
    voice.end()
    return turns


async def _show(events: Follower, voice: Voice) -> None:
    async for happened in events:
        voice.show(happened.event)
        await voice.out.flushed()  # a slow reader costs no memory: at the worst, it misses some
    if events.dropped:
        voice.err.put_line(
            f"the reader was too slow: {events.dropped} pieces of output are left out"
        )


@attrs.define(eq=False, kw_only=True)
class Voice:
    """What a turn says, as it comes."""

    out: Writer
    err: Writer
    is_stream: bool
    _last: str = "\n"
    _had_partial: bool = False

    def show(self, event: object) -> None:
        """Write what is for people in an event."""
        match event:
            case Text(text=text, partial=True):
                self._had_partial = True
                self._write(text)
            case Text(text=text):
                if not self._had_partial:
                    self._write(text)
                self._had_partial = False
                if not self.is_stream:
                    self.end()
            case ToolCall():
                self.err.put_line(f"- {event.name} {_brief(event.input)}")
            case ApprovalDecided(asked=asked) if not event.decision.allow:
                what = "was left undecided" if event.by == "closed" else "was refused"
                self.err.put_line(f"- {asked.tool} {what}: {_brief(asked.input)}")
            case Retry():
                status = f" after status {event.status}" if event.status else ""
                self.err.put_line(f"- it asks its provider again{status} {event.message}".rstrip())
            case RateLimited(resets_at=when) if when is not None:
                self.err.put_line(f"- the provider allows more at {when:%Y-%m-%d %H:%M:%S %Z}")
            case _:
                pass

    def end(self) -> None:
        """End the line."""
        if self._last != "\n":
            self._write("\n")

    def _write(self, text: str) -> None:
        self.out.put(text)
        self._last = text[-1:] or self._last


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else text[:117] + "..."


async def _verify(scope: Scope, commands: Sequence[str], err: Writer) -> bool:
    for command in commands:
        done = await scope.exec(command)
        if not done.ok:
            err.put(done.stdout + done.stderr)
            err.put_line(f"not verified: {command} (exit code {done.exit_code})")
            return False
        err.put_line(f"verified: {command}")
    return True


# ---------------------------------------------------------------- what it came to


CODES = {
    ErrorClass.TIMEOUT: Exit.TIMEOUT,
    ErrorClass.STALLED: Exit.TIMEOUT,
    ErrorClass.RATE_LIMITED: Exit.PARKED,
    ErrorClass.BUDGET: Exit.BUDGET,
    ErrorClass.INTERRUPTED: Exit.INTERRUPTED,
    ErrorClass.OVERLOADED: Exit.INFRA,
    ErrorClass.NETWORK: Exit.INFRA,
    ErrorClass.CRASHED: Exit.INFRA,
    ErrorClass.PROTOCOL: Exit.INFRA,
}


def _code(turns: Sequence[Turn], *, is_verified: bool, has_checks: bool) -> Exit:
    """That of the first turn that failed; else what is to be known of turns that came to an end."""
    errors = [turn.error for turn in turns if turn.error is not None]
    if errors:
        return CODES.get(errors[0], Exit.FAILED)
    if not is_verified:
        return Exit.UNVERIFIED
    if turns[-1].unrecorded:
        return Exit.INFRA
    # What was refused is made up for if the user's own commands say that the work is done.
    return Exit.APPROVAL if any(map(_refusals, turns)) and not has_checks else Exit.OK


def _refusals(turn: Turn) -> int:
    return sum(not each.decision.allow for each in turn.approvals)


def _report(turn: Turn, is_verified: bool, order: Order, out: Writer, err: Writer) -> None:
    err.put(turn.stderr_tail)
    if turn.stderr_tail and not turn.stderr_tail.endswith("\n"):
        err.put("\n")
    err.put_line(_summary(turn))
    if order.as_json:
        out.put_line(json.dumps(_record(turn, is_verified, order), default=str))


def _summary(turn: Turn) -> str:
    changes = [
        f"{len(paths)} {what}"
        for paths, what in (
            (turn.files_created, "created"),
            (turn.files_modified, "modified"),
            (turn.files_deleted, "deleted"),
            (turn.files_renamed, "renamed"),
        )
        if paths
    ]
    parts = [f"files: {', '.join(changes)}"] if changes else []
    tokens = tokens_of(turn.usage)
    parts += [f"{words.tokens(tokens)} tokens"] * bool(tokens)
    parts += [words.dollars(turn.cost_usd)] * (turn.cost_usd is not None)
    if refusals := _refusals(turn):
        parts.append(f"{words.plural(refusals, 'request')} refused")
    state = "done"
    if not turn.ok:
        state = f"failed: {words.because('failed', turn.error, turn.error_text)};"
    return "; ".join([f"{state} in {words.span(turn.duration)}", *parts])


def _record(turn: Turn, is_verified: bool, order: Order) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "ok": turn.ok,
        "verified": is_verified if order.verify else None,
        "final_message": turn.final_message,
        "error": turn.error,
        "error_text": turn.error_text,
        "stop": turn.stop,
        "exit_code": turn.exit_code,
        "duration": round(turn.duration, 3),
        "files_created": list(map(str, turn.files_created)),
        "files_modified": list(map(str, turn.files_modified)),
        "files_deleted": list(map(str, turn.files_deleted)),
        "files_renamed": [list(map(str, pair)) for pair in turn.files_renamed],
        "usage": attrs.asdict(turn.usage),
        "cost_usd": turn.cost_usd,
        "approvals": [
            {"tool": each.asked.tool, "allowed": each.decision.allow, "by": each.by}
            for each in turn.approvals
        ],
        **({"unrecorded": turn.unrecorded} if order.recording else {}),
        **({"session": turn.session_id, "turn": turn.number} if order.session else {}),
    }
