"""Beside the peers: agent-backend 0.15, pydantic-ai-backend 0.2.29 and deepagents 0.7.

Each figure is our time divided by theirs, in one run; theirs are called in the way that costs them
least: agent-backend's coroutines (which block) in our own loop, the synchronous methods of the
others directly, without the thread that their asynchronous twins use for each call. With 16 scopes
at once, those are called through trio's threads, as such a program has to.

What ours does more: it goes through an actor's order, is contained by descriptor, and a write is
atomic; theirs write in place. What that costs on a disk is the file system's affair (on ext4, a
rename over a file waits for the journal, and so does truncating one): so this runs in memory, on
/dev/shm, where there is one, and a last row says what a write costs beside a bare rename on disk.
agent-backend's listing gives names only; for the same answer it is asked for a stat of each.
"""

from __future__ import annotations

import importlib
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import attrs
import trio

import runner
from tests.benchmarks.measure import CannotRun, Row, ratios, times

HOW = "pip install agent-backend==0.15.0 pydantic-ai-backend==0.2.29 deepagents==0.7.32"
SMALL = 200  # operations of one scope in a round
SCOPES = 16
CONTENT = "one line of text\n" * 60
MANY = 100
ENTRIES = 10_000
LARGE = 500_000_000
LINE = 100
WANTED = 100

MEMORY = "/dev/shm"

Work = Callable[[], Awaitable[object]]


@attrs.frozen
class Peer:
    """What a peer does for each row, on a directory; None where it has no such operation.

    Attributes:
        most: what ours may take at most of its time.
        threads: whether its calls block, so that an async program makes them in threads.
    """

    name: str
    open: Callable[[Path], Mapping[str, Callable[..., object]]]
    most: float
    threads: bool = True


def agent_backend(top: Path) -> Mapping[str, Callable[..., object]]:
    peer = importlib.import_module("agent_backend")
    logging.getLogger("agent_backend").setLevel(logging.ERROR)  # it warns that it isolates nothing
    config = peer.LocalFilesystemBackendConfig(
        root_dir=str(top), isolation=peer.IsolationMode.SOFTWARE
    )
    backend = peer.LocalFilesystemBackend(config)

    async def ls(path: str) -> list[object]:
        return [await backend.stat(f"{path}/{name}") for name in await backend.readdir(path)]

    async def lines(path: str, offset: int, limit: int) -> list[str]:
        text: str = await backend.read(path)
        return text.splitlines()[offset : offset + limit]

    return {
        "read": backend.read,
        "write": backend.write,
        "exists": backend.exists,
        "stat": backend.stat,
        "ls": ls,
        "lines": lines,
    }


def pydantic_ai_backend(top: Path) -> Mapping[str, Callable[..., object]]:
    backend = importlib.import_module("pydantic_ai_backends").LocalBackend(root_dir=top)
    return {
        "read": backend.read_bytes,
        "write": backend.write,
        "exists": backend.exists,
        "ls": backend.ls_info,
        "edit": backend.edit,
        "lines": backend.read,
    }


def deepagents(top: Path) -> Mapping[str, Callable[..., object]]:
    module = importlib.import_module("deepagents.backends.filesystem")
    backend = module.FilesystemBackend(root_dir=top, virtual_mode=True)
    return {
        "read": backend.read,
        "write": backend.write,
        "ls": backend.ls,
        "edit": backend.edit,
        "lines": backend.read,
        "upload": backend.upload_files,
        "download": backend.download_files,
    }


PEERS = (
    Peer("agent-backend", agent_backend, 2.0, threads=False),
    Peer("pydantic-ai-backend", pydantic_ai_backend, 1.0),
    Peer("deepagents", deepagents, 1.0),
)
MODULES = {
    "agent-backend": "agent_backend",
    "pydantic-ai-backend": "pydantic_ai_backends",
    "deepagents": "deepagents",
}


def those_here() -> list[Peer]:
    found: list[Peer] = []
    for each in PEERS:
        try:
            importlib.import_module(MODULES[each.name])
        except ImportError:
            print(f"peers: no {each.name}: {HOW}")
        else:
            found.append(each)
    if not found:
        raise CannotRun(HOW)
    return found


async def call(function: Callable[..., object], *args: object) -> object:
    """A call of a peer's, of either kind."""
    value = function(*args)
    return await value if isinstance(value, Awaitable) else value


async def repeat(times_: int, function: Callable[..., object], *args: object) -> None:
    for _ in range(times_):
        await call(function, *args)


async def at_once(works: list[Work]) -> None:
    async with trio.open_nursery() as nursery:
        for work in works:
            nursery.start_soon(work)


def edit_of(edit: Callable[..., object]) -> Callable[[str], Awaitable[object]]:
    """Two edits: there and back."""

    async def both(path: str) -> None:
        await call(edit, path, "needle", "noodle")
        await call(edit, path, "noodle", "needle")

    return both


# ---------------------------------------------------------------- small operations


def ours(scope: runner.Scope) -> Mapping[str, Callable[..., object]]:
    return {
        "read": scope.read,
        "write": scope.write,
        "exists": scope.exists,
        "stat": scope.stat,
        "edit": edit_of(scope.edit),
    }


async def one_scope(r: runner.Runner, place: Path, peers: list[Peer]) -> list[Row]:
    rows: list[Row] = []
    top = place / "one"
    (top / "d").mkdir(parents=True)
    (top / "d" / "f").write_text(CONTENT)
    (top / "d" / "e").write_text(CONTENT + "needle\n")
    mine = ours(r.scope(top))
    theirs = {each.name: each.open(top) for each in peers}
    for operation, function in mine.items():
        args = {"write": ("d/w", CONTENT), "edit": ("d/e",)}.get(operation, ("d/f",))
        variants: dict[str, Work] = {"ours": partial(repeat, SMALL, function, *args)}
        for each in peers:
            other = theirs[each.name].get(operation)
            if other is not None:
                other = edit_of(other) if operation == "edit" else other
                variants[each.name] = partial(repeat, SMALL, other, *args)
        rows += rows_of(f"{operation} of 1 kB, one by one", peers, await times(variants))
    return rows


async def many_scopes(r: runner.Runner, place: Path, peers: list[Peer]) -> list[Row]:
    rows: list[Row] = []
    tops = [place / f"many{number}" for number in range(SCOPES)]
    for top in tops:
        (top / "d").mkdir(parents=True)
        (top / "d" / "f").write_text(CONTENT)
    mine = [ours(r.scope(top)) for top in tops]
    theirs = {each.name: [each.open(top) for top in tops] for each in peers}
    for operation, args in (("read", ("d/f",)), ("write", ("d/w", CONTENT))):
        count = SMALL // SCOPES * 2

        def all_of(operations: list[Mapping[str, Callable[..., object]]], *, threads: bool) -> Work:
            works: list[Work] = []
            for each in operations:
                function = each[operation]  # noqa: B023 - used before the next
                if threads:
                    function = partial(trio.to_thread.run_sync, function)
                works.append(partial(repeat, count, function, *args))  # noqa: B023
            return partial(at_once, works)

        variants = {"ours": all_of(mine, threads=False)}
        for each in peers:
            variants[each.name] = all_of(theirs[each.name], threads=each.threads)
        rows += rows_of(
            f"{operation} of 1 kB, {SCOPES} scopes at once", peers, await times(variants)
        )
    return rows


# ---------------------------------------------------------------- many files, a large directory


async def together(r: runner.Runner, place: Path, peers: list[Peer]) -> list[Row]:
    top = place / "together"
    (top / "d").mkdir(parents=True)
    names = [f"d/f{number}" for number in range(MANY)]
    for name in names:
        (top / name).write_text(CONTENT)
    scope, content = r.scope(top), CONTENT.encode()
    rows: list[Row] = []

    async def batch() -> None:
        async with scope.batch() as b:
            for name in names:
                await b.write(name, content)

    async def one_by_one(function: Callable[..., object], *args: object) -> None:
        for name in names:
            await call(function, name, *args)

    mine: dict[str, tuple[Work, str, tuple[object, ...]]] = {
        "download": (partial(scope.download, names), "read", ()),
        "upload": (partial(scope.upload, [(n, content) for n in names]), "write", (CONTENT,)),
        "batch": (batch, "write", (CONTENT,)),
    }
    for operation, (work, single, args) in mine.items():
        variants: dict[str, Work] = {"ours": work}
        for each in peers:
            functions = each.open(top)
            group = functions.get(operation)
            if group is None:
                variants[each.name] = partial(one_by_one, functions[single], *args)
            elif operation == "download":
                variants[each.name] = partial(call, group, names)
            else:
                variants[each.name] = partial(call, group, [(n, content) for n in names])
        found = await times(variants)
        rows += rows_of(f"{operation} of {MANY} files of 1 kB", peers, found, most=1.0)
    return rows


async def listing(r: runner.Runner, place: Path, peers: list[Peer]) -> list[Row]:
    top = place / "listing"
    (top / "d").mkdir(parents=True)
    for number in range(ENTRIES):
        (top / "d" / f"f{number:05}").touch()
    variants: dict[str, Work] = {"ours": partial(r.scope(top).ls, "d")}
    for each in peers:
        variants[each.name] = partial(call, each.open(top)["ls"], "d")
    found = await times(variants, rounds=7)
    return rows_of(f"ls of {ENTRIES} entries", peers, found)


# ---------------------------------------------------------------- a large file


async def large(r: runner.Runner, place: Path, peers: list[Peer]) -> list[Row]:
    top = place / "large"
    top.mkdir()
    block = b"".join(b"%0*d\n" % (LINE - 1, number) for number in range(10_000))
    with (top / "f").open("wb") as file:
        for _ in range(LARGE // len(block)):
            file.write(block)
    middle = LARGE // LINE // 2
    scope = r.scope(top)

    async def first(*, total: bool = False) -> None:
        (top / "f").touch()  # what is known of its lines is not used any more
        await scope.read_lines("f", offset=middle, limit=WANTED, total=total)

    async def again() -> None:
        await scope.read_lines("f", offset=middle, limit=WANTED)

    variants: dict[str, Work] = {"first": first, "counted": partial(first, total=True)}
    for each in peers:
        variants[each.name] = partial(call, each.open(top)["lines"], "f", middle, WANTED)
    found = await times(variants, rounds=2)
    after = await times({"again": again}, rounds=2)
    rows: list[Row] = []
    for each in peers:
        what = f"100 lines from the middle of 500 MB: {each.name} ÷ ours"
        for which, taken, least in (
            ("the first time", found["first"], 5.0),
            ("the first time, all lines counted", found["counted"], 5.0),
            ("again", after["again"], 100.0),
        ):
            values = ratios(found[each.name], taken)
            rows.append(Row(f"{what}, {which}", values, least, at_least=True))
    return rows


# ---------------------------------------------------------------- all of it


def rows_of(
    what: str,
    peers: list[Peer],
    found: Mapping[str, list[float]],
    *,
    most: float | None = None,
) -> list[Row]:
    return [
        Row(
            f"{what}: ours ÷ {each.name}",
            ratios(found["ours"], found[each.name]),
            most or each.most,
        )
        for each in peers
        if each.name in found
    ]


async def measure(peers: list[Peer]) -> list[Row]:
    rows: list[Row] = []
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        place = Path(name)
        async with runner.open_runner(state=place / "state") as r:
            for part in (one_scope, many_scopes, together, listing, large):
                rows += await part(r, place, peers)
            rows += await on_disk(r)
    return rows


async def on_disk(r: runner.Runner) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)

        async def bare() -> None:
            for _ in range(MANY):
                (place / "new").write_text(CONTENT)
                (place / "new").rename(place / "bare")

        ours = partial(repeat, MANY, r.scope(place).write, "ours", CONTENT)
        found = await times({"ours": ours, "bare": bare})
    values = ratios(found["ours"], found["bare"])
    return [Row("write of 1 kB on disk: ours ÷ writing beside it and renaming", values)]


def run() -> list[Row]:
    return trio.run(measure, those_here())
