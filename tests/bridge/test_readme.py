"""The README's example for programs that are not trio's runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def test_the_example_runs(tmp_path):
    found = re.search(r"<!-- bridges -->\n```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "example.py").write_text(found[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")
