"""The one bridge: runner's whole public API for programs that are not trio's.

    caller's thread or task ──► a call ──► trio's thread: scopes, sessions, backends ──► outcome

`runner.blocking` is for synchronous programs, `runner.asyncio` for those of asyncio. Both are made
from runner's own names and classes when they are first used, so nothing stands here twice.

    names.py      which names there are, and what each of them is
    proxies.py    stand-ins for objects of trio's; manners.py: the two ways in which they wait
    calls.py      one call: carried out, waited for, cancelled; callbacks.py: functions handed in
    stay.py       one stay inside of an async context manager
    home.py       how long trio's thread is held; thread.py: that thread
    stubs.py      writes what type checkers know of `runner.blocking`
"""
