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
from pathlib import Path

import httpx

from service.errors import PermanentConflict
from service.lock import StateLock

START_SECONDS = 60.0
STOP_SECONDS = 60.0


class ServiceFailed(Exception):
    """The service did not start; the message holds the end of its log."""


@contextmanager
def running_service(state_dir: Path, port: int) -> Iterator[str]:
    """Yield the URL of a service on `state_dir`; end it afterwards if it was started here.

    Raises ServiceFailed when it does not answer in time, or when something else has the port.
    """
    url = f"http://127.0.0.1:{port}"
    if _port_taken(port):
        if not (_locked(state_dir) and answers(url)):
            raise ServiceFailed(
                f"port {port} is taken by another program, or by a service on another state "
                f"folder. Use another port: make demo DEMO_ARGS='--port {port + 1}'"
            )
        yield url
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
        yield url
    finally:
        stop(process)


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


def answers(url: str) -> bool:
    """Return whether a Retain service answers at `url`."""
    with suppress(httpx.HTTPError, ValueError):
        return bool(httpx.get(f"{url}/healthz", timeout=2).json() == {"status": "ok"})
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
