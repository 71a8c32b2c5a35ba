"""Make quickstart.svg: the quickstart batch in a real terminal, while it runs and at its end.

Run it from the repository's root: python configs/pictures/make.py
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COLUMNS = 112
COMMAND = ("batch", "run", "configs/batches/quickstart.toml", "-o")
ESCAPES = re.compile(r"\x1b\[(\?25[lh]|2K|1A)|(\r\n|\r|\n)")


def run_on_terminal() -> str:
    """Run the batch; everything that the terminal got."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    with tempfile.TemporaryDirectory() as home:
        env = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "HOME": home}
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", *COMMAND, f"{home}/out"],
            stdout=slave,
            stderr=slave,
            env=env,
        )
        os.close(slave)
        got = b""
        try:
            while piece := os.read(master, 1 << 16):
                got += piece
        except OSError:  # EIO: the program has ended
            pass
        process.wait()
    return got.decode().replace(f"{home}/", "")


def screens(text: str) -> list[list[str]]:
    """The terminal's lines after each picture; whole lines are all that is ever rewritten."""
    lines, row, seen, end = [""], 0, [], 0
    for found in ESCAPES.finditer(text):
        lines[row] += text[end : found.start()]
        end = found.end()
        if found[1] == "2K":
            if lines[-1] and row == len(lines) - 1:  # a picture is about to be drawn over
                seen.append(list(lines))
            lines[row] = ""
        elif found[1] == "1A":
            row -= 1
        elif found[2] in ("\n", "\r\n"):
            row += 1
            if row == len(lines):
                lines.append("")
    return [*seen, lines]


def main() -> None:
    """Write the picture."""
    *running, last = screens(run_on_terminal())
    fullest = max(running, key=lambda lines: sum("idle" in line for line in lines))
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ ") + Text(f"runner {' '.join(COMMAND)} out", "bold"))
    for line in fullest:
        console.print(Text.from_ansi(line))
    console.print(Text("  ...", "dim"))
    for line in last:
        if line not in fullest:
            console.print(Text.from_ansi(line.rstrip()))
    console.save_svg(str(HERE / "quickstart.svg"), title="runner batch run")


if __name__ == "__main__":
    main()
