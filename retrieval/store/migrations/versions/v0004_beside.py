"""Which files beside a file were read with it, so that it is noticed when they change."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the mark of a file's sidecars; without one, a file that has some is described again."""
    op.execute("ALTER TABLE files ADD COLUMN beside TEXT NOT NULL DEFAULT ''")
    op.execute("PRAGMA user_version = 4")
