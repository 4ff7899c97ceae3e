"""The shipped `retain-tiny`: loads by the stock classes, reads pictures, keeps its promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from asd_rewriter.formats import ASD_FORMATS, INSTRUCTIONS, AnswerFormat

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from deploy.demo.tiny import checkpoints, facts, language, mix, tower  # noqa: E402
from deploy.demo.tiny import train as training  # noqa: E402
from deploy.demo.tiny.answering import Share, greedy, is_right, read_box  # noqa: E402
from deploy.demo.tiny.evaluate import held_out  # noqa: E402
from deploy.demo.tiny.model import END, load  # noqa: E402
from eval.minicoin.glyphs import LETTERS  # noqa: E402
from eval.minicoin.tasks import TASKS  # noqa: E402
from eval.minicoin.world import COLOURS, PLACES, SHAPES, draw, random_scene  # noqa: E402

BOX = AnswerFormat.BOX
WEIGHTS = Path(__file__).parents[2] / "deploy/demo/tiny/weights"


@pytest.fixture(scope="module")
def shipped() -> Iterator[tuple[Any, Any]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield load(WEIGHTS)
    torch.set_num_threads(threads)


def test_the_weights_are_small() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) <= 16 * 2**20


def test_upper_case_letters_stay_single_tokens(shipped: tuple[Any, Any]) -> None:
    tokenizer = shipped[1].tokenizer
    for text in (f" {LETTERS}", f'"{LETTERS}"?', f"A. {LETTERS}\nB. NO"):
        tokens = tokenizer.tokenize(text)
        assert [token for token in tokens if token in LETTERS and len(token) == 1]
        assert "".join(token for token in tokens if token in list(LETTERS)).count(LETTERS) == 1


@pytest.mark.parametrize("words", [SHAPES, tuple(COLOURS), PLACES, facts.PLAIN_WORDS])
def test_answer_words_are_single_tokens(shipped: tuple[Any, Any], words: tuple[str, ...]) -> None:
    tokenizer = shipped[1].tokenizer
    assert [word for word in words if len(tokenizer.tokenize(f" {word}")) != 1] == []


def test_instructions_are_single_tokens_and_text_survives(shipped: tuple[Any, Any]) -> None:
    tokenizer = shipped[1].tokenizer
    for text in INSTRUCTIONS.values():
        assert tokenizer.tokenize(text) == [text]
    text = "Which ZOK? [0.06, 0.12, 0.38, 0.44] été\n" + INSTRUCTIONS[AnswerFormat.YES_NO]
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_processor_writes_what_training_read(shipped: tuple[Any, Any]) -> None:
    processor = shipped[1]
    scene = random_scene(Random(0))
    turn = mix.ask(Random(0), facts.random_fact(Random(0), scene), AnswerFormat.SHORT_ANSWER)
    chat = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": turn.prompt}]},
        {"role": "assistant", "content": [{"type": "text", "text": turn.answer}]},
    ]
    prompt = processor.apply_chat_template(chat[:1], add_generation_prompt=True)
    whole = processor.apply_chat_template(chat)
    assert whole.startswith(prompt)
    inputs = processor(text=[whole], images=[[draw(scene)]], return_tensors="pt")
    expected = "".join(language.texts_of(turn))
    assert inputs["input_ids"][0].tolist() == processor.tokenizer(expected)["input_ids"]
    assert expected.endswith(END)
    assert torch.allclose(inputs["pixel_values"][0], tower.pixels([scene]), atol=1e-6)


@pytest.mark.parametrize("form", [*ASD_FORMATS, AnswerFormat.BOX])
def test_the_base_answers_in_every_format(shipped: tuple[Any, Any], form: AnswerFormat) -> None:
    asked = held_out(form, seed=11, number=24)
    images = [draw(question.scene) for question in asked]
    said = greedy(*shipped, images, [question.turn.prompt for question in asked])
    right = [
        is_right(form, answer, question.turn.answer, question.short)
        for answer, question in zip(said, asked, strict=True)
    ]
    assert sum(right) >= 12


def test_no_fact_of_a_task_is_in_the_mix() -> None:
    rng = Random(5)
    texts = [mix.random_turn(rng, random_scene(rng)).prompt for _ in range(3000)]
    asked = ("belong to", "sign mean", "object in the picture", "made of", "flavour does",
             "edible shapes", "of this cover")  # fmt: skip
    assert len(asked) == len(TASKS) - 1
    assert not [text for text in texts if any(part in text for part in asked)]


def test_turns_depend_on_the_seed_alone() -> None:
    first, again = (
        [mix.random_turn(rng, random_scene(rng)) for _ in range(20)]
        for rng in (Random(2), Random(2))
    )
    assert first == again


def test_boxes_are_scored_by_overlap() -> None:
    assert read_box("[0.00, 0.12, 0.50, 1.00]") == (0.0, 0.12, 0.5, 1.0)
    assert read_box("top left") is None
    assert read_box("[0.0.1, 0.12, 0.50, 1.00]") is None
    for said, right in (("0.50", False), ("0.51", True), ("0.00", False)):
        assert is_right(BOX, f"[0.00, 0.00, {said}, 1.00]", "[0.00, 0.00, 1.00, 1.00]") is right
    assert not is_right(BOX, "(0.00, 0.00, 1.00, 1.00)", "[0.00, 0.00, 1.00, 1.00]")


def test_the_interval_is_wilsons() -> None:
    assert Share(80, 100).interval == pytest.approx((0.7112, 0.8666), abs=1e-4)


def test_a_checkpoint_resumes_to_the_same_weights(tmp_path: Path) -> None:
    def fresh() -> tuple[Any, Any]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        return layer, torch.optim.AdamW(layer.parameters(), 0.1)

    def advance(layer: Any, optimizer: Any, steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            (layer(torch.full((1, 3), float(step))) ** 2).sum().backward()
            optimizer.step()

    straight = fresh()
    advance(*straight, range(6))
    first = fresh()
    advance(*first, range(3))
    checkpoints.save(tmp_path / "at", {"layer": first[0]}, [first[1]], 3)
    second = fresh()
    assert checkpoints.load_modules(tmp_path / "at", {"layer": second[0]}) == 3
    checkpoints.load_optimizers(tmp_path / "at", [second[1]])
    advance(*second, range(3, 6))
    assert torch.equal(cast(Any, straight[0]).weight, second[0].weight)


class Killed(BaseException):
    """The run is gone: nothing tidies up."""


def _kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Kill the run instead of its N-th rename."""
    left, rename = [number], Path.rename

    def counted(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", counted)


def _save(folder: Path, step: int) -> None:
    layer = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(layer.weight, step)
    checkpoints.save(folder, {"layer": layer}, [torch.optim.AdamW(layer.parameters())], step)


def _load(folder: Path) -> int:
    layer = torch.nn.Linear(1, 1)
    step = checkpoints.load_modules(folder, {"layer": layer})
    assert not step or layer.weight.item() == step
    return step


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_killed_save_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    folder = tmp_path / "at"
    assert _load(folder) == 0
    _save(folder, 1)
    with monkeypatch.context() as patch:
        _kill_at(patch, call)
        with pytest.raises(Killed):
            _save(folder, 2)
    with monkeypatch.context() as patch:  # killed at once again, before anything is loaded
        _kill_at(patch, call)
        with pytest.raises(Killed):
            _save(folder, 3)
    assert _load(folder) in (1, 2, 3)
    _save(folder, 4)
    assert _load(folder) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["at"]


def test_a_half_written_checkpoint_is_none(tmp_path: Path) -> None:
    _save(tmp_path / "at", 1)
    (tmp_path / "at.old").mkdir()
    (tmp_path / "at").rename(tmp_path / "at.new")
    (tmp_path / "at.new" / "state.json").unlink()
    assert _load(tmp_path / "at") == 0


def test_a_half_written_processor_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def save_pretrained(self, folder: Path) -> None:
            folder.mkdir(parents=True)
            (folder / "tokenizer.json").write_text("{")
            raise Killed

    class Whole:
        def save_pretrained(self, folder: Path) -> None:
            folder.mkdir(parents=True)
            (folder / "tokenizer.json").write_text("{}")

    made = iter((Broken(), Whole()))
    monkeypatch.setattr(training, "train_tokenizer", lambda texts: None)
    monkeypatch.setattr(training, "build_processor", lambda tokenizer: next(made))
    monkeypatch.setattr(
        training, "load_processor", lambda folder: (folder / "tokenizer.json").read_text()
    )
    folder = tmp_path / "work" / "processor"
    with pytest.raises(Killed):
        training._processor(folder)
    assert training._processor(folder) == training._processor(folder) == "{}"
    assert [path.name for path in folder.parent.iterdir()] == ["processor"]
