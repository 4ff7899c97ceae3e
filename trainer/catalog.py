"""The methods by name: config class and the path of the class that trains. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.methods.configs import LoRAConfig, RegLoRAConfig


@dataclass(frozen=True)
class MethodEntry:
    """A method's typed config, its class as `module:Class`, and what its versions are.

    `delta_kind` is `add` (LoRAs that sum up along the lineage), `replace` or `weights`;
    `servable_by` is `lora`, `merged`, `plugin` or `offline` (design decision 5).
    """

    config: type[LoRAConfig]
    class_path: str
    delta_kind: str
    servable_by: str
    summary: str


METHODS: dict[str, MethodEntry] = {
    "lora": MethodEntry(
        LoRAConfig, "trainer.methods.lora:LoRA", "add", "lora", "sequential LoRA, no protection"
    ),
    "reglora": MethodEntry(
        RegLoRAConfig,
        "trainer.methods.reglora:RegLoRA",
        "add",
        "lora",
        "LoRA kept small where earlier tasks stored knowledge (SEFE)",
    ),
}
