"""Pure parts: which adapters go, what passes as proof, which flags an engine gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.engines.client import EngineAnswer
from service.engines.command import Base, EngineBuild, make_launch
from service.engines.memory import kv_cache_bytes
from service.engines.proof import prove
from service.engines.reconcile import Resident, plan_loads
from service.errors import EngineProofFailed
from service.settings import Settings
from trainer.spec import Canary, CanaryPrompt

names = st.sampled_from([f"a{number}" for number in range(12)])
residents = st.lists(
    st.builds(Resident, names, st.floats(0, 100), st.integers(0, 2)),
    unique_by=lambda resident: resident.name,
)


@given(residents, st.lists(names), st.integers(1, 8))
def test_plans_load_what_is_wanted_and_free_only_what_must_go(
    loaded: list[Resident], wanted: list[str], capacity: int
) -> None:
    plan = plan_loads(loaded, wanted, capacity)
    before = {resident.name: resident for resident in loaded}
    after = (set(before) - set(plan.unload)) | set(plan.load)
    held = {resident.name for resident in loaded if resident.pins}
    assert set(wanted) <= after
    assert len(set(plan.load)) == len(plan.load)
    assert not set(plan.load) & set(before)
    assert not set(plan.unload) & (held | set(wanted))
    assert len(after) <= max(capacity, len(held | set(wanted)))
    if len(set(before) | set(wanted)) <= capacity:
        assert plan.unload == ()
    stayed = [r for r in loaded if r.name in after and r.name not in held | set(wanted)]
    assert all(
        before[gone].last_used <= resident.last_used for gone in plan.unload for resident in stayed
    )


PROMPT = CanaryPrompt(
    question="q",
    images=(),
    answer="red circle",
    logprobs=(-0.1, -0.2),
    parent_answer="blue",
    base_answer="green",
)
CANARY = Canary(prompts=(PROMPT,), max_tokens=8, distinguishes_parent=True, distinguishes_base=True)


def test_the_same_answer_within_tolerance_is_proof() -> None:
    # Engines report the end-of-turn token too, and may lead with a space.
    proof = prove(CANARY, lambda prompt, limit: EngineAnswer(" red circle", (-0.12, -0.2, -0.001)))
    assert proof.max_logprob_gap == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("text", "logprobs", "message"),
    [
        ("blue", (-0.1, -0.2), "its parent answered"),
        ("green", (-0.1, -0.2), "its base model answered"),
        ("red square", (-0.1, -0.2), "'red circle' was expected"),
        ("red circle", (-0.1, -0.3), "differ by 0.1000 nats"),
        ("red circle", (-0.1,), "differ by inf"),
        ("red circle", (-0.1, float("nan")), "differ by inf"),
    ],
)
def test_anything_else_is_refused(text: str, logprobs: tuple[float, ...], message: str) -> None:
    with pytest.raises(EngineProofFailed, match=message):
        prove(CANARY, lambda prompt, limit: EngineAnswer(text, logprobs))


def test_the_engine_listens_on_loopback_with_a_rank_that_vllm_knows(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path, engine_max_lora_rank=100)
    base = Base(str(tmp_path), "a" * 64)
    launch = make_launch(settings, EngineBuild("0.32.0", True), base, 1234)
    command = " ".join(launch.command)
    assert "--host 127.0.0.1" in command
    assert "--max-lora-rank 128" in command
    assert "--dtype float32" in command
    assert "--load-format safetensors" in command
    assert "trust" not in command
    assert launch.environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    same = make_launch(settings, EngineBuild("0.32.0", True), base, 4321)
    assert same.fingerprint == launch.fingerprint
    other = make_launch(settings, EngineBuild("0.33.0", True), base, 1234)
    assert other.fingerprint != launch.fingerprint


@pytest.mark.parametrize("rank", [0, 513])
def test_a_rank_that_no_engine_takes_is_refused(rank: int) -> None:
    with pytest.raises(ValidationError, match="engine_max_lora_rank"):
        Settings(engine_max_lora_rank=rank)


def test_a_tiny_base_takes_little_kv_cache(tmp_path: Path) -> None:
    text = {
        "hidden_size": 128, "num_hidden_layers": 6, "num_attention_heads": 4,
        "num_key_value_heads": 4, "head_dim": 32, "max_position_embeddings": 1024,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps({"text_config": text}))
    need = kv_cache_bytes(str(tmp_path), "float32", 32, None, 2**30)
    assert 6144 * 1024 * 32 < need < 300 * 2**20
    assert kv_cache_bytes(str(tmp_path / "none"), "float32", 32, None, 2**30) == 2**30
