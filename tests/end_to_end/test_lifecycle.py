"""A task goes in, a served version with a report comes out, a rollback brings the old one back."""

from __future__ import annotations

import itertools
import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from service.client import ApiError, data_url
from tests.end_to_end.live import Json, LiveService

pytestmark = pytest.mark.e2e
PHASES = ["validate", "rewrite", "train", "register", "evaluate", "gate", "promote"]


def an_image(live: LiveService) -> Path:
    return next((live.folder / "data" / "classes" / "images").iterdir())


def test_a_task_becomes_a_promoted_version(live: LiveService, first_job: Json) -> None:
    assert first_job["state"] == "succeeded", first_job
    assert [phase["phase"] for phase in first_job["phases"]] == PHASES
    version = live.client().get("/v1/streams/shop/versions/production")
    assert (version["number"], version["task"]) == (1, "classes")


def test_events_are_gapless_and_end_with_the_job(live: LiveService, first_job: Json) -> None:
    events = list(live.client().watch(first_job["id"]))
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["data"]["state"] == "succeeded"


def test_the_matrix_has_a_zero_shot_row_and_a_row_per_version(
    live: LiveService, second_job: Json
) -> None:
    assert second_job["state"] == "succeeded", second_job
    matrix = live.client().get("/v1/streams/shop/matrix")
    assert [row["version"] for row in matrix["rows"]] == ["shop@0", "shop@1", "shop@2"]
    assert set(matrix["rows"][0]["cells"]) == {"classes", "signs"}
    assert all(cell["n"] == 24 for row in matrix["rows"] for cell in row["cells"].values())
    assert {"mft", "mfn", "maa", "bwt", "bwt_t_minus_1"} <= set(matrix["summaries"])


def test_the_service_asks_its_own_engine_for_rewritten_rows(
    live: LiveService, second_job: Json
) -> None:
    report = live.client().get(f"/v1/jobs/{second_job['id']}/rewrite")
    turns, converted, rejects = report["turns"], report["converted"], report["rejects"]
    assert (turns, report["requested"]) == (96, 19)
    assert converted + sum(rejects.values()) >= 19  # a tiny model is refused most of what it says
    assert rejects, "checks refused nothing that a tiny model wrote"
    assert sum(report["counts"].values()) == turns
    events = live.client().watch(second_job["id"])
    said = [event["data"].get("message") or "" for event in events]
    assert any("asking the model" in text and " 0 calls" not in text for text in said)


def test_the_report_comes_as_json_markdown_and_page(live: LiveService, second_job: Json) -> None:
    client, path = live.client(), "/v1/streams/shop/versions/2/report"
    assert client.get(path)["version"] == "shop@2"
    assert "shop@2" in client.text(path, format="markdown")
    assert client.text(path, format="html").lstrip().lower().startswith("<!doctype html>")


def test_the_unmodified_openai_client_chats_with_any_version(
    live: LiveService, second_job: Json
) -> None:
    key = (live.state_dir / "admin.key").read_text().strip()
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key=key) as client:
        content: Any = [
            {"type": "image_url", "image_url": {"url": data_url(an_image(live))}},
            {"type": "text", "text": "What is the object in the picture?"},
        ]
        for model, named in (("shop", "shop@2"), ("shop@1", "shop@1"), ("shop@0", "shop@0")):
            messages = [{"role": "user", "content": content}]
            answer = client.chat.completions.create(model=model, messages=messages, max_tokens=8)
            assert answer.model == named
            parts = client.chat.completions.create(
                model=model, messages=messages, max_tokens=8, stream=True
            )
            assert {part.model for part in parts} == {named}
        with pytest.raises(openai.NotFoundError, match="shop@9"):
            client.chat.completions.create(model="shop@9", messages=messages)


def test_rollback_under_looping_chats_loses_no_request(live: LiveService, second_job: Json) -> None:
    stop, failures, served = threading.Event(), [], []

    def chat() -> None:
        client = live.client()
        while not stop.is_set():
            try:
                served.append(client.chat("shop", "What colour is it?", max_tokens=4)["model"])
            except (ApiError, httpx.HTTPError) as error:
                failures.append(error)

    threads = [threading.Thread(target=chat, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    client, moves = live.client(), []
    for number in (1, 2) * 5:
        before = served.count(f"shop@{number}")
        moves.append(client.move_alias("shop", number, "test"))
        deadline = time.monotonic() + 60
        while served.count(f"shop@{number}") == before and not failures:
            assert time.monotonic() < deadline, f"no chat reached shop@{number}"
            time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {"shop@1", "shop@2"} <= set(served) <= {"shop@1", "shop@2"}
    assert [move["to"] for move in moves] == ["shop@1", "shop@2"] * 5
    journal = client.get("/v1/streams/shop/aliases/production")["journal"]["data"]
    chain = sorted(journal, key=lambda move: move["id"])
    assert all(a["to"] == b["from"] for a, b in itertools.pairwise(chain))


def test_a_rolled_back_stream_answers_like_the_old_version(
    live: LiveService, second_job: Json
) -> None:
    client, question = live.client(), "What is the object in the picture?"

    def ask(model: str) -> str:
        reply = client.chat(model, question, an_image(live), max_tokens=8)
        return str(reply["choices"][0]["message"]["content"])

    client.move_alias("shop", 1, "test")
    assert ask("shop") == ask("shop@1")
    client.move_alias("shop", 2, "test")
    assert ask("shop") == ask("shop@2")


def test_bad_tasks_are_refused_and_leave_nothing_behind(
    live: LiveService, first_job: Json, tmp_path: Path
) -> None:
    client = live.client()
    card = json.loads((live.folder / "data" / "classes" / "card.json").read_text())
    not_an_archive = tmp_path / "task.zip"
    not_an_archive.write_bytes(b"hello")
    before = (len(client.list_all("/v1/jobs")), sorted((live.state_dir / "staging").iterdir()))
    with pytest.raises(ApiError) as refused:
        client.submit_task("shop", {**card, "name": "other"}, not_an_archive)
    assert refused.value.status == 422
    with pytest.raises(ApiError, match="classes"):
        live.submit("shop", "classes")
    after = (len(client.list_all("/v1/jobs")), sorted((live.state_dir / "staging").iterdir()))
    assert after == before
