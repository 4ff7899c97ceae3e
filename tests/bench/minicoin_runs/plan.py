"""What is run: methods with their fixed settings, one budget for all, tasks and seeds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import deploy.demo.tiny
from eval.minicoin.tasks import TASKS
from trainer.files import sha256_of
from trainer.plan import count_steps
from trainer.spec import Hyperparameters

MULTITASK = "multitask"
"""All tasks at once by plain LoRA: the upper bound."""
RANK = 16
SETTLED_ON = "seed 100, four candidates per method (`make bench-minicoin-tuning`)"
"""Where the rates and coefficients below come from."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Setting(_Frozen):
    """How one method is trained; equal for every task, seed and with or without ASD."""

    method: str
    learning_rate: float
    config: dict[str, Any] = Field(default_factory=dict)
    replay_bytes: int = 0

    def told(self) -> str:
        """Return what identifies it; replay that is off is left out, as in cells older than it."""
        return self.model_dump_json(exclude=None if self.replay_bytes else {"replay_bytes"})


def _adapter(**more: Any) -> dict[str, Any]:
    return {"rank": RANK, "alpha": 2.0 * RANK, **more}


SETTINGS: dict[str, Setting] = {
    "full": Setting(method="full", learning_rate=2e-4),
    "lora": Setting(method="lora", learning_rate=1e-3, config=_adapter()),
    "olora": Setting(method="olora", learning_rate=2e-3, config=_adapter(orthogonality=0.1)),
    "lota": Setting(method="lota", learning_rate=1e-3, config={"sparsity": 0.9}),
    "reglora": Setting(
        method="reglora",
        learning_rate=2e-3,
        config=_adapter(top_percent=30.0, coefficient=2500.0),
    ),
    MULTITASK: Setting(method="lora", learning_rate=1e-3, config=_adapter()),
    "reglora-10": Setting(
        method="reglora",
        learning_rate=2e-3,
        config=_adapter(top_percent=10.0, coefficient=2500.0),
    ),
    "moelora": Setting(method="moelora", learning_rate=1e-3, config=_adapter(experts=8)),
    "lora-replay": Setting(
        method="lora", learning_rate=1e-3, config=_adapter(), replay_bytes=2_000_000
    ),
}
"""The listed hyper-parameters, fixed beforehand. `multitask` has lora's rate, and the rank of all
tasks' adapters together. The last three are no part of the table but may be asked for:
`reglora-10` protects so little per task that eight tasks' places fit into a matrix, `moelora` has
lora's rate, and `lora-replay` is lora with rows of earlier tasks; none was tuned."""
TABLE = ("full", "lora", "olora", "lota", "reglora")
EXTRA = ("reglora-10", "moelora", "lora-replay")


class Budget(_Frozen):
    """What every method gets per task: rows, epochs, rows a step; and what it is asked.

    LoTA's calibration, one epoch, comes on top; `multitask` gets all tasks' budgets at once.
    """

    num_train: int = Field(default=2000, ge=1)
    num_eval: int = Field(default=200, ge=1)
    epochs: float = Field(default=6.0, gt=0)
    rows_per_step: int = Field(default=48, ge=1)
    warmup_fraction: float = 0.1
    asd_percent: float = 20.0

    def hyperparameters(self, setting: Setting, seed: int, ranks: int) -> Hyperparameters:
        """Return the trainer's own form of it."""
        return Hyperparameters(
            epochs=self.epochs,
            learning_rate=setting.learning_rate,
            replay_bytes=setting.replay_bytes,
            batch_size=self.rows_per_step // ranks,
            warmup_fraction=self.warmup_fraction,
            max_length=256,
            seed=seed,
            ranks=ranks,
            checkpoint_every_steps=100,
        )


class Run(_Frozen):
    """One sequence: a method, with ASD or without, on one seed."""

    method: str
    asd: bool
    seed: int

    @property
    def name(self) -> str:
        """The row of the table: `<method>` or `<method>+asd`."""
        return f"{self.method}+asd" if self.asd else self.method

    @property
    def folder(self) -> str:
        """Where its cells and its work lie, below a folder for each."""
        return f"seed-{self.seed}/{self.name}"


class Plan(_Frozen):
    """All runs of a table. Equal plans have equal fingerprints."""

    tasks: tuple[str, ...] = tuple(TASKS)
    methods: tuple[str, ...] = TABLE
    without_twin: tuple[str, ...] = ()
    multitask: bool = True
    seeds: tuple[int, ...] = (0,)
    budget: Budget = Budget()
    settings: dict[str, Setting] = Field(default_factory=lambda: dict(SETTINGS))
    ranks: int = Field(default=1, ge=1)
    base: str | None = None

    @property
    def weights(self) -> Path:
        """The base's folder."""
        return Path(self.base) if self.base else Path(deploy.demo.tiny.__path__[0]) / "weights"

    def runs(self) -> list[Run]:
        """Return the sequences, seed by seed; methods named in `without_twin` have no ASD run."""
        found = []
        for seed in self.seeds:
            for method in self.methods:
                twins = (False,) if method in self.without_twin else (False, True)
                found += [Run(method=method, asd=asd, seed=seed) for asd in twins]
            if self.multitask:
                found.append(Run(method=MULTITASK, asd=False, seed=seed))
        return found

    def stages(self, run: Run) -> list[tuple[str, ...]]:
        """Return which tasks are learned together at each stage of a run."""
        return [self.tasks] if run.method == MULTITASK else [(task,) for task in self.tasks]

    def config(self, run: Run) -> dict[str, Any]:
        """Return the method's config; `multitask` gets the sequence's rank in one adapter."""
        config = dict(self.settings[run.method].config)
        if run.method == MULTITASK:
            rank = config["rank"] * len(self.tasks)
            config |= {"rank": rank, "alpha": 2.0 * rank}
        return config

    def fingerprint(self, run: Run) -> str:
        """Return what a run's cells depend on beside its seed: tasks, budget, its method's setting,
        ranks and the base's weights. Cells are taken over where it agrees."""
        shared = self.model_dump_json(include={"tasks", "budget", "ranks"})
        weights = sha256_of(self.weights / "model.safetensors")
        told = shared + self.settings[run.method].told() + weights
        return hashlib.sha256(told.encode()).hexdigest()


CANDIDATES: dict[str, tuple[Setting, ...]] = {
    "full": tuple(Setting(method="full", learning_rate=it) for it in (1e-4, 2e-4, 5e-4, 1e-3)),
    "lora": tuple(
        Setting(method="lora", learning_rate=it, config=_adapter())
        for it in (5e-4, 1e-3, 2e-3, 4e-3)
    ),
    "olora": tuple(
        Setting(method="olora", learning_rate=rate, config=_adapter(orthogonality=it))
        for rate, it in ((1e-3, 0.5), (2e-3, 0.1), (2e-3, 0.5), (2e-3, 2.5))
    ),
    "lota": tuple(
        Setting(method="lota", learning_rate=it, config={"sparsity": 0.9})
        for it in (5e-4, 1e-3, 2e-3, 4e-3)
    ),
    "reglora": tuple(
        Setting(
            method="reglora",
            learning_rate=rate,
            config=_adapter(top_percent=it, coefficient=2500.0),
        )
        for rate, it in ((2e-3, 2.0), (1e-3, 30.0), (2e-3, 30.0), (2e-3, 60.0))
    ),
}
"""What was tried to settle the hyper-parameters, four per method, on a seed of its own."""
TUNING_SEED = 100
Form = Literal["full", "quick", "tuning"]
QUICK = Plan(
    tasks=("signs", "classes", "counts"),
    methods=("full", "lora", "reglora"),
    without_twin=("full",),
    multitask=False,
    budget=Budget(num_train=1600, num_eval=100, epochs=2.0),
)
"""The quick form: it shows the machinery at work, not the methods at their best."""
_TRIED = {f"{name}-{at}": it for name, its in CANDIDATES.items() for at, it in enumerate(its, 1)}
TUNING = Plan(
    tasks=("classes", "compose", "counts"),
    settings=_TRIED,
    methods=tuple(_TRIED),
    without_twin=tuple(_TRIED),
    multitask=False,
    seeds=(TUNING_SEED,),
)
"""All candidates over three tasks, without ASD: the highest MFN of a method is taken."""
FORMS: dict[Form, Plan] = {"full": Plan(), "quick": QUICK, "tuning": TUNING}

STEP_SECONDS = 0.3
"""A step of 48 rows on one core, whatever the method (measured: 0.25 to 0.37)."""
ANSWER_SECONDS = 0.005
START_SECONDS = 10.0


def steps_of(plan: Plan, run: Run, stage: int) -> int:
    """Return the optimizer steps of one stage, LoTA's calibration included."""
    rows = plan.budget.num_train * len(plan.stages(run)[stage])
    steps = _steps(rows, plan.budget)
    if plan.settings[run.method].method == "lota":
        steps += _steps(rows, plan.budget.model_copy(update={"epochs": 1.0}))
    return steps


def _steps(rows: int, budget: Budget) -> int:
    return count_steps(rows, budget.hyperparameters(SETTINGS["lora"], 0, 1))[1]


def estimated_seconds(plan: Plan, jobs: int) -> float:
    """Return about how long the whole plan takes with `jobs` runs at a time, a quiet core each."""
    seconds = 0.0
    for run in plan.runs():
        stages = plan.stages(run)
        seconds += START_SECONDS
        seconds += STEP_SECONDS * sum(steps_of(plan, run, at) for at in range(len(stages)))
        asked = sum(len(seen_tasks(plan, run, at)) for at in range(len(stages)))
        seconds += ANSWER_SECONDS * plan.budget.num_eval * asked
    return seconds / jobs


def seen_tasks(plan: Plan, run: Run, stage: int) -> tuple[str, ...]:
    """Return the tasks learned up to and with a stage."""
    return tuple(task for group in plan.stages(run)[: stage + 1] for task in group)
