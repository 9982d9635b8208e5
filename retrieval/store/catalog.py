"""The catalog's one writing connection, and how a new catalog is made."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from retrieval.config import IndexSpec, ModelSpec, Sampling
from retrieval.store import durable, schema
from retrieval.store.schema import meta, removed
from retrieval.store.writer import Writer


class Catalog:
    """The one writing connection of a collection. Whoever opens it holds the write lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = schema.open_engine(path)
        self._connection = self._engine.connect()

    def close(self) -> None:
        """Close the connection; a transaction under way is rolled back."""
        self._connection.close()
        self._engine.dispose()

    @property
    def dbapi(self) -> sqlite3.Connection:
        """The plain connection beneath, for reading what a transaction did so far."""
        raw = self._connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        return raw

    def begin(self) -> contextlib.AbstractContextManager[Connection]:
        """Run a block as one transaction.

        Raises:
            CollectionError: SQLite cannot write (a full disk, say); nothing of the transaction stays.
        """
        return schema.transaction(self.path, self._connection)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Writer]:
        """Hand out a writer whose changes are committed together, or not at all if the block fails."""
        with self.begin() as connection:
            writer = Writer(connection)
            yield writer
            writer.finish()

    def migrate(self) -> None:
        """Bring an older catalog to the present schema, in one transaction."""
        with self.begin() as connection:
            schema.migrate(connection)

    def set_index_spec(self, spec: IndexSpec) -> None:
        """Note which vector index the collection has."""
        with self.begin() as connection:
            connection.execute(sa.update(meta).values(index_spec=json.dumps(asdict(spec))))

    def shrink(self) -> None:
        """Let go of the pages SQLite keeps in memory; it reads them again when they are asked for."""
        self.dbapi.execute("PRAGMA shrink_memory")

    def reindex(self) -> None:
        """Build SQLite's own indexes anew."""
        with self.begin() as connection:
            connection.exec_driver_sql("REINDEX")

    def prune(self, generation: int) -> None:
        """Drop the record of removals up to a generation, which the index on disk has."""
        with self.begin() as connection:
            gone = connection.execute(sa.delete(removed).where(removed.c.generation <= generation))
            if gone.rowcount:
                connection.execute(sa.update(meta).values(pruned=generation))


def create(path: Path, spec: ModelSpec, sampling: Sampling) -> Catalog:
    """Make the catalog of a new collection; until its one transaction is committed there is none."""
    durable.open_private(path).close()
    catalog = Catalog(path)
    try:
        # The mode is kept in the file, and cannot be changed inside a transaction.
        catalog.dbapi.execute("PRAGMA journal_mode = WAL")
        with catalog.begin() as connection:
            schema.migrate(connection)
            schema.fill(connection, spec, sampling)
    except BaseException:
        catalog.close()
        raise
    return catalog
