"""The command line: against a scripted server, and against the real routes."""

from __future__ import annotations

import json
import os
import re
import socket
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
from service.cli import context, inputs, view
from service.cli import serve as serving
from service.cli.commands import app
from service.client import RetainClient
from service.ids import new_id
from service.lock import StateLock
from service.settings import Settings
from tests.service.harness import Plane, make_archive, make_card

BRACKETS = "see [/a] and [bold]this[/bold] :cat:"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("RETAIN_")]:
        monkeypatch.delenv(name)
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


def said(answer: Result) -> str:
    """Return what a command printed, without a box's frame and line breaks."""
    return re.sub(r"[\s│]+", " ", answer.output)


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


def test_numbers_of_a_stream_are_sent_only_if_given(serve: Serve) -> None:
    sent: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(201, json={"base": "b"})

    serve(answer)
    create = ("stream", "create", "demo", "--base", "b")
    numbers = ("--seed", "0", "--eval-limit", "9", "--probe-limit", "0", "--future-tasks")
    assert retain(*create).exit_code == 0
    assert retain(*create, *numbers).exit_code == 0
    given = {"seed": 0, "eval_limit": 9, "probe_limit": 0, "future_tasks": True}
    assert sent[1] == {**sent[0], **given}
    assert not {"seed", "eval_limit", "probe_limit"} & sent[0].keys()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, dict[str, Any]]]:
    """What `retain serve` would have started."""
    calls: list[tuple[Settings, dict[str, Any]]] = []
    monkeypatch.setattr("service.logs.configure", lambda level: None)
    monkeypatch.setattr(serving, "check_address", lambda host, port: None)
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


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ('{"learning_rate": NaN}', "the number NaN cannot be sent"),
        ('{"learning_rate": 1e999}', "the number 1e999 cannot be sent"),
        ("{learning_rate", "'{learning_rate' is not JSON"),
        ("[1]", "'[1]' is not a JSON object"),
        ("@nofile", "cannot read nofile: No such file or directory"),
        ("@bytes", "bytes is not a text file in UTF-8"),
    ],
)
def test_json_that_cannot_be_sent_is_refused(tmp_path: Path, value: str, seen: str) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    answer = retain("stream", "create", "demo", "--base", "b", "--hyperparameters", value)
    assert answer.exit_code == 2
    assert "Invalid value for '--hyperparameters': " in said(answer)
    assert seen in said(answer)
    assert "Give an object like" in said(answer)


@pytest.mark.parametrize("value", ["nan", "-1", "101"])
def test_a_percentage_is_from_0_to_100(value: str) -> None:
    answer = retain("stream", "create", "demo", "--base", "b", "--x-percent", value)
    assert answer.exit_code == 2
    assert "Give a number from 0 to 100." in said(answer)


@pytest.mark.parametrize("text", ["{bad", "[]", '{"name": NaN}'])
def test_a_bad_card_is_answered_with_an_example_of_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.json").write_text(text)
    (tmp_path / "task.tar").write_bytes(b"")
    answer = retain("task", "submit", "demo", "--card", "card.json", "--archive", "task.tar")
    assert answer.exit_code == 2
    assert "Invalid value for --card: " in said(answer)
    assert inputs.CARD_HINT in said(answer)
    assert '"rank"' not in said(answer)


def test_a_page_that_cannot_be_written_is_named(serve: Serve, tmp_path: Path) -> None:
    serve(lambda request: httpx.Response(200, text="<html>"))
    answer = retain("report", "demo@3", "--output", "nodir/r.html")
    assert answer.exit_code == 1
    assert answer.stderr.startswith("error cannot write nodir/r.html: No such file or directory.")
    assert retain("report", "demo@3", "--output", "r.html").exit_code == 0
    assert (tmp_path / "r.html").read_text() == "<html>"
    again = retain("report", "demo@3", "--output", "r.html")
    assert (again.exit_code, "nothing is overwritten" in said(again)) == (1, True)


@pytest.mark.parametrize("status", [401, 404, None])
def test_a_report_on_nothing_says_first_what_is_not_there(serve: Serve, status: int | None) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if status is None:
            raise httpx.ConnectError("refused")
        return httpx.Response(status, json={"error": {"code": "odd", "message": "no"}})

    serve(answer)
    told = retain("report", "nosuch")
    assert told.exit_code == 1
    assert said(told).startswith("error no folder or file is called nosuch; of a stream")
    assert "no folder or file" not in said(retain("report", "demo@3"))


@pytest.mark.parametrize("key", ["ключ", "rtk_a\x7fb", "two words"])
def test_a_key_that_no_header_can_carry_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    serve(lambda request: pytest.fail("sent"))
    monkeypatch.setenv("RETAIN_API_KEY", key)
    answer = retain("job", "list")
    assert answer.exit_code == 1
    assert answer.stderr.startswith("error RETAIN_API_KEY does not hold an API key: character ")
    assert key not in answer.output


def test_a_bug_still_shows_its_traceback(serve: Serve) -> None:
    serve(lambda request: httpx.Response(200, json={"unexpected": 1}))
    assert isinstance(retain("job", "list").exception, KeyError)


UNKNOWN_KEY = {"error": {"code": "invalid_api_key", "message": "Send it as 'Authorization: …'"}}


@pytest.fixture
def keys_sent(serve: Serve, tmp_path: Path) -> list[str | None]:
    """The keys that a service on which every key is wrong was sent; one lies in ./.retain."""
    (tmp_path / ".retain").mkdir()
    (tmp_path / ".retain" / "admin.key").write_text("rtk_local\n")
    sent: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("authorization"))
        return httpx.Response(401, json=UNKNOWN_KEY)

    serve(answer)
    return sent


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "[::1]", "localhost", "LOCALHOST"])
def test_the_local_admin_key_is_sent_on_this_machine(
    keys_sent: list[str | None], host: str
) -> None:
    answer = retain("--url", f"http://{host}:8000", "job", "list")
    assert keys_sent == ["Bearer rtk_local"]
    assert "Authorization" in answer.stderr  # a key was sent: the service's own words


@pytest.mark.parametrize(
    "host",
    ["example.com", "10.0.0.1", "localhost.example.com", "127.0.0.1.nip.io", "[::2]"],
)
def test_the_local_admin_key_is_sent_to_no_other_machine(
    keys_sent: list[str | None], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    answer = retain("--url", f"http://{host}", "job", "list")
    assert answer.exit_code == 1
    assert "Set RETAIN_API_KEY." in answer.stderr
    assert keys_sent == []
    monkeypatch.setenv("RETAIN_API_KEY", "rtk_given")
    retain("--url", f"http://{host}", "job", "list")
    assert keys_sent == ["Bearer rtk_given"]


def test_a_user_name_in_the_url_makes_no_machine_this_one(keys_sent: list[str | None]) -> None:
    assert retain("--url", "http://127.0.0.1@example.com", "job", "list").exit_code == 1
    assert keys_sent == []


def test_without_a_key_the_command_line_names_its_own_ways_to_one(
    keys_sent: list[str | None],
) -> None:
    answer = retain("--state-dir", "nowhere", "job", "list")
    assert (answer.exit_code, keys_sent) == (1, [None])
    assert "there is no admin.key in nowhere" in answer.stderr
    assert all(way in answer.stderr for way in ("--state-dir", "RETAIN_STATE_DIR", "_API_KEY"))
    assert "Authorization" not in answer.stderr


@pytest.mark.parametrize("url", ["foo", "ftp://127.0.0.1", "http://", "http://127.0.0.1:port"])
def test_what_is_no_url_is_refused(url: str) -> None:
    answer = retain("--url", url, "job", "list")
    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"error {url!r} is not a ")


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({}, ("--port", "99999"), "--port '99999' is refused: it should be less than or equal to"),
        ({"PORT": "x"}, (), "RETAIN_PORT 'x' is refused: it should be a valid integer."),
        ({"TRAINER_SLOTS": "abc"}, (), "RETAIN_TRAINER_SLOTS 'abc' is refused: it should be a"),
        ({"ENGINE_EXTRA_ARGS": "--x"}, (), "Write a list like RETAIN_ENGINE_EXTRA_ARGS="),
        ({}, ("--state-dir", "/proc/x"), "the state folder /proc/x cannot be made or written: "),
    ],
)
def test_serve_refuses_settings_in_one_message(
    served: Any,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"RETAIN_{name}", value)
    answer = retain("serve", *arguments)
    assert (answer.exit_code, served) == (1, [])
    assert isinstance(answer.exception, SystemExit)
    assert message in answer.stderr


def test_serve_names_who_uses_the_state_folder(served: Any, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    lock = StateLock(tmp_path / "state" / "service.lock")
    answer = retain("serve", "--state-dir", "state")
    lock.release()
    assert (answer.exit_code, served) == (1, [])
    assert answer.stderr.startswith(f"error another service (process {os.getpid()}) uses the state")
    assert len(answer.stderr.splitlines()) == 1
    assert retain("serve", "--state-dir", "state").exit_code == 0


def test_serve_looks_at_the_port_before_it_makes_anything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("service.logs.configure", lambda level: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = retain("serve", "--port", port, "--state-dir", "state")
    assert answer.exit_code == 1
    assert f"127.0.0.1, port {port}: Address already in use." in answer.stderr
    assert "--port" in answer.stderr
    assert not (tmp_path / "state").exists()


def page_of(*rows: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"data": rows, "has_more": False})


REASON = "the trainer ran out of memory while it held the whole corpus"


def make_jobs(number: int) -> list[dict[str, Any]]:
    fields = {"stream": "shop-assistant", "task": "kitchen-ware", "state": "succeeded"}
    fields |= {"phase": "evaluate", "reason": f"{REASON}. More."}
    return [{"id": new_id("job"), **fields} for _ in range(number)]


def test_a_piped_table_has_one_whole_line_for_each_row(serve: Serve) -> None:
    jobs = make_jobs(2)
    serve(lambda request: page_of(*jobs))
    lines = retain("job", "list").output.splitlines()
    for job in jobs:
        (line,) = [line for line in lines if job["id"] in line]
        assert line.split() == [*list(job.values())[:5], *REASON.split()]


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_a_narrow_terminal_breaks_no_id_and_no_name(width: int) -> None:
    console = Console(width=width, force_terminal=True, color_system=None, record=True)
    jobs = make_jobs(2)
    body = [[*job.values()] for job in jobs]
    columns = ("id", "stream", "task", "state", "phase", "reason")
    view.show(console, view.table("jobs", columns, body))
    lines = console.export_text().splitlines()
    for job in jobs:
        (line,) = [line for line in lines if job["id"] in line]
        assert line.split()[:5] == [*job.values()][:5]
    if width >= 100:
        assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)


def test_eighty_columns_show_all_of_a_key() -> None:
    console = Console(width=80, force_terminal=True, color_system=None, record=True)
    row = (new_id("key"), "admin", "operator", "2026-01-02 03:04:05", "2026-01-02 03:04:05")
    view.show(console, view.table("keys", ("id", "name", "role", "created", "revoked"), [row]))
    text = console.export_text()
    assert row[0] in text
    assert max(map(len, text.splitlines())) <= 80


def follow_failure(serve: Serve, code: str, message: str) -> Result:
    """Watch a job that has failed."""
    failure = {"code": code, "message": message}
    job = {"id": "job_1", "state": "failed", "reason": message, "error": failure}
    event = {"seq": 1, "kind": "error", "data": failure}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/jobs/job_1":
            return httpx.Response(200, json=job)
        if request.headers["accept"] == "text/event-stream":
            return httpx.Response(200, text=f"data: {json.dumps(event)}\n\n")
        return page_of()

    serve(answer)
    return retain("job", "watch", "job_1")


@pytest.mark.parametrize(("code", "command"), [("invalid_rows", "validation"), ("x", "show")])
def test_a_failure_is_told_once_with_the_next_step(serve: Serve, code: str, command: str) -> None:
    answer = follow_failure(serve, code, "rows are bad")
    assert answer.exit_code == 1
    assert answer.output.count("rows are bad") == 1
    assert answer.output.splitlines()[-2:] == [
        "job job_1 failed",
        f"next: retain job {command} job_1",
    ]


def test_validation_lists_each_problem_and_what_to_do(serve: Serve) -> None:
    problem = {
        "split": "train", "row": 7, "line": 12, "row_id": "row[/]", "field": "image",
        "rule": "missing_image", "message": "there is no file 'a.png'",
        "fix": "Add it to the archive.",
    }  # fmt: skip
    found = {"valid": False, "problems": [problem], "num_problems": 3, "warnings": ["few rows"]}
    found["counts"] = {"rows": 20}
    serve(lambda request: httpx.Response(200, json=found))
    answer = retain("job", "validation", "job_1")
    assert answer.exit_code == 0
    whole = "train 7 12 row[/] image there is no file 'a.png'. Add it to the archive."
    assert whole in said(answer)
    assert "problems (1 of 3)" in answer.output
    assert "warning: few rows" in answer.output
    assert "next: correct these rows" in answer.output
    assert json.loads(retain("job", "validation", "job_1", "--json").output) == found
    found |= {"valid": True, "problems": [], "num_problems": 0}
    assert "no problems in 20 rows" in retain("job", "validation", "job_1").output


@pytest.mark.parametrize(
    ("move", "text"),
    [
        ({"moved": False}, "production names demo@1 already; nothing changed"),
        ({"moved": True}, "demo@production: nothing -> demo@1 (promote)"),
        ({"from": "demo@0"}, "demo@production: demo@0 -> demo@1 (promote)"),
    ],
)
def test_rollback_says_what_has_changed(serve: Serve, move: dict[str, Any], text: str) -> None:
    whole = {"from": None, "to": "demo@1", "kind": "promote"} | move
    serve(lambda request: httpx.Response(200, json=whole))
    assert retain("rollback", "demo", "--to", "1").output == f"{text}\n"


@pytest.mark.parametrize("to", ["foo", "-1", "²", "9999999999", "demo@1"])
def test_rollback_says_what_it_takes(to: str) -> None:
    answer = retain("rollback", "demo", "--to", to)
    assert answer.exit_code == 2
    assert f"Invalid value for '--to': '{to}' names no version. Give a version's" in said(answer)


def test_rollback_goes_to_a_number_or_to_the_previous_one(serve: Serve) -> None:
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content)["version"])
        return httpx.Response(200, json={"from": None, "to": "demo@1", "kind": "rollback"})

    serve(answer)
    assert retain("rollback", "demo").exit_code == 0
    assert retain("rollback", "demo", "--to", "12").exit_code == 0
    assert sent == ["previous", 12]
    assert "a second rollback undoes the first" in said(retain("rollback", "--help"))


def test_invalid_rows_against_the_real_routes(plane: Plane, serve: Serve, tmp_path: Path) -> None:
    serve(partial(relay, plane))
    plane.create_stream()
    (tmp_path / "card.json").write_text(json.dumps(make_card("colours")))
    (tmp_path / "task.tar").write_bytes(make_archive("colours", [{"id": "r1"}]))
    files = ("--card", "card.json", "--archive", "task.tar")
    submitted = retain("task", "submit", "demo", *files, "--wait")
    assert submitted.exit_code == 1
    assert submitted.output.count("has invalid rows") == 1
    command = submitted.output.splitlines()[-1].removeprefix("next: retain ")
    listed = retain(*command.split())
    assert listed.exit_code == 0, listed.output
    assert "train 1 1 r1 conversations" in said(listed)


def relay(plane: Plane, request: httpx.Request) -> httpx.Response:
    """Answer as the plane's routes do."""
    path, headers = request.url.raw_path.decode(), dict(request.headers)
    headers["authorization"] = f"Bearer {plane.key}"
    answer = plane.client.request(request.method, path, content=request.read(), headers=headers)
    return httpx.Response(answer.status_code, content=answer.content)


def test_the_loop_against_the_real_routes(plane: Plane, serve: Serve, tmp_path: Path) -> None:
    serve(partial(relay, plane))
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
    again = retain("rollback", "demo", "--to", "0").output
    assert again == "production names demo@0 already; nothing changed\n"
    refused = retain("rollback", "demo", "--to", "9")
    assert (refused.exit_code, "not_found" in refused.output) == (1, True)


def test_rewritten_rows_are_shown_and_decided_on(plane: Plane, serve: Serve) -> None:
    serve(partial(relay, plane))
    plane.create_stream()
    options = {"x_percent": 100, "asd": {"review": True}}
    job = plane.submitted(options=options)
    plane.wait(job, "paused")

    page = json.loads(retain("rewrites", job, "--json").output)
    shown = retain("rewrites", job, "--format", "yes_no", "--limit", "1").output
    one, two = page["data"][0], page["data"][1]
    decided = retain("rewrites", job, "--reject", one["key"], "--accept", two["key"])
    after = retain("rewrites", job).output

    assert "short_answer -> yes_no" in shown
    assert "1 of 2 rewritten yes_no turns" in shown
    assert f"next: retain rewrites {job} --reject KEY, or retain job resume {job}" in shown
    assert "2 decisions taken; 1 accepted, 1 rejected so far" in decided.output
    assert f"next: retain job resume {job}" in decided.output
    assert f"{one['key']}  short_answer -> {one['after']['format']}  rejected by tests" in after
    assert f"  - => {one['before']['answer']}" in after
    assert f"  + => {one['after']['answer']}" in after
    again = json.loads(retain("rewrites", job, "--reject", one["key"], "--json").output)
    assert (again["changed"], again["rejected"]) == (0, 1)
    unknown = retain("rewrites", job, "--reject", "nothing#0")
    assert (unknown.exit_code, "name no rewritten turn" in unknown.output) == (1, True)
    both = retain("rewrites", job, "--reject", one["key"], "--accept", one["key"])
    assert (both.exit_code, "Choose one" in said(both)) == (2, True)


def test_more_decisions_than_one_request_takes_are_sent_in_parts(serve: Serve) -> None:
    sent: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(len(json.loads(request.content)))
        numbers = {"changed": sent[-1], "accepted": 0, "rejected": sum(sent)}
        return httpx.Response(200, json=numbers)

    serve(answer)
    keys = [part for n in range(1500) for part in ("--reject", f"r{n}#0")]
    found = retain("rewrites", "job_1", *keys)
    assert sent == [1000, 500]
    assert "1500 decisions taken" in found.output
