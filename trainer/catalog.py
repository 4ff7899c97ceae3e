"""The methods by name: config class and the path of the class that trains. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.methods import configs
from trainer.methods.configs import DeltaKind, MethodConfig, ServableBy


@dataclass(frozen=True)
class MethodEntry:
    """A method's typed config, its class as `module:Class`, and what its versions are.

    `delta_kind` is `add` (LoRAs that sum up along the lineage), `replace` or `weights`;
    `servable_by` is `lora`, `merged`, `plugin` or `offline` (design decision 5). Settings may
    make it another kind: ask `declared`.
    """

    config: type[MethodConfig]
    class_path: str
    delta_kind: DeltaKind
    servable_by: ServableBy
    summary: str


@dataclass(frozen=True)
class Declared:
    """What the versions of a method are under one config."""

    delta_kind: DeltaKind
    servable_by: ServableBy


METHODS: dict[str, MethodEntry] = {
    "lora": MethodEntry(
        configs.LoRAConfig,
        "trainer.methods.lora:LoRA",
        "add",
        "lora",
        "sequential LoRA, no protection",
    ),
    "reglora": MethodEntry(
        configs.RegLoRAConfig,
        "trainer.methods.reglora:RegLoRA",
        "add",
        "lora",
        "LoRA kept small where earlier tasks stored knowledge (SEFE)",
    ),
    "olora": MethodEntry(
        configs.OLoRAConfig,
        "trainer.methods.olora:OLoRA",
        "add",
        "lora",
        "LoRA orthogonal to the earlier tasks' (O-LoRA)",
    ),
    "full": MethodEntry(
        configs.FullConfig,
        "trainer.methods.full:Full",
        "weights",
        "merged",
        "sequential full fine-tuning, no protection",
    ),
    "lota": MethodEntry(
        configs.LoTAConfig,
        "trainer.methods.lota:LoTA",
        "weights",
        "merged",
        "sparse fine-tuning at places no earlier task used (LoTA)",
    ),
    "moelora": MethodEntry(
        configs.MoELoRAConfig,
        "trainer.methods.moelora:MoELoRA",
        "replace",
        "offline",
        "LoRA experts with a router per layer, trained on and on (CoIN)",
    ),
}


def declared(method: str, config: Mapping[str, Any]) -> Declared:
    """Return delta kind and servability of a known method under a config.

    Raises pydantic's ValidationError for a config that does not fit.
    """
    entry = METHODS[method]
    settings = entry.config.model_validate(config)
    return Declared(
        settings.makes_kind or entry.delta_kind, settings.makes_servable or entry.servable_by
    )
