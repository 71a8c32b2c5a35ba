"""How much memory is free: of the machine, and of every control group above us."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.processes.free_memory import free_memory

MACHINE = "MemTotal: 16000 kB\nMemFree: 1 kB\nMemAvailable: 8000 kB\n"


def write(root: Path, files: dict[str, str]) -> tuple[str, str]:
    """Make a proc and a control group file system of plain files."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root / "proc"), str(root / "cg")


V2 = {"proc/self/cgroup": "0::/a/b\n", "proc/meminfo": MACHINE}
V1 = {"proc/self/cgroup": "9:cpu:/a\n4:memory:/a\n0::/\n", "proc/meminfo": MACHINE}
UNLIMITED = "9223372036854771712\n"


@pytest.mark.parametrize(
    ("free", "files"),
    [
        (None, {}),
        (8_192_000, {"proc/meminfo": MACHINE}),
        (8_192_000, V2),
        (8_192_000, {**V2, "cg/a/memory.max": "max\n", "cg/a/memory.current": "5\n"}),
        (995, {**V2, "cg/a/memory.max": "1000\n", "cg/a/memory.current": "5\n"}),
        (
            700,
            {
                **V2,
                "cg/a/b/memory.max": "1000\n",
                "cg/a/b/memory.current": "500\n",
                "cg/a/b/memory.stat": "anon 1\nfile 400\ninactive_file 200\nactive_file 150\n",
                "cg/a/memory.max": "100000\n",
                "cg/a/memory.current": "600\n",
            },
        ),
        (
            90,  # slowed down above that, long before it is killed
            {
                **V2,
                "cg/a/b/memory.max": "1000\n",
                "cg/a/b/memory.high": "100\n",
                "cg/a/b/memory.current": "10\n",
            },
        ),
        (0, {**V2, "cg/a/memory.max": "1000\n", "cg/a/memory.current": "2000\n"}),
        (
            970,
            {
                **V1,
                "cg/memory/a/memory.limit_in_bytes": "1000\n",
                "cg/memory/a/memory.usage_in_bytes": "50\n",
                "cg/memory/a/memory.stat": "inactive_file 1\ntotal_inactive_file 20\n",
                "cg/memory/memory.limit_in_bytes": UNLIMITED,
                "cg/memory/memory.usage_in_bytes": "100\n",
            },
        ),
        (
            300,  # as in a container, which shows its own group where the root is
            {
                **V1,
                "cg/memory/memory.limit_in_bytes": "500\n",
                "cg/memory/memory.usage_in_bytes": "200\n",
            },
        ),
    ],
)
def test_the_least_of_what_the_machine_and_each_group_has_is_free(
    tmp_path: Path, free: int | None, files: dict[str, str]
) -> None:
    assert free == free_memory(*write(tmp_path, files))


def test_this_machine_says_how_much_is_free() -> None:
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if "Total" in line)
    free = free_memory()

    assert free is not None
    assert 0 < free < int(total.split()[1]) << 10
