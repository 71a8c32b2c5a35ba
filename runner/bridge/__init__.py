"""The one bridge: runner's whole public API for programs that are not trio's.

    caller's thread or task ──► a call ──► trio's thread: scopes, sessions, backends ──► outcome

`blocking` is for synchronous programs, `asynchronous` for asyncio. Both are made from runner's own
classes when they are first used (proxies.py), so nothing stands here twice.
"""

from __future__ import annotations

from runner.bridge import asynchronous as asynchronous
from runner.bridge import blocking as blocking

__all__ = ["asynchronous", "blocking"]
