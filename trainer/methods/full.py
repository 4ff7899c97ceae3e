"""Sequential full fine-tuning: every weight of the language model, nothing protected."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from torch import nn

from trainer.deltas import WholeWeight, write_weights
from trainer.methods.base import Method, MethodState
from trainer.methods.configs import FullConfig
from trainer.modeling import parameters_by_part, projector_of
from trainer.spec import BaseModelSpec


class Full(Method):
    """Trains W itself from the parent's weights: W_t = argmin loss_t, started at W_(t-1).

    The FFT baseline of CoIN (arXiv 2403.08350) and SEFE (arXiv 2505.02486): the language model
    with embeddings and output head; they train the projector too (`train_projector`) and keep
    the vision tower frozen.
    """

    name: ClassVar[str] = "full"

    def __init__(self, config: FullConfig) -> None:
        """Train with `config`."""
        self.config = config

    def prepare(self, model: nn.Module, state: MethodState) -> nn.Module:
        """Return the model with the chosen parts trainable, all else frozen."""
        parts = parameters_by_part(model)
        chosen = parts["language"]
        chosen += projector_of(model) if self.config.train_projector else []
        chosen += parts["vision"] if self.config.train_vision else []
        for weight in chosen:
            weight.requires_grad_(True)
        return model

    def finish(self, model: nn.Module) -> MethodState:
        """Return a state without tensors: nothing is protected."""
        return MethodState(facts={"method": self.name})

    def export(self, model: nn.Module, folder: Path, base: BaseModelSpec) -> None:
        """Write every trained parameter whole, in the dtype it was trained in."""
        trained = {
            name: WholeWeight(weight.detach())
            for name, weight in model.named_parameters()
            if weight.requires_grad
        }
        write_weights(folder, base, trained)
