"""What mountinfo says, and the calls that it is about."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from runner.workspaces import mounts
from runner.workspaces.mounts import Mount


def test_a_line_is_read_with_its_names() -> None:
    line = (
        b"44 27 0:39 / /a\\040b\\134c\\012\xff rw,nosuid shared:1 master:2 - overlay"
        b" runner-1-2 rw,lowerdir=/x\\054"
    )
    plain = b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw"

    assert mounts.parse(line) == Mount("/a b\\c\n\udcff", "overlay", "runner-1-2")
    assert mounts.parse(plain) == Mount("/", "ext4", "/dev/vda")


def test_what_is_mounted_at_a_directory_or_in_it_is_found() -> None:
    everything = mounts.mounts()

    assert mounts.mounted_in("/") == everything
    assert [each.point for each in mounts.mounted_at("/")][:1] == ["/"]
    assert any(each.kind == "proc" for each in mounts.mounted_in("/proc"))
    assert mounts.mounted_in("/pro") == []


def test_where_there_is_no_list_nothing_is_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", refuse)

    assert mounts.mounts() == []


def test_a_call_that_fails_says_where(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere") as mounted:
        mounts.mount("s", str(tmp_path / "nowhere"), "no-such-kind", "")
    with pytest.raises(OSError, match="Invalid|not permitted") as unmounted:
        mounts.unmount(str(tmp_path))

    assert mounted.value.errno in (errno.ENODEV, errno.ENOENT, errno.EPERM)
    assert unmounted.value.errno in (errno.EINVAL, errno.EPERM)
    assert os.listdir(tmp_path) == []
