"""Streams: created with everything resolved, refused with what is known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidRequest
from service.streams.bases import digest_base, resolve_base
from tests.service.harness import Plane, make_base
from trainer.catalog import METHODS


def test_a_stream_starts_at_its_base(plane: Plane) -> None:
    stream = plane.create_stream()

    assert stream["base_digest"] == digest_base(plane.base)
    assert stream["method_config"] == {
        "rank": 4, "alpha": 32.0, "dropout": 0.0, "target_modules": None,
        "carry_over": "merge_then_new",
    }  # fmt: skip
    assert stream["hyperparameters"]["batch_size"] == 16
    assert plane.versions() == [0]
    assert plane.production() == 0
    assert plane.client.get("/v1/streams/demo").json() == stream


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "magic"}, ["magic", "full, lora", "reglora"]),
        (
            {"method_config": {"rnk": 4}},
            ["rnk", "alpha, carry_over, dropout, rank"],
        ),
        ({"method_config": {"rank": 0}}, ["method_config.rank", "greater than or equal to 1"]),
        ({"method_config": {"rank": 512}}, ["512", "limit is 128", "rank of at most 128"]),
        ({"hyperparameters": {"lr": 1}}, ["lr", "batch_size", "learning_rate"]),
        ({"hyperparameters": {"epochs": -1, "batch_size": 0}}, ["epochs", "batch_size"]),
        ({"base": "/no/such/folder"}, ["/no/such/folder", "hub id"]),
        ({"name": "Not A Name"}, ["name"]),
        ({"gate": {"max_drop": 1}}, ["gate", "max_drop"]),
        ({"colour": "red"}, ["colour"]),
        ({"x_percent": 101}, ["x_percent", "(got 101)"]),
        ({"x_percent": True}, ["x_percent: must be a number (got True)"]),
        ({"asd": {"format": {}}}, ["format", "engine, formats, review, unit"]),
        ({"asd": {"formats": {"haiku": 1}}}, ["asd.formats.haiku", "'yes_no'", "(got 'haiku')"]),
        ({"asd": {"formats": {"box": 1}}}, ["asd.formats: 'box' cannot be rewritten into"]),
        ({"asd": {"formats": {"yes_no": 0.5}}}, ["asd.formats: the shares sum to 0.5"]),
        ({"asd": {"formats": {}}}, ["asd.formats: the shares sum to 0"]),
        ({"asd": {"formats": {"yes_no": 2, "short_answer": -1}}}, ["asd.formats", "negative"]),
        ({"asd": {"formats": {"yes_no": "1"}}}, ["asd.formats.yes_no: must be a number"]),
        ({"asd": {"unit": "row"}}, ["asd.unit", "'turn' or 'sample'"]),
        ({"asd": {"engine": "magic"}}, ["asd.engine", "'rules' or 'llm'"]),
        ({"asd": {"review": "yes"}}, ["asd.review: must be true or false"]),
        ({"asd": []}, ["asd: must be a JSON object"]),
        ({"seed": "3"}, ["seed: must be a whole number (got '3')"]),
        ({"gate": {"min_samples": True}}, ["gate.min_samples: must be a whole number (got True)"]),
        ({"hyperparameters": {"epochs": True}}, ["hyperparameters.epochs: must be a number"]),
        ({"hyperparameters": {"batch_size": "8"}}, ["batch_size: must be a whole number"]),
        ({"method_config": {"rank": True}}, ["method_config.rank: must be a whole number"]),
        ({"method_config": {"target_modules": "q_proj"}}, ["target_modules: must be a list"]),
        ({"method_config": {"target_modules": ["nope"]}}, ["no layer 'nope'", "are q_proj."]),
        ({"method_config": {"target_modules": ["q_proj", ""]}}, ["no layer ''"]),
        ({"method": "m" * 10_000}, ["mmm", "lora, reglora"]),
        ({"revision": "main"}, ["'main'", "is a folder", "Leave revision out"]),
    ],
)
def test_what_is_refused_is_named(plane: Plane, changes: dict[str, Any], words: list[str]) -> None:
    body = {"name": "demo", "base": str(plane.base), "method": "lora"} | changes

    answer = plane.client.post("/v1/streams", json=body)

    assert answer.status_code == 422
    assert all(word in answer.json()["error"]["message"] for word in words), answer.text
    assert plane.client.get("/v1/streams").json()["data"] == []


def test_a_name_is_given_once(plane: Plane) -> None:
    plane.create_stream()

    answer = plane.client.post("/v1/streams", json={"name": "demo", "base": str(plane.base)})

    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "name")


def test_a_repeated_request_with_a_key_makes_one_stream(plane: Plane) -> None:
    body = {"name": "demo", "base": str(plane.base)}
    headers = {"idempotency-key": "one"}

    first = plane.client.post("/v1/streams", json=body, headers=headers)
    again = plane.client.post("/v1/streams", json=body, headers=headers)
    other = plane.client.post("/v1/streams", json=body | {"name": "two"}, headers=headers)

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert first.json() == again.json()


def test_streams_are_listed_in_pages(plane: Plane) -> None:
    for name in ("c", "a", "b"):
        plane.create_stream(name)

    first = plane.client.get("/v1/streams", params={"limit": 2}).json()
    rest = plane.client.get("/v1/streams", params={"after": first["next_cursor"]}).json()

    assert [row["name"] for row in first["data"]] == ["a", "b"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert [row["name"] for row in rest["data"]] == ["c"]


def test_an_unknown_stream_is_404(plane: Plane) -> None:
    answer = plane.client.get("/v1/streams/nobody")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_base_needs_config_and_safetensors(tmp_path: Path, missing: str) -> None:
    folder = make_base(tmp_path / "base")
    (folder / missing).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"anything")

    with pytest.raises(InvalidRequest, match=missing.rsplit(".", 1)[-1]):
        resolve_base(str(folder), None)


@pytest.mark.parametrize("name", ["q_proj", "self_attn.q_proj", "model.language_model.q_proj"])
def test_target_modules_are_compared_by_their_last_part(plane: Plane, name: str) -> None:
    stream = plane.create_stream(method_config={"target_modules": [name]})

    assert stream["method_config"]["target_modules"] == [name]


@pytest.mark.parametrize(
    "method", [it for it, entry in METHODS.items() if "target_modules" in entry.config.model_fields]
)
def test_target_modules_are_a_json_list_whatever_the_method(plane: Plane, method: str) -> None:
    stream = plane.create_stream(method=method, method_config={"target_modules": ["q_proj"]})

    assert stream["method_config"]["target_modules"] == ["q_proj"]


def test_infinity_is_no_number(plane: Plane) -> None:
    body = {"name": "demo", "base": str(plane.base), "hyperparameters": {"max_grad_norm": math.inf}}
    headers = {"content-type": "application/json"}

    answer = plane.client.post("/v1/streams", content=json.dumps(body), headers=headers)

    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "hyperparameters")
    assert "Infinity" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "damage", [b"", b"x", bytes(7), b"\xff" * 64, (2).to_bytes(8, "little") + b"[]", b"cut"]
)
def test_a_base_with_a_damaged_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    folder = make_base(tmp_path / "base")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4] if damage == b"cut" else damage)

    with pytest.raises(
        InvalidRequest, match=r"model.safetensors' is damaged: .* download it again"
    ):
        resolve_base(str(folder), None)


@pytest.mark.parametrize(
    "entry", ['{"shape": [1e400], "data_offsets": [0, 0]}', '{"data_offsets": [0]}', "[]"]
)
def test_a_base_with_a_strange_header_is_refused(tmp_path: Path, entry: str) -> None:
    folder = make_base(tmp_path / "base")
    header = f'{{"a": {entry}}}'.encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)

    with pytest.raises(InvalidRequest, match="is damaged"):
        resolve_base(str(folder), None)


def test_a_base_without_a_tensor_is_refused(tmp_path: Path) -> None:
    folder = make_base(tmp_path / "base")
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")

    with pytest.raises(InvalidRequest, match="without any tensor"):
        resolve_base(str(folder), None)


@pytest.mark.parametrize("config", ["not json", "[]", "{}", '{"model_type": 1}'])
def test_a_base_whose_config_names_no_model_is_refused(tmp_path: Path, config: str) -> None:
    folder = make_base(tmp_path / "base")
    (folder / "config.json").write_text(config)

    with pytest.raises(InvalidRequest, match="model_type"):
        resolve_base(str(folder), None)


def test_only_an_absolute_path_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_base(tmp_path / "base")
    (tmp_path / "README.md").write_text("a file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.snapshot_download", _no_hub)

    assert resolve_base("~/base", None).source == str(tmp_path / "base")
    for source, words in {
        "base": f"absolute path: '{tmp_path / 'base'}' exists",
        "./base": f"absolute path: '{tmp_path / 'base'}' exists",
        "README.md": "README.md' is a file: give the model's folder",
        str(tmp_path / "README.md"): "README.md' is a file, not a folder",
        "~nobody-here/base": "nor a hub id",
        f"/{'x' * 300}": "is not a folder",
    }.items():
        with pytest.raises(InvalidRequest) as refused:
            resolve_base(source, None)
        assert words in refused.value.message
        assert ".." not in refused.value.message


def _no_hub(*_args: object, **_more: object) -> None:
    raise OSError("no such model. Try again.")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling_x.py", "sub/optimizer.pt"])
def test_a_base_with_pickles_or_code_is_refused(tmp_path: Path, name: str) -> None:
    folder = make_base(tmp_path / "base")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"anything")

    with pytest.raises(InvalidRequest, match=f"{name}. Remove them"):
        resolve_base(str(folder), None)


def test_a_hub_id_is_fetched_and_its_commit_recorded(tmp_path: Path) -> None:
    commit = "a" * 40
    asked = []

    def download(hub_id: str, revision: str | None) -> Path:
        asked.append((hub_id, revision))
        return make_base(tmp_path / commit)

    base = resolve_base("owner/model", "main", download)

    assert asked == [("owner/model", "main")]
    assert (base.revision, base.path.name) == (commit, commit)


def test_the_digest_covers_weights_and_texts_but_no_code(tmp_path: Path) -> None:
    folder = make_base(tmp_path / "base")
    before = digest_base(folder)
    (folder / "modeling.py").write_text("anything")
    assert digest_base(folder) == before
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert digest_base(folder) != before


def test_a_task_may_take_a_methods_preset_whole(plane: Plane) -> None:
    plane.create_stream(method="reglora", method_config={"rank": 4, "top_percent": 10})

    answer = plane.submit(
        params={"dry_run": True}, options={"method_config": {"preset": "published"}}
    )

    assert answer.status_code == 200, answer.text
    config = answer.json()["plan"]["method_config"]
    assert (config["multiplicity"], config["top_percent"], config["rank"]) == ("concat", 2.0, 4)
