"""`python -m runner`, and the entry point of the command `runner`."""

from __future__ import annotations

import sys

from runner.cli.app import run_command_line
from runner.cli.streams import occupy_closed


def main() -> None:
    """Carry out the command line of this process, and end it with the exit code."""
    occupy_closed()
    sys.exit(run_command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
