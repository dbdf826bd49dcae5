"""how sure boards are, and each dataset's margin of practical equality."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("margin", sa.Float(precision=53), nullable=True))
    op.create_table(
        "board_certainty",
        sa.Column("benchmark_id", sa.Integer(), nullable=False),
        sa.Column("inputs", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["benchmark_id"], ["benchmarks.id"], name=op.f("fk_board_certainty_benchmark_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("benchmark_id", name=op.f("pk_board_certainty")),
    )


def downgrade() -> None:
    op.drop_table("board_certainty")
    with op.batch_alter_table("datasets") as batch:
        batch.drop_column("margin")
