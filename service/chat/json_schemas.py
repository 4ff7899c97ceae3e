"""Limits on JSON schemas: a small one can make a huge grammar, and its making holds the engine."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticCustomError

MAX_BYTES = 16_384
MAX_DEPTH = 16
MAX_COUNT = 1_000
_COUNTS = frozenset(
    f"{bound}{what}" for bound in ("min", "max") for what in ("Items", "Length", "Properties")
)
_REFUSED = frozenset({"pattern", "patternProperties"})


def check_json_schema(schema: dict[str, Any]) -> None:
    """Raise unless the schema is within bytes, depth and counts, and without patterns."""
    if len(json.dumps(schema)) > MAX_BYTES:
        raise _refusal(f"it is over {MAX_BYTES:,} bytes")
    _walk(schema, 1)


def _walk(node: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _refusal(f"it is nested more than {MAX_DEPTH} deep")
    if isinstance(node, list):
        for item in node:
            _walk(item, depth + 1)
    if isinstance(node, dict):
        for key, value in node.items():
            _check_key(key, value)
            _walk(value, depth + 1)


def _check_key(key: str, value: Any) -> None:
    if key in _REFUSED and isinstance(value, str | dict):
        raise _refusal(f"{key!r} is not accepted: use 'enum' or describe it in the prompt")
    if key in _COUNTS and isinstance(value, int | float) and value > MAX_COUNT:
        raise _refusal(f"{key!r} is {value:,}, at most {MAX_COUNT:,} is accepted")


def _refusal(reason: str) -> PydanticCustomError:
    return PydanticCustomError("json_schema", "json_schema is refused: {why}", {"why": reason})
