"""The base model: loading it, finding what can be adapted, adding up a lineage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from trainer.deltas import composed, read_delta
from trainer.errors import InputError, TargetError
from trainer.experts import install_experts
from trainer.spec import BaseModelSpec

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def load_base(base: BaseModelSpec, *, dtype: torch.dtype, lineage: Sequence[str] = ()) -> Any:
    """Return the base with its lineage added up, frozen, in eval mode, as `dtype`, on the CPU.

    The lineage's deltas are applied to the stored weights in fp32, oldest first, and cast once.
    Code from the model's folder is never executed, pickled weights are never read.
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
    deltas = [read_delta(Path(folder), base) for folder in lineage]
    changed = composed(model, deltas, dtype)
    model.requires_grad_(False)
    for parameter in model.parameters():  # not the buffers: rotary frequencies stay fp32
        parameter.data = parameter.data.to(dtype)
    for name, weight in changed.items():
        model.get_parameter(name).data = weight  # tied parameters stay tied
    for delta in deltas:
        if delta.experts is not None:
            install_experts(model, delta.experts)
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


def linear_shapes(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Return the (out, in) of every linear layer by its path, in the model's order."""
    modules: Any = model.named_modules()
    linears = ((name, it) for name, it in modules if isinstance(it, nn.Linear))
    return {name: (it.out_features, it.in_features) for name, it in linears}


def parameters_by_part(model: Any) -> dict[str, list[nn.Parameter]]:
    """Return the model's parameters as `language` (with the output head), `vision`, `projector`.

    Vision is the image encoder as transformers finds it; the projector is all that is left.
    Raises TargetError for a model without a part of its own for images.
    """
    vision_tower = model.get_encoder(modality="image")
    if vision_tower is model or vision_tower is model.base_model:
        raise TargetError("This base has no image encoder that can be told from the rest.")
    head = model.get_output_embeddings()
    language = {id(it) for part in (model.get_decoder(), head) for it in part.parameters()}
    vision = {id(it) for it in vision_tower.parameters()}
    parts: dict[str, list[nn.Parameter]] = {"language": [], "vision": [], "projector": []}
    for weight in model.parameters():
        inside = id(weight)
        part = "language" if inside in language else "vision" if inside in vision else "projector"
        parts[part].append(weight)
    return parts


def projector_of(model: Any) -> list[nn.Parameter]:
    """Return the parameters that join vision tower and language model.

    Raises TargetError where there is no such part, as in models that keep it in the tower.
    """
    found = parameters_by_part(model)["projector"]
    if not found:
        raise TargetError(
            "train_projector: this base has no projector outside its vision tower. Leave it out, "
            "or name the projector's linear layers in target_modules."
        )
    return found


def _matching(names: Iterable[str], wanted: str) -> list[str]:
    return [name for name in names if name == wanted or name.endswith(f".{wanted}")]
