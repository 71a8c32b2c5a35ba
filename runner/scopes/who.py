"""On whose behalf something is done in a scope; a record, pure.

It is written down beside what was done (the audit of a workspace), and decides nothing: it is no
permission and no secret, and nobody checks it.
"""

from __future__ import annotations

import attrs

from runner.errors import ConfigError


@attrs.frozen(kw_only=True)
class Who:
    """On whose behalf something was done; each empty if it is not known."""

    session: str = ""
    job: str = ""
    agent: str = ""

    def within(self, outer: Who) -> Who:
        """It, inside of something that is done on another's behalf: what it says counts."""
        return Who(
            session=self.session or outer.session,
            job=self.job or outer.job,
            agent=self.agent or outer.agent,
        )


NOBODY = Who()


def require_who(given: object) -> Who:
    """It, if it is one; of None nobody.

    Raises:
        ConfigError: it is something else.
    """
    if given is None:
        return NOBODY
    if isinstance(given, Who) and all(isinstance(each, str) for each in attrs.astuple(given)):
        return given
    raise ConfigError(f"who={given!r}: give a Who of texts, such as Who(agent='a-7')")
