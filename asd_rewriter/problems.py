"""The validation report: what is wrong with which row, and how to put it right."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

SplitName = Literal["train", "eval"]


class RowProblem(BaseModel):
    """One broken rule. `line` and `row` count from 1 in the split's file; 0: the split as a whole.

    `rule` is a stable word, `message` says what was seen and what is allowed, `fix` what to do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: SplitName
    line: int
    row: int
    row_id: str | None = None
    field: str
    rule: str
    message: str
    fix: str


class ValidationReport(BaseModel):
    """All problems of a task, at most `max_problems` of them listed, all of them counted.

    `counts` holds `train`, `eval` (valid rows that go to each split), `rows` (rows read), `turns`,
    `images` (distinct) and `images_bytes`. `warnings` never make a task invalid.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    valid: bool
    counts: dict[str, int]
    problems: list[RowProblem]
    num_problems: int
    truncated: bool
    warnings: list[str]
    problems_by_rule: dict[str, int]


class Problems:
    """Collects problems up to a cap and counts the rest."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self.listed: list[RowProblem] = []
        self.by_rule: dict[str, int] = {}
        self.total = 0

    def add(self, problem: RowProblem) -> None:
        """Count a problem and, while there is room, list it."""
        self.total += 1
        self.by_rule[problem.rule] = self.by_rule.get(problem.rule, 0) + 1
        if len(self.listed) < self._cap:
            self.listed.append(problem)

    def report(self, counts: dict[str, int], warnings: list[str]) -> ValidationReport:
        """Return what was collected; valid means: no problem at all."""
        return ValidationReport(
            valid=self.total == 0,
            counts=counts,
            problems=self.listed,
            num_problems=self.total,
            truncated=self.total > len(self.listed),
            warnings=warnings,
            problems_by_rule=dict(sorted(self.by_rule.items())),
        )
