"""What happens between steps: events, NaN, stop requests, complete checkpoints."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from trainer import checkpoints
from trainer.data import Corpus, SeededOrder
from trainer.distributed import barrier, rank, sum_over_ranks
from trainer.errors import NonFiniteLoss
from trainer.events import EventLog
from trainer.plan import count_steps
from trainer.spec import Hyperparameters
from trainer.stopping import StopRequest


@dataclass
class StepNumbers:
    """What this rank has added up since the last optimizer step.

    `loss` is its share of the step's task loss (nats per answer token), `penalty` the method's
    or None, `tokens` counts prompt, answer and padding.
    """

    loss: Tensor
    penalty: Tensor | None = None
    tokens: int = 0

    def take(self) -> tuple[float, float | None, int]:
        """Return loss, penalty and tokens as numbers and start over."""
        numbers = float(self.loss), None if self.penalty is None else float(self.penalty)
        tokens, self.tokens = self.tokens, 0
        self.loss = torch.zeros_like(self.loss)
        self.penalty = None
        return *numbers, tokens


class Progress(TrainerCallback):
    """Watches every step: events, NaN, stop requests, and complete checkpoints.

    `final_loss` and `final_penalty` are the last step's; `stopped_at` is the step after which
    a stop request was obeyed.
    """

    def __init__(
        self,
        events: EventLog,
        stop: StopRequest,
        order: SeededOrder,
        numbers: StepNumbers,
        corpus: Corpus,
        hyperparameters: Hyperparameters,
    ) -> None:
        """Write to `events`, obey `stop`, tell `order` the epoch, drain `numbers`."""
        self.stopped_at: int | None = None
        self.final_loss, self.final_penalty = events.last_losses()
        self._events = events
        self._stop = stop
        self._order = order
        self._numbers = numbers
        self._corpus = corpus
        self._max_length = hyperparameters.max_length
        self._steps_per_epoch, _ = count_steps(len(corpus), hyperparameters)
        self._told_of_cuts = False
        self._step_started = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Announce the start."""
        self._events.write("start", step=state.global_step, total_steps=state.max_steps)
        self._step_started = time.monotonic()

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Set the row order of the epoch that begins."""
        self._order.epoch = state.global_step // self._steps_per_epoch

    def on_epoch_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """After the first epoch (or part of one) seen here, warn of the rows that were cut."""
        if self._told_of_cuts:
            return
        self._told_of_cuts = True
        times = sum_over_ranks(self._corpus.seen_and_cut.to(args.device, torch.int32))
        rows, cut = times.count_nonzero(dim=1).tolist()
        if cut:
            self._events.warn(
                f"{cut} of {rows} rows were cut at max_length {self._max_length} tokens: the ends "
                "of their answers are not learned. Raise max_length to keep them."
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Report the step; on a stop request save and stop, on all ranks at the same step."""
        loss, penalty, tokens = self._numbers.take()
        shares = torch.tensor(
            [loss, float(tokens), float(self._stop.requested)], device=args.device
        )
        loss, total_tokens, stop_ranks = sum_over_ranks(shares).tolist()
        self.final_loss, self.final_penalty = loss, penalty
        _refuse_non_finite(state.global_step, loss, penalty)
        self._report(state, total_tokens, others["lr_scheduler"].get_last_lr()[0])
        if stop_ranks and state.global_step < state.max_steps:
            self.stopped_at = state.global_step
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Mark the checkpoint complete once every rank has written its part."""
        barrier()
        root = Path(args.output_dir)
        if rank() == 0:
            checkpoints.mark_complete(checkpoints.checkpoint_folder(root, state.global_step))
            checkpoints.prune(root)
        self._events.write("checkpoint", step=state.global_step, total_steps=state.max_steps)
        barrier()

    def _report(self, state: Any, tokens: float, learning_rate: float) -> None:
        now = time.monotonic()
        seconds, self._step_started = now - self._step_started, now
        self._events.step(
            step=state.global_step,
            total_steps=state.max_steps,
            loss=self.final_loss,
            penalty=self.final_penalty,
            learning_rate=float(learning_rate),
            tokens_per_second=round(tokens / max(seconds, 1e-9), 1),
        )


def _refuse_non_finite(step: int, loss: float, penalty: float | None) -> None:
    for name, value in (("loss", loss), ("penalty", penalty or 0.0)):
        if not math.isfinite(value):
            raise NonFiniteLoss(
                f"The {name} is {value} at step {step}. Lower learning_rate or the method's "
                "coefficient, or check the rows of this task."
            )
