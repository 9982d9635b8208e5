"""The words of names and folders, by their stems, for the files that are there already."""

from alembic import op

from retrieval.store.lexical import words_of
from retrieval.store.paths import to_text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FILES = """SELECT f.id, f.path_text, s.path, f.told,
    (SELECT group_concat(keyword, ' ') FROM keywords k WHERE k.file_id = f.id)
    FROM files f JOIN sources s ON s.id = f.source_id"""


def upgrade() -> None:
    """Make the index anew with stems of English words (Porter, 1980), and fill it."""
    op.execute("DROP TABLE words")
    op.execute(
        "CREATE VIRTUAL TABLE words USING fts5 (name, folders, told, tokenize = 'porter unicode61 remove_diacritics 2')"
    )
    connection = op.get_bind()
    rows = [
        (file_id, *words_of(path, to_text(root), told, [keywords or ""]))
        for file_id, path, root, told, keywords in connection.exec_driver_sql(_FILES).fetchall()
    ]
    if rows:
        connection.exec_driver_sql("INSERT INTO words (rowid, name, folders, told) VALUES (?, ?, ?, ?)", rows)
    op.execute("PRAGMA user_version = 5")
