"""between what scores lie, and from how many examples."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = {"runs": ("main_low", "main_high", "main_n"), "scores": ("low", "high", "n")}


def upgrade() -> None:
    for table, (low, high, n) in TABLES.items():
        op.add_column(table, sa.Column(low, sa.Float(precision=53), nullable=True))
        op.add_column(table, sa.Column(high, sa.Float(precision=53), nullable=True))
        op.add_column(table, sa.Column(n, sa.Integer(), nullable=True))


def downgrade() -> None:
    for table, names in TABLES.items():
        with op.batch_alter_table(table) as batch:
            for name in names:
                batch.drop_column(name)
