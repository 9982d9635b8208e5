"""What one committed state of the catalog holds, as the vector index is made of it; read through one connection."""

import json
import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np

from retrieval.config import IndexSpec
from retrieval.store.records import Mark
from retrieval.store.where import compile_where
from retrieval.types import FloatMatrix, Keys, Where

READ_BLOCK = 512
ACTIVE = "(SELECT id FROM models WHERE state = 'active')"
CHOSEN = f"FROM files f CROSS JOIN items i ON i.file_id = f.id WHERE NOT f.gone AND i.model_id = {ACTIVE}"
"""The items that a search chooses from."""


class State:
    """What every search asks of a state of the catalog, kept for as long as nothing is committed.

    ``version`` is SQLite's ``data_version``: for one connection it changes when any other commits.
    """

    def __init__(self, connection: sqlite3.Connection, version: int) -> None:
        self._connection, self.version = connection, version
        self._mark: Mark | None = None
        self._gone: Keys | None = None
        self._tally: tuple[int, int] | None = None
        self._index: IndexSpec | None = None

    @property
    def mark(self) -> Mark:
        """Where the catalog stands."""
        if self._mark is None:
            self._mark = mark(self._connection)
        return self._mark

    @property
    def gone(self) -> Keys:
        """The keys of items whose files are gone."""
        if self._gone is None:
            self._gone = gone_keys(self._connection)
        return self._gone

    @property
    def index(self) -> IndexSpec:
        """What is known of the vector index."""
        if self._index is None:
            self._index = index_spec(self._connection)
        return self._index

    @property
    def tally(self) -> tuple[int, int]:
        """The number and the sum of the active items' keys."""
        if self._tally is None:
            self._tally = tally(self._connection, self.mark)
        return self._tally

    @property
    def count(self) -> int:
        """How many items a search chooses from."""
        return self.tally[0] - len(self.gone)


def mark(connection: sqlite3.Connection) -> Mark:
    """Return where the catalog stands in this connection's snapshot."""
    row = connection.execute(
        "SELECT meta.lineage, m.id, json_extract(m.spec, '$.dim'), meta.generation, meta.pruned"
        " FROM meta JOIN models m ON m.state = 'active'"
    ).fetchone()
    return Mark(*map(int, row))


def index_spec(connection: sqlite3.Connection) -> IndexSpec:
    """Return what is known of the vector index."""
    return IndexSpec(**json.loads(connection.execute("SELECT index_spec FROM meta").fetchone()[0]))


def gone_keys(connection: sqlite3.Connection) -> Keys:
    """Return the keys of items whose files are gone."""
    sql = "SELECT i.key FROM files f CROSS JOIN items i ON i.file_id = f.id WHERE f.gone AND i.model_id ="
    return keys_of(connection.execute(f"{sql} {ACTIVE}"))


def selected_keys(connection: sqlite3.Connection, where: Where) -> Keys:
    """Return the keys of the items that a filter leaves to choose from, ascending."""
    clause = compile_where(where)
    return np.sort(keys_of(connection.execute(f"SELECT i.key {CHOSEN} AND {clause.sql}", clause.values)))


def removed_keys(connection: sqlite3.Connection, generation: int) -> Keys:
    """Return the keys removed after a generation."""
    return keys_of(connection.execute("SELECT key FROM removed WHERE generation > ?", (generation,)))


def stored_vectors(connection: sqlite3.Connection, at: Mark, after: int = -1) -> Iterator[tuple[Keys, FloatMatrix]]:
    """Yield the active items added after a generation in blocks ``(keys, vectors)``, keys ascending.

    Rows whose vector is not of the right length or not finite are left out: ``verify`` names them.
    """
    first = 0
    if after >= 0:
        sql = "SELECT min(key) FROM items WHERE model_id = ? AND generation > ?"
        first = connection.execute(sql, (at.model_id, after)).fetchone()[0]
        if first is None:
            return
    sql = """SELECT key, vector FROM items NOT INDEXED
        WHERE key >= ? AND model_id = ? AND generation > ? AND length(vector) = ? ORDER BY key"""
    cursor = connection.execute(sql, (first, at.model_id, after, 2 * at.dim))
    while rows := cursor.fetchmany(READ_BLOCK):
        keys = np.array([row[0] for row in rows], np.int64)
        vectors = decoded([row[1] for row in rows], at.dim)
        sound = np.isfinite(vectors).all(axis=1)
        yield (keys, vectors) if sound.all() else (keys[sound], vectors[sound])


def tally(connection: sqlite3.Connection, at: Mark) -> tuple[int, int]:
    """Return the number and the sum of the active items' keys, read from an index alone."""
    sql = "SELECT count(*), coalesce(sum(key), 0) FROM items WHERE model_id = ?"
    count, total = connection.execute(sql, (at.model_id,)).fetchone()
    return count, total


def decoded(blobs: Sequence[bytes], dim: int) -> FloatMatrix:
    """Return stored vectors as ``(n, dim) float32``."""
    return np.frombuffer(b"".join(blobs), "<f2").reshape(-1, dim).astype(np.float32)


def keys_of(cursor: sqlite3.Cursor) -> Keys:
    """Return the first column of a query's rows, ``(n,)``."""
    return np.fromiter((row[0] for row in cursor), np.int64)
