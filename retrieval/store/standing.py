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
_STANDING = f"""
SELECT f.path, f.size_bytes, f.mtime_ns, CASE WHEN f.status = 'ok' AND f.reason_building IS NULL AND NOT f.gone
    AND f.seen >= {SEEN} AND EXISTS (SELECT 1 FROM items i WHERE i.file_id = f.id AND i.model_id = {WRITING})
    THEN f.beside END
FROM files f WHERE f.path >= ? AND f.path < ? ORDER BY f.path"""


def standing(reader: Reader, first: bytes, end: bytes) -> list[Standing]:
    """Return how the files stand whose paths are from ``first`` up to but not including ``end``, by their bytes."""
    return reader.rows(_STANDING, first, end)


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
