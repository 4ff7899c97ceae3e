"""What the gate is told to hold (the policy) and what it says (checks and verdict), as stored."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Outcome = Literal["pass", "block", "need_more_samples"]


class GatePolicy(BaseModel):
    """How much a new version may lose against its parent, and what may be spent to find out.

    Args:
        max_drop_per_task: points that one old task may lose, 0 to 100.
        max_mean_drop: points that the mean over old tasks may lose, 0 to 100.
        min_samples: fewest items per old task that a decision may rest on (>= 1).
        max_samples: budget: most items per old task that are asked to reach a decision (>= 1).
            A first look that takes more, or a larger `min_samples`, stands above it.
        confidence: a version that lost more than allowed passes with a probability of at most
            1 - confidence, however often more items were drawn; 0.5 to 0.9999.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_drop_per_task: float = Field(default=5.0, ge=0, le=100)
    max_mean_drop: float = Field(default=5.0, ge=0, le=100)
    min_samples: int = Field(default=50, ge=1)
    max_samples: int = Field(default=5000, ge=1)
    confidence: float = Field(default=0.95, ge=0.5, le=0.9999)


class GateCheck(BaseModel):
    """One comparison. All but the counts are points; fields without a value were not recorded.

    Args:
        name: of one old task's change, or of their mean's.
        task: None for the mean.
        measured: change, now minus parent; negative is a loss.
        limit: lowest change allowed (<= 0).
        n: items behind it; of the mean, of all tasks together.
        outcome: what follows from this check alone.
        before: accuracy of the parent on these items.
        now: accuracy of the version on these items.
        lower: the change is at least this: decides a pass.
        upper: the change is at most this: decides a block.
        available: how many items there are to ask.
        undecided: the limit lies between `lower` and `upper`, or n is below the least.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["task_change", "mean_change"]
    task: str | None
    measured: float
    limit: float
    n: int
    outcome: Outcome
    before: float | None = None
    now: float | None = None
    lower: float | None = None
    upper: float | None = None
    available: int | None = None
    undecided: bool = False


class GateVerdict(BaseModel):
    """The outcome with every check behind it, and a text for people: reason and way out.

    `wanted` is for `need_more_samples`: how many items each task named is to have in all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    version: str
    parent: str
    policy: GatePolicy
    checks: tuple[GateCheck, ...]
    explanation: str
    wanted: dict[str, int] = Field(default_factory=dict)
