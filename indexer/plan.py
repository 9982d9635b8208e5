"""Compares what a scan found with what the catalog knows; decides everything, changes nothing.

A file is recognised by its path, size and modification time; where these do not settle it, by the digest of its
content. So a moved, renamed, touched or duplicated file is known again without being embedded again.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from retrieval.media import SEEN
from retrieval.store import Entry, FileRecord

_Unknown = tuple[Entry, FileRecord | None]
_RAW = attrgetter("raw")


class Pair(NamedTuple):
    """A record and the entry that it is about."""

    record: FileRecord
    entry: Entry


class Copy(NamedTuple):
    """An entry with the bytes of another file: of a record, or of an entry that this plan embeds (then its path)."""

    entry: Entry
    origin: FileRecord | Path
    digest: bytes


@dataclass
class Plan:
    """What is to be done; each entry is in exactly one of the lists (``gone`` holds records alone).

    ``new`` and ``changed`` are embedded, ``retried`` failed before and are tried again, ``pending`` are known but have
    no vectors of the model being written, or are to get them anew. ``touched`` have another time and the same content,
    ``returned`` were gone and are there again, ``failed`` failed before and have not changed since. ``described``
    names, once more, those which keep their vectors but must be read again, since less was told of them once, or since
    their sidecars are others now.
    """

    new: list[Entry] = field(default_factory=list)
    changed: list[Pair] = field(default_factory=list)
    retried: list[Pair] = field(default_factory=list)
    pending: list[Pair] = field(default_factory=list)
    moved: list[Pair] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    touched: list[Pair] = field(default_factory=list)
    returned: list[Pair] = field(default_factory=list)
    same: list[Pair] = field(default_factory=list)
    failed: list[Pair] = field(default_factory=list)
    gone: list[FileRecord] = field(default_factory=list)
    described: list[Entry] = field(default_factory=list)

    def nothing_to_read(self) -> bool:
        """Return whether no file need be opened: none is to be embedded, follows one that is, or is to be described."""
        return not (self.described or self.copies or self.new or self.changed or self.retried or self.pending) and all(
            pair.record.status != "ok" or pair.record.embedded for pair in self.moved
        )

    def to_embed(self) -> list[Entry]:
        """Return the entries that must be decoded and embedded, ordered by path."""
        without_vectors = (pair for pair in self.moved if pair.record.status == "ok" and not pair.record.embedded)
        pairs = (*self.changed, *self.retried, *self.pending, *without_vectors)
        return sorted((*self.new, *(pair.entry for pair in pairs)), key=lambda entry: entry.raw)


class Rest:
    """What lies beyond the entries and records that are to be planned; by itself nothing, and what is lost is gone."""

    def missing(self, record: FileRecord) -> bool:
        """Return whether a record whose path was not found is gone, rather than out of sight."""
        return True

    def elsewhere(self, sizes: Sequence[int]) -> Iterable[FileRecord]:
        """Return the records of these sizes in bytes that are not to be planned.

        They are of files that were found just as they are known, or that nobody looked for.
        """
        return ()


def plan(
    entries: Iterable[Entry],
    records: Iterable[FileRecord],
    digest: Callable[[Path], bytes],
    *,
    rest: Rest = Rest(),  # noqa: B008 - it holds nothing
    retry_failed: bool = False,
    again: Container[int] = frozenset(),
    recognise: bool = True,
) -> Plan:
    """Sort entries and records out; neither needs to be in order, no path may occur twice in either.

    ``digest`` is asked only for entries whose size makes it matter; when it raises ``OSError`` the file counts as new,
    so that embedding it fails with the reason. ``missing`` tells whether a record whose path was not found is gone
    (false for files of sources that are offline or were not scanned). Files whose ids are in ``again`` are embedded
    although they have not changed. Without ``recognise`` no copies are looked for:
    each file without vectors is embedded.
    """
    result = Plan()
    digests = _Digests(digest)
    settled: list[Pair] = []  # records that stand after the plan, as possible origins of copies
    loose: list[FileRecord] = []  # records whose path was not found, as possible origins of moves
    unknown: list[_Unknown] = []
    for entry, record in _merge(entries, records):
        if entry is None and record is not None:
            loose.append(record)
        elif entry is not None and record is None:
            unknown.append((entry, None))
        elif entry is not None and record is not None:
            pair = Pair(record, entry)
            if not _known(result, pair, digests, retry_failed, again):
                unknown.append((entry, record))
            elif record.embedded:
                settled.append(pair)
    others = list(rest.elsewhere(sorted({entry.size_bytes for entry, _ in unknown}))) if unknown else []
    gone = {record.id: record for record in loose if record.gone or rest.missing(record)}
    gone |= {record.id: record for record in others if record.gone}
    displaced = [record for _, record in unknown if record is not None]  # other bytes are at their paths now
    lost = (*sorted(gone.values(), key=_RAW), *displaced)
    movable = [one for one in lost if not (retry_failed and one.status == "failed")]
    left: Container[int] = {record.id for record in movable}
    if unknown:
        known = [pair.record for pair in settled] + [record for record in others if not record.gone]
        origins = sorted(known, key=_RAW) + [record for record in loose if record.id not in gone]
        left = _Recogniser(result, digests, movable, origins).run(unknown, recognise)
    result.gone = [record for record in gone.values() if record.id in left and not record.gone]
    result.described = _to_describe(result)
    return result


def is_behind(record: FileRecord, entry: Entry) -> bool:
    """Return whether more can be told of a file than the catalog has."""
    return record.seen < SEEN or record.beside != entry.beside


def _to_describe(result: Plan) -> list[Entry]:
    """Return the entries that are not embedded, ordered by path, of which the catalog would not say what they say."""
    pairs = (*result.moved, *result.touched, *result.returned, *result.same)
    found = [entry for record, entry in pairs if record.embedded and is_behind(record, entry)]
    follows = any(isinstance(copy.origin, Path) for copy in result.copies)
    beside = {entry.path: entry.beside for entry in result.to_embed()} if follows else {}
    for copy in result.copies:
        if isinstance(copy.origin, FileRecord):
            behind = is_behind(copy.origin, copy.entry)
        else:
            behind = beside[copy.origin] != copy.entry.beside
        if behind:
            found.append(copy.entry)
    return sorted(found, key=lambda entry: entry.raw)


def _known(result: Plan, pair: Pair, digests: "_Digests", retry_failed: bool, again: Container[int]) -> bool:
    """File a pair whose content is what the catalog has; return false when it is not."""
    record, entry = pair
    same_time = (record.size_bytes, record.mtime_ns) == (entry.size_bytes, entry.mtime_ns)
    if not same_time and not (record.size_bytes == entry.size_bytes and digests.equal(entry, record)):
        return False
    if record.status == "failed" and (retry_failed or record.id in again):
        result.retried.append(pair)
    elif record.status == "ok" and (record.id in again or not record.embedded):
        result.pending.append(pair)
    elif record.gone:
        result.returned.append(pair)
    elif not same_time:
        result.touched.append(pair)
    elif record.status == "failed":
        result.failed.append(pair)
    else:
        result.same.append(pair)
    return True


class _Digests:
    """Asks for each digest once; an unreadable file has none."""

    def __init__(self, digest: Callable[[Path], bytes]) -> None:
        self._digest = digest
        self._known: dict[bytes, bytes | None] = {}  # by the bytes of the path: a Path is ten times as large

    def of(self, entry: Entry) -> bytes | None:
        if entry.raw not in self._known:
            try:
                self._known[entry.raw] = self._digest(entry.path)
            except OSError:
                self._known[entry.raw] = None
        return self._known[entry.raw]

    def equal(self, entry: Entry, record: FileRecord) -> bool:
        return record.digest is not None and self.of(entry) == record.digest


class _Recogniser:
    """Finds moves and copies among entries whose content is not what the catalog has at their path."""

    def __init__(self, result: Plan, digests: _Digests, movable: list[FileRecord], origins: list[FileRecord]) -> None:
        self._result = result
        self._digests = digests
        self._left = {record.id for record in movable}
        self._movable = _by_digest(movable)
        self._origins = _by_digest(record for record in origins if record.embedded)

    def run(self, unknown: list[_Unknown], recognise: bool) -> Container[int]:
        """File all entries; return the ids of the movable records that nothing moved."""
        sizes = {record.size_bytes for group in self._movable.values() for record in group}
        if recognise:
            sizes |= {record.size_bytes for group in self._origins.values() for record in group}
            counts = Counter(entry.size_bytes for entry, _ in unknown)
            sizes |= {size_bytes for size_bytes, count in counts.items() if count > 1}
        rest = [
            (entry, record, self._digests.of(entry) if entry.size_bytes in sizes else None) for entry, record in unknown
        ]
        # A file that kept its name in another folder goes first, so that of two with the same bytes each keeps its own.
        rest = [one for one in rest if not self._moved(one[0], one[2], same_name=True)]
        rest = [one for one in rest if not self._moved(one[0], one[2], same_name=False)]
        moved = {pair.record.id for pair in self._result.moved}
        embedded: dict[bytes, Entry] = {}
        for entry, record, digest in rest:
            if digest is not None and recognise and self._copied(entry, digest, embedded):
                continue
            if record is None or record.id in moved:
                self._result.new.append(entry)
            else:
                self._result.changed.append(Pair(record, entry))
        return self._left

    def _moved(self, entry: Entry, digest: bytes | None, *, same_name: bool) -> bool:
        for old in self._movable.get(digest, ()) if digest is not None else ():
            if old.id in self._left and (not same_name or old.path.name == entry.path.name):
                self._left.remove(old.id)
                self._result.moved.append(Pair(old, entry))
                if old.embedded:
                    self._origins[old.digest or b""].insert(0, old)
                return True
        return False

    def _copied(self, entry: Entry, digest: bytes, embedded: dict[bytes, Entry]) -> bool:
        records = self._origins.get(digest)
        origin: FileRecord | Path
        if records:
            origin = records[0]
        elif digest in embedded:
            origin = embedded[digest].path
        else:
            embedded[digest] = entry
            return False
        self._result.copies.append(Copy(entry, origin, digest))
        return True


def _by_digest(records: Iterable[FileRecord]) -> defaultdict[bytes, list[FileRecord]]:
    found: defaultdict[bytes, list[FileRecord]] = defaultdict(list)
    for record in records:
        if record.digest is not None:
            found[record.digest].append(record)
    return found


def _merge(entries: Iterable[Entry], records: Iterable[FileRecord]) -> Iterable[tuple[Entry | None, FileRecord | None]]:
    """Yield each path once, in the order of its bytes, with its entry and its record as far as they exist."""
    found = sorted(entries, key=_RAW)
    known = sorted(records, key=_RAW)
    position = 0
    for entry in found:
        while position < len(known) and known[position].raw < entry.raw:
            yield None, known[position]
            position += 1
        if position < len(known) and known[position].raw == entry.raw:
            yield entry, known[position]
            position += 1
        else:
            yield entry, None
    for record in known[position:]:
        yield None, record
