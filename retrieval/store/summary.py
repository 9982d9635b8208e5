"""The figures of a collection."""

import os
from pathlib import Path

from retrieval.media import SEEN
from retrieval.messages import N_
from retrieval.store import committed, live, seal
from retrieval.store.reader import Reader
from retrieval.store.records import Manifest, Mark, Stats

FAILED = "NOT f.gone AND (f.status = 'failed' OR f.reason_building IS NOT NULL)"
_COUNTS = f"""
SELECT coalesce(sum(f.status = 'ok' AND f.reason_building IS NULL AND NOT f.gone), 0), coalesce(sum({FAILED}), 0),
       coalesce(sum(s.offline AND NOT f.gone), 0), coalesce(sum(f.gone), 0)
FROM files f JOIN sources s ON s.id = f.source_id"""

_DETAILS = {
    "taken": "f.taken_at IS NOT NULL",
    "camera": "f.camera <> ''",
    "place": "f.latitude IS NOT NULL",
    "rating": "f.rating IS NOT NULL",
    "keyword": "f.id IN (SELECT file_id FROM keywords)",
    "told": "f.told <> ''",
}
_TOLD = f"""
SELECT {", ".join(f"coalesce(sum({known}), 0)" for known in _DETAILS.values())}, coalesce(sum(f.seen < ?), 0)
FROM files f WHERE f.status = 'ok' AND f.reason_building IS NULL AND NOT f.gone"""


def stats(folder: Path, catalog: Reader, manifest: Manifest) -> Stats:
    """Return the figures; the vector index is not opened for them."""
    files, failed, offline, gone = catalog.rows(_COUNTS)[0]
    with catalog.snapshot() as connection:
        at = committed.mark(connection)
        vectors = committed.tally(connection, at)[0]
    index: dict[str, object] = {
        "kind": manifest.index.kind,
        "vectors": vectors,
        "recall": manifest.index.recall,
        "generation": at.generation,
        "state": _state(folder / live.FILE, at),
    }
    *known, undescribed = catalog.rows(_TOLD, SEEN)[0]
    return Stats(
        files,
        catalog.count(),
        failed,
        offline,
        gone,
        tuple(catalog.sources()),
        manifest.spec.name,
        index,
        size_bytes(folder),
        dict(zip(_DETAILS, known, strict=True)),
        undescribed,
    )


def size_bytes(folder: Path) -> int:
    """Return the size of all files below a folder; those that vanish meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:
                continue
    return total


def _state(path: Path, at: Mark) -> str:
    try:
        found = seal.read(path)
    except (OSError, seal.IndexDamaged):
        return N_("missing")
    return N_("current") if found.belongs(at) and found.generation == at.generation else N_("behind")
