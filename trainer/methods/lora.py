"""Sequential LoRA: a fresh adapter on the lineage's sum, or one adapter trained on and on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from trainer.deltas import DeltaMatrix, read_delta
from trainer.errors import DeltaError
from trainer.methods.adapter import AdapterMethod
from trainer.methods.base import MethodState, lora_matrices
from trainer.methods.configs import LoRAConfig


class LoRA(AdapterMethod):
    """Plain LoRA, nothing protected: `W x + alpha / rank * B A x`.

    "merge_then_new" (SEFE, arXiv 2505.02486, its code's life cycle): W is the base with all
    earlier updates added. "continue" (CoIN, arXiv 2403.08350): W is the base, A and B begin
    where the parent's adapter ended and stand for all tasks.
    """

    name: ClassVar[str] = "lora"

    def __init__(self, config: LoRAConfig) -> None:
        """Train with `config`."""
        super().__init__(config)
        self.config: LoRAConfig = config
        self._parent: dict[str, DeltaMatrix] = {}

    def inherit(self, lineage: Sequence[str]) -> Sequence[str]:
        """Return the lineage, or nothing when its one adapter is to be continued."""
        if self.config.carry_over == "merge_then_new" or not lineage:
            return lineage
        deltas = [read_delta(Path(folder)) for folder in lineage]
        if len(deltas) > 1 or deltas[0].weights or not deltas[0].matrices:
            raise DeltaError(
                f"carry_over 'continue' trains one adapter on, the lineage has {len(deltas)} "
                "deltas below this task: use 'merge_then_new', or continue from the stream's "
                "first version."
            )
        self._parent = {matrix.module: matrix for matrix in deltas[0].matrices}
        return ()

    def prepare(self, model: nn.Module, state: MethodState) -> nn.Module:
        """Return the model with its adapters, fresh or as the parent left them."""
        wrapped = super().prepare(model, state)
        if self._parent:
            self._take_over(wrapped)
        return wrapped

    @torch.no_grad()
    def _take_over(self, model: nn.Module) -> None:
        ours = {matrix.module: matrix for matrix in lora_matrices(model)}
        theirs = self._parent
        if different := sorted(ours.keys() ^ theirs.keys()):
            raise DeltaError(
                f"carry_over 'continue' needs the parent's target_modules: {different[0]!r} is "
                f"adapted in {'this task' if different[0] in ours else 'the parent'} only."
            )
        for name, matrix in ours.items():
            parent = theirs[name]
            if (parent.a.shape, parent.b.shape) != (matrix.a.shape, matrix.b.shape):
                raise DeltaError(_unlike(name, tuple(parent.a.shape), tuple(matrix.a.shape)))
            if parent.scale != matrix.scale:
                raise DeltaError(_unlike(name, parent.scale, matrix.scale))
            matrix.a.copy_(parent.a)
            matrix.b.copy_(parent.b)


def _unlike(name: str, parent: object, here: object) -> str:
    return (
        "carry_over 'continue' needs the parent's rank and alpha: (rank, in) or alpha / rank of "
        f"{name!r} is {parent} in the parent, {here} in this task."
    )
