"""what MTEB's registry says of a model. Rows from before are filled by their next inspection or correction."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    words = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.add_column("models", sa.Column("release_date", sa.String(length=10), nullable=True))
    op.add_column("models", sa.Column("active_parameters", sa.BigInteger(), nullable=True))
    op.add_column("models", sa.Column("open_weights", sa.Boolean(), nullable=True))
    op.add_column("models", sa.Column("training_code", sa.String(length=1000), nullable=True))
    op.add_column("models", sa.Column("training_data", sa.String(length=1000), nullable=True))
    op.add_column("models", sa.Column("citation", sa.Text(), nullable=True))
    op.add_column("models", sa.Column("kinds", words, server_default=sa.text("'[]'"), nullable=False))
    op.add_column("models", sa.Column("reference", sa.String(length=1000), nullable=True))


def downgrade() -> None:
    for name in (
        "reference",
        "kinds",
        "citation",
        "training_data",
        "training_code",
        "open_weights",
        "active_parameters",
        "release_date",
    ):
        op.drop_column("models", name)
