"""Chat through the fake engine: names, fields, images, streams, and switches under load."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import httpx
import pytest
from PIL import Image
from starlette.testclient import TestClient

from service.chat.proxy import Proxy
from service.db.tables import VersionRow
from service.versions.operations import get_version, move_alias
from tests.fakes.engine import answer_of, identity_of
from tests.fakes.server import Server
from tests.fakes.world import BASE_DIGEST, World, make_world, png

CHAT = "/v1/chat/completions"


@contextmanager
def ready_world(folder: Path, token_seconds: float = 0.01) -> Iterator[World]:
    with make_world(folder, FAKE_TOKEN_SECONDS=str(token_seconds)) as world:
        world.add_version(1)
        world.add_version(2, "block")
        world.engines.ensure_ready(version_of(world, 0))
        yield world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world for tests that change nothing in it."""
    with ready_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    """A world for tests that do."""
    with ready_world(tmp_path) as world:
        yield world


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[TestClient]:
    with TestClient(world.app(), headers=world.key("reader")) as client:
        yield client


def version_of(world: World, number: int) -> VersionRow:
    with world.db.read() as session:
        return get_version(session, "demo", number)


def data_url(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def ask(model: str, question: str = "What?", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": question}], **fields}


def ask_image(*urls: str) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    content = [*parts, {"type": "text", "text": "What?"}]
    return {"model": "demo", "messages": [{"role": "user", "content": content}]}


def expected(world: World, number: int, question: str = "What?") -> str:
    version = version_of(world, number)
    adapter = Path(version.servable_path) if number else None
    return answer_of(identity_of(adapter), question, [])[0]


@pytest.mark.parametrize(
    ("model", "number"), [("demo", 0), ("demo@1", 1), ("demo@2", 2), ("demo@production", 0)]
)
def test_the_exact_version_answers_and_is_named(
    client: TestClient, world: World, model: str, number: int
) -> None:
    answer = client.post(CHAT, json=ask(model, n=2, logprobs=True))
    assert answer.status_code == 200
    body = answer.json()
    assert body["model"] == answer.headers["x-retain-version"] == f"demo@{number}"
    assert len(answer.headers["x-retain-digest"]) == 64
    texts = [choice["message"]["content"] for choice in body["choices"]]
    assert texts == [expected(world, number)] * 2
    assert "prompt_logprobs" not in body
    assert world.engines.status()["in_use"] == 0


def test_a_stream_of_events_names_the_version_in_each(client: TestClient, world: World) -> None:
    with client.stream("POST", CHAT, json=ask("demo@1", stream=True)) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-retain-version"] == "demo@1"
        lines = [line[6:] for line in answer.iter_lines() if line]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    assert {chunk["model"] for chunk in chunks} == {"demo@1"}
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == expected(world, 1)
    assert world.engines.status()["in_use"] == 0


def test_an_image_reaches_the_engine(client: TestClient) -> None:
    url = data_url(png())
    answer = client.post(CHAT, json=ask_image(url)).json()
    assert answer["choices"][0]["message"]["content"] == answer_of("base", "What?", [url])[0]


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://example.com/cat.png", "Only data URLs"),
        ("http://169.254.169.254/latest", "Only data URLs"),
        ("file:///etc/passwd", "Only data URLs"),
        ("data:text/html;base64,AAAA", "Only data URLs"),
        ("data:image/png,AAAA", "Only data URLs"),
        ("data:image/png;base64,***", "not valid base64"),
        ("data:image/png;base64,AAAA", "no PNG, JPEG or WebP"),
    ],
)
def test_images_that_are_refused(client: TestClient, url: str, word: str) -> None:
    answer = client.post(CHAT, json=ask_image(url))
    assert answer.status_code == 422
    assert "image 1 is refused" in answer.json()["error"]["message"]
    assert word in answer.json()["error"]["message"]


def test_too_many_images_and_image_bombs_are_refused(client: TestClient) -> None:
    many = client.post(CHAT, json=ask_image(*[data_url(png())] * 17))
    assert "at most 16" in many.json()["error"]["message"]
    bomb = bytearray(png())
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2  # the header's size
    answer = client.post(CHAT, json=ask_image(data_url(bytes(bomb))))
    assert answer.status_code == 422


def test_the_images_of_a_request_share_one_limit_of_pixels(client: TestClient) -> None:
    large = bytearray(png())
    large[16:24] = (5_000).to_bytes(4, "big") * 2
    large[29:33] = zlib.crc32(large[12:29]).to_bytes(4, "big")
    url = data_url(bytes(large))
    assert client.post(CHAT, json=ask_image(url, url)).status_code == 200
    answer = client.post(CHAT, json=ask_image(url, url, data_url(png())))
    assert answer.status_code == 422
    assert "image 3 is refused" in answer.json()["error"]["message"]
    assert "50,000,256 in this request" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("form", "accepted"), [("PNG", False), ("WEBP", False), ("MPO", True)])
def test_animated_images_are_refused(client: TestClient, form: str, accepted: bool) -> None:
    frames = [Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in (0, 99, 200)]
    target = io.BytesIO()
    frames[0].save(target, form, save_all=True, append_images=frames[1:])
    kind = "jpeg" if form == "MPO" else form.lower()
    answer = client.post(CHAT, json=ask_image(data_url(target.getvalue(), kind)))
    assert answer.status_code == (200 if accepted else 422), answer.text
    assert accepted or "it is animated" in answer.json()["error"]["message"]


@pytest.mark.parametrize("model", ["nope", "demo@9", "demo@blue", "demo@", "nope@1", "gpt-4o"])
def test_unknown_models_are_404(client: TestClient, model: str) -> None:
    answer = client.post(CHAT, json=ask(model))
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["code"] == "model_not_found"
    assert error["param"] == "model"
    assert "/v1/models" in error["message"]


@pytest.mark.parametrize(
    "field",
    ["chat_template", "chat_template_kwargs", "logit_bias", "prompt_embeds", "mm_processor_kwargs",
     "tools", "lora_path", "guided_regex", "structured_outputs", "add_generation_prompt"],
)  # fmt: skip
def test_other_fields_are_refused_by_name(client: TestClient, field: str) -> None:
    answer = client.post(CHAT, json=ask("demo", **{field: "x"}))
    assert answer.status_code == 422
    assert f"'{field}'" in answer.json()["error"]["message"]
    assert "accepted are" in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == field


def part(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [fields]}]}


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"stop": 5}, "stop", "must be text or a list (got 5)"),
        ({"stop": [5]}, "stop.0", "must be text (got 5)"),
        ({"stop": ["x"] * 5}, "stop", "at most 4 items, not 5"),
        ({"top_logprobs": 2}, "top_logprobs", "needs logprobs: true"),
        ({"stream_options": {}}, "stream_options", "needs stream: true"),
        (part(type="video"), "messages.0.content.0", "must be 'text' or 'image_url' (got 'video')"),
        (part(type="text", text=1), "messages.0.content.0.text", "must be text (got 1)"),
        (part(type="text", text="x", u=1), "messages.0.content.0.u", "accepted are text, type"),
    ],
)
def test_what_is_wrong_is_said_without_internals(
    client: TestClient, fields: dict[str, Any], param: str, words: str
) -> None:
    error = client.post(CHAT, json=ask("demo") | fields).json()["error"]
    assert error["param"] == param
    assert error["message"].startswith(f"{param}: ")
    assert words in error["message"]
    assert not {"constrained", "union", "Input"} & set(error["message"].replace("-", " ").split())


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 5}, {"n": 0}, {"temperature": 3}, {"top_p": 0}, {"max_tokens": 0},
        {"top_logprobs": 21, "logprobs": True}, {"stop": ["x"] * 5}, {"messages": []},
        {"stream_options": {}}, {"stop": "x" * 1001}, {"stop": ""},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x", "tool_calls": []}]},
        {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {}}]}]},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema",
                             "json_schema": {"name": "n", "schema": {"pattern": "(a+)+$"}}}},
        {"response_format": {"type": "json_schema",
                             "json_schema": {"name": "n", "schema": {"maxItems": 10**9}}}},
    ],
)  # fmt: skip
def test_values_out_of_bounds_are_refused(client: TestClient, fields: dict[str, Any]) -> None:
    assert client.post(CHAT, json=ask("demo") | fields).status_code == 422


def test_a_json_schema_reaches_the_engine(client: TestClient) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    assert client.post(CHAT, json=ask("demo", response_format=form)).status_code == 200


def test_an_engine_refusal_is_told_without_internal_names(client: TestClient) -> None:
    for stream in (False, True):
        answer = client.post(CHAT, json=ask("demo", "TOO LONG", stream=stream))
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert "too long for demo@0" in error["message"]
        assert BASE_DIGEST[:16] not in error["message"]
        assert error["type"] == "invalid_request_error"


def events_of(*lines: str) -> list[Any]:
    """Return what a client reads when an engine named `internal` streams these lines."""
    lease = SimpleNamespace(route=SimpleNamespace(model_name="internal"))
    ticket = cast("Any", SimpleNamespace(name="demo@1", digest="d", lease=lease))
    proxy = Proxy(cast("Any", None), cast("Any", None), ticket)
    upstream = httpx.Response(200, content="\n\n".join(lines).encode())

    async def read() -> list[str]:
        return [event async for event in proxy.events(upstream)]

    data = [event.removeprefix("data: ").strip() for event in anyio.run(read)]
    return [it if it == "[DONE]" else json.loads(it) for it in data]


INTERNAL = ("routed_experts", "ec_transfer_params", "kv_transfer_params", "token_ids",
            "prompt_token_ids", "stop_reason", "system_fingerprint")  # fmt: skip


def test_fields_of_the_engine_alone_are_left_out() -> None:
    own = dict.fromkeys(INTERNAL, 1)
    chunk = {"model": "internal", "choices": [{"index": 0, "delta": {}, **own}], **own}
    assert events_of(f"data: {json.dumps(chunk)}", "data: [DONE]") == [
        {"model": "demo@1", "choices": [{"index": 0, "delta": {}}]}, "[DONE]",
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["data: {cut", "data: []", "data: "])
def test_an_event_that_cannot_be_read_ends_the_stream_with_an_error(line: str) -> None:
    first, last = events_of('data: {"model": "internal"}', line, "data: {}")
    assert first == {"model": "demo@1"}
    assert last["error"]["code"] == "engine_unavailable"
    assert "could not be read" in last["error"]["message"]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        ({"message": "internal is too long", "code": 400}, "engine_refused", "demo@1 is too long"),
        ({"message": "internal broke", "code": 500}, "engine_failed", "change the request"),
        ("internal broke", "engine_failed", "change the request"),
        ("EngineCore encountered an issue.", "engine_unavailable", "could not answer"),
    ],
)
def test_an_error_event_is_told_without_internal_names(error: Any, code: str, words: str) -> None:
    [event] = events_of(f"data: {json.dumps({'error': error})}", "data: [DONE]")
    assert event["error"]["code"] == code
    assert words in event["error"]["message"]
    assert "internal" not in event["error"]["message"]


def test_chat_needs_a_key(client: TestClient) -> None:
    answer = client.post(CHAT, json=ask("demo"), headers={"authorization": "Bearer nope"})
    assert answer.status_code == 401
    malformed = client.post(CHAT, content=b"{", headers={"authorization": "Bearer nope"})
    assert malformed.status_code == 401


def test_a_request_that_is_no_json_is_refused(client: TestClient) -> None:
    for content in (b"", b"{", b"[]", b"[" * 100_000, b'"\xff"'):
        answer = client.post(CHAT, content=content)
        assert answer.status_code == 422
        assert answer.json()["error"]["message"].startswith("body: ")


def test_the_loop_neither_reads_nor_writes_the_json_of_a_request(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_the_loop(*_values: object, **_more: object) -> None:
        pytest.fail("JSON of a request on the event loop")

    monkeypatch.setattr("starlette.requests.Request.json", on_the_loop)
    monkeypatch.setattr("httpx._content.encode_json", on_the_loop)
    content = json.dumps(ask("demo")).encode()
    assert client.post(CHAT, content=content).status_code == 200


def test_the_api_description_shows_a_whole_request(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"][CHAT]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["required"]) == {"model", "messages"}
    assert schema["properties"]["messages"]["items"]["title"] == "Message"
    assert "$ref" not in json.dumps(schema)


@pytest.mark.parametrize("stop", ["a stop of more than sixteen characters", ["x" * 1000] * 4])
def test_stops_may_be_long(client: TestClient, stop: Any) -> None:
    assert client.post(CHAT, json=ask("demo", stop=stop)).status_code == 200


def test_models_lists_streams_aliases_and_versions(client: TestClient) -> None:
    found = client.get("/v1/models").json()["data"]
    names = [model["id"] for model in found]
    assert names == ["demo", "demo@production", "demo@0", "demo@1", "demo@2"]
    assert found[0]["version"] == 0
    assert client.get("/v1/models/demo@2").json()["version"] == 2
    assert client.get("/v1/models/demo@9").status_code == 404


def test_an_engine_that_dies_is_503_until_it_is_back(own_world: World) -> None:
    with TestClient(own_world.app(), headers=own_world.key("reader")) as client:
        assert client.post(CHAT, json=ask("demo@1")).status_code == 200
        os.kill(own_world.engines.status()["pid"], signal.SIGKILL)
        answer = client.post(CHAT, json=ask("demo@1"))
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        deadline = time.monotonic() + 20
        while (answer := client.post(CHAT, json=ask("demo@1"))).status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert answer.json()["choices"][0]["message"]["content"] == expected(own_world, 1)


def test_switches_and_loads_under_eight_clients_lose_nothing(own_world: World) -> None:
    headers = own_world.key("reader")
    for number in range(3, 7):
        own_world.add_version(number)
    stop = threading.Event()
    answers: list[tuple[str, str]] = []
    failures: list[str] = []

    def chat(client: httpx.Client, at: int) -> None:
        while not stop.is_set():
            body = ask("demo", stream=bool(at % 2))
            answer = client.post(CHAT, json=body, headers=headers)
            if answer.status_code != 200 or (at % 2 and "[DONE]" not in answer.text):
                failures.append(answer.text)
            elif not at % 2:
                content = answer.json()["choices"][0]["message"]["content"]
                answers.append((answer.json()["model"], content))

    with Server(own_world.app()) as url, httpx.Client(base_url=url, timeout=30) as client:
        threads = [threading.Thread(target=chat, args=(client, at)) for at in range(8)]
        for thread in threads:
            thread.start()
        times = [_switch(own_world, number) for number in (1, 3, 0, 4, 1, 5, 6, 0, 3, 1) * 2]
        after = client.post(CHAT, json=ask("demo"), headers=headers).json()["model"]
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert after == "demo@1"
    assert {model for model, _ in answers} >= {"demo@0", "demo@1"}
    texts = {f"demo@{number}": expected(own_world, number) for number in range(7)}
    assert all(text == texts[model] for model, text in answers)
    assert max(times) < 5_000
    assert own_world.engines.status()["in_use"] == 0


def _switch(world: World, number: int) -> float:
    move = move_alias(
        world.db, world.engines, stream_name="demo", alias="production",
        version_number=number, actor="t", reason="t",
    )  # fmt: skip
    time.sleep(0.05)
    return float(move.entry.switch_ms or 0)


def test_clients_that_go_away_leave_nothing_held(tmp_path: Path) -> None:
    with ready_world(tmp_path, token_seconds=0.3) as world:
        headers = world.key("reader")
        with Server(world.app()) as url, httpx.Client(base_url=url) as client:
            with pytest.raises(httpx.ReadTimeout):
                client.post(CHAT, json=ask("demo"), headers=headers, timeout=0.3)
            body = ask("demo", stream=True)
            with client.stream("POST", CHAT, json=body, headers=headers) as answer:
                assert answer.status_code == 200
                lines = answer.iter_lines()  # dropping the iterator would end the stream
                next(lines)
                assert world.engines.status()["in_use"] >= 1
            deadline = time.monotonic() + 5
            while world.engines.status()["in_use"]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
