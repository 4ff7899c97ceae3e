"""What one task changed, at rest: folders of LoRAs, of whole or sparse weights, of experts.

A delta folder holds any of
- a plain PEFT LoRA (`adapter_config.json`, `adapter_model.safetensors`): added to the weights;
- `weights.json` with `weights.safetensors`: new values of parameters. `full:<parameter>` is a
  whole one; `index:<parameter>` (row-major places, ascending) and `value:<parameter>` are the
  values at some of its places. Values, not differences: what was trained is what is loaded;
- `experts.json` with `experts.safetensors` (see `trainer.experts`): layers added to the model.

A lineage is applied oldest first, in fp32 from the stored base, and cast once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainer.errors import DeltaError
from trainer.experts import EXPERTS_CONFIG, ExpertBundle, read_experts
from trainer.files import write_atomically
from trainer.spec import BaseModelSpec

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
WEIGHTS_CONFIG = "weights.json"
WEIGHTS_FILE = "weights.safetensors"
_PEFT_PREFIX = "base_model.model."


class Change(Protocol):
    """What a delta does to one parameter."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The parameter's shape; () where any will do that has the places."""
        ...

    def applied(self, weight: Tensor) -> Tensor:
        """Return the changed weight; `weight` (fp32) may be changed in place."""
        ...


@dataclass(frozen=True)
class DeltaMatrix:
    """One adapted matrix of a LoRA: the update is `scale * B @ A`.

    `a` has shape (rank, in), `b` (out, rank); `module` is the linear's path in the base model.
    """

    module: str
    a: Tensor
    b: Tensor
    scale: float

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of B A: (out, in)."""
        return self.b.shape[0], self.a.shape[1]

    def applied(self, weight: Tensor) -> Tensor:
        """Return the weight with the update added."""
        return weight.addmm_(self.b.float(), self.a.float(), alpha=self.scale)


@dataclass(frozen=True)
class WholeWeight:
    """A parameter's new value."""

    value: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The value's shape."""
        return tuple(self.value.shape)

    def applied(self, weight: Tensor) -> Tensor:
        """Return the value itself."""
        return self.value.float()


@dataclass(frozen=True)
class SparseWeight:
    """New values at some places: `index` (N) in row-major order, `value` (N)."""

    index: Tensor
    value: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Unknown: ()."""
        return ()

    def applied(self, weight: Tensor) -> Tensor:
        """Return the weight with the values put in their places."""
        places = self.index.long()
        if len(places) and not 0 <= int(places.min()) <= int(places.max()) < weight.numel():
            raise DeltaError(f"places up to {int(places.max())}, the base has {weight.numel()}")
        weight.view(-1)[places] = self.value.float()
        return weight


@dataclass(frozen=True)
class Delta:
    """One task's changes: a LoRA's matrices, new weights by parameter name, experts."""

    matrices: tuple[DeltaMatrix, ...] = ()
    weights: Mapping[str, WholeWeight | SparseWeight] | None = None
    experts: ExpertBundle | None = None

    def changes(self) -> Iterator[tuple[str, Change]]:
        """Yield (parameter name, change) in the order of application: a LoRA lies on weights."""
        yield from (self.weights or {}).items()
        for matrix in self.matrices:
            yield f"{matrix.module}.weight", matrix


def read_delta(folder: Path, base: BaseModelSpec | None = None) -> Delta:
    """Return what a delta folder holds; with `base`, what names another base is refused.

    Raises DeltaError for a folder that holds nothing of the kind or cannot be read.
    """
    try:
        if base is not None:
            refuse_foreign(folder, base)
        weights = _read_weights(folder) if (folder / WEIGHTS_CONFIG).exists() else None
        experts = read_experts(folder) if (folder / EXPERTS_CONFIG).exists() else None
        expected = weights is None and experts is None
        matrices = read_lora(folder) if expected or (folder / ADAPTER_CONFIG).exists() else ()
        return Delta(matrices, weights, experts)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DeltaError(
            f"Cannot read the delta {folder.name!r} of the lineage: {error}"
        ) from error


def read_lora(folder: Path) -> tuple[DeltaMatrix, ...]:
    """Return the matrices of a plain PEFT LoRA folder; raises DeltaError for anything else."""
    config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    special = ("use_dora", "rank_pattern", "alpha_pattern")
    if config.get("peft_type") != "LORA" or any(config.get(key) for key in special):
        raise DeltaError(f"Adapter {folder.name!r} is no plain LoRA: only these can be summed up.")
    rank = config["r"]
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    matrices = []
    for key, a in tensors.items():
        if key.endswith(".lora_A.weight"):
            stem = key.removesuffix(".lora_A.weight")
            module = stem.removeprefix(_PEFT_PREFIX)
            matrices.append(DeltaMatrix(module, a, tensors[f"{stem}.lora_B.weight"], scale))
    return tuple(matrices)


def write_weights(
    folder: Path, base: BaseModelSpec, weights: Mapping[str, WholeWeight | SparseWeight]
) -> None:
    """Write new weights by parameter name as `weights.safetensors` and `weights.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if isinstance(weight, WholeWeight):
            tensors[f"full:{name}"] = weight.value.detach().cpu().contiguous()
        else:
            tensors[f"index:{name}"] = weight.index.cpu().contiguous()
            tensors[f"value:{name}"] = weight.value.detach().cpu().contiguous()
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    facts = {"format": "retain-weights", "schema_version": 1, "base": base_name(base)}
    write_atomically(folder / WEIGHTS_CONFIG, json.dumps(facts, indent=1, sort_keys=True) + "\n")


def base_name(base: BaseModelSpec) -> str:
    """Return how deltas name their base: source and digest, never a folder."""
    return f"{base.source}#{base.digest}"


_BASE_KEYS = {
    ADAPTER_CONFIG: "base_model_name_or_path",
    WEIGHTS_CONFIG: "base",
    EXPERTS_CONFIG: "base",
}


def refuse_foreign(folder: Path, base: BaseModelSpec) -> None:
    """Raise DeltaError, naming both, for a readable delta folder that names another base."""
    for file, key in _BASE_KEYS.items():
        if (folder / file).exists():
            named = json.loads((folder / file).read_text(encoding="utf-8")).get(key) or ""
            if "#" in named and named != base_name(base):  # without: made elsewhere, or composed
                raise DeltaError(
                    f"The delta in {folder.name!r} belongs to the base {named}, this task trains "
                    f"{base_name(base)}: continue on the base it was made from."
                )


def _read_weights(folder: Path) -> dict[str, WholeWeight | SparseWeight]:
    facts: dict[str, Any] = json.loads((folder / WEIGHTS_CONFIG).read_text(encoding="utf-8"))
    if facts.get("format") != "retain-weights":
        raise DeltaError(f"{WEIGHTS_CONFIG} of {folder.name!r} has format {facts.get('format')!r}.")
    found: dict[str, WholeWeight | SparseWeight] = {}
    tensors = load_file(folder / WEIGHTS_FILE)
    for key, tensor in tensors.items():
        form, _, name = key.partition(":")
        if form == "full":
            found[name] = WholeWeight(tensor)
        elif form == "index":
            found[name] = SparseWeight(tensor, tensors[f"value:{name}"])
    return found


@torch.no_grad()
def composed(model: nn.Module, deltas: Sequence[Delta], dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the parameters that the deltas change, by name, as `dtype`; the model stays.

    Raises DeltaError for a parameter that the model lacks or that has another shape.
    """
    changes: dict[str, list[Change]] = {}
    for delta in deltas:
        for name, change in delta.changes():
            if isinstance(change, WholeWeight):
                changes[name] = []  # what came before is overwritten
            changes.setdefault(name, []).append(change)
    return {name: _changed(model, name, steps).to(dtype) for name, steps in changes.items()}


def _changed(model: nn.Module, name: str, steps: Sequence[Change]) -> Tensor:
    weight = _parameter(model, name).detach().float().clone()
    wanted = tuple(weight.shape)
    for step in steps:
        if step.shape not in ((), wanted):
            raise DeltaError(f"Delta of {name!r} is {step.shape}, the base has {wanted}.")
        try:
            weight = step.applied(weight)
        except DeltaError as error:
            raise DeltaError(f"Delta of {name!r} does not fit: {error}.") from error
    return weight


def _parameter(model: nn.Module, name: str) -> Tensor:
    try:
        return model.get_parameter(name)
    except AttributeError:
        raise DeltaError(f"The lineage changes {name!r}, which the base does not have.") from None
