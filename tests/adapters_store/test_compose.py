"""The stacked LoRA is the sum of the LoRAs: against dense matrices, and against PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from adapters_store.compose import compose_folders, write_composition
from adapters_store.errors import NotComposable, UnsafeFile
from adapters_store.safetensors_check import check_safetensors
from tests.adapters_store.factories import dense, write_lora

SHAPES = {"a.q_proj": (6, 5), "a.v_proj": (6, 4), "b.q_proj": (3, 7)}

deltas = st.lists(
    st.fixed_dictionaries(
        {
            "rank": st.integers(1, 5),
            "alpha": st.sampled_from([1, 3, 8, 16.5]),
            "use_rslora": st.booleans(),
            "names": st.sets(st.sampled_from(sorted(SHAPES)), min_size=1),
            "patterned": st.booleans(),
            "dtype": st.sampled_from([np.float32, ml_dtypes.bfloat16, np.float16]),
        }
    ),
    min_size=1,
    max_size=4,
)


def _write(folder: Path, index: int, made: dict[str, Any]) -> Path:
    made = dict(made)
    names = sorted(made.pop("names"))
    if made.pop("patterned"):
        made |= {"rank_pattern": {names[0]: 7}, "alpha_pattern": {names[0]: 2.5}}
    modules = {name: SHAPES[name] for name in names}
    return write_lora(folder / str(index), modules=modules, seed=index, **made)


@settings(max_examples=60, deadline=None)
@given(deltas)
def test_the_composition_equals_the_dense_sum(
    tmp_path_factory: pytest.TempPathFactory, made: list[dict[str, Any]]
) -> None:
    root = tmp_path_factory.mktemp("compose")
    folders = [_write(root, index, one) for index, one in enumerate(made)]
    composition = compose_folders(folders)
    (root / "out").mkdir()
    write_composition(composition, root / "out")
    expected: dict[str, Any] = {}
    for folder in folders:
        for name, update in dense(folder).items():
            expected[name] = expected.get(name, 0) + update
    found = dense(root / "out")
    assert found.keys() == expected.keys()
    for name, update in expected.items():
        np.testing.assert_allclose(found[name], update, rtol=1e-6, atol=1e-6 * _size(update))
    assert composition.config["r"] == composition.config["lora_alpha"] == composition.rank
    shapes = check_safetensors(root / "out" / "adapter_model.safetensors")
    ranks = {min(info.shape) for name, info in shapes.items() if "lora_A" in name}
    assert all(info.shape[0] == composition.rank for n, info in shapes.items() if "lora_A" in n)
    assert ranks


def _size(update: Any) -> float:
    return max(1.0, float(np.abs(update).max()))


def test_ranks_add_up_and_targets_unite(tmp_path: Path) -> None:
    first = write_lora(tmp_path / "a", rank=2, modules={"x.q_proj": (4, 4)})
    second = write_lora(tmp_path / "b", rank=3, modules={"x.v_proj": (4, 4)})
    composition = compose_folders([first, second])
    assert composition.rank == 5
    assert composition.config["target_modules"] == ["q_proj", "v_proj"]
    key = "base_model.model.x.q_proj.lora_A.weight"
    assert not composition.tensors[key][2:].any()


def test_targets_that_are_patterns_become_module_names(tmp_path: Path) -> None:
    narrowed: list[dict[str, Any]] = [
        {"target_modules": ".*q_proj"},
        {"layers_to_transform": [0]},
        {"exclude_modules": ["vision"]},
    ]
    for index, config in enumerate(narrowed):
        folder = write_lora(tmp_path / str(index), modules={"x.q_proj": (4, 4)}, **config)
        assert compose_folders([folder]).config["target_modules"] == ["x.q_proj"]


def test_bfloat16_stays_where_it_is_exact_and_widens_where_not(tmp_path: Path) -> None:
    half = ml_dtypes.bfloat16
    exact = compose_folders([write_lora(tmp_path / "a", rank=2, alpha=4, dtype=half)])
    assert {tensor.dtype for tensor in exact.tensors.values()} == {np.dtype(half)}
    rounded = compose_folders([write_lora(tmp_path / "b", rank=3, alpha=4, dtype=half)])
    assert {tensor.dtype for tensor in rounded.tensors.values()} == {np.dtype(np.float32)}
    (tmp_path / "out").mkdir()
    write_composition(exact, tmp_path / "out")
    again = load_file(tmp_path / "out" / "adapter_model.safetensors")
    for name, tensor in exact.tensors.items():
        np.testing.assert_array_equal(again[name], tensor)


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    folder = write_lora(tmp_path / "a")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_composition(compose_folders([folder, folder]), tmp_path / name)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


REFUSED: dict[str, dict[str, Any]] = {
    "DoRA": {"use_dora": True},
    "bias on B": {"lora_bias": True},
    "trains biases": {"bias": "lora_only"},
    "modules saved": {"modules_to_save": ["lm_head"]},
    "token rows": {"trainable_token_indices": [1]},
    "bare parameters": {"target_parameters": ["experts.w"]},
    "replicated": {"layer_replication": [[0, 2]]},
    "activated": {"alora_invocation_tokens": [1]},
    "QALoRA": {"use_qalora": True},
    "block-diagonal": {"use_bdlora": {"nblocks": 2}},
    "transposed": {"fan_in_fan_out": True},
    "changes the base": {"init_lora_weights": "pissa"},
    "'lora_ga' changes": {"init_lora_weights": "lora_ga"},
    "alpha_pattern holds": {"alpha_pattern": {"(.*)+q_proj": 2}},
    "rank_pattern holds": {"rank_pattern": {"q_proj": "2"}},
    "its config says 9": {"rank_pattern": {"v_proj": 9}},
    "config says 8": {"r": 8},
    "r=True": {"r": True},
    "lora_alpha=0": {"lora_alpha": 0},
    "only LORA": {"peft_type": "LOHA"},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_stacked_is_refused_by_name(what: str, tmp_path: Path) -> None:
    good = write_lora(tmp_path / "good")
    bad = write_lora(tmp_path / "bad", **REFUSED[what])
    with pytest.raises(NotComposable, match=what):
        compose_folders([good, bad])


A, B = "base_model.model.x.lora_A.weight", "base_model.model.x.lora_B.weight"
BAD_TENSORS: dict[str, dict[str, Any]] = {
    "no tensors": {},
    "not a pair": {A: np.ones((2, 3), np.float32)},
    "pair of lora_A": {A: np.ones((2, 3), np.float32), "bias": np.ones(3, np.float32)},
    "not one linear": {A: np.ones((2, 3), np.float32), B: np.ones((3, 4), np.float32)},
    r"A \(2, 3, 1, 1\)": {
        A: np.ones((2, 3, 1, 1), np.float32),
        B: np.ones((3, 2, 1, 1), np.float32),
    },
    "dtypes": {A: np.ones((2, 3), np.int32), B: np.ones((3, 2), np.int32)},
    "NaN": {A: np.full((2, 3), np.nan, np.float32), B: np.ones((3, 2), np.float32)},
}


@pytest.mark.parametrize("what", BAD_TENSORS)
def test_tensors_that_are_no_lora_are_refused(what: str, tmp_path: Path) -> None:
    folder = write_lora(tmp_path / "bad")
    save_file(BAD_TENSORS[what], folder / "adapter_model.safetensors")
    with pytest.raises(NotComposable, match=what):
        compose_folders([folder])


def test_folders_without_their_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotComposable, match="no delta"):
        compose_folders([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotComposable, match="no adapter_config"):
        compose_folders([tmp_path / "empty"])
    folder = write_lora(tmp_path / "lora")
    (folder / "adapter_config.json").write_text("[]")
    with pytest.raises(NotComposable, match="not an object"):
        compose_folders([folder])
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(UnsafeFile):
        compose_folders([folder])


def test_deltas_of_different_bases_are_refused(tmp_path: Path) -> None:
    first = write_lora(tmp_path / "a", modules={"x.q_proj": (4, 4)})
    second = write_lora(tmp_path / "b", modules={"x.q_proj": (8, 4)})
    with pytest.raises(NotComposable, match="one base"):
        compose_folders([first, second])


def test_a_config_of_peft_itself_is_read(tmp_path: Path) -> None:
    config = json.loads((write_lora(tmp_path / "a") / "adapter_config.json").read_text())
    config |= {"loftq_config": {}, "megatron_core": "megatron.core", "qalora_group_size": 16}
    (tmp_path / "a" / "adapter_config.json").write_text(json.dumps(config))
    assert compose_folders([tmp_path / "a"]).rank == 2
