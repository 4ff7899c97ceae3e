"""A real service process that tests start, kill and start again on one state folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from deploy.demo.server import answers, stop
from eval.minicoin.writing import archive_task
from service.client import TERMINAL, RetainClient

Json = dict[str, Any]
WEIGHTS = Path(__file__).parents[2] / "deploy" / "demo" / "tiny" / "weights"
SETTINGS: Json = {
    "method": "reglora",
    "method_config": {"rank": 8, "alpha": 16.0},
    "hyperparameters": {"epochs": 2, "learning_rate": 3e-3, "batch_size": 16,
                        "checkpoint_every_steps": 4},
    "gate": {"max_drop_per_task": 100.0, "max_mean_drop": 100.0, "min_samples": 10},
    "eval_limit": 24,
}  # fmt: skip


class LiveService:
    """The service as a process of its own. The engine lives on when the service is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.state_dir.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[RetainClient] = []

    def start(self, kill_in: str | None = None, calls_before: int = 0) -> None:
        """Start the service; `kill_in` makes it die inside that phase."""
        module = ["service.cli"]
        if kill_in is not None:
            module = ["tests.end_to_end.faulty_service", "--kill-in", kill_in]
            module += ["--calls-before", str(calls_before)]
        command = [sys.executable, "-m", *module, "serve", "--port", str(self.port)]
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=os.environ
                | {"RETAIN_STATE_DIR": str(self.state_dir), "RETAIN_ASD_LLM_URL": "self"},
                cwd=WEIGHTS.parents[3],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + 60
        while not answers(self.url):
            assert self.process.poll() is None, self.log_tail()
            assert time.monotonic() < deadline, self.log_tail()
            time.sleep(0.1)

    def log_tail(self) -> str:
        """Return the end of the service's log, for assertion messages."""
        lines = (self.folder / "service.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-40:])

    def client(self) -> RetainClient:
        """Return a new client with the admin key; it is closed when the service is stopped."""
        key = (self.state_dir / "admin.key").read_text().strip()
        self._clients.append(RetainClient(self.url, key))
        return self._clients[-1]

    def kill(self) -> None:
        """SIGKILL the service alone: engine and trainers live on for the next start to find."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def wait_for_state(self, job_id: str, state: str, seconds: float = 300) -> None:
        """Wait until a job is in that state."""
        deadline = time.monotonic() + seconds
        client = self.client()
        while (job := client.job(job_id))["state"] != state:
            assert time.monotonic() < deadline, (job, self.log_tail())
            time.sleep(0.1)

    def wait_for_death(self, seconds: float) -> None:
        """Wait until the service has died by itself of SIGKILL."""
        assert self.process is not None
        assert self.process.wait(seconds) == -signal.SIGKILL, self.log_tail()

    def stop(self) -> None:
        """End the service in order; its engine must end with it."""
        for client in self._clients:
            client.close()
        if self.process is not None:
            stop(self.process)

    def processes(self) -> list[psutil.Process]:
        """Return all processes on this machine that name our state folder or its engine."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline", "environ"]):
            words = " ".join(process.info["cmdline"] or [])
            environment = process.info["environ"] or {}
            mine = environment.get("RETAIN_STATE_DIR") == str(self.state_dir)
            if mine or str(self.state_dir) in words:
                found.append(process)
        return found

    def submit(self, stream: str, task: str, num_train: int = 96, **options: Any) -> Json:
        """Draw a small minicoin task and submit it; return the job."""
        folder = self.folder / "data" / task
        if not folder.exists():
            archive_task(task, folder.parent, seed=1, num_train=num_train, num_eval=24)
        card = json.loads((folder / "card.json").read_text())
        return self.client().submit_task(stream, card, folder.with_suffix(".tar.gz"), options)

    def wait(self, job_id: str, seconds: float = 400) -> Json:
        """Wait until a job has ended; return it."""
        deadline = time.monotonic() + seconds
        client = self.client()
        while (job := client.job(job_id))["state"] not in TERMINAL:
            assert time.monotonic() < deadline, (job, self.log_tail())
            time.sleep(0.3)
        client.close()
        return job

    def wait_for_step(self, job_id: str, step: int, seconds: float = 300) -> None:
        """Wait until a job's trainer has done that many steps."""
        deadline = time.monotonic() + seconds
        client = self.client()
        while True:
            job = client.job(job_id)
            progress = job["progress"] or {}
            if progress.get("phase") == "train" and (progress.get("done") or 0) >= step:
                return
            assert job["state"] not in TERMINAL, (job, self.log_tail())
            assert time.monotonic() < deadline, (job, self.log_tail())
            time.sleep(0.1)
