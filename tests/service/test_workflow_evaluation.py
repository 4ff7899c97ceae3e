"""Evaluation beyond the first look: more items, lost answers asked again, scores kept."""

from __future__ import annotations

from collections import Counter
from typing import Any, NoReturn

import pytest
from sqlalchemy import select

from eval.items import EvalItem
from eval.probes import Probe
from service.db.tables import CellRow, PhaseRow, PredictionRow, ScoreRow, TaskRow, VersionRow
from service.workflow.context import Stopping
from tests.service.harness import Json, Plane, make_archive, make_rows
from tests.service.rows import count, record

STRICT = {"min_samples": 10, "max_drop_per_task": 10.0, "max_mean_drop": 10.0}
"""Twenty items cannot show that so little was lost."""
GENEROUS = {"min_samples": 1, "max_drop_per_task": 100.0, "max_mean_drop": 100.0}


def learned(plane: Plane, num_eval: int = 200, **fields: Any) -> None:
    """Create a stream whose first task has `num_eval` items, and learn it."""
    plane.create_stream(**{"gate": STRICT, "eval_limit": 20, **fields})
    job = plane.wait(plane.submitted("colours", archive=make_archive("colours", None, num_eval)))
    assert job["state"] == "succeeded", job


def cells_of(plane: Plane, task: str) -> dict[int, int]:
    """Return the number of items of a task's cells by version."""
    query = (
        select(VersionRow.number, CellRow.n)
        .join(CellRow, CellRow.version_id == VersionRow.id)
        .join(TaskRow, TaskRow.id == CellRow.task_id)
        .where(TaskRow.name == task)
    )
    with plane.db.read() as session:
        return {number: n for number, n in session.execute(query)}


def number_of(plane: Plane, model: str) -> int:
    """Return the number of the version that an engine knows by this name; 0 for the base."""
    with plane.db.read() as session:
        query = select(VersionRow.number).where(VersionRow.servable_digest == model)
        return session.scalar(query) or 0


def test_more_items_are_asked_until_the_gate_can_tell(plane: Plane) -> None:
    learned(plane)

    job = plane.wait(plane.submitted("shapes"))

    verdict = record(plane, 2, "verdict")
    assert (job["state"], verdict["outcome"], plane.production()) == ("succeeded", "pass", 2)
    task, _mean = verdict["checks"]
    assert 20 < task["n"] < 200
    assert cells_of(plane, "colours") == {0: 20, 1: task["n"], 2: task["n"]}
    assert cells_of(plane, "shapes") == {0: 4, 1: 4, 2: 4}
    told = [event["data"].get("message", "") for event in plane.events(job["id"])]
    assert any("undecided" in text for text in told)


def test_rows_that_are_there_twice_are_asked_and_counted_once(plane: Plane) -> None:
    plane.create_stream(gate={**STRICT, "max_drop_per_task": 1.0}, eval_limit=20)
    rows = make_rows("colours", "eval", 30)
    archive = make_archive(
        "colours", None, evaluation=[*rows, *[it | {"id": f"again-{it['id']}"} for it in rows]]
    )
    plane.wait(plane.submitted("colours", archive=archive))

    job = plane.wait(plane.submitted("shapes"))

    task = record(plane, 2, "verdict")["checks"][0]
    assert (job["state"], task["n"], task["available"]) == ("succeeded", 30, 30)
    assert cells_of(plane, "colours") == {0: 20, 1: 30, 2: 30}


def test_forward_transfer_is_told(plane: Plane) -> None:
    learned(plane)
    plane.answer = lambda model, item: "no idea" if _by(plane, model, 0) else item.references[0]

    plane.wait(plane.submitted("shapes"))

    summaries = {it["name"]: it for it in record(plane, 2, "report")["summaries"]}
    assert (summaries["forward_transfer"]["value"], summaries["forward_transfer"]["n"]) == (100, 4)


def test_a_clear_loss_is_blocked_at_the_first_look(plane: Plane) -> None:
    learned(plane)
    plane.answer = lambda model, item: "no idea" if _by(plane, model, 2) else item.references[0]

    plane.wait(plane.submitted("shapes"))

    verdict = record(plane, 2, "verdict")
    assert (verdict["outcome"], verdict["checks"][0]["n"]) == ("block", 20)
    assert plane.production() == 1


def test_too_few_items_never_pass(plane: Plane) -> None:
    learned(plane, num_eval=20)

    job = plane.wait(plane.submitted("shapes"))

    verdict = record(plane, 2, "verdict")
    assert (verdict["outcome"], verdict["checks"][0]["undecided"]) == ("block", True)
    assert "undecided" in job["reason"]
    assert plane.production() == 1


def _by(plane: Plane, model: str, number: int) -> bool:
    return number_of(plane, model) == number


def split_of(plane: Plane) -> Json:
    (split,) = record(plane, 2, "report")["splits"]
    return dict(split)


def answer_after(plane: Plane, forgotten: Any) -> None:
    """The base knows nothing, @1 everything, @2 says of colours what `forgotten` makes of it."""

    def answer(model: str, item: EvalItem) -> str:
        number = number_of(plane, model)
        if number == 2 and item.task == "colours":
            return str(forgotten(item))
        return "no idea" if number == 0 else item.references[0]

    plane.answer = answer


def test_answers_that_are_only_written_otherwise_are_superficial(plane: Plane) -> None:
    answer_after(plane, None)
    learned(plane)
    answer_after(plane, lambda item: f"{item.references[0]}, as far as I can see here")

    plane.wait(plane.submitted("shapes"))

    split = split_of(plane)
    assert (split["lost"], split["probed"]) == (20, 20)
    assert (split["overall"]["now"], split["overall"]["before"]) == (20, 0)
    assert split["overall"]["corrected"]["percent"] == 100


def test_answers_that_no_way_of_asking_brings_back_are_essential(plane: Plane) -> None:
    answer_after(plane, None)
    learned(plane)
    answer_after(plane, lambda item: "no idea")

    plane.wait(plane.submitted("shapes"))

    split = split_of(plane)
    assert (split["lost"], split["overall"]["now"]) == (20, 0)
    assert split["overall"]["corrected"]["percent"] == 0


def test_probes_can_be_few_or_none(plane: Plane) -> None:
    answer_after(plane, None)
    learned(plane)
    asked: list[str] = []

    def forget(item: EvalItem) -> str:
        if isinstance(item, Probe):
            asked.append(item.of)
        return "no idea"

    answer_after(plane, forget)
    plane.wait(plane.submitted("shapes", options={"probe_limit": 3}))
    assert split_of(plane)["probed"] == len(set(asked)) == 3
    asked.clear()
    plane.wait(plane.submitted("shapes", options={"probe_limit": 0}))
    assert asked == []


def test_scores_are_kept_beside_the_answers(plane: Plane) -> None:
    learned(plane, num_eval=30, eval_limit=30)
    with plane.db.read() as session:
        scores = list(session.scalars(select(ScoreRow)))
        keys = set(session.scalars(select(PredictionRow.key)))
    assert len(scores) == 60  # @1 and the base
    assert {row.scorer for row in scores} == {"exact_match-2-fixed"}
    assert {row.score for row in scores} == {1.0}
    assert {row.prediction_key for row in scores} == keys


def test_a_death_while_more_is_asked_counts_nothing_twice(plane: Plane) -> None:
    learned(plane)
    asked: Counter[tuple[int, str]] = Counter()

    def die_at(number: int) -> None:
        def answer(model: str, item: EvalItem) -> str:
            asked[number_of(plane, model), item.digest] += 1
            if sum(asked.values()) == number:
                _die(plane)
            return item.references[0]

        plane.answer = answer

    die_at(60)  # past the first look of 20 + 4 + 4 + 4
    job_id = plane.submitted("shapes")
    plane.wait_until(lambda: sum(asked.values()) >= 60)
    plane.restart()
    job = plane.wait(job_id)

    assert job["state"] == "succeeded"
    task = record(plane, 2, "verdict")["checks"][0]
    assert cells_of(plane, "colours") == {0: 20, 1: task["n"], 2: task["n"]}
    assert [times for times in asked.values() if times > 1] in ([], [2])  # the one it died at
    assert count(plane, PredictionRow) == 20 + 2 * task["n"] + 3 * 4


def _die(plane: Plane) -> NoReturn:
    """End the runner as SIGKILL would: nothing more is written."""
    plane.runner._stopping.set()
    raise Stopping


def test_the_parent_is_asked_again_by_a_new_build_of_the_engine(plane: Plane) -> None:
    learned(plane)
    plane.engines.version = "scripted 2"
    plane.asked.clear()

    plane.wait(plane.submitted("shapes"))

    verdict = record(plane, 2, "verdict")
    asked = Counter(number_of(plane, model) for model, _digest in plane.asked)
    assert asked[1] == verdict["checks"][0]["n"] + 4
    assert asked[0] == 4  # the new task's zero-shot row; the old one stays


def test_answers_of_two_builds_of_the_engine_are_never_compared(plane: Plane) -> None:
    learned(plane)
    plane.engines.version = "scripted 2"
    plane.answer = lambda model, item: "no idea"
    plane.wait(plane.submitted("shapes", options={"parent": 1}))
    assert record(plane, 2, "verdict")["checks"][0]["before"] == 0.0

    plane.engines.version = "scripted 1"
    plane.answer = lambda model, item: "no idea" if _by(plane, model, 3) else item.references[0]
    plane.wait(plane.submitted("sizes", options={"parent": 1}))

    (check, _mean) = record(plane, 3, "verdict")["checks"]
    assert (check["outcome"], check["before"], check["now"]) == ("block", 100.0, 0.0)
    change = record(plane, 3, "report")["changes"][0]
    assert (change["parent"]["accuracy"], change["now"]["accuracy"]) == (100.0, 0.0)
    assert change["paired"]["change"] == change["since_learned"] == -100.0
    assert change["parent"]["n"] == change["now"]["n"] == check["n"]


def test_a_new_build_is_not_mixed_with_more_answers_of_an_old_one(plane: Plane) -> None:
    learned(plane, gate=GENEROUS, eval_limit=40)
    plane.engines.version = "scripted 2"
    plane.answer = lambda model, item: "no idea"

    plane.wait(plane.submitted("shapes", options={"eval_limit": 10}))

    change = record(plane, 2, "report")["changes"][0]
    assert (change["parent"]["accuracy"], change["parent"]["n"], change["now"]["n"]) == (0, 10, 10)
    assert record(plane, 2, "report")["notes"] == []  # the parent, which learned it, was asked anew


def test_a_report_says_that_another_build_answered_when_a_task_was_learned(plane: Plane) -> None:
    learned(plane, gate=GENEROUS, eval_limit=4)
    plane.wait(plane.submitted("shapes"))
    plane.engines.version = "scripted 2"
    plane.wait(plane.submitted("sizes"))
    (note,) = record(plane, 3, "report")["notes"]
    assert note.startswith("colours: when it was learned another build of the engine answered")
    assert "(scripted 1, now scripted 2)" in note


@pytest.mark.parametrize(("odd", "points"), [("\0", 100.0), ("\ud83d", 0.0)])
def test_odd_characters_of_an_answer_are_stored_as_they_are_scored(
    plane: Plane, odd: str, points: float
) -> None:
    learned(plane, gate=GENEROUS, eval_limit=4, probe_limit=0)
    plane.answer = lambda model, item: item.references[0] + odd

    job = plane.wait(plane.submitted("shapes"))

    assert job["state"] == "succeeded", job
    change = record(plane, 2, "report")["changes"][0]
    assert (change["parent"]["accuracy"], change["now"]["accuracy"]) == (100.0, points)
    assert change["paired"]["change"] == points - 100.0


def test_an_answer_is_counted_once(plane: Plane) -> None:
    learned(plane)
    plane.asked.clear()
    job = plane.wait(plane.submitted("shapes"))
    with plane.db.read() as session:
        evaluated = session.get_one(PhaseRow, (job["id"], "evaluate")).result
    assert evaluated["answers"] == len(plane.asked) + 20  # the parent's twenty were there


def test_a_parent_keeps_what_it_was_asked_when_fewer_items_will_do(plane: Plane) -> None:
    learned(plane)
    plane.wait(plane.submitted("shapes"))
    most = cells_of(plane, "colours")[1]
    plane.answer = lambda model, item: "no idea" if _by(plane, model, 3) else item.references[0]

    plane.wait(plane.submitted("sizes", options={"parent": 1, "eval_limit": 10}))

    asked = record(plane, 3, "verdict")["checks"][0]["n"]
    assert asked < most
    assert cells_of(plane, "colours") == {0: 20, 1: most, 2: most, 3: asked}


def test_the_format_of_answers_to_the_own_task_is_told_too(plane: Plane) -> None:
    learned(plane)
    plane.wait(plane.submitted("shapes"))

    def told(number: int) -> list[tuple[Any, ...]]:
        found = record(plane, number, "report")["compliance"]
        return [(it["task"], it["now"]["n"], it["learned"] is None) for it in found]

    assert told(1) == [("colours", 20, True)]
    assert told(2) == [("colours", cells_of(plane, "colours")[2], False), ("shapes", 4, True)]


def test_the_cost_is_told_beforehand(plane: Plane) -> None:
    learned(plane)
    answer = plane.submit("shapes", params={"dry_run": "true"})
    plan = answer.json()
    assert plan["answers"] == 4 * 20  # two tasks by the new version, one by base and parent
    assert plan["answers_limit"] == 80 + 2 * ((200 - 20) + 8 * 32)  # all items there are


def test_the_cost_told_knows_that_the_least_stands_above_the_budget(plane: Plane) -> None:
    learned(plane, gate={**STRICT, "min_samples": 60, "max_samples": 30}, probe_limit=0)
    plan = plane.submit("shapes", params={"dry_run": "true"}).json()
    assert plan["answers_limit"] == 80 + 2 * (60 - 20)


def test_the_cost_told_counts_turns(plane: Plane) -> None:
    rows = make_rows("colours", "eval", 6)
    for number, row in enumerate(rows):
        row["conversations"] += [
            {"from": "human", "value": f"And what is left of {number}?"},
            {"from": "gpt", "value": "red"},
        ]
    plane.create_stream(gate=GENEROUS, eval_limit=20, probe_limit=0)
    plane.wait(plane.submitted("colours", archive=make_archive("colours", evaluation=rows)))
    (task,) = plane.client.get("/v1/streams/demo/tasks").json()["data"]
    assert task["counts"]["eval_items"] == 12
    plan = plane.submit("shapes", params={"dry_run": "true"}).json()
    assert plan["answers"] == 12 + 3 * 20


@pytest.mark.parametrize(
    "options",
    [
        {"eval_limit": 4},
        {"eval_limit": 7},  # the parent is asked more of the first task
        {"eval_limit": 4, "future_tasks": True},
        {"eval_limit": 7, "future_tasks": True, "parent": 1},
    ],
)
def test_the_cost_told_is_what_is_asked(plane: Plane, options: Json) -> None:
    plane.create_stream(gate=GENEROUS, eval_limit=4, probe_limit=0)
    plane.wait(plane.submitted("colours", archive=make_archive("colours", None, 40)))
    plane.wait(plane.submitted("shapes", archive=make_archive("shapes", None, 40)))
    more = {"archive": make_archive("sizes", None, 40), "options": options}
    plan = plane.submit("sizes", params={"dry_run": "true"}, **more).json()
    plane.asked.clear()

    plane.wait(plane.submitted("sizes", **more))

    assert len(plane.asked) == plan["answers"]


def test_cells_by_an_older_scorer_are_scored_anew_without_asking(plane: Plane) -> None:
    plane.create_stream(gate=GENEROUS, eval_limit=4, probe_limit=0)
    for task in ("colours", "shapes"):
        plane.wait(plane.submitted(task))
    with plane.db.write() as session:
        for cell in session.scalars(select(CellRow)):
            cell.scorer, cell.accuracy = "exact_match-0-fixed", 12.5
    plane.asked.clear()

    plane.wait(plane.submitted("sizes"))

    with plane.db.read() as session:
        cells = {(it.scorer, it.accuracy, it.n) for it in session.scalars(select(CellRow))}
    assert cells == {("exact_match-2-fixed", 100.0, 4)}
    assert len(plane.asked) == 5 * 4  # the new row, and the new task by base and parent


def test_earlier_versions_are_asked_later_tasks_where_wanted(plane: Plane) -> None:
    plane.create_stream(gate=GENEROUS, eval_limit=4)
    for task in ("colours", "shapes", "sizes"):
        plane.wait(plane.submitted(task))
    assert cells_of(plane, "sizes") == {0: 4, 2: 4, 3: 4}

    plane.wait(plane.submitted("lines", options={"future_tasks": True}))

    for task in ("colours", "shapes", "sizes", "lines"):
        assert cells_of(plane, task) == dict.fromkeys(range(5), 4)
    summaries = {it["name"]: it for it in record(plane, 4, "report")["summaries"]}
    assert {"transfer", "average"} <= summaries.keys()


def test_a_stream_can_ask_earlier_versions_of_all_later_tasks(plane: Plane) -> None:
    plane.create_stream(gate=GENEROUS, eval_limit=4, future_tasks=True)
    for task in ("colours", "shapes", "sizes"):
        plane.wait(plane.submitted(task))
    assert cells_of(plane, "sizes") == dict.fromkeys(range(4), 4)
    plane.wait(plane.submitted("lines", options={"future_tasks": False}))
    assert cells_of(plane, "lines").keys() == {0, 3, 4}


@pytest.mark.parametrize("limit", [-1, 1.5, "3"])
def test_a_wrong_probe_limit_is_refused(plane: Plane, limit: Any) -> None:
    body = {"name": "other", "base": str(plane.base), "probe_limit": limit}
    answer = plane.client.post("/v1/streams", json=body)
    assert answer.status_code == 422
    assert "probe_limit" in answer.text
