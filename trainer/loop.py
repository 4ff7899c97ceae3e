"""The training loop: transformers' Trainer under DeepSpeed, with the method's hooks in it.

Loss bookkeeping is ours, because Trainer and DeepSpeed would scale it differently from case to
case. Over one optimizer step (all its micro-batches, all ranks) the gradient applied is

    gradient of  sum of answer-token losses / number of answer tokens  +  gradient of penalty

DeepSpeed averages over ranks and, as Trainer calls it, sums over micro-batches. So a
micro-batch contributes (its sum / tokens of the whole step) x ranks, and the penalty is added
unscaled, once, on the micro-batch that syncs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainingArguments,
)

from trainer import checkpoints
from trainer.data import Batch, Collator, Corpus, SeededOrder, unwrapped
from trainer.distributed import deepspeed_config, gathered, release_engine, world_size
from trainer.errors import InputError, Stopped
from trainer.events import EventLog
from trainer.methods.base import Method
from trainer.progress import Progress, StepNumbers
from trainer.rows import IGNORED
from trainer.spec import Hyperparameters
from trainer.stopping import StopRequest


def answer_loss(logits_BTV: Tensor, labels_BT: Tensor) -> Tensor:
    """Return the summed cross-entropy (nats) of all answer tokens, in fp32: a scalar."""
    targets_BT = labels_BT[:, 1:]
    answered_BT = targets_BT != IGNORED
    # Picking the answers first keeps the fp32 copy of the logits small.
    logits_NV = logits_BTV[:, :-1][answered_BT].float()
    return functional.cross_entropy(logits_NV, targets_BT[answered_BT], reduction="sum")


class ContinualTrainer(Trainer):
    """Trainer with a method's penalty, our own loss scale, and lean checkpoints."""

    def __init__(
        self, method: Method, order: SeededOrder, numbers: StepNumbers, **options: Any
    ) -> None:
        """Take the method whose hooks run, the row order, where to add up a step's numbers,
        and Trainer's own options."""
        super().__init__(**options)
        self.model_accepts_loss_kwargs = True  # have answer tokens counted over the whole step
        self.loss_is_scaled_for_ga = True  # and no division by the accumulation steps
        self._method = method
        self._order = order
        self._numbers = numbers
        self._prepared: nn.Module = options["model"]
        self._trained = trained_parameters(self._prepared)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return this micro-batch's share of the step's loss, and the penalty if it is the last."""
        labels = inputs.pop("labels")
        self._numbers.tokens += int(inputs["attention_mask"].numel())
        outputs = model(**inputs, use_cache=False)
        assert num_items_in_batch is not None
        share = answer_loss(outputs.logits, labels) / num_items_in_batch
        self._numbers.loss += share.detach()
        loss = share * world_size()
        if self.accelerator.sync_gradients:
            loss = self._with_penalty(loss)
        return (loss, outputs) if return_outputs else loss

    def _with_penalty(self, loss: Tensor) -> Tensor:
        if not self._method.penalises:
            return loss  # and nothing is gathered for it
        with gathered(self._trained):
            penalty = self._method.penalty(self._prepared)
        if penalty is None:
            return loss
        self._numbers.penalty = penalty.detach()
        return loss + penalty.to(loss.dtype)

    def _run_epoch(self, *arguments: Any, **options: Any) -> None:
        """Train unless the last step is done: resumed there in mid-epoch, Trainer would go on."""
        if self.state.global_step < self.state.max_steps:
            super()._run_epoch(*arguments, **options)  # type: ignore[no-untyped-call]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return Trainer's schedule; a training of one step has no warm-up, whose rate is 0."""
        if num_training_steps == 1:
            self.args.warmup_steps = 0
        return super().create_scheduler(num_training_steps, optimizer)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write nothing: DeepSpeed's checkpoint holds all that is trained."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededOrder:
        return self._order


@dataclass(frozen=True)
class Trained:
    """Numbers of a finished training; losses are the last step's (see `events`).

    A run resumed after its last step knows a loss only from its events: None without any.
    `release` frees engine and model; what is wanted of them has to be read before.
    """

    steps: int
    resumed_from_step: int | None
    loss: float | None
    penalty: float | None
    release: Callable[[], None]


def trained_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are trained, in the model's order."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers are trained, whole matrices also where ZeRO-3 split them."""
    return sum(getattr(it, "ds_numel", it.numel()) for it in trained_parameters(model))


def training_arguments(
    folder: Path, hyperparameters: Hyperparameters, trained_parameters: int
) -> TrainingArguments:
    """Return Trainer's arguments for the hyper-parameters; checkpoints go to `folder`."""
    has_gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=hyperparameters.epochs,
        learning_rate=hyperparameters.learning_rate,
        per_device_train_batch_size=hyperparameters.batch_size,
        gradient_accumulation_steps=hyperparameters.gradient_accumulation,
        warmup_steps=hyperparameters.warmup_fraction,
        lr_scheduler_type="cosine",
        weight_decay=0.0,
        max_grad_norm=hyperparameters.max_grad_norm,
        optim="adamw_torch",
        seed=hyperparameters.seed,
        bf16=hyperparameters.precision == "bf16",
        use_cpu=not has_gpu,
        deepspeed=deepspeed_config(hyperparameters, trained_parameters),
        save_strategy="steps",
        save_steps=hyperparameters.checkpoint_every_steps,
        save_total_limit=None,  # ours counts complete ones only
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        average_tokens_across_devices=True,
        dataloader_num_workers=2 if has_gpu else 0,
        dataloader_persistent_workers=has_gpu,  # with the rows that they keep
        dataloader_pin_memory=has_gpu,
    )


def train(
    model: nn.Module,
    method: Method,
    corpus: Corpus,
    collator: Collator,
    *,
    hyperparameters: Hyperparameters,
    folder: Path,
    events: EventLog,
    stop: StopRequest,
) -> Trained:
    """Train a prepared model in place; return what is to be told of it.

    Continues from the newest complete checkpoint in `folder`. Raises Stopped after SIGTERM,
    with a checkpoint written, InputError for a row that cannot be used, and NonFiniteLoss.
    """
    checkpoints.prune(folder)
    latest = checkpoints.find_latest(folder)
    arguments = training_arguments(folder, hyperparameters, count_parameters(model))
    order = SeededOrder(len(corpus), hyperparameters.seed)
    numbers = StepNumbers(torch.zeros((), device=arguments.device))
    progress = Progress(events, stop, order, numbers, corpus, hyperparameters)
    trainer = ContinualTrainer(
        method,
        order,
        numbers,
        model=model,
        args=arguments,
        train_dataset=corpus,
        data_collator=collator,
        callbacks=[progress],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    stop.training = True
    try:
        trainer.train(resume_from_checkpoint=str(latest) if latest else None)
    except InputError as error:
        raise unwrapped(error) from error
    if progress.stopped_at is not None:
        raise Stopped(f"checkpoint written after step {progress.stopped_at}")
    stop.end_training()
    return Trained(
        steps=trainer.state.global_step,
        resumed_from_step=checkpoints.step_of(latest) if latest else None,
        loss=progress.final_loss,
        penalty=progress.final_penalty,
        release=partial(release_engine, trainer.model_wrapped, model),
    )
