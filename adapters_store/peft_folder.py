"""Read a LoRA as PEFT writes it: which modules, which ranks, which scales.

Only what can be part of an exact rank concatenation is accepted: plain LoRA on linear layers over
an unchanged base. Everything else is `NotComposable`, by name. Conventions: A is `(rank, in)`,
B is `(out, rank)`, the update of a weight is `scale * B @ A`; keys end in `.lora_A.weight` and
`.lora_B.weight`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters_store.errors import NotComposable
from adapters_store.safetensors_check import TensorInfo, check_json, check_safetensors

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_KEY_PREFIX = "base_model.model."
_FLOATS = {"F32", "F16", "BF16"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")

_MUST_BE_OFF = {
    "use_dora": "DoRA",
    "lora_bias": "a bias on B",
    "modules_to_save": "whole modules saved beside the LoRA",
    "trainable_token_indices": "trained token rows",
    "target_parameters": "LoRA on bare parameters",
    "layer_replication": "replicated layers",
    "alora_invocation_tokens": "activated LoRA",
    "use_qalora": "QALoRA",
    "use_bdlora": "block-diagonal LoRA",
    "arrow_config": "Arrow routing",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "megatron_config": "Megatron layers",
    "fan_in_fan_out": "transposed weights (fan_in_fan_out)",
}
# Inits that leave the base as it was; the others (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) change it,
# so their A and B are no difference from the base.
_INITS = {None, True, False, "gaussian", "eva", "orthogonal", "mica"}


@dataclass(frozen=True)
class LoraModule:
    """One adapted linear layer: shapes A `(rank, inputs)`, B `(outputs, rank)`, and the scale."""

    rank: int
    inputs: int
    outputs: int
    scale: float
    dtypes: frozenset[str]


@dataclass(frozen=True)
class LoraFolder:
    """A checked PEFT folder; `modules` by key prefix (`base_model.model.…q_proj`)."""

    path: Path
    modules: Mapping[str, LoraModule]
    targets: frozenset[str] | None
    task_type: str | None

    @property
    def rank(self) -> int:
        """The largest rank of any module."""
        return max(module.rank for module in self.modules.values())

    @property
    def weights(self) -> Path:
        """The safetensors file."""
        return self.path / WEIGHTS_FILE


def is_lora_folder(path: Path) -> bool:
    """Say whether the folder calls itself a PEFT LoRA (it may still be refused)."""
    config = path / CONFIG_FILE
    if not config.is_file():
        return False
    value = check_json(config)
    return isinstance(value, dict) and value.get("peft_type") == "LORA"


def read_lora_folder(path: Path) -> LoraFolder:
    """Return what a PEFT LoRA folder holds, from its config and safetensors header alone.

    Raises `NotComposable` for what cannot be concatenated exactly and `UnsafeFile` for files
    that are not well-formed.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (path / name).is_file():
            raise _refuse(path, f"it has no {name}")
    config = check_json(path / CONFIG_FILE)
    if not isinstance(config, dict):
        raise _refuse(path, f"its {CONFIG_FILE} is not an object")
    _check_config(path, config)
    modules = _modules(path, config, check_safetensors(path / WEIGHTS_FILE))
    return LoraFolder(path, modules, _targets(config), config.get("task_type"))


def _check_config(path: Path, config: dict[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise _refuse(path, f"its peft_type is {config.get('peft_type')!r}, only LORA composes")
    for field, meaning in _MUST_BE_OFF.items():
        if config.get(field):
            raise _refuse(path, f"it uses {meaning} ({field}={config[field]!r})")
    if config.get("bias", "none") != "none":
        raise _refuse(path, f"it trains biases (bias={config['bias']!r})")
    init = config.get("init_lora_weights", True)
    if isinstance(init, list | dict) or init not in _INITS:
        raise _refuse(path, f"its init {init!r} changes the base; convert it to a plain LoRA first")
    for field in ("rank_pattern", "alpha_pattern"):
        _check_pattern(path, field, config.get(field) or {})
    if not _is_positive(config.get("r")) or not _is_positive(config.get("lora_alpha")):
        raise _refuse(path, f"r={config.get('r')!r}, lora_alpha={config.get('lora_alpha')!r}")


def _check_pattern(path: Path, field: str, pattern: Any) -> None:
    # PEFT reads these keys as regular expressions. Plain names mean the same in every reader.
    plain = isinstance(pattern, dict) and all(
        _PLAIN_NAME.fullmatch(name) and _is_positive(value) for name, value in pattern.items()
    )
    if not plain:
        raise _refuse(path, f"its {field} holds more than module names with positive numbers")


def _modules(
    path: Path, config: dict[str, Any], tensors: dict[str, TensorInfo]
) -> dict[str, LoraModule]:
    names = {key.removesuffix(".lora_A.weight").removesuffix(".lora_B.weight") for key in tensors}
    if not names:
        raise _refuse(path, "it holds no tensors")
    return {name: _module(path, config, name, tensors) for name in sorted(names)}


def _module(
    path: Path, config: dict[str, Any], name: str, tensors: dict[str, TensorInfo]
) -> LoraModule:
    down, up = tensors.get(f"{name}.lora_A.weight"), tensors.get(f"{name}.lora_B.weight")
    if down is None or up is None or not name.startswith(_KEY_PREFIX):
        raise _refuse(path, f"{name!r} is not a pair of lora_A and lora_B under {_KEY_PREFIX}")
    if len(down.shape) != 2 or len(up.shape) != 2 or down.shape[0] != up.shape[1]:
        raise _refuse(path, f"{name!r} has A {down.shape} and B {up.shape}, not one linear layer")
    dtypes = frozenset({down.dtype, up.dtype})
    if not dtypes <= _FLOATS or 0 in (*down.shape, *up.shape):
        raise _refuse(path, f"{name!r} has dtypes {sorted(dtypes)}, A {down.shape}, B {up.shape}")
    rank, inputs, outputs = down.shape[0], down.shape[1], up.shape[0]
    module = name.removeprefix(_KEY_PREFIX)
    if rank != (told := _lookup(config.get("rank_pattern") or {}, module, config["r"])):
        raise _refuse(path, f"{name!r} has rank {rank}, its config says {told}")
    alpha = _lookup(config.get("alpha_pattern") or {}, module, config["lora_alpha"])
    divisor = math.sqrt(rank) if config.get("use_rslora") else rank
    return LoraModule(rank, inputs, outputs, alpha / divisor, dtypes)


def _lookup(pattern: dict[str, Any], module: str, default: float) -> float:
    """Return the first entry whose name is the module's or a dotted tail of it, as PEFT does."""
    for name, value in pattern.items():
        if module == name or module.endswith(f".{name}"):
            return float(value)
    return default


def _targets(config: dict[str, Any]) -> frozenset[str] | None:
    """Return the target names if they alone decide which modules are adapted, else None."""
    targets = config.get("target_modules")
    narrowed = any(
        config.get(field) for field in ("exclude_modules", "layers_to_transform", "layers_pattern")
    )
    if narrowed or not isinstance(targets, list) or not all(isinstance(t, str) for t in targets):
        return None
    return frozenset(targets)


def _is_positive(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value > 0


def _refuse(path: Path, what: str) -> NotComposable:
    return NotComposable(
        f"the delta in {path.name!r} cannot be composed exactly: {what}. "
        "Export it as a plain LoRA on linear layers."
    )
