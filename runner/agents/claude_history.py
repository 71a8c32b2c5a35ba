"""claude's own file of a conversation: what of it claude knows when it is started with it.

Each message names its parent, and claude loads the chain from the last message on; whatever else is
in the file is nothing to it (2.1.197). So an answer is forgotten that came when its request had to
be repeated: the error (`api_error`) is written after the answer, has the prompt as its parent, and
is the parent of the next prompt. A summary begins a chain; it says what it sums up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from runner.agents.lines import text_of


def knows(lines: Iterable[bytes], marker: str, *, in_short: bool = False) -> bool:
    """Whether claude, started with these lines, has the message that a marker names.

    Args:
        lines: of its file.
        marker: the message's uuid.
        in_short: what it has only as a summary counts too; it cannot go back to that.
    """
    parents: dict[str, str] = {}
    last = ""
    for line in lines:
        if b'"uuid"' not in line:
            continue
        try:
            message = json.loads(line)
        except ValueError:  # cut off: it was killed while it wrote
            continue
        if not isinstance(message, dict) or message.get("isSidechain") is True:
            continue
        last = text_of(message, "uuid")
        summed_up = text_of(message, "logicalParentUuid") if in_short else ""
        parents[last] = text_of(message, "parentUuid") or summed_up
    while last and last != marker:
        last = parents.pop(last, "")  # each once: a circle has an end
    return bool(last)
