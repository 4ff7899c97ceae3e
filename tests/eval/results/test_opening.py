"""Which layout a folder has, which stage and task each file is of."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from eval.results.errors import ResultsRefused
from eval.results.opening import open_run
from tests.eval.results.folders import TRIANGLE, answers, coin, merged, write_lines

COIN = ("ScienceQA", "TextVQA", "ImageNet")


def places(root: Path, **options: object) -> dict[tuple[int, str], str]:
    run = open_run(root, **options)
    return {place: path.relative_to(root).as_posix() for place, path in run.files.items()}


def test_coin_results(tmp_path: Path) -> None:
    coin(tmp_path / "LLaVA", COIN, {**TRIANGLE, (0, 1): 9, (0, 3): 9})
    run = open_run(tmp_path)
    assert run.layout == "CoIN"
    assert run.name == "LLaVA"
    assert run.notes == ()
    assert run.tasks == COIN
    assert run.last_stage == 3
    assert run.said() == (
        "read as CoIN results: 3 tasks, 4 stages, 8 files; order of tasks from CoIN: "
        "ScienceQA, TextVQA, ImageNet"
    )
    assert places(tmp_path) == {
        (0, "ScienceQA"): "LLaVA/ScienceQA/Zero_shot/merge.jsonl",
        (1, "ScienceQA"): "LLaVA/ScienceQA/Finetune/merge.jsonl",
        (2, "ScienceQA"): "LLaVA/ScienceQA/TextVQA/merge.jsonl",
        (3, "ScienceQA"): "LLaVA/ScienceQA/ImageNet/merge.jsonl",
        (2, "TextVQA"): "LLaVA/TextVQA/Finetune/merge.jsonl",
        (3, "TextVQA"): "LLaVA/TextVQA/ImageNet/merge.jsonl",
        (0, "ImageNet"): "LLaVA/ImageNet/Zero_shot/merge.jsonl",
        (3, "ImageNet"): "LLaVA/ImageNet/Finetune/merge.jsonl",
    }


def test_sefe_numbers_its_tasks_and_names_the_own_stage_as_any_other(tmp_path: Path) -> None:
    tasks = ("1_ScienceQA", "2_TextVQA", "10_Own")
    for stage, task in TRIANGLE:
        merged(tmp_path / tasks[task - 1] / tasks[stage - 1], "t", answers(0))
    run = open_run(tmp_path)
    assert run.layout == "CoIN"
    assert run.order_from == "the numbers in their names"
    assert run.tasks == ("ScienceQA", "TextVQA", "Own")
    assert sorted(run.files) == sorted((s, run.tasks[t - 1]) for s, t in TRIANGLE)
    assert run.expected(3, "TextVQA") == tmp_path / "2_TextVQA/10_Own/merge.jsonl"


def test_mcitlib_results(tmp_path: Path) -> None:
    tasks = ("ImageNet-R", "ArxivQA", "VizWiz")
    for stage, task in TRIANGLE:
        merged(tmp_path / tasks[task - 1] / f"CL-MoE-task{stage}", "t", answers(0))
    merged(tmp_path / "VizWiz" / "zero-shot", "t", answers(0))
    run = open_run(tmp_path)
    assert (run.layout, run.name) == ("MCITlib", tmp_path.name)
    assert run.order_from == "the stage at which each first has results"
    assert (run.tasks, run.notes) == (tasks, ())
    assert run.files[0, "VizWiz"].parent.name == "zero-shot"
    assert run.files[3, "ImageNet-R"].parent.name == "CL-MoE-task3"
    assert run.expected(2, "VizWiz") == tmp_path / "VizWiz/CL-MoE-task2/merge.jsonl"


def test_numbered_stages_prove_an_order_against_the_published_one(tmp_path: Path) -> None:
    tasks = ("TextVQA", "GQA", "ScienceQA")  # CoIN learns ScienceQA first
    for stage, task in TRIANGLE:
        merged(tmp_path / tasks[task - 1] / f"seq-task{stage}", "t", answers(0))
    merged(tmp_path / "ImageNet" / "zero-shot", "t", answers(0))  # not learned yet
    run = open_run(tmp_path)
    assert (run.tasks, run.notes) == ((*tasks, "ImageNet"), ())


def test_a_full_square_of_numbered_stages_fits_any_order(tmp_path: Path) -> None:
    tasks = ("ScienceQA", "TextVQA", "GQA")
    for stage in (1, 2, 3):
        for task in tasks:
            merged(tmp_path / task / f"seq-task{stage}", "t", answers(0))
    run = open_run(tmp_path)
    assert (run.tasks, run.order_from) == (tasks, "CoIN")
    assert run.notes == (
        "the tasks are in the order of CoIN, as the numbers of the stages do not tell it; "
        "--tasks gives another",
    )
    run = open_run(tmp_path, tasks=tasks[::-1])
    assert (run.tasks, run.notes) == (tasks[::-1], ())


def test_mcitlib_keeps_runs_side_by_side(tmp_path: Path) -> None:
    for method in ("SEFE", "CL-MoE"):
        merged(tmp_path / "RS" / f"{method}-task1", "t", answers(0))
    with pytest.raises(ResultsRefused, match=r"2 runs: CL-MoE, SEFE. Choose one with --run"):
        open_run(tmp_path)
    run = open_run(tmp_path, run="SEFE")
    assert run.name == "SEFE"
    assert [path.parent.name for path in run.files.values()] == ["SEFE-task1"]


def test_prism_counts_its_checkpoints_from_zero(tmp_path: Path) -> None:
    root = tmp_path / "llava" / "UCIT" / "same"
    for stage, task in TRIANGLE:
        merged(root / ("alpha", "beta", "gamma")[task - 1] / f"Task{stage - 1}", "t", answers(0))
    run = open_run(tmp_path)
    assert (run.layout, run.name, run.root) == ("Prism", "same", root)
    assert run.order_from == "the stage at which each first has results"
    assert run.tasks == ("alpha", "beta", "gamma")
    assert sorted(run.files) == sorted((s, run.tasks[t - 1]) for s, t in TRIANGLE)
    assert run.notes == ()


def test_prisms_stage_0_with_every_task_may_be_the_base(tmp_path: Path) -> None:
    for task in "xyz":
        for stage in range(3):
            merged(tmp_path / task / f"ckpt{stage}", "t", answers(0))
    run = open_run(tmp_path, tasks=("x", "y", "z"))
    assert run.last_stage == 3
    assert run.notes == (
        "ckpt0 was taken for the stage that learned x, as Prism numbers from 0; it has results of "
        "every task, so it may be the base: then name its folders zero-shot",
    )
    merged(tmp_path / "y" / "zero-shot", "t", answers(0))
    assert open_run(tmp_path, tasks=("x", "y", "z")).notes == ()  # the base is another
    (tmp_path / "y" / "zero-shot" / "merge.jsonl").unlink()
    for task in "xyz":
        (tmp_path / task / "ckpt0").replace(tmp_path / task / "zero-shot")
    run = open_run(tmp_path, tasks=("x", "y", "z"))
    assert (run.last_stage, run.notes) == (2, ())


def test_prism_stages_from_one_with_last_and_zero_shot(tmp_path: Path) -> None:
    for task, stage in (("a", "1"), ("a", "last"), ("b", "last"), ("b", "zero-shot")):
        merged(tmp_path / task / stage, task, answers(0))
    run = open_run(tmp_path, tasks=("a", "b"))
    assert sorted(run.files) == [(0, "b"), (1, "a"), (2, "a"), (2, "b")]


def test_settings_go_with_any_layout(tmp_path: Path) -> None:
    coin(tmp_path, ("one", "two", "three"), TRIANGLE)
    (tmp_path / "run.toml").write_text('tasks = ["one", "two", "three"]\ntraining.rank = 8\n')
    run = open_run(tmp_path)
    assert (run.layout, run.tasks) == ("CoIN", ("one", "two", "three"))
    assert run.training == {"rank": 8}


def test_the_order_is_asked_for_when_nothing_tells_it(tmp_path: Path) -> None:
    coin(tmp_path, ("one", "two", "three"), TRIANGLE)
    with pytest.raises(ResultsRefused, match="Give it, as --tasks one,three,two"):
        open_run(tmp_path)
    assert open_run(tmp_path, tasks=("one", "two", "three")).tasks == ("one", "two", "three")
    with pytest.raises(ResultsRefused, match="Name each of these once"):
        open_run(tmp_path, tasks=("one", "two"))


def test_tasks_of_two_benchmarks_are_not_ordered_by_either(tmp_path: Path) -> None:
    for stage, task in ((1, "CLEVR"), (2, "IconQA"), (2, "CLEVR")):
        merged(tmp_path / task / f"x-task{stage}", task, answers(0))
    assert open_run(tmp_path).tasks == ("CLEVR", "IconQA")  # UCIT learns IconQA first


def test_our_own_layout(tmp_path: Path) -> None:
    for place in ("0-base/b", "1-a/a", "2-b/a", "2-b/b"):
        write_lines(tmp_path / f"{place}.jsonl", [{"id": "1", "answer": "x"}])
    (tmp_path / "references").mkdir()
    (tmp_path / "run.toml").write_text(
        'name = "mine"\n[metrics]\na = "iou"\n[training]\nrank = 8\n'
    )
    run = open_run(tmp_path)
    assert (run.layout, run.name, run.tasks) == ("Retain", "mine", ("a", "b"))
    assert sorted(run.files) == [(0, "b"), (1, "a"), (2, "a"), (2, "b")]
    assert (run.metrics, run.training) == ({"a": "iou"}, {"rank": 8})
    assert run.version(2) == "mine@2"
    assert run.expected(1, "b") == tmp_path / "1-a/b.jsonl"


def test_a_folder_of_files_is_one_state(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [{"id": "1", "answer": "x"}])
    run = open_run(tmp_path)
    assert [*run.files] == [(0, "a")]


def test_a_file_is_one_state_of_one_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = merged(tmp_path / "GQA" / "Finetune", "GQA", answers(0))
    assert open_run(path).files == {(0, "GQA"): path}
    monkeypatch.chdir(path.parent)
    assert open_run("merge.jsonl").tasks == ("GQA",)
    path = write_lines(tmp_path / "signs.jsonl", [{"id": "1", "answer": "x"}])
    assert open_run(path).files == {(0, "signs"): path}


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [((), {}, "holds no results"), (("x/readme.txt",), {}, "holds no results"),
     (("a/odd/merge.jsonl", "b/stage/merge.jsonl"), {}, "stage folders odd, stage are not named"),
     (("a/odd/merge.jsonl",), {"layout": "coin"}, "not named as in CoIN results"),
     (("1-a/a.jsonl",), {"layout": "prism"}, "no <task>/<stage>/merge.jsonl, as prism"),
     (("r/a/1/merge.jsonl", "s/a/1/merge.jsonl"), {}, "holds 2 runs. Name one of them"),
     (("1-a/a.jsonl", "3-b/b.jsonl"), {}, "the stages 1, 3: number them"),
     (("1-a/a.jsonl", "1_b/b.jsonl"), {}, "are both stage 1"),
     (("1-a/a.jsonl", "1-a/a.json"), {}, "are of one task"),
     (("1-a/a.txt",), {}, "hold no .jsonl"),
     (("a/m-task1/merge.jsonl", "a/m-task4/merge.jsonl"), {}, "is of stage 4, but there are"),
     (("1_a/x-task1/merge.jsonl", "1_a/y-task1/merge.jsonl"), {"layout": "prism"}, "are both of"),
     (("1-a/a.jsonl", "2-b/b.jsonl", "3-a/a.jsonl"), {},
      r"1-a and .*3-a both say that 'a' was learned: a task is learned once"),
     (("t/M-task1/merge.jsonl", "t/N-task1/merge.jsonl"), {"run": "Foo"},
      "has no run 'Foo': choose M, N"),
     (("1-a/a.jsonl",), {"tasks": ("b",)}, "Leave --tasks, or `tasks` in run.toml, out")],
)  # fmt: skip
def test_folders_that_cannot_be_read(
    files: tuple[str, ...], options: dict[str, object], message: str, tmp_path: Path
) -> None:
    for file in files:
        write_lines(tmp_path / file, [{"id": "1", "answer": "x"}])
    with pytest.raises(ResultsRefused, match=message):
        open_run(tmp_path, **options)


def test_what_is_not_there_and_what_is_no_layout(tmp_path: Path) -> None:
    with pytest.raises(ResultsRefused, match="is not there"):
        open_run(tmp_path / "none")
    with pytest.raises(ValueError, match="choose one of retain, coin, mcitlib, prism"):
        open_run(tmp_path, layout="hf")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name =", "is not TOML"),
        ("colour = 1", "colour: Extra inputs"),
        ("name = 3", "name: Input"),
    ],
)
def test_wrong_settings(text: str, message: str, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [{"id": "1", "answer": "x"}])
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ResultsRefused, match=message) as refused:
        open_run(tmp_path)
    assert isinstance(pickle.loads(pickle.dumps(refused.value)), ResultsRefused)
