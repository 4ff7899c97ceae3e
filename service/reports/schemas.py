"""Wire shape of an accuracy matrix with its summaries."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from eval.matrix import SUMMARY_MEANINGS, AccuracyMatrix, MatrixRow


class MatrixRead(BaseModel):
    """Rows are versions (the base first), columns tasks; points 0..100 with their n."""

    object: Literal["accuracy_matrix"] = "accuracy_matrix"
    tasks: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    summaries: dict[str, float]
    meanings: dict[str, str] = dict(SUMMARY_MEANINGS)

    @classmethod
    def of(cls, matrix: AccuracyMatrix) -> MatrixRead:
        """Return the wire shape of a matrix."""
        return cls(tasks=matrix.tasks, rows=matrix.rows, summaries=matrix.summaries())
