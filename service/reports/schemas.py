"""Wire shape of an accuracy matrix with its summaries."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from eval.errors import MatrixHole
from eval.matrix import SUMMARY_MEANINGS, AccuracyMatrix, MatrixRow


class MatrixRead(BaseModel):
    """Rows are versions (the base first), columns tasks; points 0..100 with their n.

    While a cell is missing that summaries need there are none, and `hole` says which.
    """

    object: Literal["accuracy_matrix"] = "accuracy_matrix"
    tasks: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    summaries: dict[str, float]
    hole: str | None = None
    meanings: dict[str, str] = dict(SUMMARY_MEANINGS)

    @classmethod
    def of(cls, matrix: AccuracyMatrix) -> MatrixRead:
        """Return the wire shape of a matrix."""
        try:
            summaries, hole = matrix.summaries(), None
        except MatrixHole as error:  # an evaluation is under way, or was interrupted
            summaries, hole = {}, error.message
        return cls(tasks=matrix.tasks, rows=matrix.rows, summaries=summaries, hole=hole)
