"""The demo's manners: whose service it takes, and what it says when it cannot go on."""

from __future__ import annotations

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
from deploy.demo.server import ServiceFailed, running_service
from service.lock import StateLock


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port where some Retain service answers."""
    monkeypatch.setattr(server, "answers", lambda url: True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_a_service_on_this_state_folder_is_used(port: int, tmp_path: Path) -> None:
    lock = StateLock(tmp_path / "service.lock")
    with running_service(tmp_path, port) as url:
        assert url == f"http://127.0.0.1:{port}"
    lock.release()


def test_a_service_on_another_state_folder_is_left_alone(port: int, tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed, match="make demo DEMO_ARGS='--port"):
        running_service(tmp_path, port).__enter__()


def test_another_program_on_the_port_is_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    page = httpx.Response(200, text="<html>", request=httpx.Request("GET", "http://x"))
    monkeypatch.setattr(httpx, "get", lambda url, timeout: page)
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
