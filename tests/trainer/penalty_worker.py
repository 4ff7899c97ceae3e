"""Run under torchrun: the gradients that DeepSpeed would step with, with and without penalty.

    penalty_worker.py BASE_FOLDER WORK_FOLDER STAGE

Trains with a vanishing learning rate, once with coefficient 0 and once with `COEFFICIENT`, for
accumulation 1 and 4 over six micro-batches a rank: with 4 the last window is short. Rank 0
writes `gradients.json`: per accumulation the largest absolute error of the difference against
coefficient * grad R by dense autograd, the largest such gradient, and the number of steps.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.trainer.tiny import colour_samples
from trainer.data import Collator, Corpus
from trainer.distributed import gathered, prepare_process, rank, world_size
from trainer.events import EventLog
from trainer.methods.base import MethodState, lora_matrices
from trainer.methods.configs import RegLoRAConfig
from trainer.methods.protected import pack
from trainer.methods.reglora import RegLoRA
from trainer.modeling import find_targets, load_base, load_processor
from trainer.rows import RowEncoder
from trainer.spec import BaseModelSpec, Hyperparameters
from trainer.stopping import StopRequest

COEFFICIENT = 300.0
MICRO_BATCHES = 6
Gradients = dict[str, Tensor]


def masks_of(model: nn.Module) -> Gradients:
    """Return random protected places, a fifth of each target matrix."""
    generator = torch.Generator().manual_seed(1)
    shapes = {name: model.get_submodule(name).weight.shape for name in find_targets(model, None)}
    return {name: torch.rand(shape, generator=generator) < 0.2 for name, shape in shapes.items()}


def prepared(base: BaseModelSpec, coefficient: float) -> tuple[nn.Module, RegLoRA, Gradients]:
    """Return a model whose update is not zero, its method, and the protected places."""
    config = RegLoRAConfig(rank=4, alpha=8.0, coefficient=coefficient)
    method = RegLoRA(config)
    model = load_base(base, dtype=torch.float32)
    masks = masks_of(model)
    state = MethodState({name: pack(mask) for name, mask in masks.items()}, {"tasks": 1})
    torch.manual_seed(2)
    model = method.prepare(model, state)
    for matrix in lora_matrices(model):
        nn.init.normal_(matrix.b, std=0.1)
    return model, method, masks


def dense_gradients(base: BaseModelSpec) -> Gradients:
    """Return coefficient * grad R by autograd on dense products."""
    model, _, masks = prepared(base, COEFFICIENT)
    matrices = list(lora_matrices(model))
    terms = [(it.b @ it.a)[masks[it.module]].abs().mean() for it in matrices]
    (COEFFICIENT * torch.stack(terms).mean()).backward()
    return {name: it.grad for name, it in model.named_parameters() if it.grad is not None}


def stepped_gradients(
    base: BaseModelSpec, work: Path, coefficient: float, hyper: Hyperparameters
) -> list[Gradients]:
    """Return the gradients of every optimizer step, as DeepSpeed holds them before stepping."""
    import deepspeed
    from accelerate.state import AcceleratorState, GradientState

    from trainer.loop import train

    AcceleratorState._reset_state()
    GradientState._reset_state()
    model, method, _ = prepared(base, coefficient)
    taken: list[Gradients] = []
    original = deepspeed.DeepSpeedEngine.step

    def step(engine: Any, *arguments: Any, **options: Any) -> None:
        trained = [(name, it) for name, it in model.named_parameters() if it.requires_grad]
        grads = {name: deepspeed.utils.safe_get_full_grad(it).clone() for name, it in trained}
        taken.append(grads)
        original(engine, *arguments, **options)

    processor = load_processor(base)
    encoder = RowEncoder(processor, blob_dir=work / "blobs", max_length=256)
    num_rows = MICRO_BATCHES * hyper.batch_size * world_size()
    samples = colour_samples(work / "blobs", num_rows, text_rows=False)
    folder = work / f"{hyper.gradient_accumulation}-{coefficient}"
    folder.mkdir(exist_ok=True)
    deepspeed.DeepSpeedEngine.step = step
    train(
        model,
        method,
        Corpus(samples, encoder),
        Collator(processor.tokenizer.pad_token_id),
        hyperparameters=hyper,
        folder=folder / "checkpoints",
        events=EventLog(folder, enabled=rank() == 0),
        stop=StopRequest(folder / "outcome.json"),
    )
    deepspeed.DeepSpeedEngine.step = original
    with gathered(model.parameters()):
        return taken


def main(base_folder: str, work: Path, stage: int) -> None:
    base = BaseModelSpec(path=base_folder, source="tiny", digest="0")
    report = {}
    for accumulation in (1, 4):
        hyper = Hyperparameters(
            learning_rate=1e-30,
            batch_size=2,
            gradient_accumulation=accumulation,
            max_grad_norm=1e9,
            ranks=world_size(),
            zero_stage=3 if stage == 3 else 2,
            checkpoint_every_steps=1000,
        )
        prepare_process(hyper)
        plain = stepped_gradients(base, work, 0.0, hyper)
        held = stepped_gradients(base, work, COEFFICIENT, hyper)
        wanted = dense_gradients_outside_zero(base)
        errors = [
            float((with_penalty[name] - without[name] - wanted[name]).abs().max())
            for with_penalty, without in zip(held, plain, strict=True)
            for name in wanted
        ]
        largest = max(float(value.abs().max()) for value in wanted.values())
        report[accumulation] = {"error": max(errors), "largest": largest, "steps": len(held)}
    if rank() == 0:
        (work / "gradients.json").write_text(json.dumps(report), encoding="utf-8")


def dense_gradients_outside_zero(base: BaseModelSpec) -> Gradients:
    """Return `dense_gradients` of a model that ZeRO-3 does not partition while loading."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
    return dense_gradients(base)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
