"""which scorer and engine a cell is by; whether earlier versions are asked later tasks too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "20261126_0003"
down_revision = "20261126_0002"


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "streams",
        sa.Column("future_tasks", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    # Of cells that are there nobody knows: they are made anew, from the answers that are kept.
    for name in ("scorer", "engine"):
        op.add_column(
            "matrix_cells", sa.Column(name, sa.String(), server_default="", nullable=False)
        )
