"""Merge a lineage into a copy of its base: a model folder that an engine loads as a base.

Deltas are applied oldest first. A LoRA adds `scale * B @ A` to `<module>.weight`; `weights.json`
with `weights.safetensors` gives parameters new values: `full:<parameter>` whole, or
`value:<parameter>` at the row-major places `index:<parameter>`. The maths is in float32; each
tensor is cast once, to the dtype it has in the base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  (registers bfloat16 with numpy; safetensors finds it then)
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from adapters_store.disk import Disk
from adapters_store.errors import NotComposable
from adapters_store.peft_folder import is_lora_folder, read_lora_folder
from adapters_store.safetensors_check import check_json, check_safetensors

WEIGHTS_CONFIG = "weights.json"
WEIGHTS_FILE = "weights.safetensors"
BASE_FILES = ("*.json", "*.jinja", "*.txt")
"""What is copied beside the weights: configs, tokenizer, chat template."""
_PEFT_PREFIX = "base_model.model."
Array = NDArray[Any]


@dataclass(frozen=True)
class Step:
    """One change of one parameter: of kind `lora`, `full` or `sparse`, read from `file`."""

    kind: str
    file: Path
    key: str
    scale: float = 1.0

    def applied(self, weight: Array) -> Array:
        """Return the changed weight; `weight` (float32) may be changed in place."""
        with safe_open(self.file, framework="numpy") as file:
            if self.kind == "full":
                return _fitting(file.get_tensor(f"full:{self.key}"), weight, self)
            if self.kind == "sparse":
                return self._sparse(file, weight)
            down = file.get_tensor(f"{self.key}.lora_A.weight").astype(np.float32)
            up = file.get_tensor(f"{self.key}.lora_B.weight").astype(np.float32)
        return weight + _fitting(np.float32(self.scale) * (up @ down), weight, self)

    def _sparse(self, file: Any, weight: Array) -> Array:
        places = file.get_tensor(f"index:{self.key}").astype(np.int64)
        values = file.get_tensor(f"value:{self.key}").astype(np.float32)
        if places.shape != values.shape or np.any((places < 0) | (places >= weight.size)):
            raise _unfit(self.key, f"{places.size} places", f"{weight.size} entries")
        flat = weight.reshape(-1)
        flat[places] = values
        return flat.reshape(weight.shape)


def merge_folders(
    base: Path, folders: Sequence[Path], dest: Path, disk: Disk | None = None
) -> tuple[str, ...]:
    """Write the base with the deltas applied into the existing folder `dest`; return its files.

    Raises `NotComposable` when a delta is neither a plain LoRA nor weights, or changes a
    parameter that the base lacks or that has another shape; `UnsafeFile` for files not
    well-formed. Equal inputs give equal bytes.
    """
    disk = disk or Disk()
    steps = _steps(folders)
    shards = sorted(base.glob("*.safetensors"))
    known = {name for shard in shards for name in check_safetensors(shard)}
    if unknown := sorted(set(steps) - known):
        raise NotComposable(
            f"the lineage changes {unknown[0]!r} ({len(unknown)} such parameters in all), but "
            f"the base in {base.name!r} stores no tensor of that name: save the base with this "
            "version of transformers, so that names at rest are names in the model"
        )
    for shard in shards:
        _write_shard(shard, steps, dest / shard.name)
        with (dest / shard.name).open("rb+") as file:
            disk.sync(file)
    others = sorted({path for pattern in BASE_FILES for path in base.glob(pattern)})
    for path in others:
        disk.copy(path, dest / path.name)
    return tuple(sorted(path.name for path in (*shards, *others)))


def _steps(folders: Sequence[Path]) -> dict[str, list[Step]]:
    """Return each changed parameter's steps, oldest first."""
    if not folders:
        msg = "there is no delta to merge: the base itself is served as it is"
        raise NotComposable(msg)
    found: dict[str, list[Step]] = {}
    for folder in folders:
        for name, step in _steps_of(folder):
            if step.kind == "full":
                found[name] = []  # what came before is overwritten
            found.setdefault(name, []).append(step)
    return found


def _steps_of(folder: Path) -> Iterator[tuple[str, Step]]:
    """Yield (parameter name, step) in the order of application: a LoRA lies on weights."""
    has_weights = (folder / WEIGHTS_CONFIG).is_file()
    if has_weights:
        _check_weights_config(folder)
        for key in check_safetensors(folder / WEIGHTS_FILE):
            form, _, name = key.partition(":")
            if form in ("full", "index"):
                yield (
                    name,
                    Step("full" if form == "full" else "sparse", folder / WEIGHTS_FILE, name),
                )
    if is_lora_folder(folder) or not has_weights:
        lora = read_lora_folder(folder)
        for key, module in lora.modules.items():
            name = f"{key.removeprefix(_PEFT_PREFIX)}.weight"
            yield name, Step("lora", lora.weights, key, module.scale)


def _check_weights_config(folder: Path) -> None:
    config = check_json(folder / WEIGHTS_CONFIG)
    told = config.get("format") if isinstance(config, dict) else None
    if told != "retain-weights":
        msg = f"{WEIGHTS_CONFIG} of {folder.name!r} has the format {told!r}, not 'retain-weights'"
        raise NotComposable(msg)


def _write_shard(shard: Path, steps: Mapping[str, Sequence[Step]], dest: Path) -> None:
    tensors: dict[str, Array] = {}
    with ExitStack() as stack:
        file = stack.enter_context(safe_open(shard, framework="numpy"))
        metadata = file.metadata()
        for name in file.keys():  # noqa: SIM118 (not a dict)
            stored = file.get_tensor(name)
            tensors[name] = _changed(stored, steps[name]) if name in steps else stored
    save_file(tensors, dest, metadata=metadata)


def _changed(stored: Array, steps: Sequence[Step]) -> Array:
    weight = stored.astype(np.float32)
    for step in steps:
        weight = step.applied(weight)
    if not np.isfinite(weight).all():
        msg = f"{steps[-1].key!r} holds NaN or infinity: train the task again at a lower rate"
        raise NotComposable(msg)
    return np.ascontiguousarray(weight.astype(stored.dtype))


def _fitting(value: Array, weight: Array, step: Step) -> Array:
    if value.shape != weight.shape:
        raise _unfit(step.key, f"shape {value.shape}", f"{weight.shape}")
    return value.astype(np.float32)


def _unfit(key: str, there: str, here: str) -> NotComposable:
    return NotComposable(
        f"the delta of {key!r} has {there}, the base has {here}: the lineage must stand on one base"
    )
