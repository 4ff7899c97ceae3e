"""How much memory an engine's KV cache needs on a CPU, where it is taken at once and in full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_BYTES_PER_VALUE = {"float32": 4, "bfloat16": 2, "float16": 2}
_SLACK = 1.25  # sequences take whole blocks
_LEAST = 64 * 2**20
_CONTEXT_KEY = "max_position_embeddings"


def kv_cache_bytes(
    base_path: str, dtype: str, sequences: int, max_model_len: int | None, limit: int
) -> int:
    """Return what `sequences` of full length need, at most `limit` bytes.

    Without the numbers in the base's config the limit itself is returned.
    """
    try:
        config = json.loads((Path(base_path) / "config.json").read_text(encoding="utf-8"))
        text = {**config, **config.get("text_config", {})}
        length = max_model_len or int(text[_CONTEXT_KEY])
        need = _bytes_per_token(text, dtype) * length * sequences * _SLACK
    except (OSError, ValueError, KeyError, TypeError):
        return limit
    return min(limit, max(_LEAST, int(need)))


def _bytes_per_token(text: dict[str, Any], dtype: str) -> int:
    heads = int(text["num_attention_heads"])
    size = int(text.get("head_dim") or int(text["hidden_size"]) // heads)
    key_value_heads = int(text.get("num_key_value_heads") or heads)
    values = 2 * int(text["num_hidden_layers"]) * key_value_heads * size
    return values * _BYTES_PER_VALUE.get(dtype, 4)
