"""The environment that programs get: an allow-list, and what the caller adds. Pure.

Nothing of our own environment reaches a program unless its name stands here or the caller names
it: tokens and keys live in environment variables, and every program hands its environment on to
everything it starts. What is on the list says where programs, certificates, the terminal and the
user are, and in which language to speak; none of it is a secret. Proxy variables are not on it:
they often hold a password.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

CERTIFICATES = (  # they name files
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NIX_SSL_CERT_FILE"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
)
ALLOWED = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TZDIR",
        "TERM",
        "COLORTERM",
        "NO_COLOR",
        "TMPDIR",
        *CERTIFICATES,
    }
)
ALLOWED_PREFIXES = ("LC_",)


def base_environment(
    environ: Mapping[str, str],
    *,
    pass_env: Iterable[str] = (),
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Make the environment of a program.

    Args:
        environ: where allow-listed variables are taken from, such as `os.environ`.
        pass_env: names that are passed on as well, if they are set there.
        extra: variables on top, which win.

    Returns:
        A new dictionary; it always has a PATH.
    """
    passed = frozenset(pass_env)
    # By names: `os.environ` decodes every value that is asked for, and most are not on the list.
    environment = {
        name: environ[name]
        for name in environ
        if name in ALLOWED or name in passed or name.startswith(ALLOWED_PREFIXES)
    }
    environment.setdefault("PATH", os.defpath)
    environment.update(extra or {})
    return environment
