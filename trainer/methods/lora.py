"""Sequential LoRA: a fresh adapter on the summed lineage, nothing protected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from safetensors.torch import save_file
from torch import nn

from trainer.methods.base import Method, MethodState, lora_matrices
from trainer.methods.configs import LoRAConfig
from trainer.modeling import find_targets
from trainer.spec import BaseModelSpec


class LoRA(Method):
    """Plain LoRA on the lineage's sum (SEFE, arXiv 2505.02486, section 2.1 of its life cycle).

    The update of a matrix is `alpha / rank * B @ A`, B starting at zero.
    """

    name: ClassVar[str] = "lora"

    def __init__(self, config: LoRAConfig) -> None:
        """Train with `config`."""
        self.config = config

    def prepare(self, model: nn.Module, state: MethodState) -> nn.Module:
        """Return the model with fp32-initialised adapters on its targets, all else frozen."""
        from peft import LoraConfig, get_peft_model

        alpha: Any = self.config.alpha  # PEFT says int and takes any number
        config = LoraConfig(
            r=self.config.rank,
            lora_alpha=int(alpha) if alpha == int(alpha) else alpha,
            lora_dropout=self.config.dropout,
            target_modules=find_targets(model, self.config.target_modules),
            bias="none",
        )
        wrapped: nn.Module = get_peft_model(model, config, autocast_adapter_dtype=False)
        return wrapped

    def finish(self, model: nn.Module) -> MethodState:
        """Return an empty state: plain LoRA protects nothing."""
        return MethodState(facts={"method": self.name})

    def export(self, model: nn.Module, folder: Path, base: BaseModelSpec) -> None:
        """Write a plain PEFT folder: `adapter_config.json` and `adapter_model.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {}
        for matrix in lora_matrices(model):
            stem = f"base_model.model.{matrix.module}"
            tensors[f"{stem}.lora_A.weight"] = matrix.a.detach().cpu().contiguous()
            tensors[f"{stem}.lora_B.weight"] = matrix.b.detach().cpu().contiguous()
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        config = json.dumps(_portable_config(model, base), indent=1, sort_keys=True)
        (folder / "adapter_config.json").write_text(config + "\n", encoding="utf-8")


def _portable_config(model: Any, base: BaseModelSpec) -> dict[str, Any]:
    """Return PEFT's config with the base named by source and digest, not by a folder."""
    config = model.peft_config["default"].to_dict()
    config["base_model_name_or_path"] = f"{base.source}#{base.digest}"
    config["revision"] = base.revision
    config["inference_mode"] = True
    config["target_modules"] = sorted(config["target_modules"])
    return {key: value for key, value in config.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | dict | None)
