"""What a program has changed in a live tree: seen by two glances, one before it and one after it.

A glance costs little or is not had: of a watched tree the hints, of an overlay a walk through its
upper directory, else through the tree, if it has few files; why there is none, a row says. Between
two of them the states of files differ if they were changed; what was there before is known by its
digest where the last capture has that very state, or it is the base's, or the last glance had it
after a change; else only by its size. What went and came back elsewhere as the very same file was
moved.

    file, link   a path whose state differs
    directory    one that came or went with nothing in it, or that has another mode
    hidden       in an overlay, what was in a directory of the base that went, or was made anew

What other acts have written down meanwhile (`Glimpse.told`) is not the program's, unless there is
something else by now. Where the whole tree was replaced meanwhile, nobody knows (`spoil`).

For a thread; what it does not do: write rows (auditing.py).
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterator, Mapping

import attrs

from runner.watching.columns import State
from runner.watching.files import Folder, Tree, differing, is_below, parent
from runner.watching.patterns import Rules
from runner.workspaces.comparing import compare
from runner.workspaces.glimpses import Found, Glanced, Glimpse, Pairs, Path, Unseen
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.objects import CHUNK
from runner.workspaces.records import AuditRecord
from runner.workspaces.witness import Seen, Spot, Witness

REMEMBERED = 4096  # digests of what was changed
MOST = 1000  # paths with rows of their own
BYTES = 64 << 20  # that are read for digests; of what is beyond, there are only sizes
_SIZE, _MODE = 1, 4
_TYPES = {
    EntryType.FILE: "file",
    EntryType.DIRECTORY: "directory",
    EntryType.LINK: "link",
    EntryType.FIFO: "other",
}


@attrs.frozen
class Glancer:
    """Sees what changes in a live tree.

    Attributes:
        live: the tree.
        witness: looks at what is there afterwards.
    """

    live: Glanced
    witness: Witness

    @property
    def is_blind(self) -> bool:
        """Whether it does not know what is below an overlay."""
        return self.live.is_blind

    def begin(self) -> Glimpse:
        """A glance at it now."""
        try:
            tree = self.live.glance()
        except Unseen as why:
            return Glimpse(None, why=str(why))
        return Glimpse(tree, self.live.opaque(tree))

    def end(self, glimpse: Glimpse) -> Found:
        """What has changed since."""
        try:
            if glimpse.is_spoiled:
                raise Unseen("all files were set back meanwhile")
            after = self.live.glance()
        except Unseen as why:
            return Found(None, why=glimpse.why or str(why))
        before = glimpse.tree
        if before is None:
            return Found(None, why=glimpse.why)
        pairs = _files(before, after, self.live.rules)
        if len(pairs) > MOST:
            return Found(len(pairs))
        directories = dict(_directories(before, after))
        pairs |= dict.fromkeys(directories, (None, None))
        olds = self.live.known(
            {
                path: was
                for path, (was, _) in pairs.items()
                if was is not None or not _was_hidden(path, before, glimpse.opaque)
            }
        )
        hidden = dict(self._hidden(glimpse, after, olds, pairs))
        count = len(pairs.keys() | hidden.keys())
        if count > MOST:
            return Found(count)
        found: dict[str, Path] = {}
        for path, each in hidden.items():
            found[path] = path, self._seen_before(each), self._seen_after(path)
        for path, old, new in self._compared(pairs, olds, directories, glimpse.told):
            found[path] = path, old, new
            self._remember(path, pairs[path][1], new, after)
        moved = _moved(pairs, found)
        return Found(len(found), tuple(found[path] for path in sorted(found)), moved)

    def _remember(self, path: str, state: State | None, seen: Seen | None, after: Tree) -> None:
        """Know next time what stands there now, unless its next change may look the same."""
        known = self.live.remembered
        if state is None or seen is None or not seen.digest or path in after.fresh:
            known.pop(path, None)
            return
        if len(known) >= REMEMBERED:
            known.clear()
        known[path] = state, seen

    def _compared(
        self,
        pairs: Pairs,
        olds: Mapping[str, Entry],
        directories: Mapping[str, Seen | None],
        told: Mapping[str, AuditRecord],
    ) -> Iterator[Path]:
        left = BYTES
        for path, (was, now) in pairs.items():
            size = 0 if now is None else now[_SIZE]
            left -= size
            if now is None or left >= 0:
                new = self._seen_after(path)
            else:
                new = Seen("file", size, mode=_mode(now))
            old = directories.get(path) or _seen_of(was)
            state, seen = self.live.remembered.get(path, (None, None))
            if state is not None and state == was:
                old = seen
            if path in told:
                old = _seen_told(told[path], new)
            elif path in olds:
                old = self._seen_before(olds[path])
            if new is None and _is_full(olds.get(path)):
                continue  # it is said by what was in it
            has_come = old is None and new is not None and new.type == "directory"
            if has_come and path not in directories:
                continue  # it is said by what is in it
            if old != new or (new is not None and new.type == "file" and not new.digest):
                yield path, old, new

    def _seen_after(self, path: str) -> Seen | None:
        return next(iter(self.witness.look((Spot(path, entry=True),)).values()), None)

    def _seen_before(self, entry: Entry) -> Seen:
        kind, size = _TYPES[entry.type], entry.size
        if kind in {"directory", "other"}:
            return Seen(kind, mode=entry.mode)
        if kind == "link":
            size = len(self.live.store.get(entry.id).data)
        name = "sha256" if size <= CHUNK else "chunks"
        return Seen(kind, size, f"{name}:{entry.id.hex()}", entry.mode)

    # ------------------------------------------------------------ what an overlay hides

    def _hidden(
        self, glimpse: Glimpse, after: Tree, olds: Mapping[str, Entry], pairs: Pairs
    ) -> Iterator[tuple[str, Entry]]:
        """What was in directories of the base that went, or were made anew."""
        for path in [path for path in pairs if _is_directory(olds.get(path))]:
            if not os.path.isdir(f"{self.live.root}/{path}"):
                yield from self._below(path, olds[path])
        before = glimpse.tree
        assert before is not None
        shown = [
            each[:-1]
            for each in after.folders.keys() - before.folders.keys()
            if pairs.get(each[:-1], (None, None))[0] is None
            and not _was_hidden(each[:-1], before, glimpse.opaque)
        ]
        for path, entry in self.live.known(dict.fromkeys(shown)).items():
            if not _is_directory(entry):  # it is a directory now
                yield path, entry
                continue
            for each in self.live.store.listing(entry.id):
                name = f"{path}/{os.fsdecode(each.name)}"
                if name in pairs or name in olds or os.path.lexists(f"{self.live.root}/{name}"):
                    continue
                yield from self._below(name, each)

    def _below(self, path: str, entry: Entry) -> Iterator[tuple[str, Entry]]:
        """All that was in a directory, or the file itself."""
        if not _is_directory(entry) or entry.id == EMPTY.id:
            yield path, entry
            return
        for change in compare(self.live.store.listing, entry.id, EMPTY.id):
            assert change.before is not None
            yield f"{path}/{change.path}", change.before


def _files(before: Tree, after: Tree, rules: Rules) -> Pairs:
    """The files whose states differ."""
    found: Pairs = {}
    for prefix, old, new in _folders(before, after):
        was, now = differing(old, new)
        for name in was.keys() | now.keys():
            pair = was.get(name), now.get(name)
            if pair[0] != pair[1] and not rules.omits_file(prefix + name):
                found[prefix + name] = pair
    return found


def _moved(pairs: Pairs, found: Mapping[str, Path]) -> dict[str, str]:
    """Where files came from that are elsewhere now: the very same, else the same content."""
    same: dict[object, str] = {}
    for path, old, new in found.values():
        was, _ = pairs.get(path, (None, None))
        if new is None and old is not None and old.size and old.digest:
            same[old.digest] = path
        if new is None and was is not None:
            same[was[:3]] = path  # inode, size, mtime
    moved: dict[str, str] = {}
    for path, old, new in found.values():
        now = pairs.get(path, (None, None))[1]
        if old is None and new is not None and now is not None:
            source = same.get(now[:3]) or same.get(new.digest)
            if source is not None and source not in moved.values():
                moved[path] = source
    return moved


def _directories(before: Tree, after: Tree) -> Iterator[tuple[str, Seen | None]]:
    """Directories that are said by themselves, and what they were."""
    full = {parent(each) for each in before.folders}, {parent(each) for each in after.folders}
    for prefix, old, new in _folders(before, after):
        if not prefix:
            continue
        if old is not None and new is not None:
            is_said = old.mode != new.mode
        elif new is not None:
            is_said = not new.count and prefix not in full[1]
        else:
            is_said = old is not None and not old.count and prefix not in full[0]
        if is_said:
            mode = None if old is None else modes.S_IMODE(old.mode)
            yield prefix[:-1], None if mode is None else Seen("directory", mode=mode)


def _folders(before: Tree, after: Tree) -> Iterator[tuple[str, Folder | None, Folder | None]]:
    """The directories that are not as they were; not what cannot be read."""
    shut = before.closed | after.closed
    for prefix in before.folders.keys() | after.folders.keys():
        old, new = before.folders.get(prefix), after.folders.get(prefix)
        if old is not new and old != new and not is_below(prefix, shut):
            yield prefix, old, new


def _was_hidden(path: str, before: Tree, opaque: frozenset[str]) -> bool:
    """Whether the base did not shine through at a path: an opaque directory, or a whiteout."""
    prefix = parent(path)
    while prefix:
        above = parent(prefix)
        if prefix in opaque:
            return True
        if prefix not in before.folders and above in before.folders:
            return prefix[len(above) : -1] in before.folders[above].files()
        prefix = above
    return "" in opaque


def _is_directory(entry: Entry | None) -> bool:
    return entry is not None and entry.type is EntryType.DIRECTORY


def _is_full(entry: Entry | None) -> bool:
    return entry is not None and _is_directory(entry) and entry.id != EMPTY.id


def _seen_of(state: State | None) -> Seen | None:
    """What a state says of what stood there; of an overlay's whiteout, that nothing did."""
    if state is None or modes.S_ISCHR(state[_MODE]):
        return None
    mode = state[_MODE]
    kind = "link" if modes.S_ISLNK(mode) else "file" if modes.S_ISREG(mode) else "other"
    return Seen(kind, None if kind == "other" else state[_SIZE], mode=_mode(state))


def _mode(state: State | None) -> int:
    return 0 if state is None or modes.S_ISLNK(state[_MODE]) else modes.S_IMODE(state[_MODE])


def _seen_told(row: AuditRecord, new: Seen | None) -> Seen | None:
    """What a row says of what stands at its path since; of directories it is enough that it is."""
    kind = str(row.details.get("type", "file"))
    if kind == "directory":
        return new
    if row.size_after is None:
        return None
    return Seen(kind, row.size_after, row.sha_after, 0 if new is None else new.mode)
