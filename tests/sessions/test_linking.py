"""Short names of directories, in a directory for everybody."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from runner.agents.driver import Launch, Setting
from runner.errors import AgentError
from runner.sessions.linking import make_links, remove_links
from runner.sessions.making import Sessions


def test_a_link_that_a_killed_run_has_left_is_used_again_and_removed(tmp_path: Path) -> None:
    links = ((str(tmp_path / "short"), "/somewhere"),)
    make_links(links)
    make_links(links)
    assert "/somewhere" == os.readlink(tmp_path / "short")

    remove_links(links)
    remove_links(links)
    assert [] == os.listdir(tmp_path)


@pytest.mark.parametrize("what", ["file", "directory", "other link"])
def test_a_name_that_is_something_else_is_neither_used_nor_removed(
    tmp_path: Path, what: str
) -> None:
    name = tmp_path / "short"
    if what == "file":
        name.write_text("theirs")
    elif what == "directory":
        name.mkdir()
    else:
        name.symlink_to("/elsewhere")
    links = ((str(name), "/somewhere"),)

    with pytest.raises(FileExistsError, match="something else"):
        make_links(links)
    remove_links(links)
    assert ["short"] == os.listdir(tmp_path)


async def test_a_link_is_there_as_long_as_the_program_is(
    sessions: Sessions, work: Path, tmp_path: Path, fake: Callable[..., object]
) -> None:
    name = tmp_path / "short"

    class Linking(type(fake())):
        def launch(self, setting: Setting) -> Launch:
            launch = super().launch(setting)
            return attrs.evolve(launch, links=((str(name), setting.private),))

    driver = Linking(**attrs.asdict(fake(), recurse=False))
    async with sessions.make_session(str(work), driver=driver) as session:
        assert (await session.send("say one")).ok
        assert name.is_symlink()
    assert not name.is_symlink()

    name.write_text("theirs")
    async with sessions.make_session(str(work), driver=driver) as session:
        with pytest.raises(AgentError, match="something else"):
            await session.send("say one")
        assert 0 == session.statistics().starts
