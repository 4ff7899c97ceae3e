"""Concatenation, merge-then-add in PEFT, and the composed folder in PEFT: one function."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from adapters_store.compose import compose_folders, write_composition

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")


def _net() -> Any:
    """Return three linear layers with names a LoRA can target; logits are (rows, 5)."""
    torch.manual_seed(0)
    linear, tanh = torch.nn.Linear, torch.nn.Tanh
    layers = {"embed": linear(6, 8), "one": tanh(), "q_proj": linear(8, 8), "two": tanh()}
    return torch.nn.Sequential(OrderedDict(layers | {"v_proj": linear(8, 5)}))


CONFIGS: list[dict[str, Any]] = [
    {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"]},
    {"r": 3, "lora_alpha": 5, "target_modules": ["q_proj"], "use_rslora": True},
    {
        "r": 2,
        "lora_alpha": 8,
        "target_modules": ["embed", "v_proj"],
        "rank_pattern": {"v_proj": 4},
        "alpha_pattern": {"v_proj": 3},
    },
]


def test_peft_sees_the_same_function(tmp_path: Path) -> None:
    merged, folders = _net(), []
    rows = torch.randn(16, 6)
    for index, config in enumerate(CONFIGS):
        model = peft.get_peft_model(merged, peft.LoraConfig(**config))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_()
        model.save_pretrained(tmp_path / str(index))
        folders.append(tmp_path / str(index))
        merged = model.merge_and_unload()
    out = tmp_path / "out"
    out.mkdir()
    write_composition(compose_folders(folders), out)
    composed = peft.PeftModel.from_pretrained(_net(), out)
    with torch.no_grad():
        torch.testing.assert_close(composed(rows), merged(rows), rtol=1e-5, atol=1e-5)
        assert not torch.allclose(composed(rows), _net()(rows), atol=0.1)
