"""Start the service for the demo (or find it running), and end it again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.demo.leftovers import end_leftovers
from service.errors import PermanentConflict
from service.lock import StateLock

START_SECONDS = 60.0
STOP_SECONDS = 60.0


class ServiceFailed(Exception):
    """The service did not start; the message holds the end of its log."""


@dataclass(frozen=True)
class Running:
    """A running service: where it answers, and whether it was started here and ends with us."""

    url: str
    ours: bool


@contextmanager
def running_service(state_dir: Path, port: int) -> Iterator[Running]:
    """Yield a service on `state_dir`; one that was started here is ended afterwards.

    With it ends everything that it started, even if it was killed meanwhile. Raises
    ServiceFailed when it does not answer in time, or when something else has the port.
    """
    url = f"http://127.0.0.1:{port}"
    if _port_taken(port):
        if not (_locked(state_dir) and answers(url) and _is_ours(state_dir, url)):
            raise ServiceFailed(
                f"port {port} is taken by another program, or by a service on another state "
                f"folder. Use another port: make demo DEMO_ARGS='--port {port + 1}'"
            )
        yield Running(url, ours=False)
        return
    log_path = state_dir / "service.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve", "--port", str(port)],
            env=os.environ | {"RETAIN_STATE_DIR": str(state_dir)},
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches this demo, which then stops it in order
        )
    try:
        _wait(process, url, log_path)
        yield Running(url, ours=True)
    finally:
        stop(process)
        with suppress(PermanentConflict):  # another service has taken the folder over
            end_leftovers(state_dir)


def _port_taken(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
    return False


def _locked(state_dir: Path) -> bool:
    """Return whether a running service holds this state folder."""
    try:
        StateLock(state_dir / "service.lock").release()
    except PermanentConflict:
        return True
    return False


def _is_ours(state_dir: Path, url: str) -> bool:
    """Return whether the service at `url` takes this state folder's admin key."""
    with suppress(httpx.HTTPError, OSError):
        key = (state_dir / "admin.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.get(f"{url}/v1/streams", headers=headers, timeout=10, trust_env=False)
        return answer.is_success
    return False


def answers(url: str) -> bool:
    """Return whether a Retain service answers at `url`."""
    with suppress(httpx.HTTPError, ValueError):
        answer = httpx.get(f"{url}/healthz", timeout=2, trust_env=False)
        return bool(answer.json() == {"status": "ok"})
    return False


def _wait(process: subprocess.Popen[bytes], url: str, log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-15:])
            raise ServiceFailed(f"the service did not start; {log_path} ends with:\n{tail}")
        time.sleep(0.2)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the service; it lets a running trainer checkpoint and ends its engine first."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    if process.poll() is None:
        process.kill()
        process.wait()
