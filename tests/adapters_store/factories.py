"""Small PEFT folders and attempts, as the trainer would leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  (bfloat16 for safetensors)
import numpy as np
from safetensors.numpy import load_file, save_file

from adapters_store.backends import hash_file
from adapters_store.lineage import Lineage
from adapters_store.manifest import BaseRef, DataRef, VersionFields, VersionManifest
from adapters_store.store import VersionStore

BASE = BaseRef(source="retain-tiny", digest="b" * 64)
Dense = dict[str, np.ndarray]


def write_lora(
    folder: Path,
    rank: int = 2,
    alpha: float = 4.0,
    modules: dict[str, tuple[int, int]] | None = None,
    *,
    seed: int = 0,
    dtype: Any = np.float32,
    **config: Any,
) -> Path:
    """Write a plain LoRA; `modules` maps a module to (inputs, outputs)."""
    modules = modules or {"layers.0.q_proj": (6, 5), "layers.0.v_proj": (6, 4)}
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, (inputs, outputs) in modules.items():
        own = int(config.get("rank_pattern", {}).get(name, rank))
        key = f"base_model.model.{name}"
        tensors[f"{key}.lora_A.weight"] = rng.normal(size=(own, inputs)).astype(dtype)
        tensors[f"{key}.lora_B.weight"] = rng.normal(size=(outputs, own)).astype(dtype)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    targets = sorted({name.rsplit(".", 1)[-1] for name in modules})
    content = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": targets}
    (folder / "adapter_config.json").write_text(json.dumps(content | config))
    return folder


def dense(folder: Path) -> Dense:
    """Return each module's weight update in float64, by the definition scale * B @ A."""
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    updates = {}
    for key, down in tensors.items():
        if not key.endswith(".lora_A.weight"):
            continue
        name = key.removesuffix(".lora_A.weight")
        up = tensors[f"{name}.lora_B.weight"]
        module = name.removeprefix("base_model.model.")
        alpha = config.get("alpha_pattern", {}).get(module, config["lora_alpha"])
        rank = down.shape[0]
        scale = alpha / (rank**0.5 if config.get("use_rslora") else rank)
        updates[name] = scale * up.astype(np.float64) @ down.astype(np.float64)
    return updates


def write_attempt(folder: Path, *, seed: int = 0, state: bool = True, **lora: Any) -> Path:
    """Write a complete attempt: delta, state, canary and, last, the result."""
    write_lora(folder / "delta", seed=seed, **lora)
    (folder / "delta" / "README.md").write_text("a model card")
    if state:
        (folder / "state").mkdir()
        mask = np.random.default_rng(seed).integers(0, 2, 8).astype(np.uint8)
        save_file({"mask": mask}, folder / "state" / "masks.safetensors")
    (folder / "canary.json").write_text(json.dumps({"prompts": [seed]}))
    return finish_attempt(folder)


def finish_attempt(folder: Path) -> Path:
    """Write `result.json` over what the folder holds."""
    (folder / "result.json").unlink(missing_ok=True)
    files = {
        path.relative_to(folder).as_posix(): hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "README.md"
    }
    (folder / "result.json").write_text(json.dumps({"steps": 1, "files": files}))
    return folder


def fields(number: int = 1, **changes: Any) -> VersionFields:
    """Return what the caller knows about a version."""
    known: dict[str, Any] = {
        "stream": "demo",
        "number": number,
        "base": BASE,
        "task": f"task{number}",
        "data": DataRef(train="d" * 64),
        "method": "lora",
        "method_config": {"rank": 2},
        "hyperparameters": {"learning_rate": 2e-4},
        "seed": 0,
        "delta_kind": "add",
        "code_version": "0.1.0",
    }
    return VersionFields(**(known | changes))


def publish_chain(store: VersionStore, folder: Path, loras: list[dict[str, Any]]) -> Lineage:
    """Publish one version per entry, each the parent of the next."""
    versions: list[VersionManifest] = []
    for number, lora in enumerate(loras, start=1):
        kind = lora.pop("kind", "add")
        attempt = write_attempt(folder / f"attempt{number}", seed=number, **lora)
        parent = versions[-1].digest if versions else None
        made = fields(number, parent=parent, delta_kind=kind)
        versions.append(store.publish(attempt, made))
    return Lineage(tuple(versions))
