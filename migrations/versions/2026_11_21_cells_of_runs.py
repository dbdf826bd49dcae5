"""of how many cells a run's main score is the mean."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("cells", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE runs SET cells = (SELECT count(*) FROM (SELECT DISTINCT split, subset FROM scores "
        "WHERE scores.run_id = runs.id) AS parts) WHERE state = 'done'"
    )
    columns = ["dataset_revision_id", "state", "model_id", "main_score", "cells"]
    op.create_index("ix_runs_board", "runs", columns)


def downgrade() -> None:
    op.drop_index("ix_runs_board", "runs")
    op.drop_column("runs", "cells")
