"""Many sessions at once: what is open costs neither a process nor a descriptor."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from runner.agents.driver import Launch, Rung, Setting
from runner.sessions.making import Sessions
from runner.sessions.phases import Phase
from runner.sessions.session import Session

# Each twentieth has a turn. With a turn of each it comes to the same, in 48 s of processor time.
OPEN, EACH, ALIVE, ASKING = 5000, 20, 8, 16
FILES = 1024  # what a login shell has, on most machines

# As conftest's program, but started in a millisecond. It only counts the turns of a conversation.
PROGRAM = r"""
history=$1/history-$2
count=0
if [ "$3" = resume ]; then
    read -r count <"$history" || exit 1
fi
printf '{"is_": "ready", "conversation": "%s"}\n' "$2"
while read -r line; do
    turn=${line#*'"turn": "'}
    turn=${turn%%'"'*}
    count=$((count + 1))
    echo "$count" >"$history"
    printf '{"is_": "started", "turn": "%s"}\n' "$turn"
    printf '{"is_": "ended", "turn": "%s", "ok": true, "message": "turn %s"}\n' "$turn" "$count"
done
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """In memory, where there is room: making and removing thirty thousand files takes minutes."""
    memory = "/dev/shm"
    has_room = os.path.isdir(memory) and shutil.disk_usage(memory).free > 100 << 20
    with tempfile.TemporaryDirectory(dir=memory if has_room else None) as place:
        yield Path(place)


@pytest.fixture
def state(place: Path) -> Path:
    return place / "state"


@pytest.fixture
def few_files() -> Iterator[None]:
    """No more descriptors for this process than is usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def send_to_all(sessions: Iterator[Session], expected: str) -> None:
    """A turn for each, several of them at a time."""

    async def send() -> None:
        for session in sessions:
            turn = await session.send("count")
            assert (True, expected) == (turn.ok, turn.final_message)

    async with trio.open_nursery() as nursery:
        for _ in range(ASKING):
            nursery.start_soon(send)


async def test_5000_sessions_are_open_at_once_with_8_processes_alive(
    sessions: Sessions,
    place: Path,
    fake: Callable[..., object],
    commands: Callable[[str], list[int]],
    few_files: None,
) -> None:
    script = place / "count.sh"
    script.write_text(PROGRAM)

    class Driver(type(fake())):
        def launch(self, setting: Setting) -> Launch:
            how = "resume" if setting.resume else "new"
            return Launch(argv=("sh", str(script), setting.private, setting.conversation, how))

    driver = Driver("sh", ladder=(Rung(act="eof", wait=10.0),), keeps_history=True)
    sessions.admission.most, sessions.admission.reserve = ALIVE, 0
    before = len(os.listdir("/proc/self/fd"))
    alive = []

    def looked_at(opened: list[Session]) -> Iterator[Session]:
        for number, session in enumerate(opened):
            if number % 25 == 12:
                alive.append(len(commands("count.sh")))
            yield session

    async with AsyncExitStack() as stack:
        opened = []
        for number in range(OPEN):
            work = place / f"{number}"
            work.mkdir()
            session = sessions.make_session(str(work), driver=driver, id=f"s{number}")
            opened.append(await stack.enter_async_context(session))
        asked = opened[::EACH]
        await send_to_all(looked_at(asked), "turn 1")
        phases = Counter(each.statistics().phase for each in opened)
        living, descriptors = len(commands("count.sh")), len(os.listdir("/proc/self/fd"))
        await send_to_all(iter(asked[::50]), "turn 2")  # any of them goes on
        turns = sum(each.statistics().turns for each in opened)

    assert {
        Phase.ABSENT: OPEN - len(asked),
        Phase.REAPED: len(asked) - ALIVE,
        Phase.IDLE: ALIVE,
    } == (phases)
    assert ALIVE == living >= max(alive)
    assert len(asked) + len(asked[::50]) == turns
    assert descriptors - before < 100
    assert [] == commands("count.sh")
