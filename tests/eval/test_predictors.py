"""One contract for all predictors, then what only the engine's has: requests, retries, errors."""

import asyncio
import hashlib
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from eval.decoding import Decoding
from eval.engine import EnginePredictor
from eval.errors import EngineGone, EngineRefused, ItemImageMissing
from eval.items import Constraint
from eval.offline import OfflinePredictor
from eval.predictors import Prediction, ScriptedPredictor, predict_all
from eval.worker import Worker
from tests.eval.factories import item
from tests.eval.openai_server import serving
from tests.fakes.worker import fake_worker

PNG = b"\x89PNG\r\n\x1a\nrest of a picture"


def answer(prompt):
    return f"answer to {prompt.splitlines()[0]}"


@pytest.fixture
def server():
    with serving(answer) as running:
        yield running


@pytest.fixture
def blobs(tmp_path):
    digest = hashlib.sha256(PNG).hexdigest()
    (tmp_path / digest[:2]).mkdir()
    (tmp_path / digest[:2] / digest).write_bytes(PNG)
    return tmp_path, digest


def engine(server, blob_dir=Path("/nonexistent"), **fields):
    return EnginePredictor(server.url, "servable-1", blob_dir, backoff_seconds=0.001, **fields)


@pytest.fixture(params=["scripted", "engine", "offline"])
def predictor(request, tmp_path):
    if request.param == "scripted":
        yield ScriptedPredictor(lambda item: answer(item.prompt))
    elif request.param == "engine":
        yield engine(request.getfixturevalue("server"))
    else:
        with Worker(fake_worker(), tmp_path / "worker.log") as worker:
            yield OfflinePredictor(worker, tmp_path)


class TestContract:
    def test_every_item_gets_its_answer_in_order(self, predictor):
        items = [item(number) for number in range(50)]

        found = predict_all(predictor, items)

        assert [p.item_digest for p in found] == [i.digest for i in items]
        assert [p.text for p in found] == [f"answer to question {k}?" for k in range(50)]

    def test_equal_items_are_asked_once(self, predictor):
        progress = []

        found = predict_all(predictor, [item(1), item(1), item(2)], lambda *p: progress.append(p))

        assert len(found) == 2
        assert progress == [(1, 2), (2, 2)]

    def test_nothing_asked_nothing_answered(self, predictor):
        assert predict_all(predictor, []) == []

    def test_an_error_in_on_progress_stops(self, predictor):
        seen = []

        def cancel(done, total):
            if done == 3:
                raise InterruptedError("cancelled")

        with pytest.raises(InterruptedError):
            predict_all(predictor, [item(k) for k in range(50)], cancel, seen.append)
        assert len(seen) == 3  # what had arrived was taken

    def test_predictions_arrive_one_by_one(self, predictor):
        seen = []

        found = predict_all(predictor, [item(k) for k in range(9)], on_prediction=seen.append)

        assert sorted(p.item_digest for p in seen) == sorted(p.item_digest for p in found)

    def test_a_consumer_may_leave_early(self, predictor):
        async def first():
            async with aclosing(predictor.predict([item(k) for k in range(30)])) as predictions:
                return await anext(predictions)

        assert isinstance(asyncio.run(first()), Prediction)


def test_what_no_database_keeps_is_taken_out_of_an_answer():
    found = Prediction(item_digest="x", text="a\0b \ud83d \U0001f600 c")

    assert found.text == "ab \ufffd \U0001f600 c"
    assert found.text.encode()


class TestRequests:
    def test_images_come_before_the_text_and_decoding_is_greedy(self, server, blobs):
        blob_dir, digest = blobs
        decoding = Decoding(max_tokens=7, extra={"repetition_penalty": 1.0})

        predict_all(engine(server, blob_dir, decoding=decoding), [item(1, images=(digest,))])

        (body,) = server.requests
        image, text = body["messages"][0]["content"]
        assert image["image_url"]["url"].startswith("data:image/png;base64,iVBORw0K")
        assert text == {"type": "text", "text": "question 1?\nAnswer."}
        assert (body["model"], body["temperature"], body["max_tokens"]) == ("servable-1", 0.0, 7)
        assert body["repetition_penalty"] == 1.0

    def test_a_constraint_is_sent_and_a_free_item_has_none(self, server):
        choice = item(1).model_copy(update={"constraint": Constraint(choice=("red", "blue"))})
        regex = item(2).model_copy(update={"constraint": Constraint(regex="[a-z]{1,9}")})

        predict_all(engine(server, concurrency=1), [item(0), choice, regex])

        sent = [body.get("structured_outputs") for body in server.requests]
        assert sent == [
            None,
            {"choice": ["red", " red", "blue", " blue"]},
            {"regex": " ?([a-z]{1,9})"},
        ]

    def test_the_base_url_may_end_in_v1_and_a_key_is_sent(self, server):
        predictor = EnginePredictor(server.url + "/v1/", "m", Path(), api_key="secret")

        predict_all(predictor, [item(1)])

        assert server.authorizations == ["Bearer secret"]

    def test_concurrency_is_used_and_bounded(self, server):
        server.seconds = 0.02

        predict_all(engine(server, concurrency=4), [item(k) for k in range(24)])

        assert server.busiest == 4
        assert len(server.peers) == 4  # every connection is used again

    @pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"attempts": 0}])
    def test_limits_below_one_are_refused(self, server, wrong):
        with pytest.raises(ValueError, match="at least 1"):
            engine(server, **wrong)


class TestFailures:
    @pytest.mark.parametrize("status", [500, 503, 429])
    def test_passing_trouble_is_tried_again(self, server, status):
        server.failures = [status] * 3

        (found,) = predict_all(engine(server), [item(1)])

        assert found.text == "answer to question 1?"
        assert len(server.requests) == 4

    def test_lasting_trouble_ends_after_the_last_try(self, server):
        server.failures = [503] * 100

        with pytest.raises(EngineGone, match=r"'s1#0'.*in 4 tries.*HTTP 503.*resume"):
            predict_all(engine(server), [item(1)])
        assert len(server.requests) == 4

    def test_an_engine_that_is_gone_is_named(self, server):
        with serving(answer) as other:
            predictor = engine(other)

        with pytest.raises(EngineGone, match=r"http://127\.0\.0\.1:\d+/v1.*ConnectError"):
            predict_all(predictor, [item(1)])

    def test_an_engine_that_dies_midway_leaves_what_it_answered(self, server):
        seen = []

        def die_after_five(prediction):
            seen.append(prediction)
            if len(seen) == 5:
                server.failures = [500] * 1000

        items = [item(k) for k in range(40)]
        with pytest.raises(EngineGone):
            predict_all(engine(server, concurrency=2), items, on_prediction=die_after_five)
        server.failures = []
        stored = {p.item_digest for p in seen}
        rest = [i for i in items if i.digest not in stored]

        assert 5 <= len(stored) < 40
        assert len(predict_all(engine(server), rest)) + len(stored) == 40

    def test_a_refusal_is_final_and_says_why(self, server):
        server.failures = [404]

        with pytest.raises(EngineRefused, match=r"'servable-1' with HTTP 404: .*status 404"):
            predict_all(engine(server), [item(1)])
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "reply", [{}, {"choices": []}, {"choices": [{"message": {"content": 7}}]}]
    )
    def test_an_answer_of_another_shape_is_refused(self, reply):
        with (
            serving(lambda prompt: reply) as strange,
            pytest.raises(EngineRefused, match="no chat completion"),
        ):
            predict_all(engine(strange), [item(1)])

    def test_an_answer_that_the_engine_aborted_is_asked_for_again(self):
        replies = [
            {"choices": [{"message": {"content": "The sky is"}, "finish_reason": "abort"}]},
            {"choices": [{"message": {"content": "The sky is blue"}, "finish_reason": "stop"}]},
        ]
        with serving(lambda prompt: replies.pop(0)) as ending:
            (found,) = predict_all(engine(ending), [item(1)])
        assert found.text == "The sky is blue"

    def test_an_engine_that_aborts_everything_is_gone(self):
        aborted = {"choices": [{"message": {"content": "The"}, "finish_reason": "abort"}]}
        with (
            serving(lambda prompt: aborted) as ending,
            pytest.raises(EngineGone, match="ended with an answer that it had aborted"),
        ):
            predict_all(engine(ending), [item(1)])

    @pytest.mark.parametrize(
        ("body", "headers", "kind"),
        [
            (b"no gzip", {"content-encoding": "gzip"}, EngineGone),
            (b"[" * 100_000, {}, EngineRefused),
        ],
    )
    def test_a_body_that_cannot_be_read(self, server, monkeypatch, body, headers, kind):
        predictor = engine(server)

        def client():
            reply = httpx.MockTransport(
                lambda _: httpx.Response(200, headers=headers, content=body)
            )
            return httpx.AsyncClient(transport=reply)

        monkeypatch.setattr(predictor, "_client", client)
        with pytest.raises(kind):
            predict_all(predictor, [item(1)])

    def test_what_is_told_of_a_body_can_be_stored(self, server, monkeypatch):
        predictor = engine(server)
        reply = httpx.MockTransport(lambda _: httpx.Response(200, content=b"no\0text"))
        monkeypatch.setattr(predictor, "_client", lambda: httpx.AsyncClient(transport=reply))

        with pytest.raises(EngineRefused, match="no chat completion: notext"):
            predict_all(predictor, [item(1)])

    def test_an_empty_answer_is_an_answer(self):
        with serving(lambda prompt: None) as silent:
            (found,) = predict_all(engine(silent), [item(1)])

        assert found.text == ""

    @pytest.mark.parametrize(
        ("digest", "message"),
        [("e" * 64, "cannot be read"), ("../../etc/passwd", "64 lower-case hex digits")],
    )
    def test_a_missing_image_is_named_and_nothing_is_sent(self, server, blobs, digest, message):
        with pytest.raises(ItemImageMissing, match=message):
            predict_all(engine(server, blobs[0]), [item(1, images=(digest,))])
        assert server.requests == []

    def test_a_file_that_is_no_image_is_refused(self, server, tmp_path):
        (tmp_path / "ee").mkdir()
        (tmp_path / "ee" / ("e" * 64)).write_bytes(b"plain text")

        with pytest.raises(ItemImageMissing, match="no PNG, JPEG or WebP"):
            predict_all(engine(server, tmp_path), [item(1, images=("e" * 64,))])
