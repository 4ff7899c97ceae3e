"""Settings of every method that suit the random tiny base, found from the catalog."""

from __future__ import annotations

from typing import Any

from trainer.catalog import METHODS

_SMALL = {
    "rank": 4,
    "alpha": 8.0,
    "top_percent": 10.0,
    "coefficient": 3.0,
    "train_projector": True,
    "orthogonality": 0.02,
    "experts": 2,
    "sparsity": 0.8,
    "calibration_epochs": 1.1,
}
"""Values by config key: a new method's known keys get them unasked, others their default."""


def small_config(method: str) -> dict[str, Any]:
    """Return a config of the method for the tiny base."""
    entry = METHODS[method]
    fields = set(entry.config.model_fields)
    if entry.servable_by == "lora":
        fields.discard("train_projector")  # would make it another kind than the catalog's
    return {key: value for key, value in _SMALL.items() if key in fields}
