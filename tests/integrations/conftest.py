"""What the suites of other frameworks need to run beside ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

# Rules about files that nobody may read: root may read them all.
FOR_ORDINARY_USERS = frozenset(
    {"test_permission_denied_uses_builtin_error", "test_download_error_permission_denied"}
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items) -> None:
    """A test that anyio's or asyncio's plugin carries out is none of trio's."""
    for item in items:
        if item.get_closest_marker("anyio") or item.get_closest_marker("asyncio"):
            item.own_markers[:] = [each for each in item.own_markers if each.name != "trio"]
            item.keywords._markers.pop("trio", None)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Where every part must be there, a framework that is not is a failure."""
    report = yield
    if report.outcome == "skipped" and os.environ.get("RUNNER_CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but RUNNER_CI allows no skip: {report.longrepr}"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem) -> bool | None:
    """As root, carry tests of missing rights out as another user: one of a user namespace."""
    if os.geteuid() != 0 or pyfuncitem.originalname not in FOR_ORDINARY_USERS:
        return None
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare program to be an ordinary user with: apt-get install util-linux")
    another = [unshare, "--user", "--map-user=1000", "--map-group=1000"]
    if subprocess.run([*another, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespaces to be an ordinary user in: run the tests as one")
    done = subprocess.run(
        [*another, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", pyfuncitem.nodeid],
        cwd=pyfuncitem.config.rootpath,
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    return True
