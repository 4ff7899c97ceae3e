"""scores of stored answers; how many lost answers are asked again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261126_0002"
down_revision = "20261121_0001"


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "streams", sa.Column("probe_limit", sa.Integer(), server_default="32", nullable=False)
    )
    op.create_table(
        "scores",
        sa.Column("prediction_key", sa.String(), nullable=False),
        sa.Column("scorer", sa.String(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prediction_key"],
            ["predictions.key"],
            name=op.f("fk_scores_prediction_key_predictions"),
        ),
        sa.PrimaryKeyConstraint("prediction_key", "scorer", name=op.f("pk_scores")),
    )
