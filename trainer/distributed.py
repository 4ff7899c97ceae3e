"""Ranks, seeds, and what DeepSpeed needs to know."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from trainer.errors import EnvironmentRefused
from trainer.spec import Hyperparameters

_MAX_BUCKET_ELEMENTS = 50_000_000
_COMPILED_CPU_ALL_REDUCE = "deepspeed_shm_comm"


def rank() -> int:
    """Return this process's number among the ranks, 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return the number of ranks, 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def prepare_process(hyperparameters: Hyperparameters) -> None:
    """Check the number of ranks and choose DeepSpeed's accelerator, before it is first used.

    Raises EnvironmentRefused when torchrun started another number of ranks than the spec's.
    """
    if world_size() != hyperparameters.ranks:
        raise EnvironmentRefused(
            f"The spec wants {hyperparameters.ranks} ranks, torchrun started {world_size()}: "
            f"use --nproc-per-node={hyperparameters.ranks}."
        )
    # A deprecation notice per collective and step would drown the log.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    if torch.cuda.is_available():
        return
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed.ops

    # An all-reduce for inference that DeepSpeed would compile with g++ for a minute at start-up;
    # training uses gloo's.
    deepspeed.ops.__compatible_ops__[_COMPILED_CPU_ALL_REDUCE] = False


def deepspeed_config(hyperparameters: Hyperparameters, trained_parameters: int) -> dict[str, Any]:
    """Return DeepSpeed's config: ZeRO 2 or 3 with torch's AdamW, buckets no larger than needed."""
    bucket = max(1, min(trained_parameters, _MAX_BUCKET_ELEMENTS))
    return {
        "train_micro_batch_size_per_gpu": hyperparameters.batch_size,
        "gradient_accumulation_steps": hyperparameters.gradient_accumulation,
        "gradient_clipping": hyperparameters.max_grad_norm,
        "bf16": {"enabled": hyperparameters.precision == "bf16"},
        "zero_optimization": {
            "stage": hyperparameters.zero_stage,
            "overlap_comm": torch.cuda.is_available(),
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
            "stage3_prefetch_bucket_size": bucket,
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 10**9,
    }


def forget_engine() -> None:
    """Let another DeepSpeed engine be made in this process, and models be loaded whole.

    accelerate keeps the first engine's settings, and transformers partitions whatever it loads
    while a ZeRO-3 config is around.
    """
    import accelerate.state as kept  # type: ignore[import-untyped]
    from transformers.integrations import deepspeed as integration

    kept.AcceleratorState._reset_state()
    kept.GradientState._reset_state()
    forget: Any = integration.unset_hf_deepspeed_config
    forget()


def master_weight(weight: nn.Parameter) -> Tensor:
    """Return a trained parameter whole in fp32, as the optimizer has it; all ranks must call.

    Where training is in half precision the parameter itself is a rounded copy of that.
    """
    from deepspeed.utils import safe_get_full_fp32_param

    ask: Any = safe_get_full_fp32_param
    found: Tensor | None = ask(weight)  # None without an engine
    return (weight.detach() if found is None else found).float()


def release_engine(engine: Any, model: nn.Module) -> None:
    """Free what a DeepSpeed engine and its model hold: master weights, moments, parameters.

    Letting go of both is not enough: hooks and DeepSpeed's own lists keep them, so every tensor
    among them is emptied.
    """
    sharded = engine.optimizer
    sharded.optimizer.state.clear()
    engine.destroy()
    _empty(sharded.optimizer.param_groups)
    _empty(vars(sharded))
    for weight in model.parameters():
        weight.grad = None
        _empty([weight, getattr(weight, "ds_tensor", None)])


def _empty(held: Any) -> None:
    if isinstance(held, Tensor):
        held.data = held.data.new_empty(0)
    elif isinstance(held, dict):
        _empty(list(held.values()))
    elif isinstance(held, list | tuple):
        for it in held:
            _empty(it)


def gathered(parameters: Iterable[nn.Parameter]) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which parameters are whole on every rank; nothing to do below ZeRO-3.

    Outside it ZeRO-3 parameters are empty tensors, and sums over them are silently zero.
    """
    partitioned = [parameter for parameter in parameters if hasattr(parameter, "ds_id")]
    if not partitioned:
        return contextlib.nullcontext()
    import deepspeed

    context: contextlib.AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(partitioned)
    return context


def sum_over_ranks(values: Tensor) -> Tensor:
    """Return the elementwise sum of `values` over all ranks."""
    if world_size() > 1:
        torch.distributed.all_reduce(values)
    return values


def barrier() -> None:
    """Wait until every rank has come here."""
    if world_size() > 1:
        torch.distributed.barrier()
