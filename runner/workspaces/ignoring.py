"""What git would take of what changed between two trees: nothing new that the later one ignores.

The rules are those of the `.gitignore` files in the later tree (backends/gitignore.py). A path that
the earlier tree has is taken, whatever they say: git knows it then. Pure: trees come from a source.
"""

from __future__ import annotations

import os

import attrs

from runner.backends.gitignore import Ignored, rules_of
from runner.backends.walking import IGNORE, LONGEST_RULES
from runner.workspaces.comparing import Source, compare
from runner.workspaces.listing import Entry, EntryType
from runner.workspaces.objects import ObjectId
from runner.workspaces.selecting import Wanted


@attrs.define(eq=False)
class Taken:
    """Which paths are taken.

    Attributes:
        source: has both trees.
        before: the root of the earlier one.
        after: of the later one.
    """

    source: Source
    before: ObjectId
    after: ObjectId
    _rules: dict[tuple[str, ...], Ignored | None] = attrs.field(factory=dict)
    _listings: dict[ObjectId, dict[bytes, Entry]] = attrs.field(factory=dict)

    def __call__(self, path: str) -> bool:
        """Whether what became of a path is taken."""
        return self.ignored(path) is None

    def ignored(self, path: str) -> str | None:
        """The path if it is not taken, or the directory above it that is ignored as a whole."""
        names = tuple(path.split("/"))
        if self._find(self.before, names) is not None:
            return None
        for depth in range(len(names)):
            rules = self._rules_in(names[:depth])
            here = names[: depth + 1]
            if rules is not None and rules.takes("/".join(here), is_directory=here != names):
                return "/".join(here)
        return None

    def _rules_in(self, names: tuple[str, ...]) -> Ignored | None:
        """The rules that hold in a directory of the later tree."""
        if names not in self._rules:
            above = self._rules_in(names[:-1]) if names else None
            content = self._content(self._find(self.after, (*names, IGNORE)))
            strip = len("/".join(names)) + 1 if names else 0
            here = Ignored(rules_of(content), strip, "", above) if content else above
            self._rules[names] = here
        return self._rules[names]

    def _content(self, entry: Entry | None) -> bytes:
        if entry is None or entry.type is not EntryType.FILE or entry.size > LONGEST_RULES:
            return b""
        pieces = self.source.content(entry.id)
        return b"".join(each if isinstance(each, bytes) else bytes(each) for each in pieces)

    def _find(self, root: ObjectId, names: tuple[str, ...]) -> Entry | None:
        found: Entry | None = None
        for name in map(os.fsencode, names):
            if found is not None and found.type is not EntryType.DIRECTORY:
                return None
            found = self._entries(root if found is None else found.id).get(name)
            if found is None:
                return None
        return found

    def _entries(self, directory: ObjectId) -> dict[bytes, Entry]:
        if directory not in self._listings:
            listing = self.source.listing(directory)
            self._listings[directory] = {each.name: each for each in listing}
        return self._listings[directory]


def without_ignored(
    source: Source, before: ObjectId, after: ObjectId, wanted: Wanted
) -> tuple[Wanted, tuple[str, ...]]:
    """What of wanted paths git would take; and what it would not, whole directories as such."""
    taken = Taken(source, before, after)
    changed = (each.path for each in compare(source.listing, before, after))
    ignored = {taken.ignored(each) for each in changed if wanted(each)}

    def both(path: str) -> bool:
        return wanted(path) and taken(path)

    return both, tuple(sorted(each for each in ignored if each is not None))
