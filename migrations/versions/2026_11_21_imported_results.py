"""boards of imported MTEB results."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _json() -> sa.types.TypeEngine:
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("benchmarks", sa.Column("kind", sa.String(length=16), server_default="own", nullable=False))
    op.create_table(
        "imported_archives",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("benchmark_id", sa.Integer(), nullable=False),
        sa.Column("blob_sha256", sa.String(length=64), nullable=False),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("definition", sa.String(length=200), nullable=False),
        sa.Column("excluded", _json(), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["benchmark_id"],
            ["benchmarks.id"],
            name=op.f("fk_imported_archives_benchmark_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_imported_archives_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imported_archives")),
    )
    op.create_index(op.f("ix_imported_archives_benchmark_id"), "imported_archives", ["benchmark_id"])
    op.create_index(op.f("ix_imported_archives_blob_sha256"), "imported_archives", ["blob_sha256"])
    op.create_table(
        "imported_columns",
        sa.Column("benchmark_id", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(length=200), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("task_type", sa.String(length=40), nullable=False),
        sa.Column("cells", _json(), nullable=False),
        sa.Column("languages", _json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["benchmark_id"], ["benchmarks.id"], name=op.f("fk_imported_columns_benchmark_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("benchmark_id", "task", name=op.f("pk_imported_columns")),
    )
    op.create_table(
        "imported_models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("benchmark_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("revision", sa.String(length=100), nullable=False),
        sa.Column("meta", _json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["benchmark_id"], ["benchmarks.id"], name=op.f("fk_imported_models_benchmark_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imported_models")),
        sa.UniqueConstraint(
            "benchmark_id", "name", "revision", name=op.f("uq_imported_models_benchmark_id_name_revision")
        ),
    )
    op.create_table(
        "imported_results",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("archive_id", sa.Integer(), nullable=False),
        sa.Column("task", sa.String(length=200), nullable=False),
        sa.Column("mteb_version", sa.String(length=64), nullable=True),
        sa.Column("chosen", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["imported_models.id"], name=op.f("fk_imported_results_model_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["archive_id"], ["imported_archives.id"], name=op.f("fk_imported_results_archive_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imported_results")),
    )
    op.create_index("ix_imported_results_model_id_task", "imported_results", ["model_id", "task"])
    op.create_index(op.f("ix_imported_results_archive_id"), "imported_results", ["archive_id"])
    op.create_table(
        "imported_scores",
        sa.Column("result_id", sa.Integer(), nullable=False),
        sa.Column("split", sa.String(length=64), nullable=False),
        sa.Column("subset", sa.String(length=200), nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        sa.CheckConstraint("value > -1e300 AND value < 1e300", name=op.f("ck_imported_scores_finite")),
        sa.ForeignKeyConstraint(
            ["result_id"], ["imported_results.id"], name=op.f("fk_imported_scores_result_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("result_id", "split", "subset", name=op.f("pk_imported_scores")),
    )


def downgrade() -> None:
    for table in ("scores", "results", "models", "columns", "archives"):
        op.drop_table(f"imported_{table}")
    op.execute("DELETE FROM benchmarks WHERE kind = 'imported'")
    op.drop_column("benchmarks", "kind")
