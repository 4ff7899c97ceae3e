"""The plan of a rewriting: how much, into which formats, by which unit."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from asd_rewriter.formats import ASD_FORMATS, AnswerFormat


def _equal_shares() -> dict[AnswerFormat, float]:
    return {it: 1 / len(ASD_FORMATS) for it in ASD_FORMATS}


class RewritePlan(BaseModel):
    """How much to rewrite, and into what.

    `x_percent` (0..100) of all turns get another format; with `unit` "sample", the turns of that
    share of the samples. `formats` are the target formats' shares, which sum to 1; the native
    format's share, and that of a format a turn cannot have, go to the others in proportion. The
    same plan on the same samples gives the same result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    x_percent: float = Field(default=20.0, ge=0, le=100, allow_inf_nan=False)
    formats: dict[AnswerFormat, float] = Field(default_factory=_equal_shares)
    unit: Literal["turn", "sample"] = "turn"
    seed: int = Field(default=0, ge=0, lt=2**63)

    @field_validator("formats")
    @classmethod
    def _known_and_whole(cls, shares: dict[AnswerFormat, float]) -> dict[AnswerFormat, float]:
        unknown = [it.value for it in shares if it not in ASD_FORMATS]
        if unknown:
            known = ", ".join(it.value for it in ASD_FORMATS)
            raise ValueError(f"{unknown[0]!r} cannot be rewritten into; choose from {known}")
        if not all(share >= 0 for share in shares.values()):
            raise ValueError("a share is negative or not a number; shares are 0..1")
        if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
            raise ValueError(f"the shares sum to {sum(shares.values()):g}; they must sum to 1")
        return shares
