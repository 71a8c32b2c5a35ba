"""What rows say in words: without secrets, and not too long."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from runner.errors import OperationError
from runner.scopes.redaction import Redactor, secret_values
from runner.workspaces.records import Json

LONGEST = 4096  # characters of a command, or of a reason
_MOST_REDACTORS = 64


class Secrets:
    """What is taken out of commands and reasons.

    Args:
        texts: besides what looks like a secret, and the values of our own secret variables.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._texts = frozenset(texts) | secret_values(os.environ)
        self._redactors: dict[frozenset[str], Redactor] = {}

    def redacted(self, text: str, env: Mapping[str, str] | None = None) -> str:
        """A text without them, and without those of a program's variables."""
        values = self._texts | secret_values(env or {})
        found = self._redactors.get(values)
        if found is None:
            if len(self._redactors) >= _MOST_REDACTORS:
                self._redactors.clear()
            found = self._redactors[values] = Redactor(values)
        clean = found.redact(text)
        return clean if len(clean) <= LONGEST else f"{clean[:LONGEST]}… {len(clean) - LONGEST} more"

    def why(self, error: Exception) -> dict[str, Json]:
        """What a row says of an error."""
        reason = error.reason if isinstance(error, OperationError) else str(error)
        return {"error": type(error).__name__, "reason": self.redacted(reason)}
