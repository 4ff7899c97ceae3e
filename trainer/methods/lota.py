"""LoTA: train only the few places that a calibration run moved most, never one twice."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trainer.deltas import SparseWeight, write_weights
from trainer.distributed import master_weight
from trainer.errors import ConfigError, NonFiniteLoss, StateError
from trainer.methods.base import Method, MethodState, refuse_unknown_modules
from trainer.methods.configs import LoTAConfig
from trainer.methods.protected import Places, pack, unpack
from trainer.modeling import find_targets, linear_shapes
from trainer.spec import BaseModelSpec, Hyperparameters

_LARGEST_BITS = 0x7F80_0000  # of fp32 infinity: finite magnitudes have smaller ones


class LoTA(Method):
    """Lottery ticket adaptation, sequential (LoTA and LoTTO, arXiv 2406.16797).

    With N entries in all target matrices together and U the places that earlier tasks used:
    1. calibrate: fine-tune w to wF, the places in U held; delta = wF - w in fp32;
    2. extract: m = the (1 - rho) N places outside U with the largest |delta|, over all
       matrices at once (fewer, if fewer moved);
    3. rewind to w and train again with every gradient multiplied by m;
    4. U becomes the union of U and m.
    """

    name: ClassVar[str] = "lota"

    def __init__(self, config: LoTAConfig) -> None:
        """Train with `config`."""
        self.config = config
        self._used: dict[str, Tensor] = {}
        self._start: dict[str, Tensor] = {}
        self._mask: dict[str, Tensor] | None = None

    def calibration(self, hyperparameters: Hyperparameters) -> Hyperparameters | None:
        """Return the task's hyper-parameters with the calibration's epochs and rate."""
        update: dict[str, float] = {"epochs": self.config.calibration_epochs}
        if self.config.calibration_learning_rate is not None:
            update["learning_rate"] = self.config.calibration_learning_rate
        return hyperparameters.model_copy(update=update)

    def prepare(self, model: nn.Module, state: MethodState) -> nn.Module:
        """Return the model with its target matrices trainable, all else frozen.

        Raises StateError for used places of a matrix that the base does not have, ConfigError
        for a sparsity that leaves no place at all.
        """
        shapes = linear_shapes(model)
        refuse_unknown_modules(state, shapes)
        for name, bits in state.tensors.items():
            _check_bits(name, bits, shapes[name])
        targets = find_targets(model, self.config.target_modules)
        self._refuse_no_places(sum(prod(shapes[name]) for name in targets))
        for name in targets:
            weight = _weight(model, name).requires_grad_(True)
            if self._mask is None:
                self._start[name] = weight.detach().clone()
        self._used = dict(state.tensors)
        return model

    def mask_gradients(self, model: nn.Module) -> None:
        """Let gradients through outside U while calibrating, at the extracted places after."""
        if self._mask is not None:
            for name, bits in self._mask.items():
                _keep_at(_weight(model, name), bits)
            return
        for name in self._start.keys() & self._used.keys():
            _keep_at(_weight(model, name), ~self._used[name])

    def calibrated(self, model: nn.Module) -> None:
        """Extract the places of this task.

        Raises StateError when no free place moved, NonFiniteLoss when weights are NaN or infinite.
        """
        moved = {}
        for name in list(self._start):
            start = self._start.pop(name).float()  # one by one: there is no room for all twice
            moved[name] = start.sub_(master_weight(_weight(model, name)).cpu()).abs_()
        if not all(bool(it.isfinite().all()) for it in moved.values()):
            raise NonFiniteLoss(
                "The calibration left weights that are NaN or infinite. Use a lower "
                "calibration_learning_rate."
            )
        wanted = self._num_places(sum(it.numel() for it in moved.values()))
        self._mask = {name: pack(mask) for name, mask in largest(moved, wanted).items()}
        if not any(bool(bits.any()) for bits in self._mask.values()):
            raise StateError(
                "The calibration moved no free place: earlier tasks use all of them, or its "
                "learning rate or its length is too small. Use a higher sparsity in a new stream, "
                "a higher calibration_learning_rate, or more calibration_epochs."
            )

    def _num_places(self, entries: int) -> int:
        return round((1 - self.config.sparsity) * entries)

    def _refuse_no_places(self, entries: int) -> None:
        if self._num_places(entries) == 0:
            raise ConfigError(
                f"sparsity {self.config.sparsity} leaves none of the {entries} entries of the "
                f"target matrices to train: use at most 1 - 1 / {entries}."
            )

    def finish(self, model: nn.Module) -> MethodState:
        """Return U, this task's places included, as packed bits by module."""
        tensors = dict(self._used)
        assert self._mask is not None, "finish comes after calibrated"
        kept = entries = 0
        for name, bits in self._mask.items():
            tensors[name] = bits | tensors[name] if name in tensors else bits
            mask = unpack(bits, _weight(model, name).shape[1])
            kept, entries = kept + int(mask.sum()), entries + mask.numel()
        density = kept / entries
        return MethodState(tensors, {"method": self.name, "density": density})

    def export(self, model: nn.Module, folder: Path, base: BaseModelSpec) -> None:
        """Write the values at this task's places, per matrix."""
        assert self._mask is not None, "export comes after calibrated"
        weights = {}
        for name, bits in self._mask.items():
            weight = _weight(model, name).detach().cpu()
            index = unpack(bits, weight.shape[1]).flatten().nonzero().flatten()
            value = weight.flatten()[index]
            kind = torch.int32 if weight.numel() < 2**31 else torch.int64
            weights[f"{name}.weight"] = SparseWeight(index.to(kind), value)
        write_weights(folder, base, weights)


def largest(values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return boolean masks of the `count` largest values of all tensors (fp32, >= 0) together.

    Zeros are never chosen; of equal values the first are, in the mapping's and row-major
    order. The threshold is found by bisection on the bits of the values, which order as the
    values do: exact, and no copy of everything at once.
    """
    low, high = 0, _LARGEST_BITS  # at least `count` values have bits >= low, fewer have >= high
    while high - low > 1:
        middle = (low + high) // 2
        if _count(values, middle) >= count:
            low = middle
        else:
            high = middle
    left = count - _count(values, low + 1)  # so many of the values that equal the threshold
    masks = {}
    for name, value in values.items():
        bits = value.view(torch.int32)
        masks[name] = bits > low
        if low > 0 and left > 0:
            ties = (bits == low).flatten().nonzero().flatten()[:left]
            masks[name].view(-1)[ties] = True
            left -= len(ties)
    return masks


def _count(values: Mapping[str, Tensor], bits: int) -> int:
    return sum(int((value.view(torch.int32) >= bits).sum()) for value in values.values())


def _keep_at(weight: Tensor, bits: Tensor) -> None:
    held = [bits]

    def keep(gradient: Tensor) -> Tensor:
        held[0] = held[0].to(gradient.device)  # once: it stays there, an eighth of a byte an entry
        return gradient * unpack(held[0], gradient.shape[1])

    register: Any = weight.register_hook
    register(keep)


def _weight(model: nn.Module, name: str) -> nn.Parameter:
    return model.get_parameter(f"{name}.weight")


def _check_bits(name: str, bits: Tensor, shape: tuple[int, int]) -> None:
    try:
        Places.of_bits(bits, shape)
    except ValueError as error:
        raise StateError(
            f"Used places of {name!r} are {error}; this base's {name!r} is {shape} (out, in): the "
            "state is damaged or belongs to another base."
        ) from error
