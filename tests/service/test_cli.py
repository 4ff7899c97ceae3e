"""The command line: against a scripted server, and against the real routes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import typer
import uvicorn
from rich.console import Console
from typer.testing import CliRunner, Result

from service import app as application
from service.cli import context, view
from service.cli.commands import app
from service.client import RetainClient
from service.settings import Settings
from tests.service.harness import Plane, make_archive, make_card

BRACKETS = "see [/a] and [bold]this[/bold] :cat:"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("URL", "STATE_DIR", "API_KEY", "HOST", "PORT"):
        monkeypatch.delenv(f"RETAIN_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


Serve = Callable[[Callable[[httpx.Request], httpx.Response]], None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Let commands talk to a function instead of a service."""

    def use(answer: Callable[[httpx.Request], httpx.Response]) -> None:
        client = partial(RetainClient, transport=httpx.MockTransport(answer))
        monkeypatch.setattr(context, "RetainClient", client)

    return use


def retain(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def commands() -> dict[str, click.Command]:
    root: Any = typer.main.get_command(app)
    found: dict[str, click.Command] = {}
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {k}": v for k, v in inner.items()} if inner else {name: command}
    return found


def test_every_command_explains_itself_and_prints_json() -> None:
    for name, command in commands().items():
        assert retain(*name.split(), "--help").exit_code == 0, name
        assert command.help, name
        if name != "serve":
            assert "--json" in [text for option in command.params for text in option.opts], name


@pytest.mark.parametrize(
    "name",
    ["serve", "stream create", "task submit", "job watch", "report", "chat", "rollback"],
)
def test_the_commands_of_the_loop_show_an_example(name: str) -> None:
    assert f"`retain {name} " in (commands()[name].help or "")


def test_an_answer_with_brackets_is_printed_as_it_is(serve: Serve) -> None:
    message = {"choices": [{"message": {"content": BRACKETS}}], "model": "demo@1"}
    serve(lambda request: httpx.Response(200, json=message))
    answer = retain("chat", "demo", "What?")
    assert answer.exit_code == 0
    assert answer.output.strip() == f"demo@1 {BRACKETS}"
    assert json.loads(retain("chat", "demo", "What?", "--json").output) == message


def test_an_error_ends_with_its_message_and_exit_code_1(serve: Serve) -> None:
    error = {"error": {"code": "not_found", "message": BRACKETS}}
    serve(lambda request: httpx.Response(404, json=error, headers={"x-request-id": "req_1"}))
    answer = retain("job", "show", "job_1")
    assert answer.exit_code == 1
    assert answer.output == f"error not_found: {BRACKETS}\nrequest req_1\n"


def test_a_service_that_is_away_is_named(serve: Serve) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[/refused]")

    serve(away)
    answer = retain("--url", "http://127.0.0.1:9", "stream", "list")
    assert answer.exit_code == 1
    assert "nobody answers at http://127.0.0.1:9 ([/refused])" in answer.output


def test_tables_and_progress_print_brackets_as_they_are() -> None:
    console = Console(width=200, emoji=False, record=True, force_terminal=True)
    matrix = {"tasks": [BRACKETS], "rows": [{"version": BRACKETS, "cells": {}}]}
    console.print(view.table("streams", ("name",), [(BRACKETS,)]), view.matrix_table(matrix))
    running = {"phase": "train", "done": 1, "total": 2, "message": BRACKETS}
    view.JobProgress(console).follow(
        [
            {"kind": "progress", "data": running},
            {"kind": "error", "data": {"message": BRACKETS}},
            {"kind": "state", "data": {"state": "paused", "reason": BRACKETS}},
        ]
    )
    assert console.export_text().count(BRACKETS) >= 6


def test_keys_have_a_table_and_json(serve: Serve) -> None:
    key = {"id": "key_1", "name": "ci[/]", "role": "reader", "secret": "rk_[x]"}
    key |= {"created_at": "2026-01-02T03:04:05Z", "revoked_at": None}
    page = {"data": [key], "has_more": False}
    answers = {"GET": page, "POST": key, "DELETE": key}
    serve(lambda request: httpx.Response(200, json=answers[request.method]))
    for arguments in (("create", "ci[/]"), ("list",), ("revoke", "key_1")):
        assert "ci[/]" in retain("key", *arguments).output
        assert json.loads(retain("key", *arguments, "--json").output) in (key, [key])
    assert "rk_[x]" in retain("key", "create", "ci[/]").output.splitlines()


def test_a_base_folder_here_is_sent_as_an_absolute_path(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content)["base"])
        return httpx.Response(201, json={"base": sent[-1]})

    serve(answer)
    for base in ("./model", "acme/model"):
        assert retain("stream", "create", "demo", "--base", base).exit_code == 0
    assert sent == [str(tmp_path / "model"), "acme/model"]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, dict[str, Any]]]:
    """What `retain serve` would have started."""
    calls: list[tuple[Settings, dict[str, Any]]] = []
    monkeypatch.setattr("service.logs.configure", lambda level: None)
    monkeypatch.setattr(application, "create_app", lambda settings: settings)
    monkeypatch.setattr(uvicorn, "run", lambda made, **options: calls.append((made, options)))
    return calls


@pytest.mark.parametrize(
    ("arguments", "state_dir"),
    [
        (("--state-dir", "before", "serve"), "before"),
        (("serve", "--state-dir", "after"), "after"),
        (("--state-dir", "before", "serve", "--state-dir", "after"), "after"),
        (("serve",), "from-environment"),
    ],
)
def test_serve_takes_its_state_folder_from_where_it_is_given(
    served: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], state_dir: str
) -> None:
    monkeypatch.setenv("RETAIN_STATE_DIR", "from-environment")
    assert retain(*arguments).exit_code == 0
    assert served[0][0].state_dir == Path(state_dir)


def test_serve_listens_where_the_environment_says(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETAIN_HOST", "0.0.0.0")
    monkeypatch.setenv("RETAIN_PORT", "8123")
    assert "http://0.0.0.0:8123" in retain("serve").output
    assert retain("serve", "--port", "9000").exit_code == 0
    listened = [(options["host"], options["port"]) for _made, options in served]
    assert listened == [("0.0.0.0", 8123), ("0.0.0.0", 9000)]


def test_the_loop_against_the_real_routes(plane: Plane, serve: Serve, tmp_path: Path) -> None:
    def relay(request: httpx.Request) -> httpx.Response:
        path, headers = request.url.raw_path.decode(), dict(request.headers)
        answer = plane.client.request(request.method, path, content=request.read(), headers=headers)
        return httpx.Response(answer.status_code, content=answer.content)

    serve(relay)
    (tmp_path / "card.json").write_text(json.dumps(make_card("colours")))
    (tmp_path / "task.tar").write_bytes(make_archive("colours"))
    base = ("--base", str(plane.base), "--method", "lora", "--gate", '{"min_samples": 1}')
    assert retain("stream", "create", "demo", *base).exit_code == 0
    files = ("--card", "card.json", "--archive", "task.tar")
    submitted = retain("task", "submit", "demo", *files, "--wait")
    assert submitted.exit_code == 0, submitted.output
    assert "promote: " in submitted.output
    assert [job["state"] for job in json.loads(retain("job", "list", "--json").output)] == [
        "succeeded"
    ]
    assert "demo@1" in retain("versions", "demo").output
    assert "-> demo@0 (rollback)" in retain("rollback", "demo", "--to", "0").output
    refused = retain("rollback", "demo", "--to", "9")
    assert (refused.exit_code, "not_found" in refused.output) == (1, True)
