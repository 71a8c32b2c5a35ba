"""A hundred lines from the middle of 500 MB, and a hundred small files in one message.

What is compared with is what the usual file tools of agents do: read the file whole, decode it,
split it into lines, take some. Memory is the growth of this process's peak, in one that has done
nothing else.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import trio

from runner.backends.local import LocalBackend
from tests.benchmarks.measure import Row, ratios, times

SIZE = 500_000_000
LINE = 100  # bytes
WANTED = 100
ROUNDS = 3
FILES = 100

MEMORY = """
import sys, trio
from pathlib import Path
from runner.backends.local import LocalBackend

def peak():
    # Not ru_maxrss, which a program inherits from who started it.
    said = Path("/proc/self/status").read_text()
    return int(said.partition("VmHWM:")[2].split()[0])

async def main():
    backend = LocalBackend(sys.argv[1])
    await backend.read_lines("small")
    await backend.digest("small")
    before = peak()
    found = await backend.read_lines("large", offset=int(sys.argv[2]), limit=100)
    assert len(found.lines) == 100
    print((peak() - before) / 1024)

trio.run(main)
"""


def grow(top: Path) -> None:
    block = b"".join(b"%0*d\n" % (LINE - 1, number) for number in range(10_000))
    with (top / "large").open("wb") as file:
        for _ in range(SIZE // len(block)):
            file.write(block)
    (top / "small").write_bytes(block[:10_000])
    (top / "many").mkdir()
    for number in range(FILES):
        (top / "many" / f"f{number}").write_bytes(block[:1000])


async def measure(top: Path) -> list[Row]:
    middle = SIZE // LINE // 2
    known = LocalBackend(top)
    await known.read_lines("large", offset=middle, limit=WANTED)

    async def first() -> None:
        await LocalBackend(top).read_lines("large", offset=middle, limit=WANTED)

    async def again() -> None:
        await known.read_lines("large", offset=middle, limit=WANTED)

    async def whole() -> None:
        text = (top / "large").read_text(encoding="utf-8")
        assert len(text.splitlines()[middle : middle + WANTED]) == WANTED

    async def without_total() -> None:
        await LocalBackend(top).read_lines("large", offset=middle, limit=WANTED, total=False)

    found = await times(
        {"first": first, "again": again, "whole": whole, "without": without_total}, rounds=ROUNDS
    )
    paths = [f"many/f{number}" for number in range(FILES)]

    async def together() -> None:
        await known.download(paths)

    async def one_by_one() -> None:
        for path in paths:
            await known.read(path, encoding=None)

    async def bare() -> None:
        for path in paths:
            (top / path).read_bytes()

    small = await times({"download": together, "read": one_by_one, "bare": bare}, rounds=15)
    return [
        Row(
            "100 lines from the middle of 500 MB: reading it whole ÷ the first time",
            ratios(found["whole"], found["first"]),
            5,
            at_least=True,
        ),
        Row(
            "the same ÷ again",
            ratios(found["whole"], found["again"]),
            100,
            at_least=True,
        ),
        Row("the first time", [s * 1e3 for s in found["first"]], unit="ms"),
        Row("the first time, without the total", [s * 1e3 for s in found["without"]], unit="ms"),
        Row("again", [s * 1e3 for s in found["again"]], unit="ms"),
        Row(
            "download of 100 files of 1 kB ÷ Path.read_bytes one by one",
            ratios(small["download"], small["bare"]),
        ),
        Row("the same, read one by one ÷", ratios(small["read"], small["bare"])),
    ]


def memory(top: Path) -> Row:
    values: list[float] = []
    for _ in range(ROUNDS):
        argv = [sys.executable, "-c", MEMORY, str(top), str(SIZE // LINE // 2)]
        ended = subprocess.run(argv, capture_output=True, check=True)
        values.append(float(ended.stdout))
    return Row("100 lines from the middle of 500 MB: memory", values, 30, unit="MiB")


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        grow(top)
        return [*trio.run(measure, top), memory(top)]
