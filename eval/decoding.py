"""How answers are decoded, and the key under which a prediction may be used again."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from eval.items import Constraint, EvalItem


class Decoding(BaseModel):
    """Greedy decoding; two equal settings give one engine the same answers.

    Args:
        max_tokens: longest answer, in tokens (>= 1).
        seed: sent along although temperature 0 does not draw.
        extra: further request fields that only some engines know, such as
            `{"repetition_penalty": 1.0}` to override a model folder's own default in vLLM.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_tokens: int = Field(default=64, ge=1)
    seed: int = 0
    extra: dict[str, JsonValue] = Field(default_factory=dict)

    def request_fields(self, constraint: Constraint | None = None) -> dict[str, JsonValue]:
        """Return the fields of an OpenAI chat request that fix the decoding.

        A constraint becomes vLLM's field `structured_outputs`, with or without a space before the
        answer: under many chat templates answers begin with one, and models that learned them so
        write them badly in any other way.
        """
        greedy: dict[str, JsonValue] = {
            "max_tokens": self.max_tokens,
            "temperature": 0.0,
            "top_p": 1.0,
            "frequency_penalty": 0.0,
            "presence_penalty": 0.0,
            "seed": self.seed,
        }
        if constraint is not None:
            greedy["structured_outputs"] = _structured(constraint)
        return self.extra | greedy

    @cached_property
    def digest(self) -> str:
        """SHA-256 hex of the request fields."""
        fields = json.dumps(self.request_fields(), sort_keys=True)
        return hashlib.sha256(fields.encode()).hexdigest()


def _structured(constraint: Constraint) -> dict[str, JsonValue]:
    if constraint.choice is not None:
        return {"choice": [f"{space}{text}" for text in constraint.choice for space in ("", " ")]}
    return {"regex": f" ?({constraint.regex})"}


def prediction_key(
    servable_digest: str, item: EvalItem, decoding: Decoding, engine_version: str
) -> str:
    """Return the SHA-256 hex under which an answer is stored.

    Equal keys mean the same model, asked the same, decoded alike by the same engine build.
    """
    parts = [servable_digest, item.digest, decoding.digest, engine_version]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
