"""Pure parts: which adapters go, what passes as proof, which flags an engine gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from service.engines.adapters import AdapterTable, Hold, Servable
from service.engines.client import EngineAnswer
from service.engines.command import Base, EngineBuild, make_launch
from service.engines.memory import kv_cache_bytes
from service.engines.proof import prove
from service.engines.reconcile import Resident, plan_loads
from service.errors import EngineProofFailed
from service.settings import Settings
from trainer.spec import Canary, CanaryPrompt, Precision

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
    assert proof.mean_logprob_gap == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("expected", "seen"), [("a p\ufffd", "a p"), ("a\ufffdb", " ab\ufffd\ufffd")]
)
def test_incomplete_characters_are_not_compared(expected: str, seen: str) -> None:
    prompt = PROMPT.model_copy(update={"answer": expected})
    canary = CANARY.model_copy(update={"prompts": (prompt,)})
    assert prove(canary, lambda prompt, limit: EngineAnswer(seen, (-0.1, -0.2))).prompts == 1


@pytest.mark.parametrize(
    ("dtype", "engine", "gaps", "passes"),
    [
        ("fp32", "float32", (0.0, 0.06), False),
        ("fp32", "auto", (0.0, 0.06), True),
        ("bf16", "float32", (0.0, 0.06), True),
        ("bf16", "bfloat16", (0.0, 0.09), True),
        ("bf16", "bfloat16", (0.06, 0.06), False),  # 0.06 on average
        ("fp32", "float16", (0.0, *[0.0] * 20, 0.45), True),
        ("fp32", "float16", (0.0, *[0.0] * 20, 0.55), False),
    ],
)
def test_rounding_to_16_bits_is_forgiven_a_wrong_model_is_not(
    dtype: Precision, engine: str, gaps: tuple[float, ...], passes: bool
) -> None:
    prompt = PROMPT.model_copy(update={"logprobs": (-1.0,) * len(gaps)})
    canary = CANARY.model_copy(update={"prompts": (prompt,), "dtype": dtype})
    answer = EngineAnswer("red circle", tuple(-1.0 - gap for gap in gaps))
    if passes:
        assert prove(canary, lambda prompt, limit: answer, engine).max_logprob_gap == pytest.approx(
            max(gaps)
        )
    else:
        with pytest.raises(EngineProofFailed, match="on average"):
            prove(canary, lambda prompt, limit: answer, engine)


def test_a_canary_without_a_dtype_was_made_in_full_precision() -> None:
    stored = json.loads(CANARY.model_dump_json())
    del stored["dtype"]
    assert Canary.model_validate(stored).dtype == "fp32"


@pytest.mark.parametrize(
    ("text", "logprobs", "message"),
    [
        ("blue", (-0.1, -0.2), "its parent answered"),
        ("green", (-0.1, -0.2), "its base model answered"),
        ("red square", (-0.1, -0.2), "'red circle' was expected"),
        ("red circle", (-0.1, -0.3), "differ by up to 0.1000 nats"),
        ("red circle", (-0.1,), "differ by up to inf"),
        ("red circle", (-0.1, float("nan")), "differ by up to inf"),
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


@pytest.mark.parametrize(
    ("on_cpu", "wanted", "passed"),
    [
        (True, "auto", "float32"),
        (True, "bfloat16", "bfloat16"),
        (False, "auto", "auto"),
        (False, "float16", "float16"),
    ],
)
def test_the_number_format_reaches_every_engine(
    tmp_path: Path, on_cpu: bool, wanted: str, passed: str
) -> None:
    settings = Settings(state_dir=tmp_path, engine_dtype=wanted)
    launch = make_launch(settings, EngineBuild("0.32.0", on_cpu), Base(str(tmp_path), "a"), 1)
    assert f"--dtype {passed}" in " ".join(launch.command)
    assert ("--enforce-eager" in launch.command) == on_cpu


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


def test_a_hold_belongs_to_the_loading_it_was_taken_on() -> None:
    table = AdapterTable(capacity=4)
    servable = Servable("x", "/x", "ver_1", None)

    def load_and_pin() -> Hold:
        table.add(servable)
        table.set_proven("x")
        hold = table.pin("x")
        assert hold is not None
        return hold

    first = load_and_pin()
    table.remove("x")  # the engine said that it does not know it
    load_and_pin()
    table.unpin(first)
    assert table.in_use() == 1
    assert not table.close_if_idle()
