"""O-LoRA: LoRA whose input directions stay orthogonal to those of earlier tasks."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from trainer.errors import StateError
from trainer.methods.adapter import AdapterMethod
from trainer.methods.base import MethodState, lora_matrices, refuse_unknown_modules
from trainer.methods.configs import OLoRAConfig
from trainer.modeling import linear_shapes


class OLoRA(AdapterMethod):
    """LoRA whose loss is task loss + lambda_1 * O + lambda_2 * N (arXiv 2310.14152).

    With P (R_past, in) the stacked A of all earlier tasks of a matrix and A (rank, in), B
    (out, rank) this task's, all without the scale alpha / rank,

        O = sum over matrices of  sum_jk (P A^T)[j, k]^2      ("absolute": |(P A^T)[j, k]|)
        N = sum over matrices of  ||A||_2 + ||B||_2           (Frobenius norms, not squared)

    Earlier updates are part of the frozen weights; their A is kept for the penalty alone.
    """

    name: ClassVar[str] = "olora"

    def __init__(self, config: OLoRAConfig) -> None:
        """Train with `config`; there is no past before `prepare`."""
        super().__init__(config)
        self.config: OLoRAConfig = config
        self._past: dict[str, Tensor] = {}

    def prepare(self, model: nn.Module, state: MethodState) -> nn.Module:
        """Return the model with adapters, the earlier tasks' A at hand.

        Raises StateError for an A of a module, or of a width, that the base does not have.
        """
        shapes = linear_shapes(model)
        refuse_unknown_modules(state, shapes)
        for name, past in state.tensors.items():
            _check_width(name, past, shapes[name][1])
        self._past = dict(state.tensors)
        return super().prepare(model, state)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return lambda_1 * O + lambda_2 * N, a scalar >= 0; None when there is neither."""
        terms = []
        for matrix in lora_matrices(model):
            past = self._past.get(matrix.module)
            if past is not None and self.config.orthogonality:
                if past.device != matrix.a.device:
                    past = self._past[matrix.module] = past.to(matrix.a.device)
                terms.append(self.config.orthogonality * self._overlap(past, matrix.a))
            if self.config.l2:
                norms = [_wide(factor).norm() for factor in (matrix.a, matrix.b)]
                terms.append(self.config.l2 * torch.stack(norms).sum())
        return torch.stack(terms).sum() if terms else None

    def _overlap(self, past: Tensor, a: Tensor) -> Tensor:
        wide = _wide(a)
        product = past.to(wide.dtype) @ wide.T
        return product.square().sum() if self.config.form == "squared" else product.abs().sum()

    def finish(self, model: nn.Module) -> MethodState:
        """Return all tasks' A by module, stacked on the rank, this task's last."""
        tensors = {name: past.cpu() for name, past in self._past.items()}
        for matrix in lora_matrices(model):
            own = matrix.a.detach().cpu()
            past = tensors.get(matrix.module)
            tensors[matrix.module] = own if past is None else torch.cat([past, own])
        return MethodState(tensors, {"method": self.name})


def _wide(factor: Tensor) -> Tensor:
    """Return a copy in fp32 (fp64 stays): ZeRO-3 may empty a parameter before backward."""
    return factor.clone() if factor.dtype == torch.float64 else factor.float().clone()


def _check_width(name: str, past: Tensor, width: int) -> None:
    if past.ndim != 2 or past.shape[1] != width or not past.is_floating_point():
        raise StateError(
            f"The past A of {name!r} is {past.dtype} {tuple(past.shape)}, this base needs floats "
            f"(ranks, {width}): the state belongs to another base."
        )
