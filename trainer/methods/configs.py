"""Method configs: torch-free, so that the service validates them without the training stack."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LoRAConfig(BaseModel):
    """Sequential LoRA: the lineage is merged, then a fresh adapter is trained (SEFE 2.1).

    `target_modules` None means every linear layer of the language model; vision tower and
    projector only where named explicitly. The adapter's scale is alpha / rank.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=16, ge=1, le=512)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: tuple[str, ...] | None = Field(default=None, min_length=1)


class RegLoRAConfig(LoRAConfig):
    """LoRA whose update is held near zero where earlier tasks wrote (SEFE, arXiv 2505.02486).

    `top_percent` is M, the share of |BA| kept per matrix and task, in percent; `coefficient` is
    lambda. `multiplicity` "union" counts a place once however many tasks chose it; "concat"
    weights it by how often it was chosen, as the published code does.
    """

    top_percent: float = Field(default=2.0, gt=0, le=100)
    coefficient: float = Field(default=2500.0, ge=0)
    multiplicity: Literal["union", "concat"] = "union"
