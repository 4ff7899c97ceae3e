"""The method contract: a few hooks that return values. The loop knows nothing else of a method.

Order of calls, on every rank: `inherit`, `prepare` (before the DeepSpeed engine exists),
`mask_gradients`, then `penalty` once per optimizer step, and after the last step `finish` and
`export`. At ZeRO-3 the loop gathers the trainable parameters around `calibrated`, `penalty`,
`finish` and `export`. A method that `calibrates` is trained twice from the same weights: the
whole order up to the last step, then `calibrated`, then the order again.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainer.catalog import METHODS
from trainer.errors import ConfigError, StateError
from trainer.spec import BaseModelSpec, Hyperparameters

TENSORS_FILE = "state.safetensors"
FACTS_FILE = "state.json"


@dataclass(frozen=True)
class MethodState:
    """What a method carries to the next task: named tensors and JSON facts. Empty at first."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write `state.json` and, if there are tensors, `state.safetensors`."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.tensors:
            whole = {name: tensor.cpu().contiguous() for name, tensor in self.tensors.items()}
            save_file(whole, folder / TENSORS_FILE)
        text = json.dumps(self.facts, indent=1, sort_keys=True)
        (folder / FACTS_FILE).write_text(text + "\n", encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> MethodState:
        """Return the state saved in `folder`; raises StateError when it cannot be read."""
        try:
            facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
            path = folder / TENSORS_FILE
            tensors = load_file(path) if path.exists() else {}
        except (OSError, ValueError, SafetensorError) as error:
            raise StateError(f"Cannot read the parent's method state: {error}") from error
        if not isinstance(facts, dict):
            raise StateError(
                f"The parent's {FACTS_FILE} holds a JSON {type(facts).__name__}, an object is "
                "expected: the state is damaged."
            )
        return MethodState(tensors, facts)

    def of_base(self, base: BaseModelSpec) -> MethodState:
        """Return the state with its base's digest among the facts."""
        return MethodState(self.tensors, {**self.facts, "base": base.digest})

    def refuse_foreign(self, method: str, base: BaseModelSpec) -> None:
        """Raise StateError for the state of another base, or of another method with tensors."""
        origin, writer = self.facts.get("base", base.digest), self.facts.get("method", method)
        if origin != base.digest:
            raise StateError(
                f"The parent's method state belongs to the base with digest {origin}, this task "
                f"trains {base.source!r} with digest {base.digest}: continue on that base, or "
                "start a new stream."
            )
        if writer != method and self.tensors:
            raise StateError(
                f"The parent's method state was written by {writer!r}, this task trains with "
                f"{method!r}: use {writer!r}, or start a new stream."
            )


@dataclass(frozen=True)
class LoRAMatrix:
    """One adapted matrix while training, `module` being its path in the base.

    The update is `scale * b @ a` with `a` (rank, in) and `b` (out, rank), both trained.
    """

    module: str
    a: nn.Parameter
    b: nn.Parameter
    scale: float


class Method(ABC):
    """A continual-learning method. One module, one line in `trainer.catalog`."""

    name: ClassVar[str]

    @property
    def penalises(self) -> bool:
        """Whether there may be a penalty at all."""
        return type(self).penalty is not Method.penalty

    def inherit(self, lineage: Sequence[str]) -> Sequence[str]:
        """Return the deltas that are to be part of the base in `prepare`, oldest first.

        Default: all. A method that trains the parent's own delta on keeps it and leaves it out.
        Raises DeltaError when the lineage is none that it can continue.
        """
        return lineage

    def calibration(self, hyperparameters: Hyperparameters) -> Hyperparameters | None:
        """Return how to train once before the training proper; default None: not at all."""
        return None

    def calibrated(self, model: nn.Module) -> None:  # noqa: B027 (optional hook)
        """Learn from the calibrated model, which is then thrown away; default: nothing."""

    @abstractmethod
    def prepare(self, model: nn.Module, state: MethodState) -> nn.Module:
        """Return the model to train: the frozen base with what this method trains added.

        `state` is the parent's. Raises StateError when it does not fit, TargetError when
        there is nothing to adapt.
        """

    def mask_gradients(self, model: nn.Module) -> None:  # noqa: B027 (optional hook)
        """Register gradient hooks on the prepared model's parameters; default: none."""

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return what is added to the task loss, a scalar with gradient; None for nothing."""
        return None

    @abstractmethod
    def finish(self, model: nn.Module) -> MethodState:
        """Return the state for the next task, this one included."""

    @abstractmethod
    def export(self, model: nn.Module, folder: Path, base: BaseModelSpec) -> None:
        """Write the trained delta to `folder`, in the form that the catalog declares."""


def build_method(name: str, config: dict[str, Any]) -> Method:
    """Return the method of that name; raises ConfigError for one unknown or a config amiss."""
    if name not in METHODS:
        raise ConfigError(f"Unknown method {name!r}: use one of {', '.join(sorted(METHODS))}.")
    entry = METHODS[name]
    module, _, class_name = entry.class_path.partition(":")
    try:
        settings = entry.config(**config)
    except ValidationError as error:
        found = [
            f"{'.'.join(map(str, it['loc'])) or 'config'}: {it['msg']} (got {it['input']!r:.80})"
            for it in error.errors(include_url=False)
        ]
        raise ConfigError(
            f"method_config does not fit {name!r}: {'; '.join(found)}. Its fields are "
            f"{', '.join(sorted(entry.config.model_fields))}."
        ) from error
    method: Method = getattr(import_module(module), class_name)(settings)
    return method


def refuse_unknown_modules(state: MethodState, shapes: Mapping[str, tuple[int, int]]) -> None:
    """Raise StateError, naming both sides, for tensors of modules that are no linear layers here.

    `shapes` are the base's linear layers (`modeling.linear_shapes`).
    """
    unknown = sorted(set(state.tensors) - set(shapes))
    if unknown:
        shown = ", ".join(repr(name) for name in sorted(shapes)[:2])
        raise StateError(
            f"The parent's method state speaks of {unknown[0]!r} ({len(unknown)} such modules of "
            f"{len(state.tensors)}), this base has linear layers {shown} and so on, {len(shapes)} "
            "in all: the state belongs to another base."
        )


def lora_matrices(model: nn.Module) -> Iterator[LoRAMatrix]:
    """Yield the adapted matrices of a PEFT model, in the model's order."""
    from peft.tuners.lora import LoraLayer

    layers: Any = ((name, it) for name, it in model.named_modules() if isinstance(it, LoraLayer))
    for name, module in layers:
        if "default" in module.lora_A:
            yield LoRAMatrix(
                module=name.removeprefix("base_model.model."),
                a=module.lora_A["default"].weight,
                b=module.lora_B["default"].weight,
                scale=float(module.scaling["default"]),
            )
