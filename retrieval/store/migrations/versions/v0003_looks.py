"""What files say of themselves, what items look like, and the words they can be found by."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and tables; what is there already is filled when its files are next read."""
    for statement in _STATEMENTS:
        op.execute(statement)
    op.execute("PRAGMA user_version = 3")


_STATEMENTS = (
    "ALTER TABLE files ADD COLUMN camera TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE files ADD COLUMN latitude REAL",
    "ALTER TABLE files ADD COLUMN longitude REAL",
    "ALTER TABLE files ADD COLUMN rating INTEGER",
    "ALTER TABLE files ADD COLUMN told TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE files ADD COLUMN seen INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX files_by_seen ON files (seen) WHERE status = 'ok'",
    "CREATE TABLE keywords (file_id INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,"
    " keyword TEXT NOT NULL, PRIMARY KEY (file_id, keyword)) WITHOUT ROWID",
    "CREATE INDEX keywords_by_keyword ON keywords (keyword)",
    "CREATE TABLE tracks (file_id INTEGER PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,"
    " at_s BLOB NOT NULL, signatures BLOB NOT NULL, cuts_s BLOB NOT NULL)",
    "ALTER TABLE items ADD COLUMN shot INTEGER",
    "ALTER TABLE items ADD COLUMN signature BLOB NOT NULL DEFAULT x''",
    "CREATE VIRTUAL TABLE words USING fts5 (name, folders, told, tokenize = 'unicode61 remove_diacritics 2')",
    "CREATE TRIGGER words_follow_files AFTER DELETE ON files BEGIN DELETE FROM words WHERE rowid = old.id; END",
)
