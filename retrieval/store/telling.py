"""What is known of files besides their paths and pictures, read from the catalog."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval.store.records import Told
from retrieval.types import Details

if TYPE_CHECKING:
    from retrieval.store.reader import Reader


def told(catalog: "Reader", file_ids: Sequence[int]) -> dict[int, Told]:
    """Return what is known of these files besides their paths; one that is not there has no entry."""
    wanted = json.dumps([int(id_) for id_ in file_ids])
    among = "IN (SELECT value FROM json_each(?))"
    words: dict[int, list[str]] = {}
    for id_, keyword in catalog.rows(f"SELECT file_id, keyword FROM keywords WHERE file_id {among} ORDER BY 2", wanted):
        words.setdefault(id_, []).append(keyword)
    columns = "id, size_bytes, duration_s, camera, latitude, longitude, rating, told"
    found = catalog.rows(f"SELECT {columns} FROM files WHERE id {among}", wanted)
    return {
        id_: Told(size_bytes, duration_s, Details(camera, north, east, rating, tuple(words.get(id_, ())), text))
        for id_, size_bytes, duration_s, camera, north, east, rating, text in found
    }
