"""What a run will take: steps, memory, time. Torch-free, pure arithmetic on the spec's numbers."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from trainer.spec import Hyperparameters

_ADAM_BYTES_PER_PARAMETER = 16  # fp32 weight, gradient and two moments
_RUNTIME_BYTES = 700 * 2**20  # interpreter, torch, transformers, DeepSpeed: measured on CPU
_BYTES = {"fp32": 4, "bf16": 2}


class TrainPlan(BaseModel):
    """An estimate before anything runs.

    `memory_bytes` is per rank, `seconds` the wall time of the steps alone. Both come from
    operation counts and are rough: memory within about twofold, time tenfold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows_per_step: int
    steps_per_epoch: int
    steps: int
    trained_parameters: int
    memory_bytes: int
    seconds: float


def count_steps(rows: int, hyperparameters: Hyperparameters) -> tuple[int, int]:
    """Return (steps per epoch, steps in all) for a corpus of `rows` samples, rows >= 1.

    The last batch and the last accumulation window of an epoch may be short; both count.
    """
    per_rank = math.ceil(rows / (hyperparameters.batch_size * hyperparameters.ranks))
    per_epoch = max(1, math.ceil(per_rank / hyperparameters.gradient_accumulation))
    return per_epoch, math.ceil(hyperparameters.epochs * per_epoch)


def plan_training(
    rows: int,
    hyperparameters: Hyperparameters,
    *,
    base_parameters: int,
    trained_parameters: int,
    tokens_per_row: int = 64,
    flops_per_second: float = 2e10,
) -> TrainPlan:
    """Return the estimate for training `rows` samples.

    A token costs about 4 operations per base parameter (forward, and backward through frozen
    weights) and 6 per trained one. `flops_per_second` is what one rank sustains: about 2e10 for
    a tiny model on a CPU core pair, 2e14 for a 7B model on a data-centre GPU.
    """
    per_epoch, steps = count_steps(rows, hyperparameters)
    per_rank = hyperparameters.rows_per_step // hyperparameters.ranks
    flops_per_token = 4 * base_parameters + 6 * trained_parameters
    weights = base_parameters * _BYTES[hyperparameters.precision]
    if hyperparameters.zero_stage == 3:
        weights //= hyperparameters.ranks
    optimizer = trained_parameters * _ADAM_BYTES_PER_PARAMETER // hyperparameters.ranks
    # One layer keeps about 34 values a token; sqrt(parameters) stands in for width x depth.
    kept_per_token = 34 * 8 * math.isqrt(base_parameters)
    activations = hyperparameters.batch_size * tokens_per_row * kept_per_token
    return TrainPlan(
        rows_per_step=hyperparameters.rows_per_step,
        steps_per_epoch=per_epoch,
        steps=steps,
        trained_parameters=trained_parameters,
        memory_bytes=_RUNTIME_BYTES + weights + optimizer + activations,
        seconds=steps * per_rank * tokens_per_row * flops_per_token / flops_per_second,
    )
