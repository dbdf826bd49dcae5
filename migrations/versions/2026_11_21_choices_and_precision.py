"""how an upload is scored, and the precision of a model's vectors."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    choices = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.add_column("uploads", sa.Column("choices", choices, server_default=sa.text("'{}'"), nullable=False))
    op.add_column("models", sa.Column("precision", sa.String(length=16), server_default="float32", nullable=False))


def downgrade() -> None:
    op.drop_column("models", "precision")
    op.drop_column("uploads", "choices")
