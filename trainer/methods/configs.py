"""Method configs: torch-free, so that the service validates them without the training stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

DeltaKind = Literal["add", "replace", "weights"]
ServableBy = Literal["lora", "merged", "plugin", "offline"]

Modules = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else given),
]
"""Paths of linear layers or ends of paths. A list is one too: strict validation would refuse JSON's
lists below a model validator that runs before."""

PUBLISHED_REGLORA: dict[str, Any] = {
    "top_percent": 2.0,
    "coefficient": 2500.0,
    "multiplicity": "concat",
    "divisor": 224,
    "train_projector": True,
}
"""RegLoRA as its published code has it: 224 is 32 layers x 7 matrices, whatever the model."""


class MethodConfig(BaseModel):
    """What all configs share: frozen, unknown keys, NaN and infinity refused.

    A config whose settings change what the method's versions are overrides `makes_kind` or
    `makes_servable`; None means as the catalog says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def overridden(cls, given: Mapping[str, Any], by: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stream's config with a task's own fields in it."""
        return {**given, **by}

    @property
    def makes_kind(self) -> DeltaKind | None:
        """The delta kind under these settings, None for the catalog's."""
        return None

    @property
    def makes_servable(self) -> ServableBy | None:
        """What serves versions under these settings, None for the catalog's."""
        return None


class AdapterConfig(MethodConfig):
    """A LoRA on the lineage's sum.

    `target_modules` None means every linear layer of the language model; vision tower and
    projector only where named explicitly. The adapter's scale is alpha / rank.
    """

    rank: int = Field(default=16, ge=1, le=512)
    alpha: float = Field(default=32.0, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: Modules | None = None


class LoRAConfig(AdapterConfig):
    """Sequential LoRA (SEFE 2.1, CoIN).

    `carry_over` "merge_then_new" merges the lineage and trains a fresh adapter (SEFE);
    "continue" trains the parent's adapter on, so that all tasks share one rank (CoIN).
    """

    carry_over: Literal["merge_then_new", "continue"] = "merge_then_new"

    @property
    def makes_kind(self) -> DeltaKind | None:
        """A continued adapter stands for everything below it."""
        return "replace" if self.carry_over == "continue" else None


class RegLoRAConfig(AdapterConfig):
    """LoRA whose update is held near zero where earlier tasks wrote (SEFE, arXiv 2505.02486).

    `top_percent` is M, the share of |BA| kept per matrix and task, in percent; `coefficient` is
    lambda. `multiplicity` "union" counts a place once however many tasks chose it; "concat"
    weights it by how often it was chosen, as the published code does. The matrices' means are
    summed and divided by `divisor`, None meaning their number. With `train_projector` whatever
    joins the vision tower to the language model is trained as well, unregularised, and the
    version is no plain LoRA any more. `preset` "published" sets all of these as the published
    code has them, and refuses other values beside it.
    """

    preset: Literal["published"] | None = None
    top_percent: float = Field(default=2.0, gt=0, le=100)
    coefficient: float = Field(default=2500.0, ge=0)
    multiplicity: Literal["union", "concat"] = "union"
    divisor: int | None = Field(default=None, ge=1)
    train_projector: bool = False

    @classmethod
    def overridden(cls, given: Mapping[str, Any], by: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stream's config with a task's own fields in it; a preset of the task's fills
        its fields whatever the stream has."""
        filled = PUBLISHED_REGLORA if by.get("preset") is not None else {}
        return {**{key: value for key, value in given.items() if key not in filled}, **by}

    @model_validator(mode="before")
    @classmethod
    def _fill_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("preset") != "published":
            return given
        return {**PUBLISHED_REGLORA, **given}

    @model_validator(mode="after")
    def _refuse_half_a_preset(self) -> Self:
        for name, wanted in PUBLISHED_REGLORA.items() if self.preset else ():
            if (given := getattr(self, name)) != wanted:
                raise ValueError(
                    f"preset 'published' has {name} {wanted!r}, got {given!r}: leave {name} out, "
                    "or set preset to null and every field by itself."
                )
        return self

    @property
    def makes_servable(self) -> ServableBy | None:
        """Whole weights beside the adapter are served merged into the base only."""
        return "merged" if self.train_projector else None


class OLoRAConfig(AdapterConfig):
    """LoRA whose A is pushed orthogonal to the A of earlier tasks (O-LoRA, arXiv 2310.14152).

    `orthogonality` is lambda_1, `l2` lambda_2. `form` "squared" sums the squares of the inner
    products, as the paper writes it; "absolute" their absolute values, as its code does.
    """

    orthogonality: float = Field(default=0.5, ge=0)
    l2: float = Field(default=0.0, ge=0)
    form: Literal["squared", "absolute"] = "squared"


class FullConfig(MethodConfig):
    """Sequential full fine-tuning: the language model, on request projector and vision tower."""

    train_projector: bool = False
    train_vision: bool = False


class LoTAConfig(MethodConfig):
    """Sparse fine-tuning of the places that a calibration run moved most (arXiv 2406.16797).

    `sparsity` is rho: a task trains the share 1 - rho of all entries of the target matrices.
    The calibration runs `calibration_epochs` epochs at `calibration_learning_rate` (None: the
    task's own rate). `target_modules` as for LoRA.
    """

    sparsity: float = Field(default=0.9, gt=0, lt=1)
    calibration_epochs: float = Field(default=1.0, gt=0, le=100)
    calibration_learning_rate: float | None = Field(default=None, gt=0, le=1)
    target_modules: Modules | None = None


class MoELoRAConfig(AdapterConfig):
    """LoRA experts under a router in every adapted layer (CoIN, arXiv 2403.08350).

    `rank` is the total rank, shared by `experts` experts; the scale is alpha / rank.
    """

    experts: int = Field(default=8, ge=1, le=64)

    @model_validator(mode="after")
    def _rank_is_shared_evenly(self) -> Self:
        if self.rank % self.experts:
            msg = f"rank {self.rank} must be a multiple of experts, which is {self.experts}"
            raise ValueError(msg)
        return self
