"""The catalog's tables for SQLAlchemy Core, the writer's connection, and the way from any older schema to this one."""

import contextlib
import json
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from retrieval.config import IndexSpec, ModelSpec, Sampling
from retrieval.errors import CollectionError
from retrieval.messages import _
from retrieval.store.opening import connect, said

TABLES = sa.MetaData()

sources = sa.Table(
    "sources",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("path", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("offline", sa.Boolean, nullable=False),
)
files = sa.Table(
    "files",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("source_id", sa.Integer, sa.ForeignKey("sources.id"), nullable=False),
    sa.Column("path", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("path_text", sa.Text, nullable=False),
    sa.Column("ext", sa.Text, nullable=False),
    sa.Column("kind", sa.Text),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("reason_building", sa.Text),
    sa.Column("gone", sa.Boolean, nullable=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("height", sa.Integer, nullable=False),
    sa.Column("duration_s", sa.Float),
    sa.Column("taken_at", sa.Text),
    sa.Column("camera", sa.Text, nullable=False),
    sa.Column("latitude", sa.Float),
    sa.Column("longitude", sa.Float),
    sa.Column("rating", sa.Integer),
    sa.Column("told", sa.Text, nullable=False),
    sa.Column("seen", sa.Integer, nullable=False),
    sa.Column("beside", sa.Text, nullable=False),
)
keywords = sa.Table(
    "keywords",
    TABLES,
    sa.Column("file_id", sa.Integer, sa.ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("keyword", sa.Text, primary_key=True),
)
tracks = sa.Table(
    "tracks",
    TABLES,
    sa.Column("file_id", sa.Integer, sa.ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("at_s", sa.LargeBinary, nullable=False),
    sa.Column("signatures", sa.LargeBinary, nullable=False),
    sa.Column("cuts_s", sa.LargeBinary, nullable=False),
)
models = sa.Table(
    "models",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("sampling", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
)
items = sa.Table(
    "items",
    TABLES,
    sa.Column("key", sa.Integer, primary_key=True),
    sa.Column("file_id", sa.Integer, sa.ForeignKey("files.id", ondelete="CASCADE"), nullable=False),
    sa.Column("model_id", sa.Integer, sa.ForeignKey("models.id"), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("at_s", sa.Float),
    sa.Column("start_s", sa.Float),
    sa.Column("end_s", sa.Float),
    sa.Column("shot", sa.Integer),
    sa.Column("signature", sa.LargeBinary, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)
removed = sa.Table(
    "removed",
    TABLES,
    sa.Column("key", sa.Integer, primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False),
)
meta = sa.Table(
    "meta",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("lineage", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("index_spec", sa.Text, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("pruned", sa.Integer, nullable=False),
)

MODELS = sa.select(models.c.id, models.c.state, models.c.spec)
LAST_KEY = sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'items'")
LAST_FILE = sa.text("SELECT max(id) FROM files")
AT_PATH = sa.select(files.c.id, files.c.digest, files.c.size_bytes, files.c.mtime_ns).where(
    files.c.path == sa.bindparam("raw")
)
OF = sa.and_(items.c.file_id == sa.bindparam("file"), items.c.model_id == sa.bindparam("model"))
KEYS_OF = sa.select(items.c.key).where(OF).order_by(items.c.key)
ITEMS_OF = (
    sa.select(items.c.at_s, items.c.start_s, items.c.end_s, items.c.shot, items.c.signature, items.c.vector)
    .where(OF)
    .order_by(items.c.key)
)
SET_GONE = sa.update(files).where(files.c.id == sa.bindparam("file")).values(gone=sa.bindparam("gone_now"))
INSERT_ITEM = sa.insert(items)
SAID_OF = sa.text(
    "SELECT f.path_text, s.path AS root, f.told, (SELECT group_concat(keyword, ' ') FROM keywords WHERE file_id = f.id)"
    " AS keywords FROM files f JOIN sources s ON s.id = f.source_id WHERE f.id = :file"
)
DROP_WORDS = sa.text("DELETE FROM words WHERE rowid = :file")
INSERT_WORDS = sa.text("INSERT INTO words (rowid, name, folders, told) VALUES (:file, :name, :folders, :told)")


def open_engine(path: Path) -> Engine:
    """Return an engine of one connection whose transactions take SQLite's write lock when they begin."""
    engine = sa.create_engine("sqlite://", creator=lambda: connect(path), poolclass=sa.StaticPool)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@contextlib.contextmanager
def transaction(path: Path, connection: Connection) -> Iterator[Connection]:
    """Run the block as one transaction.

    Raises:
        CollectionError: whatever SQLite says, in one line.
    """
    try:
        with connection.begin():
            yield connection
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise said(path, error.orig) from error
        raise CollectionError(
            _("{path} cannot be written ({reason}); see: sightseek verify").format(path=path, reason=error.orig)
        ) from error


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the catalog to ``revision`` inside the caller's transaction; ``user_version`` rises with it.

    Alembic is configured here rather than in a file on disk, so that an installed wheel needs nothing beside it.
    """
    from alembic import command
    from alembic.config import Config

    folder = str(Path(__file__).with_name("migrations"))
    config = Config()
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def fill(connection: Connection, spec: ModelSpec, sampling: Sampling) -> None:
    """Write what a new collection starts with."""
    connection.execute(sa.insert(models).values(**described(spec, sampling), state="active"))
    connection.execute(
        sa.insert(meta).values(
            id=1,
            lineage=secrets.randbits(62),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            index_spec=json.dumps(asdict(IndexSpec())),
            generation=0,
            pruned=0,
        )
    )


def described(spec: ModelSpec, sampling: Sampling) -> dict[str, str]:
    """Return a model's columns."""
    return {"spec": json.dumps(spec.to_json()), "sampling": json.dumps(asdict(sampling))}
