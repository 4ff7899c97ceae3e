"""SIGKILL of the service inside every phase, and of the trainer: the job finishes once."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.live import SETTINGS, WEIGHTS, Json, LiveService

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def stream(live: LiveService) -> str:
    """A stream of this module's own; other modules count the versions of theirs."""
    live.client().create_stream(name="kills", base=str(WEIGHTS), **SETTINGS)
    return "kills"


def test_a_job_survives_a_kill_inside_each_of_its_phases(live: LiveService, stream: str) -> None:
    live.kill()
    phases = ["validate", "rewrite", "train", "register", "evaluate", "gate", "promote"]
    live.start(kill_in="validate")
    job_id = live.submit(stream, "compose")["id"]
    live.wait_for_death(300)
    for phase in phases[1:]:
        live.start(kill_in=phase, calls_before=3 if phase == "train" else 0)
        live.wait_for_death(300)
    live.start()
    job = live.wait(job_id)
    assert job["state"] == "succeeded", job
    client = live.client()
    events = client.list_all(f"/v1/jobs/{job_id}/events")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    made = [v for v in client.list_all(f"/v1/streams/{stream}/versions") if v["task"] == "compose"]
    assert [version["number"] for version in made] == [job["version"]]
    journal = client.get(f"/v1/streams/{stream}/aliases/production")["journal"]["data"]
    assert len([move for move in journal if move["to"] == f"{stream}@{job['version']}"]) == 1
    assert len(client.get(f"/v1/streams/{stream}/matrix")["rows"]) == job["version"] + 1


def test_a_killed_trainer_is_resumed_from_its_checkpoint(live: LiveService, stream: str) -> None:
    job = live.submit(stream, "covers", num_train=320)
    live.wait_for_step(job["id"], 6)
    _trainer_rank(live, job["id"]).send_signal(signal.SIGKILL)
    ended = live.wait(job["id"])
    assert ended["state"] == "succeeded", ended
    assert _result(live, job["id"])["resumed_from_step"] >= 4


def test_a_paused_trainer_goes_on_from_its_checkpoint(live: LiveService, stream: str) -> None:
    job = live.submit(stream, "blurry", num_train=320)
    live.wait_for_step(job["id"], 5)
    live.client().control(job["id"], "pause")
    live.wait_for_state(job["id"], "paused")
    assert not [p for p in live.processes() if "trainer" in " ".join(p.cmdline())]
    live.client().control(job["id"], "resume")
    ended = live.wait(job["id"])
    assert ended["state"] == "succeeded", ended
    assert _result(live, job["id"])["resumed_from_step"] >= 5


def _attempts(live: LiveService, job_id: str) -> list[Path]:
    return sorted((live.state_dir / "attempts" / job_id).iterdir())


def _result(live: LiveService, job_id: str) -> Json:
    result: Json = json.loads((_attempts(live, job_id)[-1] / "result.json").read_text())
    return result


def _trainer_rank(live: LiveService, job_id: str) -> psutil.Process:
    ranks = [
        process
        for process in psutil.process_iter(["cmdline"])
        if job_id in (words := " ".join(process.info["cmdline"] or []))
        and "trainer run" in words
        and "torch.distributed.run" not in words
    ]
    assert len(ranks) == 1
    return ranks[0]
