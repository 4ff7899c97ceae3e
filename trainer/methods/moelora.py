"""MoELoRA: low-rank experts with a router per layer, trained on through all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from torch import nn

from trainer.deltas import base_name, read_delta
from trainer.errors import DeltaError
from trainer.experts import (
    ExpertBundle,
    ExpertShape,
    add_experts,
    expert_layers,
    load_experts,
    write_experts,
)
from trainer.methods.base import Method, MethodState
from trainer.methods.configs import MoELoRAConfig
from trainer.modeling import find_targets
from trainer.spec import BaseModelSpec


class MoELoRA(Method):
    """Experts under a token-wise softmax gate (CoIN, arXiv 2403.08350).

        y = W x + alpha / rank * sum_i g_i B_i A_i x,    g = softmax(R x)

    E experts of rank `rank` / E each, R (E, in) without bias, A from N(0, 0.01^2), B zero; no
    top-k, no balancing loss, no task id. Experts and routers simply go on from task to task, so
    a version's experts stand for all tasks below it.
    """

    name: ClassVar[str] = "moelora"

    def __init__(self, config: MoELoRAConfig) -> None:
        """Train with `config`."""
        self.config = config
        self._shape = ExpertShape(config.rank, config.alpha, config.experts)
        self._parent: ExpertBundle | None = None

    def inherit(self, lineage: Sequence[str]) -> Sequence[str]:
        """Return nothing: the lineage's one bundle of experts is trained on."""
        if not lineage:
            return lineage
        deltas = [read_delta(Path(folder)) for folder in lineage]
        self._parent = deltas[0].experts
        if len(deltas) > 1 or self._parent is None:
            raise DeltaError(
                f"moelora trains its parent's experts on, the lineage has {len(deltas)} deltas "
                "below this task of which the first holds "
                f"{'experts' if self._parent else 'none'}: use a stream of moelora's own."
            )
        if self._parent.shape != self._shape:
            raise DeltaError(
                f"The parent's experts have {self._parent.shape}, this task asks for "
                f"{self._shape}: moelora goes on with the same rank, alpha and experts."
            )
        return ()

    def prepare(self, model: nn.Module, state: MethodState) -> nn.Module:
        """Return the model with experts on its targets, fresh or the parent's, all else frozen."""
        targets = find_targets(model, self.config.target_modules)
        for name in targets:
            add_experts(model, name, self._shape, self.config.dropout)
        if self._parent is not None:
            if different := sorted(set(targets) ^ set(self._parent.modules())):
                raise DeltaError(
                    "moelora goes on with the parent's target_modules: "
                    f"{different[0]!r} has experts in "
                    f"{'this task' if different[0] in targets else 'the parent'} only."
                )
            load_experts(model, self._parent)
        for _, layer in expert_layers(model):
            for weight in layer.factors().values():
                weight.requires_grad_(True)
        return model

    def finish(self, model: nn.Module) -> MethodState:
        """Return a state without tensors: the experts themselves carry on."""
        return MethodState(facts={"method": self.name})

    def export(self, model: nn.Module, folder: Path, base: BaseModelSpec) -> None:
        """Write all experts and routers."""
        write_experts(folder, model, base_name(base))
