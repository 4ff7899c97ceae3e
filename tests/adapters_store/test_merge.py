"""Lineages merged into a base: exact sums, new weights, and what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from adapters_store.errors import NotComposable
from adapters_store.lineage import lineage_of
from adapters_store.merge import merge_folders
from adapters_store.servable import compose_merged, compose_offline, verify_servable
from adapters_store.store import VersionStore
from tests.adapters_store.factories import dense, fields, finish_attempt, write_attempt, write_lora

SHAPES = {"layers.0.q_proj.weight": (5, 6), "layers.0.v_proj.weight": (4, 6), "norm.weight": (6,)}


def write_base(folder: Path, dtype: Any = np.float32) -> Path:
    """Write a base of random weights in two shards, with a config."""
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True)
    tensors = {name: rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}
    first = {"layers.0.q_proj.weight": tensors.pop("layers.0.q_proj.weight")}
    save_file(first, folder / "model-00001-of-00002.safetensors", metadata={"format": "pt"})
    save_file(tensors, folder / "model-00002-of-00002.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text('{"model_type": "tiny"}')
    return folder


def write_weights(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    """Write a `weights` delta."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "weights.safetensors")
    facts = {"format": "retain-weights", "schema_version": 1, "base": "retain-tiny#b"}
    (folder / "weights.json").write_text(json.dumps(facts))
    return folder


def read_model(folder: Path) -> dict[str, np.ndarray]:
    """Return all tensors of a model folder."""
    return {k: v for path in folder.glob("*.safetensors") for k, v in load_file(path).items()}


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_loras_are_summed_in_fp32_and_cast_once(tmp_path: Path, dtype: Any) -> None:
    base = write_base(tmp_path / "base", dtype)
    folders = [write_lora(tmp_path / str(seed), seed=seed) for seed in (1, 2)]
    (tmp_path / "merged").mkdir()

    files = merge_folders(base, folders, tmp_path / "merged")

    before, after = read_model(base), read_model(tmp_path / "merged")
    assert set(files) == {path.name for path in base.iterdir()}
    for name, weight in before.items():
        wanted = weight.astype(np.float64)
        for folder in folders:
            wanted = wanted + dense(folder).get(f"base_model.model.{name[:-7]}", 0.0)
        assert after[name].dtype == weight.dtype
        np.testing.assert_allclose(
            after[name].astype(np.float64), wanted.astype(dtype).astype(np.float64), rtol=1e-6
        )


def test_new_weights_are_taken_as_they_are_in_order(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    whole = np.full((5, 6), 2.5, np.float32)
    places, values = np.array([0, 23], np.int32), np.array([9.0, -9.0], np.float32)
    lora = write_lora(tmp_path / "lora")
    weights = write_weights(
        tmp_path / "weights",
        {
            "full:layers.0.q_proj.weight": whole,
            "index:layers.0.v_proj.weight": places,
            "value:layers.0.v_proj.weight": values,
        },
    )
    (tmp_path / "merged").mkdir()

    merge_folders(base, [lora, weights], tmp_path / "merged")

    after, before = read_model(tmp_path / "merged"), read_model(base)
    np.testing.assert_array_equal(after["layers.0.q_proj.weight"], whole)
    value = before["layers.0.v_proj.weight"] + dense(lora)["base_model.model.layers.0.v_proj"]
    value.reshape(-1)[places] = values
    np.testing.assert_allclose(after["layers.0.v_proj.weight"], value, rtol=1e-6)
    np.testing.assert_array_equal(after["norm.weight"], before["norm.weight"])


@pytest.mark.parametrize(
    ("tensors", "what"),
    [
        ({"full:other.weight": np.zeros(3, np.float32)}, "'other.weight'"),
        ({"full:norm.weight": np.zeros(3, np.float32)}, r"shape \(3,\), the base has \(6,\)"),
        (
            {
                "index:norm.weight": np.array([6], np.int32),
                "value:norm.weight": np.zeros(1, np.float32),
            },
            "1 places, the base has 6 entries",
        ),
        ({"full:norm.weight": np.full(6, np.nan, np.float32)}, "NaN"),
    ],
)
def test_what_does_not_fit_is_refused_by_both_sides(
    tmp_path: Path, tensors: dict[str, np.ndarray], what: str
) -> None:
    base, delta = write_base(tmp_path / "base"), write_weights(tmp_path / "delta", tensors)
    (tmp_path / "merged").mkdir()

    with pytest.raises(NotComposable, match=what):
        merge_folders(base, [delta], tmp_path / "merged")


def test_merged_and_offline_servables_are_kept_by_digest(
    store: VersionStore, tmp_path: Path
) -> None:
    base, root = write_base(tmp_path / "base"), tmp_path / "servable"
    attempt = write_attempt(tmp_path / "attempt")
    for path in (attempt / "delta").iterdir():
        path.unlink()
    write_weights(attempt / "delta", {"full:norm.weight": np.ones(6, np.float32)})
    manifest = store.publish(finish_attempt(attempt), fields(delta_kind="weights"))
    chain = lineage_of(store, manifest)

    merged = compose_merged(chain, store, root, base)
    offline = compose_offline(chain, store, root)

    assert compose_merged(chain, store, root, base) == merged
    assert merged.digest != offline.digest
    assert verify_servable(root, merged.digest) == merged
    assert verify_servable(root, offline.digest) == offline
    np.testing.assert_array_equal(read_model(merged.path)["norm.weight"], np.ones(6))
    assert (offline.path / "delta-0000" / "weights.safetensors").is_file()
    assert not list(root.glob(".building-*"))
