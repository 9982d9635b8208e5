"""Sources, files, models, and items with their vectors."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables. Keys are AUTOINCREMENT, since a key that is used twice would name two items."""
    for statement in _STATEMENTS:
        op.execute(statement)
    op.execute("PRAGMA user_version = 1")


_STATEMENTS = (
    "CREATE TABLE sources (id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE,"
    " offline INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE files (id INTEGER PRIMARY KEY AUTOINCREMENT, source_id INTEGER NOT NULL REFERENCES sources (id),"
    " path BLOB NOT NULL UNIQUE, path_text TEXT NOT NULL, ext TEXT NOT NULL, kind TEXT, size_bytes INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, digest BLOB, status TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',"
    " gone INTEGER NOT NULL DEFAULT 0, width INTEGER NOT NULL DEFAULT 0, height INTEGER NOT NULL DEFAULT 0,"
    " duration_s REAL, taken_at TEXT)",
    "CREATE INDEX files_by_source ON files (source_id, path)",
    "CREATE INDEX files_by_digest ON files (digest) WHERE digest IS NOT NULL",
    "CREATE INDEX files_gone ON files (id) WHERE gone",
    "CREATE INDEX files_not_ok ON files (path) WHERE status <> 'ok'",
    "CREATE TABLE models (id INTEGER PRIMARY KEY AUTOINCREMENT, spec TEXT NOT NULL, sampling TEXT NOT NULL,"
    " state TEXT NOT NULL UNIQUE)",
    "CREATE TABLE items (key INTEGER PRIMARY KEY AUTOINCREMENT,"
    " file_id INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,"
    " model_id INTEGER NOT NULL REFERENCES models (id), generation INTEGER NOT NULL,"
    " at_s REAL, start_s REAL, end_s REAL, vector BLOB NOT NULL)",
    "CREATE INDEX items_by_file ON items (file_id, model_id)",
    "CREATE INDEX items_by_generation ON items (model_id, generation)",
    "CREATE TABLE removed (key INTEGER PRIMARY KEY, generation INTEGER NOT NULL)",
    "CREATE INDEX removed_by_generation ON removed (generation)",
    "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), lineage INTEGER NOT NULL, created_at TEXT NOT NULL,"
    " index_spec TEXT NOT NULL, generation INTEGER NOT NULL DEFAULT 0, pruned INTEGER NOT NULL DEFAULT 0)",
)
