"""A whole control plane in one process: real database, store and workflow; trainer and engine
scripted. `Plane.restart()` is what a new process would do on the same state folder."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from fastapi import FastAPI
from PIL import Image
from safetensors.numpy import save_file
from sqlalchemy import event
from starlette.testclient import TestClient

from adapters_store.backends import LocalBlobStore, hash_file
from adapters_store.store import VersionStore
from eval.decoding import Decoding
from eval.items import EvalItem
from eval.predictors import Predictor, ScriptedPredictor
from eval.worker import Worker
from service import error_handlers
from service.db import migrate
from service.db.engine import Database
from service.deps import Services
from service.engines.adapters import refuse_unservable
from service.executors.local import AttemptStatus
from service.jobs import routes as jobs
from service.keys.operations import create_key
from service.reports import routes as reports
from service.rewrites import routes as rewrites
from service.settings import Settings
from service.streams import routes as streams
from service.versions import routes as versions
from service.workflow.runner import JobRunner
from tests.adapters_store.factories import write_lora
from tests.fakes.worker import fake_worker
from trainer.spec import (
    AnswerSpec,
    Canary,
    CanaryPrompt,
    ExitRecord,
    TrainResult,
    TrainSpec,
    read_spec,
)

Json = dict[str, Any]
TERMINAL = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Info:
    base_url: str = "http://127.0.0.1:9"
    base_name: str = "base"
    engine_version: str = "scripted 1"
    pid: int = 1


@dataclass(frozen=True)
class Route:
    base_url: str
    model_name: str


class ScriptedEngines:
    """Engines that are ready at once, or fail as told."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.version = "scripted 1"

    def ensure_running(self, base_path: str, base_digest: str, check: Any = None) -> Info:
        if self.error is not None:
            raise self.error
        return Info(engine_version=self.version)

    def ensure_running_for(self, version: Any, check: Any = None) -> Info:
        refuse_unservable(version)
        return self.ensure_running("", "")

    def ensure_ready(self, version: Any, check: Any = None) -> Route:
        if self.error is not None:
            raise self.error
        return Route("http://127.0.0.1:9", version.servable_digest)

    @contextmanager
    def use(self, version: Any, check: Any = None) -> Iterator[Route]:
        yield self.ensure_ready(version)

    def status(self) -> Json:
        return {}

    def close(self) -> None:
        return


@dataclass
class ScriptedWorkers:
    """Workers without a model, see `tests.fakes.worker`; `command` starts one."""

    command: list[str] = field(default_factory=fake_worker)
    made: list[AnswerSpec] = field(default_factory=list)

    def build(self) -> str:
        return "scripted 1"

    def make(self, spec: AnswerSpec, folder: Path) -> Worker:
        self.made.append(spec)
        return Worker(self.command, folder / "worker.log")


@dataclass
class ScriptedExecutor:
    """Attempts that complete at once, hold until released, or end as told.

    What survives a restart of the service is in `running` and in the attempts' folders.
    """

    hold: bool = False
    endings: list[str] = field(default_factory=list)
    running: set[Path] = field(default_factory=set)
    starts: list[str] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def start(self, attempt_dir: Path) -> None:
        with self.guard:
            if attempt_dir in self.running or (attempt_dir / "result.json").exists():
                return
            self.starts.append(attempt_dir.name)
            (attempt_dir / "exit.json").unlink(missing_ok=True)
            if self.endings:
                return _end(attempt_dir, self.endings.pop(0))
            _log_step(attempt_dir, 1, 2)
            self.running.add(attempt_dir)
            if not self.hold:
                self._complete(attempt_dir)

    def poll(self, attempt_dir: Path) -> AttemptStatus:
        with self.guard:
            if attempt_dir in self.running:
                return AttemptStatus("running")
            if (attempt_dir / "result.json").exists():
                return AttemptStatus("complete")
            ended = attempt_dir / "exit.json"
            if ended.exists():
                record = ExitRecord.model_validate_json(ended.read_text())
                return AttemptStatus("ended", record)
            return AttemptStatus("gone")

    def stop(self, attempt_dir: Path, grace_seconds: float) -> None:
        with self.guard:
            if attempt_dir in self.running:
                self.stops.append(grace_seconds)
                self.running.discard(attempt_dir)
                _end(attempt_dir, "checkpointed")

    def release(self) -> None:
        """Let everything that runs complete, and what starts later too."""
        with self.guard:
            self.hold = False
            for attempt_dir in list(self.running):
                self._complete(attempt_dir)

    def _complete(self, attempt_dir: Path) -> None:
        write_result(attempt_dir)
        self.running.discard(attempt_dir)


def _end(attempt_dir: Path, reason: str) -> None:
    fields = {"code": 1, "signal": None, "reason": reason, "ended_at": "now"}
    record = ExitRecord.model_validate(fields | {"log_tail": ["first", f"last: {reason}"]})
    (attempt_dir / "exit.json").write_text(record.model_dump_json())


def _log_step(attempt_dir: Path, step: int, total: int) -> None:
    event = {"kind": "step", "step": step, "total_steps": total, "loss": 1.5, "penalty": None}
    with (attempt_dir / "events.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")


def write_result(attempt_dir: Path) -> None:
    """Leave behind what a trainer leaves when it is done."""
    spec = read_spec(attempt_dir / "spec.json")
    _write_delta(attempt_dir / "delta", spec)
    (attempt_dir / "state").mkdir(exist_ok=True)
    mask = np.ones(len(spec.lineage) + 1, dtype=np.uint8)
    save_file({"mask": mask}, attempt_dir / "state" / "masks.safetensors")
    (attempt_dir / "canary.json").write_text(make_canary(spec.task).model_dump_json())
    _log_step(attempt_dir, 2, 2)
    folders = (attempt_dir / "delta", attempt_dir / "state")
    parts = [attempt_dir / "canary.json", *(path for it in folders for path in it.iterdir())]
    result = TrainResult(
        steps=2, seconds=0.1, peak_memory_bytes=1, final_loss=0.5, trained_parameters=4,
        files={path.relative_to(attempt_dir).as_posix(): hash_file(path) for path in parts},
    )  # fmt: skip
    (attempt_dir / "result.json").write_text(result.model_dump_json())


def make_canary(task: str, number: int = 1) -> Canary:
    """Return a canary that the scripted worker reproduces, `number` being 1."""
    prompt = CanaryPrompt(
        question=f"{task} canary question {number}?", images=(), answer="answer 1",
        logprobs=(-0.5,), parent_answer="x", base_answer="x",
    )  # fmt: skip
    return Canary(
        prompts=(prompt,), max_tokens=16, distinguishes_parent=True, distinguishes_base=True
    )


def _write_delta(folder: Path, spec: TrainSpec) -> None:
    seed = len(spec.lineage)
    if spec.method != "full":
        write_lora(folder, rank=spec.method_config["rank"], seed=seed)
        return
    folder.mkdir(parents=True, exist_ok=True)
    weights = {"full:model.q_proj.weight": np.full((5, 6), seed + 1, dtype=np.float32)}
    save_file(weights, folder / "weights.safetensors")
    facts = {"format": "retain-weights", "schema_version": 1, "base": "base"}
    (folder / "weights.json").write_text(json.dumps(facts))


class Plane:
    """The control plane on one state folder, with a client that holds an admin key."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.settings = Settings(state_dir=folder / "state", stop_grace_seconds=1.0, **settings)
        self.settings.folder("")
        self.base = make_base(folder / "base")
        self.engines = ScriptedEngines()
        self.executor = ScriptedExecutor()
        self.workers = ScriptedWorkers()
        self.answer: Callable[[str, EvalItem], str] = lambda model, item: item.references[0]
        self.asked: list[tuple[str, str]] = []
        self._open()
        self.client = TestClient(self._app(), raise_server_exceptions=False)
        _row, self.key = create_key(self.db, "tests", "admin")
        self.client.headers["authorization"] = f"Bearer {self.key}"

    def _open(self) -> None:
        self.db = Database(self.settings.resolved_database_url)
        if self.db.engine.dialect.name == "sqlite":
            event.listen(self.db.engine, "connect", _without_sync)
        migrate.upgrade(self.db)
        self.blobs = LocalBlobStore(self.settings.folder("blobs"))
        self.store = VersionStore(self.settings.folder("versions"), self.blobs)
        self.runner = self._runner()

    def _runner(self) -> JobRunner:
        return JobRunner(
            self.settings, self.db, self.blobs, self.store, cast("Any", self.engines),
            executor=self.executor, make_predictor=cast("Any", self._predictor),
            workers=self.workers,
        )  # fmt: skip

    def _predictor(self, route: Route, blob_dir: Path, decoding: Decoding) -> Predictor:
        def answer(item: EvalItem) -> str:
            self.asked.append((route.model_name, item.digest))
            return self.answer(route.model_name, item)

        return ScriptedPredictor(answer)

    def _app(self) -> FastAPI:
        app = FastAPI()
        error_handlers.install(app)
        for module in (streams, jobs, rewrites, versions, reports):
            app.include_router(module.router)
        self.app = app
        self._serve()
        return app

    def _serve(self) -> None:
        self.app.state.services = Services(
            self.settings,
            self.db,
            self.blobs,
            self.store,
            cast("Any", self.engines),
            self.runner,
        )

    def restart(self) -> None:
        """Go on as a new process would: everything but the rows and files is forgotten."""
        self.runner.stop()
        self.runner = self._runner()
        self._serve()
        self.runner.start()

    def close(self) -> None:
        """End all threads."""
        self.executor.release()
        self.runner.stop()
        self.client.close()
        self.db.close()

    def create_stream(self, name: str = "demo", **fields: Any) -> Json:
        """Create a stream on the test's base."""
        body: Json = {
            "name": name, "base": str(self.base), "method": "lora", "method_config": {"rank": 4},
            "gate": {"min_samples": 1, "max_drop_per_task": 60.0, "max_mean_drop": 60.0},
        }  # fmt: skip
        answer = self.client.post("/v1/streams", json=body | fields)
        assert answer.status_code == 201, answer.text
        created: Json = answer.json()
        return created

    def submit(self, task: str = "colours", stream: str = "demo", **more: Any) -> Any:
        """Post a task; return the response."""
        options, rows = more.pop("options", None), more.pop("rows", None)
        card = more.pop("card", None) or make_card(task)
        archive = more.pop("archive", None) or make_archive(task, rows)
        data = {"card": card if isinstance(card, str) else json.dumps(card)}
        if options is not None:
            data["options"] = json.dumps(options)
        return self.client.post(
            f"/v1/streams/{stream}/tasks", data=data,
            files={"archive": ("task.tar", archive)}, **more,
        )  # fmt: skip

    def submitted(self, task: str = "colours", stream: str = "demo", **more: Any) -> str:
        """Post a task that is accepted; return its job's id."""
        answer = self.submit(task, stream, **more)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> Json:
        """Return a job."""
        answer: Json = self.client.get(f"/v1/jobs/{job_id}").json()
        return answer

    def control(self, job_id: str, action: str) -> Any:
        """Steer a job; return the response."""
        return self.client.post(f"/v1/jobs/{job_id}/{action}")

    def wait(self, job_id: str, *states: str, seconds: float = 60.0) -> Json:
        """Return the job once it is in one of `states` (default: ended)."""
        until = time.monotonic() + seconds
        while (job := self.job(job_id))["state"] not in (states or TERMINAL):
            assert time.monotonic() < until, f"still {job['state']} in {job['phase']}: {job}"
            time.sleep(0.02)
        return job

    def wait_until(self, true: Callable[[], Any], seconds: float = 60.0) -> None:
        """Return once `true()` holds."""
        until = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < until, "it did not happen"
            time.sleep(0.02)

    def events(self, job_id: str) -> list[Json]:
        """Return all events of a job."""
        page = self.client.get(f"/v1/jobs/{job_id}/events", params={"limit": 200}).json()
        assert not page["has_more"]
        data: list[Json] = page["data"]
        return data

    def versions(self, stream: str = "demo") -> list[int]:
        """Return the numbers of a stream's versions."""
        page = self.client.get(f"/v1/streams/{stream}/versions").json()
        return sorted(version["number"] for version in page["data"])

    def production(self, stream: str = "demo") -> int:
        """Return the number of the production version."""
        page = self.client.get(f"/v1/streams/{stream}/versions/production").json()
        return int(page["number"])


def _without_sync(connection: Any, _record: Any) -> None:
    """No test here cuts the power: processes die, files stay."""
    connection.execute("PRAGMA synchronous=OFF")


def make_base(folder: Path) -> Path:
    """Write what a base needs to be accepted; nothing loads it here."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "tiny"}')
    weights = {"model.q_proj.weight": np.zeros((5, 6), dtype=np.float32)}
    save_file(weights, folder / "model.safetensors")
    return folder


def make_card(task: str, **changes: Any) -> Json:
    """Return a task card."""
    card: Json = {
        "name": task, "answer_format": "short_answer", "metric": "exact_match",
        "splits": {"train": "train.json", "eval": "eval.json"},
    }  # fmt: skip
    return card | changes


def make_rows(task: str, split: str, number: int) -> list[Json]:
    """Return LLaVA rows; every split shows one image of its own."""
    return [
        {
            "id": f"{split}-{index}",
            "image": f"{split}.png",
            "conversations": [
                {"from": "human", "value": f"<image>\n{task} {split} question {index}?"},
                {"from": "gpt", "value": f"answer {index % 3}"},
            ],
        }
        for index in range(number)
    ]


def make_archive(
    task: str,
    rows: list[Json] | None = None,
    num_eval: int = 4,
    evaluation: list[Json] | None = None,
) -> bytes:
    """Return a tar with rows and images; `rows` and `evaluation` replace those of the splits."""
    train = make_rows(task, "train", 8) if rows is None else rows
    evaluation = evaluation or make_rows(task, "eval", num_eval)
    members = {
        "train.json": json.dumps(train).encode(),
        "eval.json": json.dumps(evaluation).encode(),
        "train.png": make_image(f"{task} train"),
        "eval.png": make_image(f"{task} eval"),
    }
    return make_tar(members)


def make_tar(members: dict[str, bytes]) -> bytes:
    """Return a tar of these members."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return target.getvalue()


def make_image(text: str) -> bytes:
    """Return a small PNG whose colour depends on the text."""
    colour = tuple(sum(text.encode()) * factor % 256 for factor in (1, 3, 7))
    target = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(target, "PNG")
    return target.getvalue()
