"""RegLoRA: LoRA held near zero where earlier tasks of the lineage wrote most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainer.errors import StateError
from trainer.methods.base import LoRAMatrix, MethodState, lora_matrices
from trainer.methods.configs import RegLoRAConfig
from trainer.methods.lora import LoRA
from trainer.methods.protected import count_again, mean_at_protected, pack, top_places, unpack


@dataclass(frozen=True)
class Places:
    """The protected places of one matrix (O, I): packed bits ("union") or counters ("concat")."""

    stored: Tensor
    width: int
    counted: bool
    total: float

    @staticmethod
    def of(stored: Tensor, width: int, *, counted: bool) -> Places:
        """Return the places with their total weight computed, which is 0 for none."""
        dense = stored if counted else unpack(stored, width)
        return Places(stored, width, counted, float(dense.sum(dtype=torch.int64)))

    def weights(self, first: int, last: int) -> Tensor:
        """Return how often each place in rows `first` to before `last` was chosen."""
        rows = self.stored[first:last]
        return rows if self.counted else unpack(rows, self.width)

    def moved_to(self, device: torch.device) -> Places:
        """Return the same places on another device."""
        return Places(self.stored.to(device), self.width, self.counted, self.total)


class RegLoRA(LoRA):
    """LoRA whose loss is task loss + coefficient * R (SEFE, arXiv 2505.02486).

    R is the mean over all adapted matrices of the mean of |B A| over a matrix's protected
    places; A and B are this task's, without the scale alpha / rank. A matrix without protected
    places counts as zero. With multiplicity "concat" the inner mean weights a place by the
    number of tasks that chose it.
    """

    name: ClassVar[str] = "reglora"

    def __init__(self, config: RegLoRAConfig) -> None:
        """Train with `config`; nothing is protected before `prepare`."""
        super().__init__(config)
        self.config: RegLoRAConfig = config
        self._places: dict[str, Places] = {}
        self._tasks = 0

    def prepare(self, model: nn.Module, state: MethodState) -> nn.Module:
        """Return the model with adapters; the parent's places are protected from now on."""
        wrapped = super().prepare(model, state)
        counted = self.config.multiplicity == "concat"
        stored_as = state.facts.get("multiplicity", self.config.multiplicity)
        if stored_as == "union" and counted:
            raise StateError(
                "multiplicity 'concat' needs counts, and the parent version kept a union only: "
                "use multiplicity 'union' or start a new stream."
            )
        self._tasks = int(state.facts.get("tasks", 0))
        for matrix in lora_matrices(wrapped):
            stored = state.tensors.get(matrix.module)
            if stored is not None:
                if stored_as == "concat" and not counted:
                    stored = pack(stored > 0)
                self._places[matrix.module] = _checked(matrix, stored, counted=counted)
        return wrapped

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return coefficient * R, a scalar >= 0; None while nothing is protected."""
        if not self._places:
            return None
        terms, num_matrices = [], 0
        for matrix in lora_matrices(model):
            num_matrices += 1
            places = self._places.get(matrix.module)
            if places is None or not places.total:
                continue
            if places.stored.device != matrix.a.device:
                places = self._places[matrix.module] = places.moved_to(matrix.a.device)
            terms.append(mean_at_protected(matrix.a, matrix.b, places.weights, places.total))
        if not terms:
            return None
        return self.config.coefficient * torch.stack(terms).sum() / num_matrices

    def finish(self, model: nn.Module) -> MethodState:
        """Return the lineage's places with this task's largest entries of |B A| added."""
        tensors = {name: places.stored.cpu() for name, places in self._places.items()}
        for matrix in lora_matrices(model):
            chosen = top_places(matrix.a, matrix.b, self.config.top_percent).cpu()
            before = tensors.get(matrix.module)
            if self.config.multiplicity == "concat":
                earlier = torch.zeros_like(chosen, dtype=torch.uint8) if before is None else before
                tensors[matrix.module] = count_again(earlier, chosen)
            else:
                bits = pack(chosen)
                tensors[matrix.module] = bits if before is None else bits | before
        facts = {
            "method": self.name,
            "multiplicity": self.config.multiplicity,
            "tasks": self._tasks + 1,
        }
        return MethodState(tensors, facts)


def _checked(matrix: LoRAMatrix, stored: Tensor, *, counted: bool) -> Places:
    out, width = matrix.b.shape[0], matrix.a.shape[1]
    wanted = (out, width) if counted else (out, -(-width // 8))
    if tuple(stored.shape) != wanted or stored.dtype != torch.uint8:
        raise StateError(
            f"Protected places of {matrix.module!r} are {stored.dtype} {tuple(stored.shape)}, "
            f"this base needs uint8 {wanted}: the state belongs to another base."
        )
    return Places.of(stored, width, counted=counted)
