"""A linear layer with several low-rank experts and a router, and such layers at rest.

At rest: `experts.json` (rank, alpha, experts) and `experts.safetensors` with, per module of the
base, `<module>.lora_A` (rank, in), `<module>.lora_B` (out, rank) and `<module>.router`
(experts, in). Expert i owns rows i*rank/experts up to (i+1)*rank/experts of A, the same columns
of B. The gate depends on the token, so none of this merges into weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainer.errors import DeltaError
from trainer.files import write_atomically

EXPERTS_CONFIG = "experts.json"
EXPERTS_FILE = "experts.safetensors"


@dataclass(frozen=True)
class ExpertShape:
    """Total rank, alpha, and how many experts share the rank; the scale is alpha / rank."""

    rank: int
    alpha: float
    experts: int


@dataclass(frozen=True)
class ExpertBundle:
    """The experts of one version: tensors by key as at rest."""

    shape: ExpertShape
    tensors: Mapping[str, Tensor]

    def modules(self) -> list[str]:
        """Return the paths of the adapted linear layers, in order."""
        return [key.removesuffix(".router") for key in self.tensors if key.endswith(".router")]


class ExpertLinear(nn.Module):
    """`W x + alpha / rank * sum_i g_i B_i A_i drop(x)`, g = softmax(R x) over the experts.

    One stacked product per side: the rank's blocks are scaled by g in between. `linear` keeps
    W; `router` is R (experts, in), `lora_A` (rank, in) and `lora_B` (out, rank).
    """

    def __init__(self, linear: nn.Linear, shape: ExpertShape, dropout: float = 0.0) -> None:
        """Wrap `linear`; A is drawn from N(0, 0.01^2), B is zero, R as torch draws a Linear."""
        super().__init__()
        made: dict[str, Any] = {"device": linear.weight.device, "dtype": linear.weight.dtype}
        self.linear = linear
        self.shape = shape
        self.dropout = nn.Dropout(dropout)
        self.router = nn.Linear(linear.in_features, shape.experts, bias=False, **made)
        self.lora_A = nn.Linear(linear.in_features, shape.rank, bias=False, **made)
        self.lora_B = nn.Linear(shape.rank, linear.out_features, bias=False, **made)
        nn.init.normal_(self.lora_A.weight, std=0.01)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output; every expert runs for every token."""
        wide = torch.promote_types(x.dtype, torch.float32)
        gate = self.router(x).softmax(dim=-1, dtype=wide).to(x.dtype)
        ranks = gate.repeat_interleave(self.shape.rank // self.shape.experts, dim=-1)
        low = self.lora_A(self.dropout(x)) * ranks
        scale = self.shape.alpha / self.shape.rank
        output: Tensor = self.linear(x) + scale * self.lora_B(low)
        return output

    def factors(self) -> dict[str, Tensor]:
        """Return what is trained, by the last part of its key at rest."""
        return {
            "lora_A": self.lora_A.weight,
            "lora_B": self.lora_B.weight,
            "router": self.router.weight,
        }


def expert_layers(model: nn.Module) -> Iterator[tuple[str, ExpertLinear]]:
    """Yield the layers with experts by their path in the base, in the model's order."""
    for name, module in model.named_modules():
        if isinstance(module, ExpertLinear):
            yield name, module


def add_experts(model: nn.Module, name: str, shape: ExpertShape, dropout: float = 0.0) -> None:
    """Put an `ExpertLinear` in the place of the linear layer `name`."""
    parent, _, leaf = name.rpartition(".")
    linear = model.get_submodule(name)
    if not isinstance(linear, nn.Linear):
        raise DeltaError(f"The lineage gives experts to {name!r}, which is no linear layer.")
    setattr(model.get_submodule(parent), leaf, ExpertLinear(linear, shape, dropout))


def write_experts(folder: Path, model: nn.Module, base: str) -> None:
    """Write the model's experts; `base` names the base by source and digest."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors, shapes = {}, set()
    for name, layer in expert_layers(model):
        shapes.add(layer.shape)
        for key, weight in layer.factors().items():
            tensors[f"{name}.{key}"] = weight.detach().cpu().contiguous()
    (shape,) = shapes
    save_file(tensors, folder / EXPERTS_FILE, metadata={"format": "pt"})
    facts = {"format": "retain-experts", "schema_version": 1, "base": base}
    facts |= {"rank": shape.rank, "alpha": shape.alpha, "experts": shape.experts}
    write_atomically(folder / EXPERTS_CONFIG, json.dumps(facts, indent=1, sort_keys=True) + "\n")


def read_experts(folder: Path) -> ExpertBundle:
    """Return a folder's experts; raises OSError, ValueError or KeyError when it cannot be read."""
    facts: dict[str, Any] = json.loads((folder / EXPERTS_CONFIG).read_text(encoding="utf-8"))
    if facts.get("format") != "retain-experts":
        raise DeltaError(f"{EXPERTS_CONFIG} of {folder.name!r} has format {facts.get('format')!r}.")
    shape = ExpertShape(int(facts["rank"]), float(facts["alpha"]), int(facts["experts"]))
    return ExpertBundle(shape, load_file(folder / EXPERTS_FILE))


def install_experts(model: nn.Module, bundle: ExpertBundle) -> None:
    """Give the model the bundle's experts, frozen; raises DeltaError when they do not fit."""
    for name in bundle.modules():
        try:
            add_experts(model, name, bundle.shape)
        except AttributeError:
            raise DeltaError(f"The base has no {name!r}, which the lineage adapts.") from None
    load_experts(model, bundle)
    for _, layer in expert_layers(model):
        layer.requires_grad_(False)


@torch.no_grad()
def load_experts(model: nn.Module, bundle: ExpertBundle) -> None:
    """Copy the bundle into the model's experts; raises DeltaError for another shape."""
    for name, layer in expert_layers(model):
        for key, weight in layer.factors().items():
            stored = bundle.tensors[f"{name}.{key}"]
            if stored.shape != weight.shape:
                raise DeltaError(
                    f"Experts of {name!r} have {key} {tuple(stored.shape)}, the base needs "
                    f"{tuple(weight.shape)}."
                )
            weight.copy_(stored)
