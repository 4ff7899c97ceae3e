"""A manifest's digest covers everything but the time, and survives its file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters_store.manifest import (
    DataRef,
    DeltaRef,
    FileRef,
    VersionManifest,
    canonical_json,
)
from tests.adapters_store.factories import BASE, fields

FILE = FileRef(sha256="c" * 64, size=3)


def _manifest(**changes: Any) -> VersionManifest:
    known: dict[str, Any] = {
        "stream": "demo",
        "number": 1,
        "parent": None,
        "base": BASE,
        "task": "shapes",
        "data": DataRef(train="d" * 64, evaluation="e" * 64),
        "method": "lora",
        "method_config": {"rank": 2},
        "hyperparameters": {"learning_rate": 2e-4},
        "seed": 0,
        "delta": DeltaRef(kind="add", rank=2, files={"adapter_model.safetensors": FILE}),
        "state": {},
        "canary": FILE,
        "code_version": "0.1.0",
    }
    return VersionManifest(**(known | changes))


CHANGES = {
    "stream": "other",
    "number": 2,
    "parent": "a" * 64,
    "base": BASE.model_copy(update={"revision": "main"}),
    "task": "colours",
    "data": DataRef(train="e" * 64),
    "method": "reglora",
    "method_config": {"rank": 4},
    "hyperparameters": {"learning_rate": 1e-4},
    "seed": 1,
    "delta": DeltaRef(kind="replace", rank=2, files={"adapter_model.safetensors": FILE}),
    "state": {"masks.safetensors": FILE},
    "canary": FileRef(sha256="c" * 64, size=4),
    "code_version": "0.1.1",
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_is_in_the_digest(field: str) -> None:
    assert _manifest(**{field: CHANGES[field]}).digest != _manifest().digest


def test_every_field_was_tried() -> None:
    assert set(CHANGES) == set(VersionManifest.model_fields) - {"schema_version", "created_at"}


def test_the_time_is_not_in_the_digest() -> None:
    assert _manifest(created_at=datetime(2020, 1, 1, tzinfo=UTC)).digest == _manifest().digest


def test_the_digest_never_changes_between_releases() -> None:
    # Names of stored versions: if this fails, old stores can no longer be read.
    expected = "8b95b3cc112a04633c1f7a9e613923cf269daa412a2c2310c056503c9ced4aa4"
    assert _manifest().digest == expected


def test_referenced_digests_are_files_and_data() -> None:
    assert _manifest().referenced_digests() == {"c" * 64, "d" * 64, "e" * 64}


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_a_manifest_survives_json(config: dict[str, Any]) -> None:
    try:
        manifest = _manifest(method_config=config)
    except ValidationError:
        return  # infinity, surrogates: not JSON
    text = canonical_json(manifest.model_dump(mode="json"))
    assert VersionManifest.model_validate(json.loads(text)) == manifest
    assert VersionManifest.model_validate(json.loads(text)).digest == manifest.digest


@pytest.mark.parametrize(
    "change",
    [
        {"stream": "../up"},
        {"stream": "a/b"},
        {"stream": ".hidden"},
        {"stream": "a@b"},
        {"stream": "a\n"},
        {"stream": ""},
        {"task": "x" * 65},
        {"number": 0},
        {"parent": "A" * 64},
        {"seed": -1},
        {"method_config": {"rank": float("nan")}},
        {"hyperparameters": {"x": float("inf")}},
        {"unknown": 1},
        {"delta_kind": "multiply"},
    ],
)
def test_bad_fields_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        fields(**change)


@pytest.mark.parametrize(
    "path", ["../x.json", "/x.json", "a//b.json", "a/./b.json", ".x", "a/b/c/d/e.json", "a\\b", ""]
)
def test_bad_paths_are_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        DeltaRef(kind="add", rank=1, files={path: FILE})


def test_a_manifest_is_frozen() -> None:
    with pytest.raises(ValidationError):
        _manifest().number = 3
