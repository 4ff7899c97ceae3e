"""Hostile files are refused by their bytes alone; honest ones pass whatever they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from adapters_store.errors import UnsafeFile
from adapters_store.safetensors_check import MAX_HEADER_BYTES, check_json, check_safetensors


def _raw(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def _tensor(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes


HOSTILE = {
    "empty": b"",
    "seven bytes": b"1234567",
    "length past the end": (100).to_bytes(8, "little") + b"{}",
    "length 2**64-1": b"\xff" * 8 + b"{}",
    "a pickle": b"\x80\x04\x95" + b"\x00" * 40,
    "a zip": b"PK\x03\x04" + b"\x00" * 40,
    "header over 8 MiB": _raw(b"{" + b" " * MAX_HEADER_BYTES + b"}"),
    "a list": _raw(b"[]"),
    "leading space": _raw(b" {}"),
    "not JSON": _raw(b"{nope}"),
    "not UTF-8": _raw(b'{"\xff": 1}'),
    "deep JSON": _raw(b'{"a":' + b"[" * 200_000),
    "a key twice": _raw(
        b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
        b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
    ),
    "metadata not text": _raw({"__metadata__": {"a": 1}}),
    "metadata a list": _raw({"__metadata__": []}),
    "entry a number": _raw({"a": 1}),
    "entry with more fields": _raw({"a": _tensor(extra=1)}, b"\0" * 8),
    "unknown dtype": _raw({"a": _tensor(dtype="OBJECT")}, b"\0" * 8),
    "dtype a list": _raw({"a": _tensor(dtype=["F32"])}, b"\0" * 8),
    "negative size": _raw({"a": _tensor(shape=[-2])}, b"\0" * 8),
    "fractional size": _raw({"a": _tensor(shape=[2.0])}, b"\0" * 8),
    "boolean size": _raw({"a": _tensor(shape=[True, 2])}, b"\0" * 8),
    "huge size": _raw({"a": _tensor(shape=[10**400])}, b"\0" * 8),
    "overflowing shape": _raw({"a": _tensor(shape=[2**62, 4, 2])}, b"\0" * 8),
    "infinite size": _raw(b'{"a":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,8]}}'),
    "nine dimensions": _raw({"a": _tensor(shape=[1] * 8 + [2])}, b"\0" * 8),
    "too little data": _raw({"a": _tensor()}, b"\0" * 4),
    "data left over": _raw({"a": _tensor()}, b"\0" * 12),
    "range and shape differ": _raw({"a": _tensor(data_offsets=[0, 4])}, b"\0" * 4),
    "backward range": _raw({"a": _tensor(data_offsets=[8, 0])}, b"\0" * 8),
    "three offsets": _raw({"a": _tensor(data_offsets=[0, 8, 8])}, b"\0" * 8),
    "a gap": _raw({"a": _tensor(data_offsets=[4, 12])}, b"\0" * 12),
    "an overlap": _raw({"a": _tensor(), "b": _tensor(data_offsets=[4, 12])}, b"\0" * 12),
    "the same range twice": _raw({"a": _tensor(), "b": _tensor()}, b"\0" * 8),
    "empty name": _raw({"": _tensor()}, b"\0" * 8),
    "long name": _raw({"n" * 600: _tensor()}, b"\0" * 8),
    "name with a line break": _raw({"a\nb": _tensor()}, b"\0" * 8),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(case: str, tmp_path: Path) -> None:
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(HOSTILE[case])
    with pytest.raises(UnsafeFile, match=r"adapter_model\.safetensors"):
        check_safetensors(path)


def test_too_many_tensors_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters_store.safetensors_check.MAX_TENSORS", 3)
    path = tmp_path / "many.safetensors"
    path.write_bytes(save({f"t{i}": np.zeros(1, np.uint8) for i in range(4)}))
    with pytest.raises(UnsafeFile, match="4 tensors, the limit is 3"):
        check_safetensors(path)


DTYPES = (np.float32, np.float16, ml_dtypes.bfloat16, np.int64, np.uint8, np.bool_)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text("abc.", min_size=1, max_size=8),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3)),
        max_size=5,
    )
)
def test_honest_files_pass_with_their_shapes(
    tmp_path_factory: pytest.TempPathFactory, made: dict[str, Any]
) -> None:
    tensors = {name: np.ones(shape, dtype) for name, (dtype, shape) in made.items()}
    path = tmp_path_factory.mktemp("honest") / "file.safetensors"
    path.write_bytes(save(tensors, metadata={"format": "pt"}))
    found = check_safetensors(path)
    assert {name: info.shape for name, info in found.items()} == {
        name: tensor.shape for name, tensor in tensors.items()
    }


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 200), st.integers(0, 255), st.binary(max_size=6))
def test_what_passes_after_a_mutation_loads(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int, tail: bytes
) -> None:
    raw = bytearray(save({"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16)}))
    raw[position % len(raw)] = byte
    path = tmp_path_factory.mktemp("mutated") / "file.safetensors"
    path.write_bytes(bytes(raw) + tail)
    try:
        found = check_safetensors(path)
    except UnsafeFile:
        return
    assert load(path.read_bytes()).keys() == found.keys()


@pytest.mark.parametrize(
    "text", ['{"a": NaN}', '{"a": 1, "a": 2}', "{", "[" * 100_000, "\ufeff{}", '{"a": Infinity}']
)
def test_json_that_readers_may_read_differently_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(UnsafeFile):
        check_json(tmp_path / "config.json")


def test_large_json_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters_store.safetensors_check.MAX_JSON_BYTES", 10)
    (tmp_path / "config.json").write_text(json.dumps(list(range(20))))
    with pytest.raises(UnsafeFile, match="limit for JSON is 10"):
        check_json(tmp_path / "config.json")
