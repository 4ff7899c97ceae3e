"""RegLoRA: LoRA held near zero where earlier tasks of the lineage wrote most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainer.deltas import WholeWeight, write_weights
from trainer.errors import ConfigError, StateError
from trainer.methods.adapter import AdapterMethod
from trainer.methods.base import MethodState, lora_matrices, refuse_unknown_modules
from trainer.methods.configs import RegLoRAConfig
from trainer.methods.protected import (
    Kernel,
    Places,
    kernel_for,
    mean_at_protected,
    num_top,
    top_places,
)
from trainer.modeling import linear_shapes, projector_of
from trainer.spec import BaseModelSpec

MAX_COUNTED_TASKS = 255
"""Counts up to this are exact in every dtype that a gradient is formed in."""
Shapes = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Held:
    """What computes the mean at one matrix's places, and the sum of their counts."""

    kernel: Kernel
    total: float
    device: torch.device


class RegLoRA(AdapterMethod):
    """LoRA whose loss is task loss + coefficient * R (SEFE, arXiv 2505.02486).

    R = 1 / divisor * sum over adapted matrices of the mean of |B A| over a matrix's protected
    places, divisor being the number of adapted matrices unless set; A and B are this task's,
    without the scale alpha / rank. A matrix without protected places counts as zero. With
    multiplicity "concat" the mean weights a place by the number of tasks that chose it.
    """

    name: ClassVar[str] = "reglora"

    def __init__(self, config: RegLoRAConfig) -> None:
        """Train with `config`; nothing is protected before `prepare`.

        `places` are the protected places by module: what is carried from the parent.
        """
        super().__init__(config)
        self.config: RegLoRAConfig = config
        self.places: dict[str, Places] = {}
        self._held: dict[str, Held | None] = {}
        self._projector: dict[str, nn.Parameter] = {}
        self._tasks = 0

    def prepare(self, model: nn.Module, state: MethodState) -> nn.Module:
        """Return the model with adapters; the parent's places are protected from now on.

        Places of matrices that this task does not adapt are kept for later tasks. Raises
        StateError for places that do not fit the base's linear layers or the config, ConfigError
        when `top_percent` is less than one entry of every matrix.
        """
        self._tasks = _tasks_of(state)
        self.places = read_places(state, linear_shapes(model))
        if self.config.multiplicity == "union":
            self.places = {name: places.union() for name, places in self.places.items()}
        else:
            self._refuse_uncountable(state)
        if self.config.train_projector:
            inside = {id(weight) for weight in projector_of(model)}
            named = model.named_parameters()
            self._projector = {name: weight for name, weight in named if id(weight) in inside}
        wrapped = super().prepare(model, state)
        self._refuse_no_places(wrapped)
        for weight in self._projector.values():
            weight.requires_grad_(True)
        return wrapped

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return coefficient * R, a scalar >= 0; None while nothing is protected."""
        if not self.places:
            return None
        terms, num_matrices = [], 0
        for matrix in lora_matrices(model):
            num_matrices += 1
            held = self._holder(matrix.module, matrix.a)
            if held is not None:
                terms.append(mean_at_protected(matrix.a, matrix.b, held.kernel, held.total))
        if not terms:
            return None
        divisor = self.config.divisor or num_matrices
        return self.config.coefficient * torch.stack(terms).sum() / divisor

    def finish(self, model: nn.Module) -> MethodState:
        """Return the lineage's places with this task's largest entries of |B A| added."""
        tensors = {name: it.deflated() for name, it in self.places.items()}
        for matrix in lora_matrices(model):
            chosen = top_places(matrix.a, matrix.b, self.config.top_percent).cpu()
            before = self.places.get(matrix.module) or Places.none(*chosen.shape)
            counts = self.config.multiplicity == "concat"
            places = before.counted(chosen) if counts else before.joined(chosen)
            tensors[matrix.module] = places.deflated()
        return MethodState(
            tensors,
            {
                "method": self.name,
                "multiplicity": self.config.multiplicity,
                "tasks": self._tasks + 1,
                "compression": "zlib",
            },
        )

    def export(self, model: nn.Module, folder: Path, base: BaseModelSpec) -> None:
        """Write a plain PEFT folder and, where it is trained, the projector beside it."""
        super().export(model, folder, base)
        if self._projector:
            whole = {name: WholeWeight(weight) for name, weight in self._projector.items()}
            write_weights(folder, base, whole)

    def _holder(self, module: str, a: Tensor) -> Held | None:
        known = self._held.get(module)
        if module not in self._held or (known is not None and known.device != a.device):
            self._held[module] = known = self._made_holder(module, a)
        return known

    def _made_holder(self, module: str, a: Tensor) -> Held | None:
        places = self.places.get(module)
        total = places.total() if places is not None else 0
        if places is None or total == 0:
            return None
        return Held(kernel_for(places.moved_to(a.device), a), float(total), a.device)

    def _refuse_no_places(self, model: nn.Module) -> None:
        largest = max(it.b.shape[0] * it.a.shape[1] for it in lora_matrices(model))
        if num_top(self.config.top_percent, largest) == 0:
            raise ConfigError(
                f"top_percent {self.config.top_percent} is less than one of the {largest} entries "
                "of the largest adapted matrix: nothing would be protected. Use at least "
                f"100 / {largest}, or method 'lora'."
            )

    def _refuse_uncountable(self, state: MethodState) -> None:
        if state.facts.get("multiplicity", "concat") != "concat":
            raise StateError(
                "multiplicity 'concat' needs counts, and the parent version kept a union only: "
                "use multiplicity 'union' or start a new stream."
            )
        if self._tasks >= MAX_COUNTED_TASKS:
            raise StateError(
                f"multiplicity 'concat' counts up to {MAX_COUNTED_TASKS} tasks, the parent has "
                f"{self._tasks}: use multiplicity 'union' from here on."
            )


def read_places(state: MethodState, shapes: Shapes) -> dict[str, Places]:
    """Return a state's places by module, checked against the (O, I) of the base's linear layers.

    Raises StateError, naming both sides, when they do not fit.
    """
    refuse_unknown_modules(state, shapes)
    return {name: _read(name, it, state, shapes[name]) for name, it in state.tensors.items()}


def _read(name: str, stored: Tensor, state: MethodState, shape: tuple[int, int]) -> Places:
    try:
        return _unpacked(stored, state, shape)
    except ValueError as error:
        raise StateError(
            f"Protected places of {name!r} are {error}; this base's {name!r} is {shape} (out, in)"
            ": the state is damaged or belongs to another base."
        ) from error


def _unpacked(stored: Tensor, state: MethodState, shape: tuple[int, int]) -> Places:
    if state.facts.get("compression") == "zlib" and stored.ndim == 1:
        counted = state.facts.get("multiplicity") == "concat"
        return Places.inflated(stored, shape, _tasks_of(state).bit_length() if counted else 1)
    return Places.of_bits(stored, shape)


def _tasks_of(state: MethodState) -> int:
    tasks = state.facts.get("tasks", 0)
    if type(tasks) is not int or tasks < 0 or (tasks == 0 and state.tensors):
        raise StateError(f"The parent's state says it holds {tasks!r} tasks: it is damaged.")
    return tasks
