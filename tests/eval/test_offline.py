"""The offline predictor beyond the contract: how workers live, end, and are told apart ending."""

import os
import sys
import time
from pathlib import Path

import pytest

from eval.decoding import Decoding
from eval.errors import (
    ConstraintUnsupported,
    EngineGone,
    EngineRefused,
    ItemImageMissing,
    WorkerFailed,
    WorkerOutOfMemory,
)
from eval.items import Constraint
from eval.offline import OfflinePredictor
from eval.predictors import predict_all
from eval.worker import Worker
from tests.eval.factories import item
from tests.fakes.worker import fake_worker


@pytest.fixture
def worker(tmp_path):
    with Worker(fake_worker(), tmp_path / "logs" / "worker.log") as running:
        yield running


def asking(prompt, number=1):
    return item(number).model_copy(update={"prompt": prompt})


def ask(worker, *prompts, **options):
    predictor = OfflinePredictor(worker, Path("/nonexistent"), **options)
    items = [asking(prompt, number) for number, prompt in enumerate(prompts)]
    return [found.text for found in predict_all(predictor, items)]


def test_one_process_answers_request_after_request(worker):
    first, second = ask(worker, "pid"), ask(worker, "pid", "hello")

    assert first[0] == second[0] != str(os.getpid())
    assert second[1] == "answer to hello"


def test_a_large_request_does_not_wait_for_the_worker(worker):
    prompts = [f"{number} " + "x" * 5000 for number in range(200)]

    assert len(ask(worker, *prompts)) == 200


def test_the_length_limit_goes_with_the_request(worker):
    assert ask(worker, "hello", decoding=Decoding(max_tokens=6)) == ["answer"]


def test_a_killed_worker_is_gone_and_the_next_question_starts_another(worker):
    with pytest.raises(EngineGone, match="signal 9") as gone:
        ask(worker, "hello", "die")

    assert gone.value.retryable
    assert ask(worker, "hello") == ["answer to hello"]


def test_what_came_before_the_end_is_kept(worker):
    seen = []
    items = [asking("hello"), asking("die", 2)]

    with pytest.raises(EngineGone):
        predict_all(OfflinePredictor(worker, Path()), items, on_prediction=seen.append)

    assert [prediction.text for prediction in seen] == ["answer to hello"]


@pytest.mark.parametrize(
    ("prompt", "kind", "message"),
    [
        ("state invalid_input", EngineRefused, "it was invalid_input"),
        ("state out_of_memory", WorkerOutOfMemory, "it was out_of_memory"),
        ("state crashed", WorkerFailed, "it was crashed"),
        ("crash", WorkerFailed, r"exit code 1; .*RuntimeError: something broke"),
        ("babble", WorkerFailed, "'Loading weights.*no answer"),
        ("stranger", WorkerFailed, "'nobody', which it was not asked"),
    ],
)
def test_ends_are_told_apart(worker, prompt, kind, message):
    with pytest.raises(kind, match=message) as failure:
        ask(worker, prompt)

    assert type(failure.value) is kind
    assert not failure.value.retryable
    assert ask(worker, "hello") == ["answer to hello"]


def test_a_worker_that_says_nothing_more_does_not_keep_who_asks(tmp_path):
    script = "import os, time; os.close(1); time.sleep(60)"
    with Worker([sys.executable, "-c", script], tmp_path / "worker.log") as worker:
        worker.send({"max_tokens": 1, "questions": []})
        started = time.monotonic()
        with pytest.raises(EngineGone, match="closed its output but ran on"):
            worker.receive(20.0)
        assert time.monotonic() - started < 30


def test_a_command_that_is_not_there_is_named(tmp_path):
    with (
        Worker(["/nonexistent/python"], tmp_path / "log") as worker,
        pytest.raises(WorkerFailed, match=r"'/nonexistent/python' cannot be started.*`train`"),
    ):
        ask(worker, "hello")


def test_whoever_waits_can_be_stopped_and_nothing_is_left_running(worker, tmp_path):
    pid_file = tmp_path / "pid"

    def check():
        if pid_file.exists() and pid_file.read_text():
            raise InterruptedError("cancelled")

    started = time.monotonic()
    with pytest.raises(InterruptedError):
        ask(worker, f"hang {pid_file}", check=check)

    assert time.monotonic() - started < 30
    assert not _runs(int(pid_file.read_text()))


def _runs(pid):
    for _ in range(100):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        if stat.rpartition(")")[2].split()[0] in "ZX":
            return False
        time.sleep(0.02)
    return True


def test_leaving_the_worker_ends_it(tmp_path):
    with Worker(fake_worker(), tmp_path / "log") as worker:
        (pid,) = ask(worker, "pid")

    assert not _runs(int(pid))


@pytest.mark.parametrize(
    ("digest", "message"), [("e" * 64, "cannot be read"), ("../x", "64 lower-case hex digits")]
)
def test_a_missing_image_is_named_before_anything_starts(tmp_path, digest, message):
    with Worker(["/nonexistent/python"], tmp_path / "log") as worker:
        predictor = OfflinePredictor(worker, tmp_path)
        with pytest.raises(ItemImageMissing, match=message):
            predict_all(predictor, [item(1, images=(digest,))])


def test_an_answer_cannot_be_forced_and_nothing_is_asked(tmp_path):
    forced = item(1).model_copy(update={"constraint": Constraint(choice=("red", "blue"))})
    with Worker(["/nonexistent"], tmp_path / "worker.log") as worker:
        predictor = OfflinePredictor(worker, tmp_path)

        assert not predictor.constrains
        with pytest.raises(ConstraintUnsupported, match="'s1#0' forces its answer"):
            predict_all(predictor, [item(0), forced])
