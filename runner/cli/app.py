"""The commands by name, and how every ending becomes an exit code and one clear message.

No command prints errors or ends the process by itself: it returns an exit code or raises. What is
raised becomes a message in `runner.cli.endings`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from runner.cli.exits import Exit, epilog
from runner.cli.lazy import LazyGroup
from runner.cli.streams import OutputClosed, discard_output

HELP = """Run many coding-agent sessions safely, fast and unattended.

The same command again resumes: what is finished stays finished.
"""

COMMANDS = {
    "batch": ("runner.cli.batch:batch", "Run a batch of jobs from a TOML file."),
    "run": ("runner.cli.run:run", "Run one prompt, here and now."),
    "session": ("runner.cli.session:session", "Look at sessions that are kept; go on with them."),
    "workspace": ("runner.cli.workspace:workspace", "Copies of a directory to work in."),
    "snapshot": ("runner.cli.snapshot:snapshot", "States of a workspace, kept for good."),
    "audit": ("runner.cli.audit:audit", "Say what was done in workspaces, by whom and when."),
    "sync": ("runner.cli.sync:sync", "Have a workspace elsewhere as well."),
    "gc": ("runner.cli.gc:gc", "Give back the space of what nothing needs any more."),
    "check": ("runner.cli.check:check", "Say everything that is wrong with a batch file."),
    "doctor": ("runner.cli.doctor:doctor", "Say what works on this machine, and mend what not."),
    "schema": ("runner.cli.schema:schema", "Print the JSON Schema of a kind of file."),
}

EPILOG = f"Exit codes:\n{epilog()}\n\n  For a batch the worst class of its jobs counts."


class Application(LazyGroup):
    """The command `runner`."""

    def __init__(self) -> None:
        super().__init__("runner", COMMANDS, summary=HELP, epilog=EPILOG)
        self.params += [
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_version,
                help="Show the version and exit.",
            ),
            click.Option(
                ["--traceback"],
                is_flag=True,
                expose_value=False,
                callback=_want_traceback,
                help="Show Python's traceback of errors (as RUNNER_TRACEBACK=1 does).",
            ),
        ]


def run_command_line(args: Sequence[str]) -> int:
    """Carry out a command line; the answer is the exit code."""
    # The codes are returned, not raised, so that one place knows what every ending means.
    try:
        code = Application().main(list(args), prog_name="runner", standalone_mode=False)
        return int(code or 0)
    except click.Abort:
        return Exit.INTERRUPTED
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except OutputClosed:
        discard_output()
        return Exit.BROKEN_PIPE
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as exc:  # noqa: BLE001  # the last one
        from runner.cli.endings import explain  # noqa: PLC0415  # attrs is slow to import

        return explain(exc, traceback=_wants_traceback())


def _wants_traceback() -> bool:
    return os.environ.get("RUNNER_TRACEBACK", "") not in ("", "0")


def _want_traceback(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        os.environ["RUNNER_TRACEBACK"] = "1"


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version  # noqa: PLC0415  # 20 ms, for this flag only

        click.echo(f"runner {version('trio-runner')} (Python {sys.version.split()[0]})")
        ctx.exit()
