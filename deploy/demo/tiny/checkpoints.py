"""Resumable training state in safetensors and JSON: weights, optimizer moments, step.

A checkpoint is a folder whose `state.json` is written last. It is replaced by two renames, so that
a run killed at any moment leaves a complete one: in the folder, or beside it as `.new` or `.old`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

_META = "state.json"


def _moments(optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    found = {}
    for which, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                found[f"{which}/{index}/{name}"] = value
    return found


def save(
    folder: Path, modules: dict[str, nn.Module], optimizers: Sequence[Optimizer], step: int
) -> None:
    """Replace the checkpoint in `folder` by the present state."""
    _settle(folder)
    fresh, old = _beside(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, module in modules.items():
        tensors = {key: value.contiguous() for key, value in module.named_parameters()}
        save_file(tensors, fresh / f"{name}.safetensors")
    save_file(_moments(optimizers), fresh / "optimizers.safetensors")
    unnamed = fresh / f"{_META}.part"
    unnamed.write_text(json.dumps({"step": step}))
    unnamed.rename(fresh / _META)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _beside(folder: Path) -> tuple[Path, Path]:
    """Return where a replacement is built, and where the checkpoint it replaces waits."""
    return folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")


def _settle(folder: Path) -> bool:
    """Finish a replacement that was broken off; tell whether there is a checkpoint."""
    if (folder / _META).exists():
        return True
    for left in _beside(folder):
        if (left / _META).exists():
            shutil.rmtree(folder, ignore_errors=True)
            left.rename(folder)
            return True
    return False


def load_modules(folder: Path, modules: dict[str, nn.Module]) -> int:
    """Load weights saved by `save` into the modules; return the step, 0 without a checkpoint."""
    if not _settle(folder):
        return 0
    for name, module in modules.items():
        missing = module.load_state_dict(load_file(folder / f"{name}.safetensors"), strict=False)
        if missing.unexpected_keys:
            raise ValueError(f"{folder}: {name} has unknown weights {missing.unexpected_keys[:3]}")
    return int(json.loads((folder / _META).read_text())["step"])


def load_optimizers(folder: Path, optimizers: Sequence[Optimizer]) -> None:
    """Load the moments saved by `save`; without a checkpoint, do nothing."""
    if not _settle(folder):
        return
    tensors = load_file(folder / "optimizers.safetensors")
    for which, optimizer in enumerate(optimizers):
        state = optimizer.state_dict()
        for key, value in tensors.items():
            owner, index, name = key.split("/")
            if int(owner) == which:
                state["state"].setdefault(int(index), {})[name] = value
        optimizer.load_state_dict(state)
