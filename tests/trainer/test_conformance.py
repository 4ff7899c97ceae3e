"""Every method of the catalog, through the real wiring: sharded, killed, exported, served.

Four launches (ZeRO stage x ranks) walk all methods, each in one process group; what they left is
then examined method by method. Both tasks are trained by the first launch, the second one by all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from adapters_store.backends import LocalBlobStore
from adapters_store.compose import compose_folders, write_composition
from adapters_store.errors import NotComposable
from adapters_store.lineage import Lineage, lineage_of
from adapters_store.manifest import BaseRef, DataRef, VersionFields
from adapters_store.merge import merge_folders
from adapters_store.servable import (
    ENGINE_RANK_LIMITS,
    compose_merged,
    compose_offline,
    compose_servable,
)
from adapters_store.store import VersionStore
from tests.trainer.attempts import result_of
from tests.trainer.conformance import (
    LAUNCHES,
    PROBED_ROWS,
    VARIANTS,
    Variant,
    effective,
    launch,
    logits_of,
    spec_of,
)
from trainer.canary import GreedyReader, Question
from trainer.catalog import declared
from trainer.data import Collator, Corpus, load_samples
from trainer.methods.base import build_method
from trainer.modeling import load_base, load_processor
from trainer.rows import RowEncoder
from trainer.spec import BaseModelSpec, Canary, TrainSpec

pytestmark = pytest.mark.conformance

Launch = tuple[int, int]


@dataclass(frozen=True)
class Walks:
    """All specs: the first tasks, and the second tasks by launch."""

    first: dict[str, TrainSpec]
    second: dict[Launch, dict[str, TrainSpec]]


@pytest.fixture(scope="module")
def walks(tiny_base: BaseModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Walks:
    """Make all specs and run the first launch."""
    root = tmp_path_factory.mktemp("walks")
    first = {name: spec_of(it, root / "2-1", tiny_base) for name, it in VARIANTS.items()}
    second = {
        (stage, ranks): {
            name: spec_of(
                it,
                root / f"{stage}-{ranks}",
                tiny_base,
                stage=stage,
                ranks=ranks,
                parent=Path(first[name].output_dir),
            )
            for name, it in VARIANTS.items()
        }
        for stage, ranks in LAUNCHES
    }
    launch("walk", [*first.values(), *second[LAUNCHES[0]].values()])
    return Walks(first, second)


@pytest.fixture(scope="module")
def launched(walks: Walks) -> Walks:
    """Run the other launches."""
    for shape in LAUNCHES[1:]:
        launch("walk", list(walks.second[shape].values()), shape[1])
    return walks


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Variant:
    return VARIANTS[request.param]


def _first_loss(spec: TrainSpec) -> float:
    """Return the task loss of the very first step, a calibration's if there was one."""
    lines = (Path(spec.output_dir) / "events.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [event for event in map(json.loads, lines) if event["kind"] == "step"]
    return float(steps[0]["loss"])


def _batch(spec: TrainSpec) -> dict[str, Tensor]:
    """Return the rows that a walk asked its trained model about."""
    processor = load_processor(spec.base)
    length = spec.hyperparameters.max_length
    encoder = RowEncoder(processor, blob_dir=Path(spec.blob_dir), max_length=length)
    corpus = Corpus(load_samples(Path(spec.corpus))[:PROBED_ROWS], encoder)
    return Collator(processor.tokenizer.pad_token_id)([corpus[i] for i in range(PROBED_ROWS)])


def _logits(spec: TrainSpec, lineage: list[str], base: BaseModelSpec | None = None) -> Tensor:
    model = load_base(base or spec.base, dtype=torch.float32, lineage=lineage)
    return logits_of(model, _batch(spec))


def _probe(spec: TrainSpec) -> dict[str, Any]:
    text = (Path(spec.output_dir) / "probe.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _probed_logits(spec: TrainSpec) -> Tensor:
    return load_file(Path(spec.output_dir) / "probe.safetensors")["logits"]


@pytest.mark.parametrize("shape", LAUNCHES)
def test_every_launch_trains_and_leaves_what_is_frozen_bitwise_alone(
    launched: Walks, variant: Variant, shape: Launch
) -> None:
    spec = launched.second[shape][variant.name]

    probe = _probe(spec)

    assert result_of(spec).steps >= 6  # more with replayed rows
    assert result_of(spec).final_loss < _first_loss(spec)
    assert probe["moved"] == []
    assert probe["frozen"] > 0


@pytest.mark.parametrize("shape", LAUNCHES)
def test_nothing_of_one_training_lives_on_in_the_next(launched: Walks, shape: Launch) -> None:
    specs = list(launched.second[shape].values())
    alive = [_probe(spec)["alive_bytes"] for spec in specs]

    model = (Path(specs[0].base.path) / "model.safetensors").stat()
    assert max(alive) - min(alive) < model.st_size / 2


@pytest.mark.parametrize("shape", LAUNCHES[1:])
def test_shards_and_ranks_change_nothing_but_rounding(
    launched: Walks, variant: Variant, shape: Launch
) -> None:
    alone, other = (launched.second[it][variant.name] for it in (LAUNCHES[0], shape))
    first = launched.first[variant.name]
    before = _logits(alone, [f"{first.output_dir}/delta"])

    expected = _logits(alone, effective(variant, first, alone)) - before
    found = _logits(alone, effective(variant, first, other)) - before

    assert (found - expected).norm() < 0.02 * expected.norm()
    penalties = result_of(alone).final_penalty, result_of(other).final_penalty
    if not build_method(variant.method, variant.config).penalises:
        assert penalties == (None, None)
        return
    assert penalties[0] is not None
    assert penalties[0] > 0  # an ungathered penalty would be 0 at stage 3
    assert penalties[1] == pytest.approx(penalties[0], rel=1e-2)


def test_the_export_reloads_with_the_trained_logits(walks: Walks, variant: Variant) -> None:
    first, second = walks.first[variant.name], walks.second[LAUNCHES[0]][variant.name]
    lineage = effective(variant, first, second)
    kind = declared(variant.method, variant.config).delta_kind
    exact = {"rtol": 0.0, "atol": 0.0} if kind == "weights" else {"rtol": 1e-4, "atol": 1e-5}

    found = _logits(second, lineage)

    torch.testing.assert_close(found, _probed_logits(second), **exact)
    parent = _logits(second, [f"{first.output_dir}/delta"])
    assert not torch.allclose(found, parent, rtol=1e-3, atol=1e-3)


def test_the_canary_is_the_versions_own_answer(walks: Walks, variant: Variant) -> None:
    first, second = walks.first[variant.name], walks.second[LAUNCHES[0]][variant.name]
    text = (Path(second.output_dir) / "canary.json").read_text(encoding="utf-8")
    canary = Canary.model_validate_json(text)
    reader = GreedyReader(load_processor(second.base), Path(second.blob_dir))
    model = load_base(second.base, dtype=torch.float32, lineage=effective(variant, first, second))

    answers = reader.answers(model, [Question(it.question, it.images) for it in canary.prompts])

    for answer, prompt in zip(answers, canary.prompts, strict=True):
        assert answer.text == prompt.answer
        assert answer.logprobs == pytest.approx(prompt.logprobs, abs=1e-4)


def _published(root: Path, variant: Variant, specs: list[TrainSpec]) -> tuple[VersionStore, Any]:
    """Register both versions as the service does; return the store and the second's lineage."""
    store = VersionStore(root / "versions", LocalBlobStore(root / "blobs"))
    parent = None
    for number, spec in enumerate(specs, start=1):
        manifest = store.publish(
            Path(spec.output_dir),
            VersionFields(
                stream="stream",
                number=number,
                parent=parent,
                base=BaseRef(source=spec.base.source, digest=spec.base.digest),
                task=f"task-{number}",
                data=DataRef(train="0" * 64),
                method=variant.method,
                method_config=variant.config,
                seed=0,
                delta_kind=declared(variant.method, variant.config).delta_kind,
                code_version="test",
            ),
        )
        parent = manifest.digest
    return store, lineage_of(store, manifest)


def test_delta_kind_and_servability_are_as_declared(
    walks: Walks, variant: Variant, tmp_path: Path
) -> None:
    first, second = walks.first[variant.name], walks.second[LAUNCHES[0]][variant.name]
    store, chain = _published(tmp_path, variant, [first, second])
    told = declared(variant.method, variant.config)
    root, base = tmp_path / "servable", Path(second.base.path)

    assert len(chain.effective) == len(effective(variant, first, second))
    if told.servable_by == "lora":
        assert chain.rank > 0
    served = _SERVED_LOGITS[told.servable_by](store, chain, root, base, second)

    torch.testing.assert_close(served, _probed_logits(second), rtol=1e-4, atol=1e-5)


def _as_lora(
    store: VersionStore, chain: Lineage, root: Path, base: Path, spec: TrainSpec
) -> Tensor:
    servable = compose_servable(chain, store, root, max(ENGINE_RANK_LIMITS))
    assert servable.rank == chain.rank
    return _logits(spec, [str(servable.path)])


def _as_merged(
    store: VersionStore, chain: Lineage, root: Path, base: Path, spec: TrainSpec
) -> Tensor:
    with pytest.raises(NotComposable, match="merged or offline"):
        compose_servable(chain, store, root, max(ENGINE_RANK_LIMITS))
    servable = compose_merged(chain, store, root, base)
    load_processor(spec.base.model_copy(update={"path": str(servable.path)}))
    merged = spec.base.model_copy(update={"path": str(servable.path)})
    return _logits(spec, [], merged)


def _as_offline(
    store: VersionStore, chain: Lineage, root: Path, base: Path, spec: TrainSpec
) -> Tensor:
    with pytest.raises(NotComposable, match="merged or offline"):
        compose_servable(chain, store, root, max(ENGINE_RANK_LIMITS))
    with pytest.raises(NotComposable):
        compose_merged(chain, store, root, base)
    servable = compose_offline(chain, store, root)
    return _logits(spec, [str(path) for path in sorted(servable.path.glob("delta-*"))])


_SERVED_LOGITS = {"lora": _as_lora, "merged": _as_merged, "offline": _as_offline}


def test_a_composition_equals_a_merge(walks: Walks, tmp_path: Path) -> None:
    """What an engine adds as one LoRA is what a merge writes into the weights."""
    variant = VARIANTS["lora"]
    first, second = walks.first[variant.name], walks.second[LAUNCHES[0]][variant.name]
    deltas = [Path(it) for it in effective(variant, first, second)]
    for name in ("lora", "merged"):
        (tmp_path / name).mkdir()
    write_composition(compose_folders(deltas), tmp_path / "lora")
    merge_folders(Path(second.base.path), deltas, tmp_path / "merged")
    merged = second.base.model_copy(update={"path": str(tmp_path / "merged")})

    torch.testing.assert_close(
        _logits(second, [str(tmp_path / "lora")]), _logits(second, [], merged)
    )


@pytest.fixture(scope="module")
def resumed(walks: Walks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainSpec]:
    """Train the second tasks again, each killed between checkpoints and resumed."""
    return _kill_all(walks, tmp_path_factory.mktemp("killed"), "training")


def _kill_all(walks: Walks, root: Path, place: str) -> dict[str, TrainSpec]:
    chosen = VARIANTS if place == "training" else {"lota": VARIANTS["lota"]}
    specs = {
        name: spec_of(it, root, walks.first[name].base, parent=Path(walks.first[name].output_dir))
        for name, it in chosen.items()
    }
    launch("kill", list(specs.values()), KILL_IN=place)
    return specs


def test_killed_and_resumed_gives_the_uninterrupted_weights(
    walks: Walks, resumed: dict[str, TrainSpec], variant: Variant
) -> None:
    whole, again = walks.second[LAUNCHES[0]][variant.name], resumed[variant.name]

    assert result_of(again).resumed_from_step == 2
    assert result_of(whole).resumed_from_step is None
    assert result_of(again).files == result_of(whole).files


@pytest.mark.deep
def test_a_kill_in_the_calibration_changes_nothing_either(walks: Walks, tmp_path: Path) -> None:
    again = _kill_all(walks, tmp_path, "calibration")["lota"]

    assert result_of(again).files == result_of(walks.second[LAUNCHES[0]]["lota"]).files


@pytest.mark.deep
def test_every_method_trains_in_bf16_at_both_stages(walks: Walks, tmp_path: Path) -> None:
    specs = [
        spec_of(
            it,
            tmp_path / str(stage),
            walks.first[name].base,
            stage=stage,
            parent=Path(walks.first[name].output_dir),
            precision="bf16",
        )
        for stage in (2, 3)
        for name, it in VARIANTS.items()
    ]

    launch("walk", specs)

    for spec in specs:
        probe = _probe(spec)
        assert (result_of(spec).steps >= 6, probe["moved"]) == (True, []), spec.output_dir
