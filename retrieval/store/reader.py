"""Reading the catalog through the plain DB-API: a search imports neither SQLAlchemy nor Alembic."""

import contextlib
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.config import IndexSpec, ModelSpec, Sampling
from retrieval.errors import CollectionCorrupt, ModelMismatch
from retrieval.messages import _
from retrieval.store import paths
from retrieval.store.committed import ACTIVE, CHOSEN, State, decoded, keys_of
from retrieval.store.lexical import WEIGHTS, match_of, terms_of
from retrieval.store.looks import unpacked
from retrieval.store.opening import SCHEMA_VERSION, connect, translated
from retrieval.store.records import FileRecord, Frames, ItemRow, Manifest, Source, WordMatch
from retrieval.store.where import Clause, compile_where
from retrieval.types import FloatMatrix, Keys, Track, Where

OTHER_MODEL = "the collection was embedded anew with another model; open it again"
PAGE = 2000
WRITING = "(SELECT max(id) FROM models)"
"""The model being written: one being built is always younger than the active one."""

_FILE = f"""
SELECT f.id, f.source_id, f.path, f.kind, f.size_bytes, f.mtime_ns, f.digest,
       f.status = 'failed' OR f.reason_building IS NOT NULL, coalesce(f.reason_building, f.reason), f.gone,
       EXISTS (SELECT 1 FROM items i WHERE i.file_id = f.id AND i.model_id = {WRITING}), f.seen, f.beside
FROM files f"""
# The plus keeps SQLite from walking all items of the model.
_SHOWN = """i.key, i.file_id, f.path, f.kind, i.at_s, i.start_s, i.end_s, f.width, f.height, f.taken_at,
       f.mtime_ns, f.gone, s.offline"""
_KNOWN = "FROM items i JOIN files f ON f.id = i.file_id JOIN sources s ON s.id = f.source_id WHERE +i.model_id = ?"
_ITEM = f"SELECT {_SHOWN} {_KNOWN}"
_ITEM_WITH_VECTOR = f"SELECT {_SHOWN}, i.vector {_KNOWN} AND i.key IN (SELECT value FROM json_each(?))"


class Reader:
    """Queries over one catalog, from any thread: each borrows a connection for as long as it runs.

    Items and vectors are those of the model that was active when ``look`` was last called, never of another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._model = (0, 0)
        self._idle: list[sqlite3.Connection] = []
        self._all: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._own: tuple[int, sqlite3.Connection, Callable[[], None]] | None = None
        self._states: dict[sqlite3.Connection, State] = {}

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            everyone, self._all, self._idle, self._states = self._all, [], [], {}
        for connection in everyone:
            connection.close()

    def use_in_this_thread(self, connection: sqlite3.Connection, settle: Callable[[], None]) -> None:
        """Let this thread read through the writer's connection, so that it sees what its transaction did so far.

        ``settle`` writes what that still keeps back; it is called before each reading.
        """
        self._own = (threading.get_ident(), connection, settle)

    def use_no_more(self) -> None:
        """End :meth:`use_in_this_thread`."""
        self._own = None

    @contextlib.contextmanager
    def connection(self, committed: bool = False) -> Iterator[sqlite3.Connection]:
        """Lend a connection; ``committed`` asks for the state outside this thread's own transaction.

        Raises:
            CollectionError: whatever SQLite says, in one line.
        """
        own = self._own
        with translated(self.path):
            if own is not None and own[0] == threading.get_ident() and not committed:
                own[2]()
                yield own[1]
                return
            with self._lock:
                lent = self._idle.pop() if self._idle else None
            if lent is None:
                lent = connect(self.path)
                lent.execute("PRAGMA query_only = ON")
                with self._lock:
                    self._all.append(lent)
            try:
                yield lent
            finally:
                if lent.in_transaction:
                    lent.execute("ROLLBACK")
                with self._lock:
                    self._idle.append(lent)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection on which all statements of the block see one committed state."""
        with self.connection(committed=True) as lent:
            lent.execute("BEGIN")
            yield lent

    def state(self, connection: sqlite3.Connection) -> State:
        """Return what is remembered of the state that a lent connection sees, until the next commit."""
        version = int(connection.execute("PRAGMA data_version").fetchone()[0])
        if self._own is not None and self._own[1] is connection:
            return State(connection, version)  # what it sees changes without a commit
        held = self._states.get(connection)
        if held is None or held.version != version:
            held = self._states[connection] = State(connection, version)
        return held

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self.connection() as connection:
            return connection.execute(sql, values).fetchall()

    @property
    def model_id(self) -> int:
        """The model whose items are read."""
        return self._model[0]

    def look(self) -> Manifest:
        """Return what the collection was made with; from now on the items of its model are read."""
        columns = "m.id, m.spec, m.sampling, meta.index_spec, meta.created_at"
        found = self.rows(f"SELECT {columns} FROM meta JOIN models m ON m.id = {ACTIVE}")
        if not found:
            raise CollectionCorrupt(
                _("{path} names no model; move {folder} aside and index again").format(
                    path=self.path, folder=self.path.parent
                )
            )
        model_id, text, sampling, index, created_at = found[0]
        spec = ModelSpec.from_json(json.loads(text))
        self._model = (model_id, spec.dim)
        return Manifest(
            spec,
            Sampling(**json.loads(sampling)),
            IndexSpec(**json.loads(index)),
            SCHEMA_VERSION,
            created_at,
        )

    def building(self) -> tuple[ModelSpec, Sampling] | None:
        """Return the model of a re-embedding under way, with its sampling."""
        for spec, sampling in self.rows("SELECT spec, sampling FROM models WHERE state = 'building'"):
            return ModelSpec.from_json(json.loads(spec)), Sampling(**json.loads(sampling))
        return None

    def sources(self) -> list[Source]:
        """Return all sources, ordered by path."""
        found = self.rows("SELECT id, path, offline FROM sources ORDER BY path")
        return [Source(id_, paths.from_bytes(raw), bool(offline)) for id_, raw, offline in found]

    def records(self, condition: str = "1", *values: object) -> Iterator[FileRecord]:
        """Yield the files a condition selects, ordered by the bytes of their paths.

        They are read page by page, so that a long pass holds no read lock; files written meanwhile may appear or not.
        """
        after = b"/"
        sql = f"{_FILE} WHERE f.path >= ? AND ({condition}) ORDER BY f.path LIMIT {PAGE}"
        while True:
            page = self.rows(sql, after, *values)
            yield from map(_file, page)
            if len(page) < PAGE:
                return
            after = page[-1][2] + b"\0"

    def find_file(self, path: Path) -> FileRecord | None:
        """Return the file of exactly this path."""
        found = self.rows(f"{_FILE} WHERE f.path = ?", paths.to_bytes(path))
        return _file(found[0]) if found else None

    def files_with_digest(self, digest: bytes) -> list[FileRecord]:
        """Return the files whose content has this digest, ordered by path."""
        return list(map(_file, self.rows(f"{_FILE} WHERE f.digest = ? AND f.path >= x'2f' ORDER BY f.path", digest)))

    def find_item(self, path: Path, at_s: float | None) -> ItemRow | None:
        """Return the item of a file whose time is nearest; the first one when no time is given.

        Raises:
            ModelMismatch: there is none of the model, which is no longer the collection's.
        """
        sql = f"{_ITEM} AND f.path = ? ORDER BY abs(coalesce(i.at_s, 0) - ?), i.key LIMIT 1"
        model_id = self.model_id
        found = self.rows(sql, model_id, paths.to_bytes(path), 0.0 if at_s is None else at_s)
        self._check_found(bool(found), model_id)
        return _item(found[0]) if found else None

    def items(self, keys: Sequence[int] | Keys) -> list[ItemRow]:
        """Return the items of these keys, in their order.

        Raises:
            KeyError: there is no such item (any more).
            ModelMismatch: likewise, and the model is no longer the collection's.
        """
        sql = f"{_ITEM} AND i.key IN (SELECT value FROM json_each(?))"
        model_id = self.model_id
        wanted = [int(key) for key in keys]
        found = {row[0]: _item(row) for row in self.rows(sql, model_id, json.dumps(wanted))}
        self._check_found(found.keys() >= set(wanted), model_id)
        return [found[key] for key in wanted]

    def vectors(self, keys: Sequence[int] | Keys) -> FloatMatrix:
        """Return the vectors of these keys, ``(n, dim) float32``, in their order.

        Raises:
            KeyError: there is no such item (any more).
            ModelMismatch: likewise, and the model is no longer the collection's.
        """
        sql = "SELECT key, vector FROM items WHERE key IN (SELECT value FROM json_each(?)) AND +model_id = ?"
        model_id, dim = self._model
        wanted = [int(key) for key in keys]
        found = dict(self.rows(sql, json.dumps(wanted), model_id))
        self._check_found(found.keys() >= set(wanted), model_id)
        return decoded([found[key] for key in wanted], dim)

    def items_with_vectors(self, keys: Sequence[int] | Keys) -> tuple[list[ItemRow], FloatMatrix]:
        """Return what ``items`` and ``vectors`` return, in one look at the catalog.

        Raises:
            KeyError: there is no such item (any more).
            ModelMismatch: likewise, and the model is no longer the collection's.
        """
        model_id, dim = self._model
        wanted = [int(key) for key in keys]
        found = {row[0]: row for row in self.rows(_ITEM_WITH_VECTOR, model_id, json.dumps(wanted))}
        self._check_found(found.keys() >= set(wanted), model_id)
        rows = [found[key] for key in wanted]
        return [_item(row[:-1]) for row in rows], decoded([row[-1] for row in rows], dim)

    def frames(self, file_id: int) -> Frames:
        """Return the items of a file in time order.

        Raises:
            ModelMismatch: there are none of the model, which is no longer the collection's.
        """
        sql = (
            "SELECT key, at_s, start_s, end_s, vector, coalesce(shot, -1) FROM items WHERE file_id = ? AND model_id = ?"
        )
        model_id, dim = self._model
        found = self.rows(f"{sql} ORDER BY at_s, key", file_id, model_id)
        self._check_found(bool(found), model_id)
        columns = list(zip(*found, strict=True)) or [()] * 6
        keys, at_s, start_s, end_s, blobs, shots = columns
        times = [np.array(column, np.float64) for column in (at_s, start_s, end_s)]
        placed = np.array(keys, np.int64), times[0], times[1], times[2]
        return Frames(*placed, decoded(blobs, dim), np.array(shots, np.int64))

    def track(self, file_id: int) -> Track | None:
        """Return the track of a video; ``None`` where there is none."""
        found = self.rows("SELECT at_s, signatures, cuts_s FROM tracks WHERE file_id = ?", file_id)
        return unpacked(*found[0]) if found else None

    def signatures(self, keys: Sequence[int] | Keys) -> list[bytes]:
        """Return the signatures of these keys, in their order; empty ones where they are not known.

        Raises:
            KeyError: there is no such item (any more).
            ModelMismatch: likewise, and the model is no longer the collection's.
        """
        sql = "SELECT key, signature FROM items WHERE key IN (SELECT value FROM json_each(?)) AND +model_id = ?"
        model_id = self.model_id
        wanted = [int(key) for key in keys]
        found = dict(self.rows(sql, json.dumps(wanted), model_id))
        self._check_found(found.keys() >= set(wanted), model_id)
        return [found[key] for key in wanted]

    def file_ids(self, where: Where) -> frozenset[int]:
        """Return the ids of the files a filter selects, those that failed or are gone too."""
        clause = compile_where(where)
        return frozenset(id_ for (id_,) in self.rows(f"SELECT f.id FROM files f WHERE {clause.sql}", *clause.values))

    def digests(self, file_ids: Sequence[int]) -> list[bytes | None]:
        """Return the digests of these files' contents, in their order; ``None`` where one is not known.

        Raises:
            KeyError: there is no such file (any more).
        """
        sql = "SELECT id, digest FROM files WHERE id IN (SELECT value FROM json_each(?))"
        found = dict(self.rows(sql, json.dumps(file_ids)))
        return [found[file_id] for file_id in file_ids]

    def find_words(
        self, wanted: Sequence[str], unwanted: Sequence[str], most: int, where: Where | None
    ) -> list[WordMatch]:
        """Return the files whose words match those of the texts, best first; see ``Collection.find_words``."""
        terms = terms_of(wanted)
        if not terms:
            return []
        clause = compile_where(where) if where is not None else Clause("1", [])
        sql = f"""SELECT f.id, -bm25(words, {", ".join(map(str, WEIGHTS))}) AS score
            FROM words JOIN files f ON f.id = words.rowid WHERE words MATCH ? AND NOT f.gone AND {clause.sql}
            AND EXISTS (SELECT 1 FROM items i WHERE i.file_id = f.id AND i.model_id = {ACTIVE})
            ORDER BY score DESC, f.path LIMIT ?"""
        found = self.rows(sql, match_of(terms, unwanted), *clause.values, most)
        if not found or len(terms) == 1:
            return [WordMatch(file_id, score, 1.0) for file_id, score in found]
        first, last = min(file_id for file_id, _ in found), max(file_id for file_id, _ in found)
        holding = "SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?"
        held = Counter(id_ for term in terms for (id_,) in self.rows(holding, term, first, last))
        return [WordMatch(file_id, score, held[file_id] / len(terms)) for file_id, score in found]

    def count(self, where: Where | None = None) -> int:
        """Return how many items a search with this filter chooses from."""
        if where is None:
            with self.connection() as connection:
                return self.state(connection).count
        clause = compile_where(where)
        sql = f"SELECT count(*) {CHOSEN} AND {clause.sql}"
        return int(self.rows(sql, *clause.values)[0][0])

    def growth(self) -> tuple[int, int]:
        """Return what tells the collection from others, and the greatest key that was ever given to an item it has."""
        (found,) = self.rows("SELECT lineage, (SELECT coalesce(max(key), 0) FROM items) FROM meta")
        return int(found[0]), int(found[1])

    def hits(self, per_video: int, where: Where | None = None) -> int:
        """Return how many hits a search with this filter can have when a video counts at most ``per_video`` times."""
        clause = None if where is None else compile_where(where)
        condition, values = ("1", []) if clause is None else (clause.sql, clause.values)
        sql = f"""SELECT coalesce(sum(n - ?), 0) FROM (
            SELECT count(*) AS n {CHOSEN} AND f.kind = 'video' AND {condition} GROUP BY f.id HAVING n > ?)"""
        return self.count(where) - int(self.rows(sql, per_video, *values, per_video)[0][0])

    def sample(self, count: int, where: Where | None = None) -> FloatMatrix:
        """Return the vectors of at most ``count`` of the items that a search chooses from, ``(n, dim) float32``.

        They are spread evenly, and the same ones as long as nothing changes.

        Raises:
            KeyError: one was removed between two looks.
            ModelMismatch: the model is no longer the collection's.
        """
        if where is None:
            found = self._drawn(2 * count)
            if len(found) >= count:
                return found[np.linspace(0, len(found) - 1, count).astype(np.int64)]
        keys = self.keys(where)
        return self.vectors(keys[np.linspace(0, len(keys) - 1, min(count, len(keys))).astype(np.int64)])

    def _drawn(self, count: int) -> FloatMatrix:
        """Return the vectors of the items that have one of ``count`` keys, evenly from the least to the greatest."""
        model_id, dim = self._model
        least, most = self.rows("SELECT min(key), max(key) FROM items WHERE model_id = ?", model_id)[0]
        if least is None or most - least < count:
            return np.empty((0, dim), np.float32)
        keys = json.dumps(np.linspace(least, most, count).astype(np.int64).tolist())
        sql = """SELECT i.vector FROM items i JOIN files f ON f.id = i.file_id
            WHERE i.key IN (SELECT value FROM json_each(?)) AND +i.model_id = ? AND NOT f.gone ORDER BY i.key"""
        return decoded([blob for (blob,) in self.rows(sql, keys, model_id)], dim)

    def keys(self, where: Where | None = None) -> Keys:
        """Return the keys of the items that a search with this filter chooses from, ordered by path, time and key."""
        clause = None if where is None else compile_where(where)
        condition, values = ("1", []) if clause is None else (clause.sql, clause.values)
        with self.connection() as connection:
            sql = f"SELECT i.key {CHOSEN} AND {condition} ORDER BY f.path, i.at_s, i.key"
            return keys_of(connection.execute(sql, values))

    def _check_found(self, found: bool, model_id: int) -> None:
        """Tell what was removed from what went with its model."""
        if not found and self.rows(f"SELECT {ACTIVE}") != [(model_id,)]:
            raise ModelMismatch(OTHER_MODEL)


def _file(row: tuple[Any, ...]) -> FileRecord:
    id_, source_id, raw, kind, size_bytes, mtime_ns, digest, failed, reason, gone, embedded, seen, beside = row
    status = "failed" if failed else "ok"
    about = (id_, source_id, raw, kind, size_bytes, mtime_ns, digest, status, reason, bool(gone), bool(embedded))
    return FileRecord._make((*about, seen, beside))


def _item(row: tuple[Any, ...]) -> ItemRow:
    key, file_id, raw, kind, at_s, start_s, end_s, width, height, taken_at, mtime_ns, gone, offline = row
    about = (key, file_id, raw, kind, at_s, start_s, end_s, width, height, taken_at, mtime_ns)
    return ItemRow._make((*about, bool(gone), bool(offline)))
