"""What files and items are compared by when copies are looked for, read in one pass over the catalog."""

from typing import TYPE_CHECKING

import numpy as np

from retrieval.store import paths
from retrieval.store.committed import READ_BLOCK
from retrieval.store.reader import PAGE
from retrieval.store.records import FileFacts, ItemLooks
from retrieval.store.where import Clause, compile_where
from retrieval.types import Where

if TYPE_CHECKING:
    from retrieval.store.reader import Reader

SIGNATURE_BYTES = 384


def facts(reader: "Reader", where: Where | None) -> list[FileFacts]:
    """Return the files that a filter leaves and that have items of the reader's model, ordered by the bytes of paths.

    Raises:
        QueryError: a filter that cannot be understood.
    """
    clause = _clause(where)
    sql = f"""SELECT f.id, f.path, f.kind, f.size_bytes, f.mtime_ns, f.digest, f.width, f.height, f.duration_s,
        f.taken_at, (f.taken_at IS NOT NULL) + (f.camera <> '') + (f.latitude IS NOT NULL) + (f.rating IS NOT NULL)
        + (f.told <> '') + EXISTS (SELECT 1 FROM keywords k WHERE k.file_id = f.id), s.offline
        FROM files f JOIN sources s ON s.id = f.source_id
        WHERE NOT f.gone AND f.path >= ? AND {clause.sql}
        AND EXISTS (SELECT 1 FROM items i WHERE i.file_id = f.id AND i.model_id = ?) ORDER BY f.path LIMIT {PAGE}"""
    found: list[FileFacts] = []
    after = b"/"
    while True:
        page = reader.rows(sql, after, *clause.values, reader.model_id)
        for id_, raw, *told, offline in page:
            found.append(FileFacts(*(id_, paths.from_bytes(raw), *told, bool(offline))))
        if len(page) < PAGE:
            return found
        after = page[-1][1] + b"\0"


def item_looks(reader: "Reader", where: Where | None) -> ItemLooks:
    """Return the items of ``facts``' files with what they look like, ordered by key.

    Raises:
        QueryError: a filter that cannot be understood.
    """
    clause = _clause(where)
    sql = f"""SELECT i.key, i.file_id, i.at_s, i.signature FROM files f CROSS JOIN items i ON i.file_id = f.id
        WHERE NOT f.gone AND i.model_id = ? AND {clause.sql}"""
    keys, file_ids, times, looks = [], [], [], bytearray()
    known = []
    with reader.connection() as connection:
        cursor = connection.execute(sql, (reader.model_id, *clause.values))
        while rows := cursor.fetchmany(READ_BLOCK):
            for key, file_id, at_s, signature in rows:
                keys.append(key)
                file_ids.append(file_id)
                times.append(np.nan if at_s is None else at_s)
                known.append(len(signature) == SIGNATURE_BYTES)
                looks += signature if known[-1] else bytes(SIGNATURE_BYTES)
    order = np.argsort(np.array(keys, np.int64), kind="stable")
    return ItemLooks(
        np.array(keys, np.int64)[order],
        np.array(file_ids, np.int64)[order],
        np.array(times, np.float64)[order],
        np.frombuffer(looks, np.uint8).reshape(-1, SIGNATURE_BYTES)[order],
        np.array(known, bool)[order],
    )


def _clause(where: Where | None) -> Clause:
    return Clause("1", []) if where is None else compile_where(where)
