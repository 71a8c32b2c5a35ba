"""Which project a command is about, and carrying something out on it.

The project is the current directory, or the nearest one above it on which there is one, as with
git. With `-C DIR` it is that directory and no other. Only `create` makes one where there is none.

    find ──► open the runner ──► the work ──► close it ──► print

What a command has to say is printed when the runner is closed: a reader who takes his time (a
pager) keeps no workspace from others. Who prints as it comes (exec, audit --follow) says so.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from typing import TypedDict, TypeVar

import click
import trio

from runner.cli import options
from runner.cli.endings import ended_by
from runner.cli.session_finding import read_config
from runner.cli.signals import Ladder, Step
from runner.cli.streams import OutputClosed, complain
from runner.config import RunnerConfig
from runner.errors import (
    ActorError,
    ConfigError,
    NotFound,
    Problem,
    RunnerError,
    SupervisorClosed,
)
from runner.runner import projects_of
from runner.runtime import open_runner
from runner.workspaces.project import Project
from runner.workspaces.projects import directory_of
from runner.workspaces.shared import STORE

T = TypeVar("T")
CommandT = TypeVar("CommandT", bound=Callable[..., object])
Work = Callable[[Project], Awaitable[T]]


class Given(TypedDict):
    """What the options say that all commands about projects have (`about`)."""

    directory: str | None
    config_file: str | None
    as_json: bool


def about(command: CommandT) -> CommandT:
    """The options of all commands about projects: `Given`."""
    directory = click.option(
        "-C",
        "--project",
        "directory",
        metavar="DIR",
        help="The project's directory.  [this one, or the nearest above it that is a project]",
    )
    return directory(options.config(options.json(command)))


def workspace_name(command: CommandT) -> CommandT:
    """The workspace that is meant."""
    return click.argument("name", metavar="WORKSPACE")(command)


def on_project(given: Given, work: Work[T], *, makes: bool = False, is_quiet: bool = False) -> T:
    """Carry something out on the project that is meant.

    Args:
        given: what the command's options say.
        work: what is to be done; what it answers is printed afterwards.
        makes: whether there need be no project yet.
        is_quiet: whether nothing is said of a Ctrl-C.

    Raises:
        NotFound: there is no project.
        ConfigError: the options cannot be used.
        click.exceptions.Exit: a signal ended it.
    """
    config = read_config(given["config_file"])
    base = find_project(config, given["directory"], makes=makes)
    return trio.run(_carry_out, config, base, work, is_quiet)


async def _carry_out(config: RunnerConfig, base: str, work: Work[T], is_quiet: bool) -> T:
    answer: list[T] = []
    failure: Exception | None = None
    ending = trio.CancelScope()
    ladder = Ladder(
        steps=(Step("ending what is under way; once more ends it on the spot", ending.cancel),),
        say=(lambda _: None) if is_quiet else complain,
        begin_at=0,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(ladder.watch)
        with ending:
            async with open_runner(config) as runner:
                try:  # said outside of all nurseries, which would make a group of it
                    answer.append(await work(runner.project(base)))
                except (RunnerError, OutputClosed) as exc:
                    failure = exc
        if ending.cancel_called and isinstance(failure, ActorError | SupervisorClosed):
            failure = None  # who was to carry it out had ended first
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not answer:
        assert ladder.last is not None
        raise click.exceptions.Exit(ended_by(ladder.last))
    return answer[0]


# ---------------------------------------------------------------- which project


def find_project(config: RunnerConfig, given: str | None, *, makes: bool) -> str:
    """The directory of the project that is meant, without links.

    Args:
        config: the runner's options, with the state directory.
        given: what `-C` says.
        makes: whether there need be no project yet.

    Raises:
        ConfigError: the directory that is given is none.
        NotFound: there is no project, and none is to be made.
    """
    try:
        where = os.path.realpath(given if given is not None else os.getcwd())
    except FileNotFoundError:
        raise ConfigError(
            "the current directory is gone: name the project's, with -C DIR"
        ) from None
    place = projects_of(config, config.state)
    if given is not None and not os.path.isdir(where) and not _is_project(place, where):
        raise ConfigError(Problem(given, None, "", "there is no such directory"))
    candidates = [where] if given is not None else list(_upwards(where))
    for each in candidates:
        if _is_project(place, each):
            return each
    if makes:
        return where
    what = "there is no project here" if given is not None else "there is no project here or above"
    raise NotFound("project", where, what, hint="`runner workspace create NAME` makes one of it")


def _is_project(place: str, base: str) -> bool:
    return os.path.exists(os.path.join(directory_of(place, base), STORE))


def _upwards(path: str) -> Iterator[str]:
    while True:
        yield path
        above = os.path.dirname(path)
        if above == path:
            return
        path = above
