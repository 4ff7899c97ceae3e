"""The demo's manners: whose service it takes, and what it says when it cannot go on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.demo import __main__ as demo
from deploy.demo import server
from deploy.demo.leftovers import end_leftovers
from deploy.demo.memory import working_on
from deploy.demo.server import ServiceFailed, running_service
from service.engines.sessions import marker
from service.lock import StateLock


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port where some Retain service answers."""
    monkeypatch.setattr(server, "answers", lambda url: True)
    monkeypatch.setattr(server, "_is_ours", lambda state_dir, url: state_dir.name != "theirs")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_a_service_on_this_state_folder_is_used(port: int, tmp_path: Path) -> None:
    lock = StateLock(tmp_path / "service.lock")
    with running_service(tmp_path, port) as service:
        assert (service.url, service.ours) == (f"http://127.0.0.1:{port}", False)
    lock.release()


def test_a_service_on_another_state_folder_is_left_alone(port: int, tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed, match="make demo DEMO_ARGS='--port"):
        running_service(tmp_path, port).__enter__()


def test_a_locked_folder_and_a_foreign_service_on_the_port_do_not_match(
    port: int, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    lock = StateLock(folder / "service.lock")
    with pytest.raises(ServiceFailed, match="another state folder"):
        running_service(folder, port).__enter__()
    lock.release()


def test_a_service_that_ends_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "answers", lambda url: False)
    monkeypatch.setattr(demo, "_WATCH_SECONDS", 0)
    with pytest.raises(ServiceFailed, match="the service has ended"):
        demo._watch("http://127.0.0.1:1", tmp_path)


def test_processes_of_a_state_folder_are_found_wherever_they_hang(tmp_path: Path) -> None:
    other = os.environ | {"RETAIN_STATE_DIR": str(tmp_path / "other")}
    engine = os.environ | {"_RETAIN_ENGINE_OF": str(tmp_path / "state" / "engine")}

    def orphan(environment: dict[str, str]) -> int:
        shell = ["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"]
        ended = subprocess.run(shell, check=True, env=environment, capture_output=True, text=True)
        return int(ended.stdout)

    pids = [orphan(engine), orphan(other)]
    try:
        found = {process.pid for process in working_on(tmp_path / "state")}
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    assert pids[0] in found
    assert pids[1] not in found


def test_what_a_killed_service_left_running_is_ended(tmp_path: Path) -> None:
    environment = os.environ | marker(tmp_path / "engine")
    engine = subprocess.Popen(["sleep", "60"], env=environment, start_new_session=True)
    end_leftovers(tmp_path)
    assert engine.wait(10) == -signal.SIGTERM


def test_a_folder_in_use_is_neither_ended_nor_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lock = StateLock(tmp_path / "service.lock")
    monkeypatch.setattr(sys, "argv", ["demo", "--state-dir", str(tmp_path), "--clean"])
    assert demo.main() == 1
    assert "another service" in capsys.readouterr().out
    lock.release()
    assert demo.main() == 0
    assert not tmp_path.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_demo_ends_its_service_however_it_is_stopped(
    tmp_path: Path, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "deploy.demo", "--state-dir", str(tmp_path / "state")]
    demo_process = subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert demo_process.stdout is not None
    for line in demo_process.stdout:
        if "created on retain-tiny" in line:
            break
    demo_process.send_signal(number)
    output, _ = demo_process.communicate(timeout=60)
    assert "what this demo started has ended" in output
    assert demo_process.returncode == 0
    StateLock(tmp_path / "state" / "service.lock").release()  # nobody holds it
    assert not server.answers(f"http://127.0.0.1:{port}")


def test_another_program_on_the_port_is_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    page = httpx.Response(200, text="<html>", request=httpx.Request("GET", "http://x"))
    monkeypatch.setattr(httpx, "get", lambda url, **options: page)
    assert server.answers("http://x") is False


@pytest.mark.parametrize("error", [PermissionError("no [/] access"), httpx.ReadError("gone")])
def test_what_goes_wrong_is_told_in_a_panel(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    error: Exception,
) -> None:
    def fail(state_dir: Path, port: int) -> Any:
        raise error

    monkeypatch.setattr(demo, "running_service", fail)
    monkeypatch.setattr(sys, "argv", ["demo", "--state-dir", str(tmp_path)])
    assert demo.main() == 1
    assert str(error) in capsys.readouterr().out


def test_the_demo_explains_its_options() -> None:
    command = [sys.executable, "-m", "deploy.demo", "--help"]
    assert "--port" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
