"""What the demo does: submit, watch, compare, roll back, roll forward."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule

from eval.minicoin.writing import archive_task
from service.cli.view import JobProgress, matrix_table
from service.client import RetainClient
from service.workflow.states import TERMINAL

Json = dict[str, Any]
STREAM = "demo"
BASE = Path(__file__).parent / "tiny" / "weights"
TASKS = ("classes", "counts", "signs")
NUM_TRAIN, NUM_EVAL = 2000, 200

SETTINGS: Json = {
    "method": "reglora",
    "method_config": {"rank": 16, "alpha": 32.0, "top_percent": 30.0, "coefficient": 2500.0},
    "hyperparameters": {
        "epochs": 5,
        "learning_rate": 1e-3,
        "batch_size": 48,
        "warmup_fraction": 0.1,
    },
    "x_percent": 20.0,
    "gate": {"max_drop_per_task": 20.0, "max_mean_drop": 15.0, "min_samples": 50},
    "eval_limit": NUM_EVAL,
}


class DemoFailed(Exception):
    """The demo met a state it cannot go on from."""


def tell(client: RetainClient, state_dir: Path, console: Console) -> None:
    """Tell the whole story on a running service."""
    _ensure_stream(client, console)
    for number, task in enumerate(TASKS, start=1):
        console.print(Rule(f"task {number} of {len(TASKS)}: {task}", align="left"))
        _learn(client, state_dir / "data", task, console)
    _show_matrix(client, console)
    _compare_and_roll_back(client, state_dir / "data", console)


def _ensure_stream(client: RetainClient, console: Console) -> None:
    if any(stream["name"] == STREAM for stream in client.list_all("/v1/streams")):
        console.print(f"stream '{STREAM}' exists: going on with it")
        return
    client.create_stream(name=STREAM, base=str(BASE), **SETTINGS)
    console.print(f"stream '{STREAM}' created on retain-tiny, method {SETTINGS['method']}, ASD on")
    gate = SETTINGS["gate"]
    console.print(
        f"gate: a version is promoted when no old task loses more than "
        f"{gate['max_drop_per_task']:.0f} points and the mean loss is at most "
        f"{gate['max_mean_drop']:.0f}. The tiny base forgets more than a large model does, hence "
        "the wide limits; production streams start from 5."
    )


def _learn(client: RetainClient, data: Path, task: str, console: Console) -> None:
    job = _newest_job(client, task)
    if job is not None and job["state"] == "succeeded":
        console.print(f"'{task}' was learned in an earlier run")
        return
    if job is None or (job["state"] in TERMINAL and job["version"] is None):
        job = _submit(client, data, task, console)
    elif job["state"] in TERMINAL:  # it has a version, which was not judged or promoted
        client.control(job["id"], "retry")
    elif job["state"] == "paused":
        client.control(job["id"], "resume")
    JobProgress(console).follow(client.watch(job["id"]))
    job = client.job(job["id"])
    _explain(client, job, console)


def _submit(client: RetainClient, data: Path, task: str, console: Console) -> Json:
    console.print(f"drawing {NUM_TRAIN} training and {NUM_EVAL} evaluation images")
    shutil.rmtree(data / task, ignore_errors=True)  # of a run that was interrupted here
    archive = archive_task(task, data, seed=0, num_train=NUM_TRAIN, num_eval=NUM_EVAL)
    card = json.loads((data / task / "card.json").read_text())
    return client.submit_task(STREAM, card, archive)


def _newest_job(client: RetainClient, task: str) -> Json | None:
    jobs = client.list_all("/v1/jobs", stream=STREAM)
    return next((job for job in jobs if job["task"] == task), None)


def _explain(client: RetainClient, job: Json, console: Console) -> None:
    if job["state"] != "succeeded":
        error = job["error"] or {"message": job["reason"]}
        raise DemoFailed(f"job {job['id']} {job['state']}: {error['message']}")
    version = client.get(f"/v1/streams/{STREAM}/versions/{job['version']}")
    verdict = version["records"]["verdict"]
    style = "green" if verdict["outcome"] == "pass" else "yellow"
    console.print(f"{STREAM}@{job['version']}: gate [{style}]{escape(verdict['outcome'])}[/]")


def _show_matrix(client: RetainClient, console: Console) -> None:
    console.print(Rule("what was learned, what was forgotten", align="left"))
    matrix = client.get(f"/v1/streams/{STREAM}/matrix")
    console.print(matrix_table(matrix))
    for name, value in matrix["summaries"].items():
        console.print(f"  {name:<16} {value:7.2f}  [dim]{escape(matrix['meanings'][name])}[/]")


def _compare_and_roll_back(client: RetainClient, data: Path, console: Console) -> None:
    console.print(Rule("the same question to two versions, then a rollback", align="left"))
    now, before = two_versions(client)
    question, image, answers = _telling_question(client, data, now, before)
    console.print(f"image {escape(image.name)}: [italic]{escape(question.splitlines()[0])}[/]")
    for number in (before, now):
        console.print(f"  {STREAM}@{number} says [bold]{escape(answers[number])}[/]")
    try:
        _switch(client, before, "the demo rolls back", console)
        _check_answer(client, question, image, answers[before], console)
    finally:  # also after Ctrl-C: the demo leaves what it promoted in production
        _switch(client, now, "the demo rolls forward", console)
    _check_answer(client, question, image, answers[now], console)


def _switch(client: RetainClient, number: int, reason: str, console: Console) -> None:
    move = client.move_alias(STREAM, number, reason)
    console.print(
        f"  {move['kind']}: production {move['from']} -> {move['to']} in {move['switch_ms']:.0f} ms"
    )


def _check_answer(
    client: RetainClient, question: str, image: Path, wanted: str, console: Console
) -> None:
    reply = client.chat(STREAM, question, image, max_tokens=16)
    text = reply["choices"][0]["message"]["content"].strip()
    console.print(
        f"  '{STREAM}' answers [bold]{escape(text)}[/] [dim](from {escape(reply['model'])})[/]"
    )
    if text != wanted:
        raise DemoFailed(f"'{STREAM}' should answer {wanted!r} now")


def two_versions(client: RetainClient) -> tuple[int, int]:
    """Return the production version and its parent, by number."""
    production = client.get(f"/v1/streams/{STREAM}/versions/production")
    if production["parent"] is None:
        raise DemoFailed("no version was promoted, so there is nothing to roll back")
    return production["number"], production["parent"]


def _telling_question(
    client: RetainClient, data: Path, now: int, before: int
) -> tuple[str, Path, dict[int, str]]:
    """Find a held-out question that the two versions answer differently."""
    task = client.get(f"/v1/streams/{STREAM}/versions/{now}")["task"]
    folder = data / task
    rows = json.loads((folder / "eval.json").read_text())
    random.Random(0).shuffle(rows)
    for row in rows[:40]:
        question = row["conversations"][0]["value"].removeprefix("<image>\n")
        image = folder / row["image"]
        answers = {number: _ask(client, number, question, image) for number in (before, now)}
        if answers[now] == row["conversations"][1]["value"] != answers[before]:
            return question, image, answers
    return question, image, answers


def _ask(client: RetainClient, number: int, question: str, image: Path) -> str:
    reply = client.chat(f"{STREAM}@{number}", question, image, max_tokens=16)
    return str(reply["choices"][0]["message"]["content"]).strip()
