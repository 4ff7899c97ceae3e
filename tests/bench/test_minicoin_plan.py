"""The minicoin table's plan and cells: what is run, what is skipped, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.matrix import Cell
from tests.bench.minicoin_runs.cells import Cells, OtherPlan, StageCell, TaskScores
from tests.bench.minicoin_runs.command import plan_of
from tests.bench.minicoin_runs.driving import command_of, last_step
from tests.bench.minicoin_runs.material import Material
from tests.bench.minicoin_runs.plan import (
    CANDIDATES,
    EXTRA,
    FORMS,
    MULTITASK,
    QUICK,
    SETTINGS,
    TABLE,
    Budget,
    Plan,
    Run,
    estimated_seconds,
    seen_tasks,
    steps_of,
)
from trainer.catalog import METHODS

LORA = Run(method="lora", asd=False, seed=0)
SMALL = Plan(tasks=("signs", "classes"), methods=("lora",), budget=Budget(num_eval=4))


def _cell(plan: Plan, run: Run, stage: int) -> StageCell:
    it = TaskScores(cell=Cell(accuracy=50.0, n=2, metric="exact_match"), scores=(0.0, 1.0))
    return StageCell(
        fingerprint=plan.fingerprint(run),
        run=run,
        stage=stage,
        task=plan.stages(run)[stage][-1],
        steps=1,
        loss=0.5,
        penalty=None,
        train_seconds=1.0,
        eval_seconds=1.0,
        scores=dict.fromkeys(seen_tasks(plan, run, stage), it),
    )


def test_full_plan_has_every_method_with_and_without_asd() -> None:
    names = [run.name for run in Plan().runs()]
    methods = ("full", "lora", "olora", "lota", "reglora")
    assert names == [*(f"{it}{way}" for it in methods for way in ("", "+asd")), MULTITASK]
    assert len(Plan(seeds=(0, 1)).runs()) == 22


def test_settings_fit_the_catalog() -> None:
    for name in (*TABLE, *EXTRA):
        METHODS[SETTINGS[name].method].config.model_validate(SETTINGS[name].config)


def test_multitask_learns_all_at_once_with_the_rank_of_a_sequence() -> None:
    plan, run = Plan(), Run(method=MULTITASK, asd=False, seed=0)
    assert plan.stages(run) == [plan.tasks]
    assert plan.config(run)["rank"] == 8 * plan.config(LORA)["rank"]
    assert steps_of(plan, run, 0) == pytest.approx(8 * steps_of(plan, LORA, 0), rel=0.01)


def test_every_method_has_the_same_steps_but_for_the_calibration() -> None:
    plan = Plan()
    steps = {run.method: steps_of(plan, run, 0) for run in plan.runs() if run.method != MULTITASK}
    assert steps.pop("lota") == 252 + 42
    assert set(steps.values()) == {252}


def test_estimates_keep_within_what_is_promised() -> None:
    assert estimated_seconds(FORMS["full"], 2) < 2 * 3600
    assert estimated_seconds(FORMS["tuning"], 2) < 3600
    assert estimated_seconds(QUICK, 2) < 12 * 60


def test_every_method_is_tuned_alike_and_on_another_seed() -> None:
    assert {len(it) for it in CANDIDATES.values()} == {4}
    assert set(CANDIDATES) == set(Plan().methods)
    assert not set(FORMS["tuning"].seeds) & {0, 1, 2}
    assert len(FORMS["tuning"].runs()) == 20
    for name, candidates in CANDIDATES.items():
        assert SETTINGS[name] in candidates


def test_fingerprint_is_of_settings_not_of_runs() -> None:
    known = Plan().fingerprint(LORA)
    assert Plan(seeds=(1, 2), methods=("lora",)).fingerprint(LORA) == known
    assert Plan(budget=Budget(epochs=1.0)).fingerprint(LORA) != known
    assert Plan(tasks=("signs",)).fingerprint(LORA) != known
    assert Plan().fingerprint(LORA.model_copy(update={"method": "olora"})) != known


def test_replay_counts_only_where_it_is_on() -> None:
    setting = SETTINGS["lora"]
    assert "replay" not in setting.told()
    on = setting.model_copy(update={"replay_bytes": 1})
    assert on.told() != setting.told()
    assert Budget().hyperparameters(on, 0, 1).replay_bytes == 1


def test_one_methods_other_rate_leaves_the_others_cells(tmp_path: Path) -> None:
    arguments = ["--rate", "full=1e-3", "--tasks", "counts", "signs", "--out", str(tmp_path)]
    plan = plan_of("full", arguments)
    assert plan.settings["full"].learning_rate == 1e-3
    assert plan.tasks == ("signs", "counts")  # in CoIN's order
    usual = plan_of("full", arguments[2:])
    assert plan.fingerprint(LORA) == usual.fingerprint(LORA)
    full = LORA.model_copy(update={"method": "full"})
    assert plan.fingerprint(full) != usual.fingerprint(full)


def test_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    cells = Cells(tmp_path, SMALL)
    assert (cells.finished(LORA), cells.next_stage(LORA)) == (0, 0)
    cells.write(_cell(SMALL, LORA, 0))
    assert cells.path(LORA, 0).name == "00-signs.json"
    assert cells.next_stage(LORA) == 0  # measured, but its delta is gone: trained again
    cells.work(LORA, 0).mkdir(parents=True)
    (cells.work(LORA, 0) / "result.json").touch()
    assert cells.next_stage(LORA) == 1
    cells.write(_cell(SMALL, LORA, 1))
    assert cells.complete(LORA)
    assert cells.next_stage(LORA) == 2


def test_cell_is_read_as_it_was_written(tmp_path: Path) -> None:
    cells = Cells(tmp_path, SMALL)
    assert cells.read(LORA, 1) is None
    cells.write(_cell(SMALL, LORA, 1))
    assert cells.read(LORA, 1) == _cell(SMALL, LORA, 1)


def test_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    Cells(tmp_path, SMALL).write(_cell(SMALL, LORA, 0))
    Cells(tmp_path, SMALL.model_copy(update={"seeds": (3,)}))
    with pytest.raises(OtherPlan, match=r"00-signs\.json was measured with other settings"):
        Cells(tmp_path, SMALL.model_copy(update={"budget": Budget(num_eval=4, epochs=1.0)}))


def test_one_launch_walks_a_whole_run_on_all_ranks(tmp_path: Path) -> None:
    command = command_of(tmp_path, SMALL.model_copy(update={"ranks": 2}), LORA)
    assert "--nproc-per-node=2" in command
    assert Run.model_validate_json(command[-1]) == LORA


def test_newest_step_is_read_past_torn_lines(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    assert last_step(events) == 0
    events.write_text('{"kind": "step", "step": 7}\n{"kind": "log"}\n{"kind": "st')
    assert last_step(events) == 7


def test_asd_rewrites_the_share_and_leaves_the_questions_asked_alone(tmp_path: Path) -> None:
    material = Material(tmp_path, 0, Budget(num_train=50, num_eval=5))
    plain = material.corpus(("signs",), asd=False).read_text().splitlines()
    varied = material.corpus(("signs",), asd=True).read_text().splitlines()
    changed = sum(one != other for one, other in zip(plain, varied, strict=True))
    assert changed == 10
    assert len(material.items("signs")) == 5
    both = material.corpus(("signs", "classes"), asd=False)
    assert len(both.read_text().splitlines()) == 100
