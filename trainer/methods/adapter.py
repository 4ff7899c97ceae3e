"""What all methods share that train one LoRA: adding it, and exporting it as a PEFT folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from trainer.deltas import ADAPTER_CONFIG, ADAPTER_WEIGHTS, base_name
from trainer.methods.base import Method, MethodState, lora_matrices
from trainer.methods.configs import AdapterConfig
from trainer.modeling import find_targets
from trainer.spec import BaseModelSpec


class AdapterMethod(Method):
    """Trains one LoRA per task: the update of a matrix is `alpha / rank * B @ A`, B from zero."""

    def __init__(self, config: AdapterConfig) -> None:
        """Train with `config`."""
        self.config = config

    def prepare(self, model: nn.Module, state: MethodState) -> nn.Module:
        """Return the model with adapters in its own dtype on its targets, all else frozen."""
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
        """Return a state without tensors: nothing is protected."""
        return MethodState(facts={"method": self.name})

    def export(self, model: nn.Module, folder: Path, base: BaseModelSpec) -> None:
        """Write a plain PEFT folder: `adapter_config.json` and `adapter_model.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {}
        for matrix in lora_matrices(model):
            stem = f"base_model.model.{matrix.module}"
            tensors[f"{stem}.lora_A.weight"] = matrix.a.detach().cpu().contiguous()
            tensors[f"{stem}.lora_B.weight"] = matrix.b.detach().cpu().contiguous()
        save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        config = json.dumps(_portable_config(model, base), indent=1, sort_keys=True)
        (folder / ADAPTER_CONFIG).write_text(config + "\n", encoding="utf-8")


def _portable_config(model: Any, base: BaseModelSpec) -> dict[str, Any]:
    """Return PEFT's config with the base named by source and digest, not by a folder."""
    config = model.peft_config["default"].to_dict()
    config["base_model_name_or_path"] = base_name(base)
    config["revision"] = base.revision
    config["inference_mode"] = True
    config["target_modules"] = sorted(config["target_modules"])
    return {key: value for key, value in config.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | dict | None)
