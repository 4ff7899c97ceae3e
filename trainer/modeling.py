"""The base model: loading it, finding what can be adapted, adding up a lineage."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from trainer.errors import DeltaError, InputError, TargetError
from trainer.spec import BaseModelSpec

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True)
class DeltaMatrix:
    """One adapted matrix of a LoRA: the update is `scale * B @ A`.

    `a` has shape (rank, in), `b` (out, rank); `module` is the linear's path in the base model.
    """

    module: str
    a: Tensor
    b: Tensor
    scale: float


def load_base(base: BaseModelSpec, *, dtype: torch.dtype, lineage: Sequence[str] = ()) -> Any:
    """Return the base with its lineage added up, frozen, in eval mode, as `dtype`, on the CPU.

    Every adapted weight is `W + sum(scale * B @ A)`, summed in fp32 from the stored weight,
    oldest delta first, and cast once. Code from the model's folder is never executed, pickled
    weights are never read.
    Raises InputError when the base does not load, DeltaError when a delta does not fit.
    """
    from transformers import AutoModelForImageTextToText

    try:
        model: Any = AutoModelForImageTextToText.from_pretrained(
            _location(base), revision=base.revision, dtype="auto",
            use_safetensors=True, trust_remote_code=False,
        )  # fmt: skip
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"Cannot load base model {base.source!r}: {error}") from error
    composed = _compose(model, [read_delta(Path(folder)) for folder in lineage], dtype)
    model.requires_grad_(False)
    model.to(dtype)  # composed weights already have it
    for name, weight in composed.items():
        model.get_submodule(name).weight = nn.Parameter(weight, requires_grad=False)
    return model.eval()


def load_processor(base: BaseModelSpec) -> Any:
    """Return the base's processor (chat template, tokenizer, image processor).

    Raises InputError when it is missing, has no chat template or no fast tokenizer.
    """
    from transformers import AutoProcessor

    load: Any = AutoProcessor.from_pretrained
    try:
        processor = load(_location(base), revision=base.revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot load the processor of {base.source!r}: {error}") from error
    if not getattr(processor, "chat_template", None):
        raise InputError(f"The processor of {base.source!r} has no chat template; add one to it.")
    if not processor.tokenizer.is_fast:
        raise InputError(f"{base.source!r} has a slow tokenizer; convert it to tokenizer.json.")
    return processor


def _location(base: BaseModelSpec) -> str:
    return base.path if Path(base.path).is_dir() else base.source


def find_targets(model: Any, requested: Sequence[str] | None) -> list[str]:
    """Return the paths of the linear layers to adapt, in the model's order.

    Default: every `nn.Linear` inside the language model; vision tower, projector and the
    output head stay out. A requested name is a path or the end of one ("q_proj"); it is looked
    up in the language model first, and elsewhere only when nothing there fits.
    Raises TargetError for a name that fits no linear layer.
    """
    linears = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    head = model.get_output_embeddings()
    linears = [name for name in linears if model.get_submodule(name) is not head]
    inside = {id(module) for module in model.get_decoder().modules()}
    language = [name for name in linears if id(model.get_submodule(name)) in inside]
    if requested is None:
        return language
    chosen: set[str] = set()
    for wanted in requested:
        fits = _matching(language, wanted) or _matching(linears, wanted)
        if not fits:
            endings = ", ".join(sorted({name.rpartition(".")[2] for name in linears}))
            raise TargetError(f"target_modules: no linear layer fits {wanted!r}. Use: {endings}.")
        chosen.update(fits)
    return [name for name in linears if name in chosen]


def _matching(names: Iterable[str], wanted: str) -> list[str]:
    return [name for name in names if name == wanted or name.endswith(f".{wanted}")]


def read_delta(folder: Path) -> list[DeltaMatrix]:
    """Return the matrices of a plain PEFT LoRA folder; raises DeltaError for anything else."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise DeltaError(
            f"Cannot read the adapter {folder.name!r} of the lineage: {error}"
        ) from error
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
    return matrices


@torch.no_grad()
def _compose(
    model: nn.Module, deltas: Sequence[list[DeltaMatrix]], dtype: torch.dtype
) -> dict[str, Tensor]:
    by_module: dict[str, list[DeltaMatrix]] = {}
    for delta in deltas:
        for matrix in delta:
            by_module.setdefault(matrix.module, []).append(matrix)
    composed = {}
    for name, matrices in by_module.items():
        weight = _weight_of(model, name).float().clone()
        for matrix in matrices:
            shape = (matrix.b.shape[0], matrix.a.shape[1])
            if shape != tuple(weight.shape):
                raise DeltaError(f"Delta of {name!r} is {shape}, the base has {weight.shape}.")
            weight.addmm_(matrix.b.float(), matrix.a.float(), alpha=matrix.scale)
        composed[name] = weight.to(dtype)
    return composed


def _weight_of(model: nn.Module, name: str) -> Tensor:
    try:
        module = model.get_submodule(name)
    except AttributeError:
        module = None
    if not isinstance(module, nn.Linear):
        raise DeltaError(f"The lineage adapts {name!r}, which is no linear layer of the base.")
    return module.weight
