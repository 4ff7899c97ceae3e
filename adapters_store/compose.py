"""Sum LoRAs exactly by stacking them: one LoRA whose rank is the sum of the ranks.

With deltas i of rank r_i and scale s_i, `A = [A_1; A_2; …]` of shape `(R, in)` and
`B = [s_1 B_1, s_2 B_2, …]` of shape `(out, R)` give `B @ A = sum s_i B_i A_i`, with R the sum of
the ranks and r = alpha = R, so the result's own scale is 1. A module that a delta does not adapt,
or adapts with a smaller rank, gets zero rows and columns there: zeros add nothing.

Scales are folded in float32. The result keeps the deltas' common dtype where that loses nothing
(always, when scales are powers of two) and is float32 otherwise, so the only rounding left is the
engine's own cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes  # registers bfloat16 with numpy; safetensors finds it only when imported first
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from adapters_store.disk import Disk
from adapters_store.errors import NotComposable
from adapters_store.manifest import canonical_json
from adapters_store.peft_folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    LoraFolder,
    LoraModule,
    read_lora_folder,
)

Array = NDArray[Any]
Tensors = dict[str, Array]
_NUMPY = {"BF16": np.dtype(ml_dtypes.bfloat16), "F16": np.dtype(np.float16)}


@dataclass(frozen=True)
class Composition:
    """One LoRA equal to the sum of many: tensors by PEFT key, the PEFT config, the summed rank."""

    tensors: Tensors
    config: dict[str, Any]
    rank: int


def compose_folders(folders: Sequence[Path]) -> Composition:
    """Return the exact sum of the PEFT LoRA folders, oldest first.

    Raises `NotComposable` when there is none, when one is not a plain LoRA, or when two adapt a
    module of the same name with different shapes; `UnsafeFile` for files not well-formed.
    """
    if not folders:
        msg = "there is no delta to compose: the base itself needs no adapter"
        raise NotComposable(msg)
    deltas = [read_lora_folder(folder) for folder in folders]
    _check_shapes(deltas)
    rank = sum(delta.rank for delta in deltas)
    tensors = _narrow(_stack(deltas, rank), deltas)
    return Composition(tensors, _config(deltas, rank), rank)


def write_composition(composition: Composition, folder: Path, disk: Disk | None = None) -> None:
    """Write a composition as a PEFT folder into an existing folder, synced.

    Equal compositions give equal bytes.
    """
    disk = disk or Disk()
    contents = {
        WEIGHTS_FILE: save(composition.tensors, metadata={"format": "pt"}),
        CONFIG_FILE: canonical_json(composition.config),
    }
    for name, data in contents.items():
        with (folder / name).open("xb") as file:
            disk.write(file, data)
            disk.sync(file)


def _check_shapes(deltas: Sequence[LoraFolder]) -> None:
    seen: dict[str, LoraModule] = {}
    for delta in deltas:
        for name, module in delta.modules.items():
            first = seen.setdefault(name, module)
            if (first.inputs, first.outputs) != (module.inputs, module.outputs):
                msg = (
                    f"{name!r} has {module.inputs} inputs and {module.outputs} outputs in "
                    f"{delta.path.name!r} but {first.inputs} and {first.outputs} in an older "
                    "delta: the lineage must stand on one base"
                )
                raise NotComposable(msg)


def _stack(deltas: Sequence[LoraFolder], rank: int) -> Tensors:
    shapes = {name: module for delta in deltas for name, module in delta.modules.items()}
    stacked: Tensors = {}
    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(d.weights, framework="numpy")) for d in deltas]
        for name, module in sorted(shapes.items()):
            down = np.zeros((rank, module.inputs), np.float32)
            up = np.zeros((module.outputs, rank), np.float32)
            start = 0
            for delta, file in zip(deltas, files, strict=True):
                if (part := delta.modules.get(name)) is not None:
                    end = start + part.rank
                    down[start:end] = file.get_tensor(f"{name}.lora_A.weight")
                    wide = file.get_tensor(f"{name}.lora_B.weight").astype(np.float32)
                    up[:, start:end] = np.float32(part.scale) * wide
                start += delta.rank
            _check_finite(name, down, up)
            stacked[f"{name}.lora_A.weight"] = down
            stacked[f"{name}.lora_B.weight"] = up
    return stacked


def _check_finite(name: str, down: Array, up: Array) -> None:
    if not (np.isfinite(down).all() and np.isfinite(up).all()):
        msg = f"{name!r} holds NaN or infinity: train the task again with a lower learning rate"
        raise NotComposable(msg)


def _narrow(tensors: Tensors, deltas: Sequence[LoraFolder]) -> Tensors:
    """Return the tensors in the deltas' common 16-bit dtype if every value survives, else as is."""
    dtypes = frozenset[str]().union(*(m.dtypes for d in deltas for m in d.modules.values()))
    target = _NUMPY.get(next(iter(dtypes))) if len(dtypes) == 1 else None
    if target is None:
        return tensors
    with np.errstate(over="ignore"):
        narrow = {name: tensor.astype(target) for name, tensor in tensors.items()}
    same = all(np.array_equal(narrow[name].astype(np.float32), t) for name, t in tensors.items())
    return narrow if same else tensors


def _config(deltas: Sequence[LoraFolder], rank: int) -> dict[str, Any]:
    task_types = {delta.task_type for delta in deltas}
    return {
        "peft_type": "LORA",
        "task_type": task_types.pop() if len(task_types) == 1 else None,
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "target_modules": _target_union(deltas),
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "rank_pattern": {},
        "alpha_pattern": {},
    }


def _target_union(deltas: Sequence[LoraFolder]) -> list[str]:
    """Return the union of target names; full module names where one delta's names are not plain."""
    known = [delta.targets for delta in deltas if delta.targets is not None]
    if len(known) == len(deltas):
        return sorted(frozenset[str]().union(*known))
    names = {name for delta in deltas for name in delta.modules}
    return sorted(name.removeprefix("base_model.model.") for name in names)
