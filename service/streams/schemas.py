"""Wire shapes of streams and tasks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from asd_rewriter.cards import NAME_PATTERN, TaskCard
from eval.gate import GatePolicy

# A number is a JSON number: neither true nor "3" stands for one, and NaN is none.
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StreamGate(GatePolicy):
    """How much a new version may lose against its parent, in points."""

    model_config = STRICT


class AsdOptions(BaseModel):
    """How rows are rewritten, beside how many of them (`x_percent`).

    `formats` are the target formats' shares, which sum to 1; null: equal ones. `unit` is what is
    drawn, single turns or whole rows. `engine` "llm" asks the model of the service's settings
    (RETAIN_ASD_LLM_*). With `review` the job waits for a look at the rows before it trains.
    """

    model_config = STRICT

    formats: dict[str, float] | None = None
    unit: Literal["turn", "sample"] = "turn"
    engine: Literal["rules", "llm"] = "rules"
    review: bool = False

    def for_plan(self) -> dict[str, Any]:
        """Return what of this is part of a RewritePlan."""
        shares = {} if self.formats is None else {"formats": self.formats}
        return {"unit": self.unit, **shares}


class StreamCreate(BaseModel):
    """A new model line: its base model, its method, and the defaults of its tasks.

    `base` is the absolute path of a folder at the service, or a hub id; `revision` a hub revision.
    `method_config` and `hyperparameters` take the fields listed for the method, `asd` those of
    rewriting: formats, unit, engine, review. What is left out gets its default.
    """

    model_config = STRICT

    name: str = Field(pattern=NAME_PATTERN)
    base: str = Field(min_length=1, max_length=4096)
    revision: str | None = Field(default=None, max_length=200)
    method: str = "reglora"
    method_config: dict[str, Any] = Field(default_factory=dict)
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    x_percent: float = Field(default=20.0, ge=0, le=100, description="rows rewritten, in percent")
    asd: dict[str, Any] = Field(default_factory=dict)
    seed: int = Field(default=0, ge=0, lt=2**31)
    gate: StreamGate = StreamGate()
    eval_limit: int = Field(default=200, ge=1, le=100_000, description="items per task")
    probe_limit: int = Field(
        default=32, ge=0, le=10_000, description="lost answers per task that are asked again"
    )
    future_tasks: bool = Field(
        default=False, strict=True, description="earlier versions are asked later tasks too"
    )


class StreamRead(BaseModel):
    """A stream with everything resolved."""

    object: Literal["stream"] = "stream"
    id: str
    name: str
    base: str
    base_revision: str | None
    base_digest: str
    method: str
    method_config: dict[str, Any]
    hyperparameters: dict[str, Any]
    x_percent: float
    asd: AsdOptions
    seed: int
    gate: dict[str, Any]
    eval_limit: int
    probe_limit: int
    future_tasks: bool
    created_at: datetime


class TaskOptions(BaseModel):
    """What one task does differently from its stream. `parent`: a version number or an alias."""

    model_config = STRICT

    method_config: dict[str, Any] = Field(default_factory=dict)
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    x_percent: float | None = Field(default=None, ge=0, le=100)
    asd: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    parent: int | str | None = None
    eval_limit: int | None = Field(default=None, ge=1, le=100_000)
    probe_limit: int | None = Field(default=None, ge=0, le=10_000)
    future_tasks: bool | None = Field(default=None, strict=True)


class TaskPlan(BaseModel):
    """A task's fully resolved request, as its job keeps it. `parent` None: production then."""

    model_config = ConfigDict(frozen=True)

    method: str
    method_config: dict[str, Any]
    hyperparameters: dict[str, Any]
    x_percent: float
    asd: AsdOptions = AsdOptions()
    seed: int
    eval_limit: int
    probe_limit: int = 32
    future_tasks: bool = False
    parent: int | None = None


class PlanRead(BaseModel):
    """What a task would take; nothing was kept.

    `seconds_estimate` is for the training steps: "measured" scales the newest run with this base
    and method; before there is one it is "rough", from operation counts, and may be off tenfold.
    `answers` is what evaluation asks the model, `answers_limit` with all that the gate and lost
    answers may add.
    """

    object: Literal["plan"] = "plan"
    rows: int
    steps: int
    seconds_estimate: float
    seconds_from: Literal["measured", "rough"]
    memory_bytes_estimate: int
    rank_after: int
    rank_limit: int
    tasks_left: int
    parent: int
    answers: int
    answers_limit: int
    plan: TaskPlan


class TaskRead(BaseModel):
    """A task: pending, live (its version exists) or failed. `job` is its newest job."""

    object: Literal["task"] = "task"
    id: str
    name: str
    stream: str
    state: str
    card: TaskCard
    counts: dict[str, Any]
    job: str | None
    created_at: datetime
