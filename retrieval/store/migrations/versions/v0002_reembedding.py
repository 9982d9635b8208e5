"""A file that fails under the model being built keeps its old items until the switch."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep the reason of such a failure beside the file's present state."""
    op.execute("ALTER TABLE files ADD COLUMN reason_building TEXT")
    op.execute("CREATE INDEX files_failed_building ON files (path) WHERE reason_building IS NOT NULL")
    op.execute("PRAGMA user_version = 2")
