"""`make bench-forgetting`: four minicoin tasks through the service, without ASD and with it.

Shows how much of what plain LoRA forgets is style and how much is knowledge (docs/forgetting.md),
and what ASD changes about it. Stop it whenever you like; it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.demo.server import running_service
from deploy.demo.story import BASE
from eval.minicoin.writing import archive_task
from service.cli.view import JobProgress
from service.client import RetainClient
from tests.bench.loop import free_port

Json = dict[str, Any]
TASKS = ("science", "compose", "grounding", "counts")
NUM_TRAIN, NUM_EVAL, SEED = 2000, 200, 0
STREAMS = {"lora": 0.0, "lora-asd": 20.0}
"""Share of rows rewritten, in percent, by stream."""
SETTINGS: Json = {
    "method": "lora",
    "method_config": {"rank": 16, "alpha": 32.0},
    "hyperparameters": {
        "epochs": 6, "learning_rate": 1e-3, "batch_size": 48, "warmup_fraction": 0.1,
    },
    "gate": {"max_drop_per_task": 100.0, "max_mean_drop": 100.0, "min_samples": 50},
    "eval_limit": NUM_EVAL,
    "probe_limit": 64,
}  # fmt: skip
console = Console(stderr=True)


def main() -> int:
    """Learn all tasks in both streams and print what was lost, divided."""
    parser = argparse.ArgumentParser(prog="make bench-forgetting", description=__doc__)
    parser.add_argument("--state-dir", type=Path, default=Path(".bench/forgetting"))
    folder = parser.parse_args().state_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with running_service(folder, free_port()) as service:
        client = RetainClient(service.url, (folder / "admin.key").read_text().strip())
        figures: Json = {name: _learn_all(client, name, folder) for name in STREAMS}
        client.close()
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _learn_all(client: RetainClient, stream: str, folder: Path) -> Json:
    if not any(it["name"] == stream for it in client.list_all("/v1/streams")):
        client.create_stream(name=stream, base=str(BASE), x_percent=STREAMS[stream], **SETTINGS)
    for task in TASKS:
        _learn(client, stream, task, folder / "data")
    path = f"/v1/streams/{stream}/versions/{len(TASKS)}/report"
    for form, ending in (("html", "html"), ("markdown", "md")):
        (folder / f"{stream}.{ending}").write_text(client.text(path, format=form), "utf-8")
    report = client.get(path)
    summaries = {it["name"]: round(it["value"], 2) for it in report["summaries"]}
    return {
        **{name: summaries[name] for name in ("mft", "mfn", "maa", "bwt")},
        "final": {it["task"]: round(it["now"]["accuracy"], 2) for it in report["changes"]},
        "splits": {split["task"]: dict(_divided(split)) for split in report["splits"]},
    }


def _learn(client: RetainClient, stream: str, task: str, data: Path) -> None:
    jobs = client.list_all("/v1/jobs", stream=stream)
    job = next((it for it in jobs if it["task"] == task), None)
    if job is None:
        archive = data / f"{task}.tar.gz"
        if not archive.exists():
            archive_task(task, data, seed=SEED, num_train=NUM_TRAIN, num_eval=NUM_EVAL)
        card = json.loads((data / task / "card.json").read_text())
        job = client.submit_task(stream, card, archive)
    JobProgress(console).follow(client.watch(job["id"]))
    job = client.job(job["id"])
    if job["state"] != "succeeded":
        raise SystemExit(f"{task} in {stream} {job['state']}: {job['error'] or job['reason']}")


def _divided(split: Json) -> Iterator[tuple[str, Any]]:
    """Yield counts, and shares in percent with their intervals; None where nothing can be told."""
    yield from ((name, split[name]) for name in ("learned", "lost", "probed"))
    for name in ("raw", "chance", "corrected"):
        share = split["overall"][name]
        keys = ("percent", "low", "high")
        yield name, share and [round(share[key], 1) for key in keys]
    yield "now_by_kind", {kind: it["now"] for kind, it in split["by_kind"].items()}
    yield "before_by_kind", {kind: it["before"] for kind, it in split["by_kind"].items()}


if __name__ == "__main__":
    sys.exit(main())
