"""O-LoRA's penalty against the dense formula, and the past that it carries."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from trainer.methods.base import Method, MethodState, build_method, lora_matrices
from trainer.modeling import load_base
from trainer.spec import BaseModelSpec


def _prepared(base: BaseModelSpec, state: MethodState, seed: int, **config: Any) -> Any:
    method = build_method("olora", {"rank": 3, "alpha": 6.0, **config})
    model = method.prepare(load_base(base, dtype=torch.float64), state).double()
    generator = torch.Generator().manual_seed(seed)
    for matrix in lora_matrices(model):
        for factor in (matrix.a, matrix.b):
            factor.data = torch.randn(factor.shape, generator=generator, dtype=torch.float64)
    return method, model


def _dense(model: Any, past: dict[str, Tensor], form: str, first: float, second: float) -> Tensor:
    """O and N entry by entry, as the paper and its code write them."""
    value = torch.zeros((), dtype=torch.float64)
    for matrix in lora_matrices(model):
        for old in past.get(matrix.module, torch.zeros(0, 1)):
            for new in matrix.a:
                inner = (old * new).sum()
                value = value + first * (inner**2 if form == "squared" else inner.abs())
        for factor in (matrix.a, matrix.b):
            value = value + second * (factor**2).sum().sqrt()
    return value


@pytest.mark.parametrize("form", ["squared", "absolute"])
def test_value_and_gradients_equal_the_dense_formula(tiny_base: BaseModelSpec, form: str) -> None:
    state = MethodState()
    for seed in (1, 2):  # two tasks below: their A are stacked
        method, model = _prepared(tiny_base, state, seed)
        state = method.finish(model)
    config = {"orthogonality": 0.7, "l2": 0.3, "form": form}
    method, model = _prepared(tiny_base, state, 3, **config)
    factors = [it for matrix in lora_matrices(model) for it in (matrix.a, matrix.b)]

    penalty = method.penalty(model)
    expected = _dense(model, state.tensors, form, 0.7, 0.3)

    assert penalty.item() == pytest.approx(expected.item(), rel=1e-9)
    ours = torch.autograd.grad(penalty, factors)
    theirs = torch.autograd.grad(expected, factors)
    for got, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-9)
        assert wanted.abs().max() > 0


def test_the_past_is_stacked_oldest_first(tiny_base: BaseModelSpec) -> None:
    method, model = _prepared(tiny_base, MethodState(), 1)
    first = method.finish(model)
    second_method, second_model = _prepared(tiny_base, first, 2)
    both = second_method.finish(second_model)

    for matrix in lora_matrices(second_model):
        wanted = torch.cat([first.tensors[matrix.module], matrix.a.detach()])
        assert torch.equal(both.tensors[matrix.module], wanted)


def test_without_a_past_only_l2_is_left(tiny_base: BaseModelSpec) -> None:
    def penalty(**config: float) -> Tensor | None:
        method: Method
        method, model = _prepared(tiny_base, MethodState(), 1, **config)
        return method.penalty(model)

    assert penalty(l2=0.0) is None
    weighed = penalty(l2=0.5)
    assert weighed is not None
    assert weighed > 0


def test_orthogonal_directions_cost_nothing(tiny_base: BaseModelSpec) -> None:
    method, model = _prepared(tiny_base, MethodState(), 1)
    for matrix in lora_matrices(model):
        matrix.a.data = torch.eye(3, matrix.a.shape[1], dtype=torch.float64)
    method, model = _prepared(tiny_base, method.finish(model), 2)
    for matrix in lora_matrices(model):
        matrix.a.data = torch.eye(6, matrix.a.shape[1], dtype=torch.float64)[3:]

    assert method.penalty(model) == 0
