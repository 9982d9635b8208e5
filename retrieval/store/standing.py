"""How the files of the catalog stand, in the order of their paths: what a walk of the sources is compared with."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from retrieval.media import SEEN
from retrieval.store import paths
from retrieval.store.reader import WRITING, Reader
from retrieval.store.records import FileRecord, Standing

_AT_ONCE = 500
_OF_MODEL = f"(SELECT 1 FROM items i WHERE i.file_id = f.id AND i.model_id = {WRITING})"
_PLAIN = f"f.status = 'ok' AND f.reason_building IS NULL AND NOT f.gone AND f.seen >= {SEEN}"
# Each is answered by an index of the few that are so.
_ANY_ODD = f"""
SELECT EXISTS (SELECT 1 FROM files WHERE status <> 'ok') OR EXISTS (SELECT 1 FROM files WHERE gone)
    OR EXISTS (SELECT 1 FROM files WHERE reason_building IS NOT NULL)
    OR EXISTS (SELECT 1 FROM files WHERE status = 'ok' AND seen < {SEEN})"""
# Of all files that are well, those with items of the model: counted along an index, which is sooner than looking.
_ALL_EMBEDDED = f"""
SELECT (SELECT count(*) FROM files WHERE status = 'ok')
    = (SELECT count(DISTINCT file_id) FROM items INDEXED BY items_by_file WHERE model_id = {WRITING})
    - (SELECT count(*) FROM files f WHERE f.status <> 'ok' AND EXISTS {_OF_MODEL})"""


class Census:
    """How the files stand, from one path to another, as long as nobody writes."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        conditions = [_PLAIN] if reader.rows(_ANY_ODD)[0][0] else []
        conditions += [] if reader.rows(_ALL_EMBEDDED)[0][0] else [f"EXISTS {_OF_MODEL}"]
        mark = f"CASE WHEN {' AND '.join(conditions)} THEN f.beside END" if conditions else "f.beside"
        self._sql = f"""SELECT f.path, f.size_bytes, f.mtime_ns, {mark}
            FROM files f WHERE f.path >= ? AND f.path < ? ORDER BY f.path"""

    def between(self, first: bytes, end: bytes) -> list[Standing]:
        """Return the files whose paths are from ``first`` up to but not including ``end``, ordered by their bytes."""
        return self._reader.rows(self._sql, first, end)


def records_at(reader: Reader, raws: Iterable[bytes]) -> list[FileRecord]:
    """Return the files of these paths, given as bytes, ordered by them."""
    left, found = iter(sorted(raws)), list[FileRecord]()
    while some := list(islice(left, _AT_ONCE)):
        found.extend(reader.records(f"f.path IN ({', '.join('?' * len(some))})", *some))
    return found


def records_within(reader: Reader, top: Path) -> Iterator[FileRecord]:
    """Yield the file of exactly this path and all files below it, ordered by the bytes of their paths."""
    raw = paths.to_bytes(top)
    return reader.records("(f.path = ? OR f.path >= ? AND f.path < ?)", raw, *paths.inside(raw))


def records_of_sizes(reader: Reader, sizes: Sequence[int]) -> Iterator[FileRecord]:
    """Yield the files that have one of these sizes in bytes, ordered by the bytes of their paths."""
    return reader.records("f.size_bytes IN (SELECT value FROM json_each(?))", json.dumps(list(sizes)))


def holds(reader: Reader, top: Path) -> bool:
    """Return whether any file is known at this path or below it."""
    raw = paths.to_bytes(top)
    sql = "SELECT EXISTS (SELECT 1 FROM files WHERE path = ? OR path >= ? AND path < ?)"
    return bool(reader.rows(sql, raw, *paths.inside(raw))[0][0])


def sources_with_files(reader: Reader) -> frozenset[int]:
    """Return the ids of the sources of which any file is known."""
    sql = "SELECT id FROM sources s WHERE EXISTS (SELECT 1 FROM files f WHERE f.source_id = s.id)"
    return frozenset(id_ for (id_,) in reader.rows(sql))
