"""What a scan found, kept on the disk, so that files take no memory until it is known what is to be done with them."""

import json
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from retrieval.store import paths
from retrieval.store.opening import translated
from retrieval.store.records import Entry

_PAGE = 500
_TABLE = """CREATE TABLE entries (raw BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, sidecars TEXT, beside TEXT,
    root INTEGER, digest BLOB, alone INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID"""
_COLUMNS = "raw, size, mtime, sidecars, beside"


class Found(NamedTuple):
    """An entry, and the number of the root that it was found below."""

    entry: Entry
    root: int


class Gathered:
    """Entries by the bytes of their paths, each path once; in a file without a name, of which SQLite holds 2 MB.

    All methods raise CollectionError when the folder for temporary files is full.
    """

    def __init__(self) -> None:
        self._count = 0
        self._folder = Path(tempfile.gettempdir())
        self._database: sqlite3.Connection | None = None  # mostly nothing has changed, and none is needed

    def __len__(self) -> int:
        """Return the number of entries."""
        return self._count

    def add(self, entry: Entry, root: int) -> None:
        """Take an entry in, unless there is one of that path."""
        sidecars = json.dumps(list(map(os.fspath, entry.sidecars))) if entry.sidecars else None
        given = (entry.raw, entry.size_bytes, entry.mtime_ns, sidecars, entry.beside, root)
        sql = f"INSERT OR IGNORE INTO entries ({_COLUMNS}, root) VALUES (?, ?, ?, ?, ?, ?)"
        self._count += self._run(sql, *given).rowcount

    def root_of(self, entry: Entry) -> int:
        """Return the number of the root that an entry was found below first."""
        return int(self._run("SELECT root FROM entries WHERE raw = ?", entry.raw).fetchone()[0])

    def sizes(self) -> list[int]:
        """Return the sizes that entries have, in bytes, each once."""
        return [size for (size,) in self._run("SELECT DISTINCT size FROM entries")]

    def tell_apart(self, known: Iterable[bytes], sizes: Iterable[int], digest: Callable[[Path], bytes]) -> None:
        """Find out which entries have nothing to do with any other file; until then none is taken to be so.

        Such one is at no ``known`` path, and no known file has its size (``sizes``), nor has any other entry, or else
        another digest. ``digest`` is asked where the size does not settle it; a file it cannot read is like no other.
        """
        self._run("UPDATE entries SET alone = 1")
        for raw in known:
            self._run("UPDATE entries SET alone = 0 WHERE raw = ?", raw)
        taken = "SELECT value FROM json_each(?) UNION SELECT size FROM entries WHERE NOT alone"
        self._run(f"UPDATE entries SET alone = 0 WHERE size IN ({taken})", json.dumps(list(sizes)))
        self._run("CREATE TEMP TABLE shared AS SELECT size FROM entries WHERE alone GROUP BY size HAVING count(*) > 1")
        self._run("CREATE INDEX temp.by_size ON shared (size)")
        for (path,) in self._paged("raw", "alone AND size IN (SELECT size FROM shared)"):
            self._run("UPDATE entries SET digest = ? WHERE raw = ?", _digest(digest, path), path)
        twins = "SELECT digest FROM entries WHERE digest NOT NULL GROUP BY digest HAVING count(*) > 1"
        self._run(f"UPDATE entries SET alone = 0 WHERE digest IN ({twins})")

    def digest_of(self, path: Path) -> bytes | None:
        """Return the digest of an entry's content where it is known already."""
        row = self._run("SELECT digest FROM entries WHERE raw = ?", paths.to_bytes(path)).fetchone()
        return row[0] if row is not None else None

    def alone(self) -> Iterator[Found]:
        """Yield the entries that have nothing to do with any other file, ordered by path."""
        return self._entries("alone")

    def others(self) -> Iterator[Found]:
        """Yield all other entries, ordered by path."""
        return self._entries("NOT alone")

    def count_alone(self) -> int:
        """Return how many entries have nothing to do with any other file."""
        return int(self._run("SELECT count(*) FROM entries WHERE alone").fetchone()[0]) if self._count else 0

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        database, self._database = self._database, None
        self._count = 0
        if database is not None:
            database.close()

    def _entries(self, condition: str) -> Iterator[Found]:
        for raw, size, mtime, sidecars, beside, root in self._paged(f"{_COLUMNS}, root", condition):
            others = tuple(map(Path, json.loads(sidecars))) if sidecars else ()
            yield Found(Entry._make((raw, size, mtime, others, beside)), root)

    def _paged(self, columns: str, condition: str) -> Iterator[tuple[Any, ...]]:
        """Yield rows page by page, the path first, so that they may be changed meanwhile."""
        after = b""
        sql = f"SELECT {columns} FROM entries WHERE raw > ? AND {condition} ORDER BY raw LIMIT {_PAGE}"
        while self._count and (page := self._run(sql, after).fetchall()):
            yield from page
            after = page[-1][0]

    def _run(self, sql: str, *values: object) -> sqlite3.Cursor:
        with translated(self._folder):
            if self._database is None:
                self._database = sqlite3.connect("", isolation_level=None)  # a private file, gone when it is closed
                self._database.execute("PRAGMA journal_mode = OFF")
                self._database.execute("PRAGMA synchronous = OFF")
                self._database.execute(_TABLE)
            return self._database.execute(sql, values)


def _digest(digest: Callable[[Path], bytes], raw: bytes) -> bytes | None:
    try:
        return digest(paths.from_bytes(raw))
    except OSError:
        return None
