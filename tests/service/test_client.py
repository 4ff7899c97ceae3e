"""The client against a scripted server: restarts, engines that are not ready, timeouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service import client as module
from service.client import ApiError, Patience, RetainClient

Answer = Callable[[httpx.Request], httpx.Response]
ERROR = {"error": {"code": "engine_unavailable", "message": "not yet"}}
NOT_READY = httpx.Response(503, json=ERROR, headers={"retry-after": "2"})


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def connect(answer: Answer) -> RetainClient:
    return RetainClient("http://retain", transport=httpx.MockTransport(answer))


def stream(*numbers: int) -> httpx.Response:
    events = [{"seq": number, "kind": "log", "data": {}} for number in numbers]
    return httpx.Response(200, text="".join(f"data: {json.dumps(event)}\n\n" for event in events))


def test_a_name_stays_one_part_of_the_path(clock: Clock) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(200, json={})

    connect(answer).job("../keys?a=b#c")
    assert asked == [b"/v1/jobs/..%2Fkeys%3Fa%3Db%23c"]


@pytest.mark.parametrize(
    ("url", "asks"),
    [
        ("http://127.0.0.1:8000", False),
        ("http://localhost:8000", False),
        ("http://[::1]:8000", False),
        ("https://retain.example", True),
    ],
)
def test_a_key_for_this_machine_passes_no_proxy(url: str, asks: bool) -> None:
    assert RetainClient(url, "key").http.trust_env is asks


def test_watch_survives_a_restart_without_gaps(clock: Clock) -> None:
    away = httpx.ConnectError("refused")
    job = httpx.Response(200, json={"state": "succeeded"})
    rest = httpx.Response(200, json={"data": [], "has_more": False})
    script = [stream(1, 2), *[away] * 10, stream(3), job, rest]
    resumed: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        resumed.append(request.headers.get("last-event-id"))
        step = script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    assert [event["seq"] for event in connect(answer).watch("job_1")] == [1, 2, 3]
    assert resumed == ["0", None, *["2"] * 10, None, None]
    assert 10 < clock.now < module.RESTART_SECONDS


def test_watch_gives_up_when_the_service_stays_away(clock: Clock) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(httpx.ConnectError):
        list(connect(answer).watch("job_1"))
    assert clock.now == pytest.approx(module.RESTART_SECONDS)


@pytest.mark.parametrize("call", ["chat", "move_alias"])
def test_calls_wait_for_an_engine_that_is_not_ready(clock: Clock, call: str) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return NOT_READY if len(seen) < 4 else httpx.Response(200, json={"to": "demo@1"})

    client = connect(answer)
    calls: dict[str, Callable[[], Any]] = {
        "chat": lambda: client.chat("demo", "What?"),
        "move_alias": lambda: client.move_alias("demo", 1, "better"),
    }
    assert calls[call]() == {"to": "demo@1"}
    assert len({request.headers["idempotency-key"] for request in seen}) == 1
    assert seen[0].extensions["timeout"]["read"] == 600


def test_waiting_for_an_engine_is_bounded(clock: Clock) -> None:
    with pytest.raises(ApiError, match="not yet"):
        connect(lambda request: NOT_READY).chat("demo", "What?")
    assert clock.now == pytest.approx(module.ENGINE_SECONDS)


def test_errors_that_a_retry_cannot_change_come_at_once(clock: Clock) -> None:
    refused = httpx.Response(503, json=ERROR, headers={"x-should-retry": "false"})
    with pytest.raises(ApiError):
        connect(lambda request: refused).chat("demo", "What?")
    assert clock.now == 0


def test_an_answer_that_is_not_json_is_an_error() -> None:
    with pytest.raises(ApiError, match="http://retain/v1/jobs/job_1 answers, but not with JSON"):
        connect(lambda request: httpx.Response(200, text="<html>")).job("job_1")


def test_patience_begins_anew_after_a_success(clock: Clock) -> None:
    patience = Patience(1.0)
    for _ in range(10):
        patience.wait(ValueError())
        patience.renew()
    assert clock.now == pytest.approx(2.5)
