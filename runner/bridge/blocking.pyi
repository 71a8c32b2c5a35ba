"""Made by `python -m runner.bridge.stubs`; see there."""

# ruff: noqa

from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import AbstractContextManager
from runner.agents.driver import Agent
from runner.agents.driver import Driver
from runner.backends.base import Backend as _Backend
from runner.backends.base import Later
from runner.backends.straight import Resolved
from runner.bridge.manners import Blocking
from runner.config import RunnerConfig
from runner.jobs.progress import Control
from runner.jobs.progress import Observer
from runner.jobs.progress import Report
from runner.jobs.spec import Batch
from runner.messages import AnswerT
from runner.messages import Downloaded
from runner.messages import Drawing
from runner.messages import FileEffect
from runner.messages import FileStat
from runner.messages import Found
from runner.messages import GrepOutput
from runner.messages import Isolation
from runner.messages import Leftover
from runner.messages import LineChange
from runner.messages import Lines
from runner.messages import Listing
from runner.messages import Matches
from runner.messages import Message
from runner.messages import ProcessInfo
from runner.messages import Replacement
from runner.messages import Stored
from runner.operations.beside import Fresh
from runner.operations.done import Done
from runner.operations.framing import Line
from runner.operations.status import Life
from runner.operations.status import Status
from runner.operations.status import Watcher
from runner.operations.streaming import TextT
from runner.runtime import RunnerStatistics
from runner.scopes.operation_log import OperationLog
from runner.scopes.permissions import Permissions
from runner.scopes.permissions import Ruleset
from runner.scopes.pool import BackendPool as _BackendPool
from runner.scopes.pool_entry import BackendT
from runner.scopes.pool_statistics import PoolStatistics
from runner.scopes.presets import PresetName
from runner.scopes.safety import Lint
from runner.scopes.safety import OnDangerous
from runner.scopes.safety import Policy
from runner.scopes.scope import Ground
from runner.scopes.scope import Scope as _Scope
from runner.sessions.state import SessionStatistics
from runner.sessions.turn import SessionEvent
from runner.sessions.turn import Turn
from types import TracebackType
from typing import Any
from typing import Any, overload
from typing import Generic
from typing import Literal
from typing import Self
import os

class Runner:
    config: RunnerConfig
    state: str
    def scope(
        self,
        path: str | os.PathLike[str],
        *,
        env: Mapping[str, str] | None = ...,
        isolation: Isolation | None = ...,
        permissions: Permissions | Ruleset | PresetName | None = ...,
        lint: Policy | Lint = ...,
        on_dangerous: OnDangerous | None = ...,
        operation_log: OperationLog | None = ...,
    ) -> Scope: ...
    def session(
        self,
        scope: Scope,
        agent: Agent | Driver | str | None = ...,
        *,
        id: str | None = ...,
        timeout: float | None = ...,
        durable: bool = ...,
    ) -> Session: ...
    def run_batch(
        self,
        batch: Batch | str | os.PathLike[str],
        *,
        output: str | os.PathLike[str],
        overrides: Sequence[str] = ...,
        select: str | None = ...,
        observer: Observer | None = ...,
        control: Control | None = ...,
    ) -> Report: ...
    def statistics(self) -> RunnerStatistics: ...

class Scope:
    @property
    def name(self) -> str: ...
    def ask(self, message: Message[AnswerT], /) -> AnswerT: ...
    def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes = ...,
        writes: bool = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        log: str | None = ...,
    ) -> Background: ...
    def stream(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes = ...,
        writes: bool = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        log: str | None = ...,
    ) -> AbstractContextManager[Background]: ...
    def processes(self) -> tuple[ProcessInfo, ...]: ...
    def process(self, id: str) -> Background: ...
    @overload
    def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        leftover: Leftover = ...,
        log: str | None = ...,
        encoding: Literal["utf-8"] = ...,
        check: bool = ...,
    ) -> Done[str]: ...
    @overload
    def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        leftover: Leftover = ...,
        log: str | None = ...,
        encoding: None,
        check: bool = ...,
    ) -> Done[bytes]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = ..., *, encoding: None = ...
    ) -> AbstractContextManager[ReadingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = ..., *, encoding: str
    ) -> AbstractContextManager[ReadingStream[str]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: None = ..., durable: bool = ...
    ) -> AbstractContextManager[WritingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: str, durable: bool = ...
    ) -> AbstractContextManager[WritingStream[str]]: ...
    def write(
        self,
        path: str,
        content: str | bytes,
        *,
        encoding: str = ...,
        durable: bool = ...,
        expected: str | None = ...,
    ) -> None: ...
    def append(self, path: str, content: str | bytes, *, encoding: str = ...) -> None: ...
    def edit(
        self,
        path: str,
        old: str | bytes,
        new: str | bytes,
        *,
        replace_all: bool = ...,
        expected: str | None = ...,
    ) -> int: ...
    def edit_many(
        self, path: str, replacements: Sequence[Replacement], *, expected: str | None = ...
    ) -> int: ...
    def edit_lines(
        self, path: str, changes: Sequence[LineChange], *, expected: str | None = ...
    ) -> int: ...
    def touch(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def mkdir(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def copy(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def move(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def remove(self, path: str, *, recursive: bool = ..., missing_ok: bool = ...) -> None: ...
    def upload(self, files: Iterable[tuple[str, str | bytes]]) -> tuple[Stored, ...]: ...
    def batch(self) -> AbstractContextManager[EffectBatch]: ...
    @overload
    def read(
        self, path: str, *, encoding: str = ..., offset: int = ..., limit: int | None = ...
    ) -> str: ...
    @overload
    def read(
        self, path: str, *, encoding: None, offset: int = ..., limit: int | None = ...
    ) -> bytes: ...
    def read_lines(
        self,
        path: str,
        *,
        offset: int = ...,
        limit: int = ...,
        longest: int = ...,
        total: bool = ...,
    ) -> Lines: ...
    def head(self, path: str, lines: int = ...) -> Lines: ...
    def tail(self, path: str, lines: int = ..., *, total: bool = ...) -> Lines: ...
    def digest(self, path: str) -> str: ...
    def realpath(self, path: str) -> str: ...
    def download(self, paths: Iterable[str]) -> tuple[Downloaded, ...]: ...
    def list_keys(self, prefix: str = ..., *, limit: int = ...) -> Found: ...
    def tree(
        self,
        path: str = ...,
        *,
        depth: int | None = ...,
        hidden: bool = ...,
        gitignore: bool = ...,
        limit: int = ...,
    ) -> Drawing: ...
    def stat(self, path: str) -> FileStat: ...
    def exists(self, path: str) -> bool: ...
    def ls(self, path: str = ..., *, limit: int = ...) -> Listing: ...
    def glob(
        self,
        pattern: str,
        path: str = ...,
        *,
        hidden: bool = ...,
        gitignore: bool = ...,
        limit: int = ...,
    ) -> Found: ...
    def grep(
        self,
        pattern: str,
        path: str = ...,
        *,
        literal: bool = ...,
        ignore_case: bool = ...,
        glob: str | None = ...,
        types: Iterable[str] = ...,
        hidden: bool = ...,
        gitignore: bool = ...,
        multiline: bool = ...,
        context: int = ...,
        before: int | None = ...,
        after: int | None = ...,
        output: GrepOutput = ...,
        per_file: int | None = ...,
        limit: int = ...,
    ) -> Matches: ...
    path: str
    ground: Ground
    env: Mapping[str, str]
    lints: tuple[Lint, ...]
    logs: tuple[OperationLog, ...]
    @property
    def directory(self) -> str: ...
    def scope(
        self,
        path: str,
        *,
        env: Mapping[str, str] | None = ...,
        isolation: Isolation | None = ...,
        permissions: Permissions | Ruleset | PresetName | None = ...,
        lint: Policy | Lint = ...,
        on_dangerous: OnDangerous | None = ...,
        operation_log: OperationLog | None = ...,
    ) -> Scope: ...
    @property
    def status(self) -> Status: ...
    def on_status_change(self, watcher: Watcher) -> Callable[[], None]: ...
    def destroy(self) -> None: ...
    def require_alive(self, op: str, about: str | None = ...) -> None: ...

class Session:
    id: str
    def send(self, prompt: str, *, timeout: float | None = ...) -> Turn: ...
    def interrupt(self) -> bool: ...
    def events(self, *, buffer: int = ...) -> AbstractContextManager[SessionFollower]: ...
    def close(self) -> None: ...
    def aclose(self) -> None: ...
    def statistics(self) -> SessionStatistics: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

class SessionFollower:
    dropped: int
    def receive(self) -> SessionEvent: ...
    def close(self) -> None: ...
    def aclose(self) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> SessionEvent: ...

class Background:
    id: str
    pid: int
    command: str | tuple[str, ...]
    def __iter__(self) -> LineFollower: ...
    def follow(self) -> LineFollower: ...
    @overload
    def output(self, *, encoding: Literal["utf-8"] = ...) -> Fresh[str]: ...
    @overload
    def output(self, *, encoding: None) -> Fresh[bytes]: ...
    def wait(self, timeout: float | None = ...) -> Done[str] | None: ...
    def done(self) -> Done[str]: ...
    def interrupt(self) -> bool: ...
    def signal(self, number: int) -> bool: ...
    def kill(self) -> bool: ...
    def write(self, data: str | bytes) -> None: ...
    def close_input(self) -> None: ...

class LineFollower:
    @property
    def missed(self) -> int: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Line: ...

class EffectBatch:
    @property
    def name(self) -> str: ...
    def ask(self, message: Message[AnswerT], /) -> AnswerT: ...
    def write(
        self,
        path: str,
        content: str | bytes,
        *,
        encoding: str = ...,
        durable: bool = ...,
        expected: str | None = ...,
    ) -> None: ...
    def append(self, path: str, content: str | bytes, *, encoding: str = ...) -> None: ...
    def edit(
        self,
        path: str,
        old: str | bytes,
        new: str | bytes,
        *,
        replace_all: bool = ...,
        expected: str | None = ...,
    ) -> int: ...
    def edit_many(
        self, path: str, replacements: Sequence[Replacement], *, expected: str | None = ...
    ) -> int: ...
    def edit_lines(
        self, path: str, changes: Sequence[LineChange], *, expected: str | None = ...
    ) -> int: ...
    def touch(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def mkdir(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def copy(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def move(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def remove(self, path: str, *, recursive: bool = ..., missing_ok: bool = ...) -> None: ...
    effects: list[FileEffect]
    answers: tuple[object, ...]

class ReadingStream(Generic[TextT]):
    size: int
    def receive(self, limit: int = ...) -> TextT: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> TextT: ...

class WritingStream(Generic[TextT]):
    def send(self, data: TextT) -> None: ...
    def finish(self, *, durable: bool) -> None: ...

class Backend:
    @property
    def name(self) -> str: ...
    def ask(self, message: Message[AnswerT], /) -> AnswerT: ...
    def start(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes = ...,
        writes: bool = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        log: str | None = ...,
    ) -> Background: ...
    def stream(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes = ...,
        writes: bool = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        log: str | None = ...,
    ) -> AbstractContextManager[Background]: ...
    def processes(self) -> tuple[ProcessInfo, ...]: ...
    def process(self, id: str) -> Background: ...
    @overload
    def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        leftover: Leftover = ...,
        log: str | None = ...,
        encoding: Literal["utf-8"] = ...,
        check: bool = ...,
    ) -> Done[str]: ...
    @overload
    def exec(
        self,
        command: str | Sequence[str],
        *,
        cwd: str = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        silence: float | None = ...,
        max_output: int = ...,
        leftover: Leftover = ...,
        log: str | None = ...,
        encoding: None,
        check: bool = ...,
    ) -> Done[bytes]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = ..., *, encoding: None = ...
    ) -> AbstractContextManager[ReadingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["rb"] = ..., *, encoding: str
    ) -> AbstractContextManager[ReadingStream[str]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: None = ..., durable: bool = ...
    ) -> AbstractContextManager[WritingStream[bytes]]: ...
    @overload
    def open_stream(
        self, path: str, mode: Literal["wb", "ab"], *, encoding: str, durable: bool = ...
    ) -> AbstractContextManager[WritingStream[str]]: ...
    def write(
        self,
        path: str,
        content: str | bytes,
        *,
        encoding: str = ...,
        durable: bool = ...,
        expected: str | None = ...,
    ) -> None: ...
    def append(self, path: str, content: str | bytes, *, encoding: str = ...) -> None: ...
    def edit(
        self,
        path: str,
        old: str | bytes,
        new: str | bytes,
        *,
        replace_all: bool = ...,
        expected: str | None = ...,
    ) -> int: ...
    def edit_many(
        self, path: str, replacements: Sequence[Replacement], *, expected: str | None = ...
    ) -> int: ...
    def edit_lines(
        self, path: str, changes: Sequence[LineChange], *, expected: str | None = ...
    ) -> int: ...
    def touch(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def mkdir(self, path: str, *, exist_ok: bool = ...) -> None: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def copy(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def move(self, source: str, target: str, *, overwrite: bool = ...) -> None: ...
    def remove(self, path: str, *, recursive: bool = ..., missing_ok: bool = ...) -> None: ...
    def upload(self, files: Iterable[tuple[str, str | bytes]]) -> tuple[Stored, ...]: ...
    def batch(self) -> AbstractContextManager[EffectBatch]: ...
    @overload
    def read(
        self, path: str, *, encoding: str = ..., offset: int = ..., limit: int | None = ...
    ) -> str: ...
    @overload
    def read(
        self, path: str, *, encoding: None, offset: int = ..., limit: int | None = ...
    ) -> bytes: ...
    def read_lines(
        self,
        path: str,
        *,
        offset: int = ...,
        limit: int = ...,
        longest: int = ...,
        total: bool = ...,
    ) -> Lines: ...
    def head(self, path: str, lines: int = ...) -> Lines: ...
    def tail(self, path: str, lines: int = ..., *, total: bool = ...) -> Lines: ...
    def digest(self, path: str) -> str: ...
    def realpath(self, path: str) -> str: ...
    def download(self, paths: Iterable[str]) -> tuple[Downloaded, ...]: ...
    def list_keys(self, prefix: str = ..., *, limit: int = ...) -> Found: ...
    def tree(
        self,
        path: str = ...,
        *,
        depth: int | None = ...,
        hidden: bool = ...,
        gitignore: bool = ...,
        limit: int = ...,
    ) -> Drawing: ...
    def stat(self, path: str) -> FileStat: ...
    def exists(self, path: str) -> bool: ...
    def ls(self, path: str = ..., *, limit: int = ...) -> Listing: ...
    def glob(
        self,
        pattern: str,
        path: str = ...,
        *,
        hidden: bool = ...,
        gitignore: bool = ...,
        limit: int = ...,
    ) -> Found: ...
    def grep(
        self,
        pattern: str,
        path: str = ...,
        *,
        literal: bool = ...,
        ignore_case: bool = ...,
        glob: str | None = ...,
        types: Iterable[str] = ...,
        hidden: bool = ...,
        gitignore: bool = ...,
        multiline: bool = ...,
        context: int = ...,
        before: int | None = ...,
        after: int | None = ...,
        output: GrepOutput = ...,
        per_file: int | None = ...,
        limit: int = ...,
    ) -> Matches: ...
    def carry_out(self, message: Message[AnswerT], /) -> AnswerT: ...
    def answer_now(self, message: Message[AnswerT], /) -> AnswerT | Later: ...
    def holds(self) -> bool: ...
    def close(self) -> None: ...
    def aclose(self) -> None: ...
    def straight(self) -> Backend: ...
    def resolve(self, op: str, path: str, *, entry: bool = ...) -> Resolved: ...
    @property
    def life(self) -> Life: ...
    @property
    def status(self) -> Status: ...
    def on_status_change(self, watcher: Watcher) -> Callable[[], None]: ...
    def destroy(self) -> None: ...

class BackendPool(Generic[BackendT]):
    def acquire(self, key: Hashable = ..., config: object = ...) -> Lease[BackendT]: ...
    def use(
        self, key: Hashable = ..., config: object = ...
    ) -> AbstractContextManager[BackendT]: ...
    def destroy(self, key: Hashable) -> None: ...
    def destroy_all(self) -> None: ...
    def drain(self, seconds: float) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def statistics(self) -> PoolStatistics: ...

class Lease(Generic[BackendT]):
    key: Hashable
    backend: BackendT
    def release(self) -> None: ...
    def __enter__(self) -> BackendT: ...
    def __exit__(self, *_: object) -> None: ...

BLOCKING: Blocking

def open_runner(
    config: RunnerConfig | str | os.PathLike[str] | None = ...,
    *,
    state: str | os.PathLike[str] | None = ...,
) -> AbstractContextManager[Runner]: ...
@overload
def wrap(target: _Scope) -> Scope: ...
@overload
def wrap(target: _Backend) -> Backend: ...
@overload
def wrap(target: _BackendPool[Any]) -> BackendPool[Any]: ...
@overload
def wrap(target: object) -> Any: ...
