"""What runner writes itself is nothing that an agent did, wherever its state directory is."""

from __future__ import annotations

from pathlib import Path

import pytest

import runner


@pytest.mark.parametrize(
    ("where", "state"),
    [
        ("work", "work/.local/state"),
        ("work", "link/state"),
        ("link", "work/state"),
        ("work", "state"),
        ("state/work", "state"),
    ],
)
async def test_a_state_directory_inside_the_sessions_is_no_file_that_was_created(
    tmp_path: Path, where: str, state: str
) -> None:
    work = tmp_path / where.replace("link", "work")
    work.mkdir(parents=True)
    (tmp_path / "link").symlink_to(work)
    async with runner.open_runner(state=tmp_path / state) as r:
        async with r.session(r.scope(tmp_path / where), "shell") as session:
            for number in range(2):
                turn = await session.send(f"echo hi > {number}")

                assert [str(number)] == [str(path) for path in turn.files_created]
                assert () == turn.files_modified == turn.files_deleted
