"""Rows that are left as they are: counted by reason, the first ones named."""

from __future__ import annotations

from collections import Counter

from pydantic import BaseModel, ConfigDict

from asd_rewriter.readers import Spot
from asd_rewriter.sources.conversations import BadRow

MAX_SPOTS = 20


class BadSpot(BaseModel):
    """Where a bad row is (`line` and `row` from 1; line 0: not in a text file), and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: int
    row: int
    id: str | None
    reason: str
    message: str


class BadRows:
    """Counts bad rows; keeps the first 20."""

    def __init__(self) -> None:
        self.by_reason: Counter[str] = Counter()
        self.spots: list[BadSpot] = []

    def add(self, spot: Spot, problem: BadRow) -> None:
        """Count a row."""
        self.by_reason[problem.rule] += 1
        if len(self.spots) < MAX_SPOTS:
            self.spots.append(BadSpot(
                line=spot.line, row=spot.row, id=problem.row_id, reason=problem.rule,
                message=str(problem),
            ))  # fmt: skip

    @property
    def total(self) -> int:
        """How many there were."""
        return self.by_reason.total()
