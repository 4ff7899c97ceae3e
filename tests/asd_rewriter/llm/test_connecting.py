"""How an endpoint is reached: proxies, time limits, redirects, sizes, and what is charged."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from asd_rewriter.errors import EndpointDown
from asd_rewriter.llm.completions import NoCompletion, read_completion
from asd_rewriter.rewriter import Rewritten
from tests.asd_rewriter.llm.conftest import MakeRewriter, request
from tests.asd_rewriter.llm.endpoint import Endpoint, Say, answer_well

FAR = {"url": "http://model.invalid/v1", "model_digest": "x"}
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_proxy_of_the_environment_is_used(
    endpoint: Endpoint,
    make: MakeRewriter,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    scheme: str,
) -> None:
    monkeypatch.setenv(name, f"{scheme}127.0.0.1:{endpoint.port}")
    (outcome,) = make(**FAR).rewrite([request(1)])
    assert isinstance(outcome, Rewritten)
    assert endpoint.requests[0].headers["host"] == "model.invalid"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:{port}"])
def test_a_host_without_proxy_is_asked_itself(
    endpoint: Endpoint, make: MakeRewriter, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", host.format(port=endpoint.port))
    (outcome,) = make(model_digest="x").rewrite([request(1)])
    assert isinstance(outcome, Rewritten)


def test_a_proxy_of_another_kind_is_refused(
    make: MakeRewriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(EndpointDown, match=r"names a socks5 proxy .*set no_proxy for its host"):
        make(**FAR).rewrite([request(1)])


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a socket that takes no further connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for one in waiting:
            one.close()


def test_who_takes_no_connection_is_down_and_was_sent_nothing(
    make: MakeRewriter, deaf: int
) -> None:
    rewriter = make(url=f"http://127.0.0.1:{deaf}/v1", model_digest="x", timeout_s=0.3, retries=1)
    with pytest.raises(EndpointDown, match="no connection"):
        rewriter.rewrite([request(1)])
    assert (rewriter.spent.calls, rewriter.spent.prompt_tokens) == (0, 0)


def test_no_redirect_is_followed(endpoint: Endpoint, make: MakeRewriter) -> None:
    endpoint.script = lambda asked: Say(status=307, headers=(f"Location: {endpoint.url}/x",))
    with pytest.raises(EndpointDown, match="HTTP 307"):
        make().rewrite([request(1)])
    assert endpoint.calls == 1


def test_an_endless_answer_is_cut(endpoint: Endpoint, make: MakeRewriter) -> None:
    endpoint.script = lambda asked: (
        Say(body="x" * 5_000_000) if asked.number == 1 else answer_well(asked)
    )
    (first,) = make().rewrite([request(1)])
    assert isinstance(first, Rewritten)
    endpoint.script = lambda asked: Say(body="x" * 5_000_000)
    with pytest.raises(EndpointDown, match="the answer exceeds 4,194,304 bytes"):
        make(retries=0).rewrite([request(2)])


def body(**changes: Any) -> str:
    choice = {"message": {"content": "red"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    found = {"choices": [choice | changes.pop("choice", {})], "usage": usage} | changes
    return json.dumps(found)


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 2}, (7, 2)),
        (None, (100, 50)),
        ("much", (100, 50)),
        ({"prompt_tokens": None, "completion_tokens": 2}, (100, 2)),
        ({"prompt_tokens": -1, "completion_tokens": float("inf")}, (100, 50)),
    ],
)
def test_what_usage_does_not_say_counts_as_held(usage: Any, used: tuple[int, int]) -> None:
    answer, found = read_completion(body(usage=usage), (100, 50))
    assert (answer.text, found) == ("red", used)


@pytest.mark.parametrize(
    "text",
    ["", "[" * 100_000, "null", '{"choices": []}', body(choice={"message": {"content": [1]}}),
     body(choice={"finish_reason": "abort"})],
)  # fmt: skip
def test_what_is_no_finished_completion(text: str) -> None:
    with pytest.raises(NoCompletion, match=r"no chat completion|aborted"):
        read_completion(text, (100, 50))


def test_an_aborted_answer_is_asked_for_again(endpoint: Endpoint, make: MakeRewriter) -> None:
    endpoint.script = lambda asked: (
        Say("The sky is", finish="abort") if asked.number == 1 else answer_well(asked)
    )
    (outcome,) = make().rewrite([request(1)])
    assert isinstance(outcome, Rewritten)
    assert endpoint.calls == 2
