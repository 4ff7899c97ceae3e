"""The LLM rewriter against a local endpoint: what it asks, refuses, remembers and spends."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from asd_rewriter.checks import check
from asd_rewriter.errors import EndpointDown
from asd_rewriter.llm.budget import Spent
from asd_rewriter.llm.settings import LlmSettings
from asd_rewriter.rewriter import Failed, Outcome, RewriteRequest, Rewritten
from tests.asd_rewriter.llm.conftest import (
    BOX,
    BRIEF,
    CHOICE,
    DETAILED,
    SHORT,
    YES_NO,
    MakeRewriter,
    llm_settings,
    request,
)
from tests.asd_rewriter.llm.endpoint import Endpoint, Request, Say, Script, answer_well, good

TARGETS = (YES_NO, CHOICE, BRIEF, DETAILED)


def many(number: int) -> list[RewriteRequest]:
    return [request(at, TARGETS[at % 4]) for at in range(number)]


def reasons(outcomes: Sequence[Outcome]) -> list[str | None]:
    return [None if isinstance(it, Rewritten) else it.reason for it in outcomes]


def first_then(first: Callable[[Request], Say], times: int = 1) -> Script:
    return lambda asked: first(asked) if asked.number <= times else answer_well(asked)


def test_every_format_is_sound_and_says_where_it_came_from(
    endpoint: Endpoint, make: MakeRewriter
) -> None:
    requests = many(80)
    rewriter = make()
    rewriter.prepare(iter(requests))
    outcomes = rewriter.rewrite(requests)
    assert endpoint.calls == 80
    for asked, outcome in zip(requests, outcomes, strict=True):
        assert isinstance(outcome, Rewritten)
        assert check(asked, outcome) is None
    turns = [it.turn for it in outcomes if isinstance(it, Rewritten)]
    answers = Counter(it.answer for it in turns if it.format in (YES_NO, CHOICE))
    assert answers == {"yes": 10, "no": 10, "A": 5, "B": 5, "C": 5, "D": 5}
    assert all("distractors:model" in it.notes for it in outcomes[:2])  # type: ignore[union-attr]


def test_a_second_run_makes_no_call_and_says_the_same(
    endpoint: Endpoint, make: MakeRewriter
) -> None:
    requests = many(24)
    endpoint.script = lambda it: answer_well(it) if it.number % 3 else Say("no JSON at all")
    outcomes = make(attempts=2).rewrite(requests)
    calls = endpoint.calls
    again = make(attempts=2)
    again.prepare(requests)
    assert again.rewrite(requests) == outcomes
    assert endpoint.calls == calls
    endpoint.models_status = 503  # finished work can be read while the endpoint is away
    assert make(attempts=2).rewrite(requests) == outcomes


@pytest.mark.parametrize(
    "change",
    [{"model_digest": "x"}, {"temperature": 0.1}, {"extra": {"top_p": 0.5}}, {"extra_tokens": 9}],
)
def test_what_decides_a_reply_is_in_the_key(
    endpoint: Endpoint, make: MakeRewriter, change: dict[str, Any]
) -> None:
    make().rewrite([request(1)])
    make(**change).rewrite([request(1)])
    assert endpoint.calls == 2


def test_rules_do_what_needs_no_model(endpoint: Endpoint, make: MakeRewriter) -> None:
    options = "Which is it?\nA. red\nB. blue"
    choice = {"question": options, "answer": "A", "native": CHOICE}
    outcomes = make().rewrite([request(1, SHORT, **choice), request(2, YES_NO, **choice)])
    assert reasons(outcomes) == [None, None]
    make(labels=("cat", "dog", "cow", "hen")).rewrite([request(3, CHOICE, answer="cat")])
    assert endpoint.calls == 0


def test_turns_of_one_image_share_a_call(endpoint: Endpoint, make: MakeRewriter) -> None:
    requests = [request(at, target, "g") for at in range(3) for target in (YES_NO, BRIEF)]
    requests.append(request(9, YES_NO, "h"))
    rewriter = make()
    rewriter.prepare(requests)
    assert sorted(len(it.questions) for it in endpoint.requests) == [1, 3, 3]
    assert reasons(rewriter.rewrite(requests)) == [None] * 7
    assert endpoint.calls == 3


def test_broken_items_are_asked_again_alone(endpoint: Endpoint, make: MakeRewriter) -> None:
    def partly(asked: Request) -> Say:
        found = good(asked)
        del found["items"][1]  # left out
        found["items"][1]["answer"] = "something else"  # now the third question's
        return Say(json.dumps(found))

    endpoint.script = first_then(partly)
    requests = [request(at, YES_NO, "g") for at in range(4)]
    assert reasons(make().rewrite(requests)) == [None] * 4
    assert [len(it.questions) for it in endpoint.requests] == [4, 1, 1]
    assert "left this question out" in endpoint.requests[1].text
    assert "answered another question" in endpoint.requests[2].text


BAD = [
    ("{{{", "not_json"),
    ("", "not_json"),
    ("I'm sorry, but I cannot help with that.", "refused"),
    ('{"wrong_answers": ["I cannot tell from this picture"]}', "refused"),
    ('{"wrong_answers": []}', "wrong_count"),
    ('{"wrong_answers": ["a tree", "a car"]}', "wrong_count"),
    ('{"wrong_answers": ["The red bus."]}', "right_answer_as_wrong"),
    ('{"wrong_answers": ["bus"]}', "right_answer_as_wrong"),
    ('{"wrong_answers": ["coach"]}', "right_answer_as_wrong"),
    ('{"wrong_answers": ["?"]}', "empty_option"),
    ('{"wrong_answers": ["no"]}', "yes_or_no_as_option"),
    ('{"wrong_answers": [7]}', "wrong_shape"),
    ('{"other": 1}', "wrong_shape"),
    (json.dumps({"wrong_answers": ["x" * 81]}), "too_long"),
]


@pytest.mark.parametrize(("content", "reason"), BAD)
def test_bad_replies_are_tried_again_and_counted_by_reason(
    endpoint: Endpoint, make: MakeRewriter, content: str, reason: str
) -> None:
    endpoint.script = lambda asked: Say(content)
    asked = request(1, references=("coach",))
    assert reasons(make().rewrite([asked])) == [reason]
    assert endpoint.calls == 3
    seeds = {it.body["seed"] for it in endpoint.requests}
    assert len(seeds) == 3
    assert all("was refused" in it.text for it in endpoint.requests[1:])
    assert reasons(make().rewrite([asked])) == [reason]
    assert endpoint.calls == 3


BAD_TEXTS = [
    ("red bus", "too_short"),
    ("A red bus " + "goes on and on " * 20, "too_long"),
    ("It is a green tree that stands in the middle of a field of grass.", "answer_not_stated"),
    ("The given answer red bus fits what the middle of this picture shows.",
     "mentions_given_answer"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), BAD_TEXTS)
def test_explanations_that_do_not_explain(
    endpoint: Endpoint, make: MakeRewriter, text: str, reason: str
) -> None:
    endpoint.script = lambda asked: Say(json.dumps({"explanation": text}))
    assert reasons(make().rewrite([request(1, BRIEF)])) == [reason]


def test_an_explanation_in_the_language_of_the_question(
    endpoint: Endpoint, make: MakeRewriter
) -> None:
    text = "Der rote Bus ist gut zu sehen, weil er in der Mitte des Bildes auf der Straße steht."
    endpoint.script = lambda asked: Say(json.dumps({"explanation": text}, ensure_ascii=False))
    asked = request(1, BRIEF, question="Was steht auf der Straße?", answer="rote Bus")
    (outcome,) = make().rewrite([asked])
    assert isinstance(outcome, Rewritten)
    assert outcome.turn.answer == text


def test_boxes_are_described_with_their_place(endpoint: Endpoint, make: MakeRewriter) -> None:
    box = "[0.1, 0.2, 0.3, 0.4]"
    text = "The man in the dark coat who stands beside the tall tree and looks at the water."
    endpoint.script = lambda asked: Say(json.dumps({"description": text}))
    (outcome,) = make().rewrite([request(1, BRIEF, answer=box, native=BOX, question="the man")])
    assert isinstance(outcome, Rewritten)
    assert outcome.turn.answer == f"{box}: {text}"
    assert "Describe the object" in endpoint.requests[0].text


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_failures_are_waited_out(
    endpoint: Endpoint, make: MakeRewriter, status: int
) -> None:
    endpoint.script = first_then(lambda asked: Say(status=status, body="busy"), 2)
    assert reasons(make().rewrite([request(1)])) == [None]
    assert endpoint.calls == 3


def test_retry_after_is_kept_to_by_all(endpoint: Endpoint, make: MakeRewriter) -> None:
    times: list[float] = []

    def script(asked: Request) -> Say:
        times.append(time.monotonic())
        if asked.number == 1:
            return Say(status=429, headers=("Retry-After: 0.4",))
        return answer_well(asked)

    endpoint.script = script
    make(concurrency=1).rewrite([request(1), request(2)])
    assert times[1] - times[0] >= 0.4


@pytest.mark.parametrize(
    "broken",
    [Say(hang_up=True), Say("late", delay=1.0), Say("x" * 200, trickle=True), Say(body="<html>")],
)
def test_broken_connections_and_time_outs_are_tried_again(
    endpoint: Endpoint, make: MakeRewriter, broken: Say
) -> None:
    endpoint.script = first_then(lambda asked: broken)
    assert reasons(make(timeout_s=0.3).rewrite([request(1)])) == [None]
    assert endpoint.calls == 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_endpoint_that_lets_nobody_in(
    endpoint: Endpoint, make: MakeRewriter, status: int
) -> None:
    endpoint.script = lambda asked: Say(status=status, body="key sk-secret-1 is wrong")
    with pytest.raises(EndpointDown, match=f"HTTP {status}.*goes on where it stopped") as caught:
        make(api_key="sk-secret-1").rewrite([request(1)])
    assert "sk-secret" not in str(caught.value)
    assert endpoint.url in caught.value.message
    assert (caught.value.code, caught.value.retryable) == ("llm_endpoint_down", True)
    assert endpoint.calls == 1


def test_an_endpoint_that_always_fails_is_down(endpoint: Endpoint, make: MakeRewriter) -> None:
    endpoint.script = lambda asked: Say(status=500)
    with pytest.raises(EndpointDown, match="3 tries"):
        make().rewrite(many(3))


def test_nobody_there(make: MakeRewriter) -> None:
    with pytest.raises(EndpointDown, match="cannot be asked"):
        make(url="http://127.0.0.1:9/v1", model_digest="x").rewrite([request(1)])
    with pytest.raises(EndpointDown, match="/models"):
        make(url="http://127.0.0.1:9/v1").prepare([request(1)])


def test_what_was_answered_before_it_went_down_is_kept(
    endpoint: Endpoint, make: MakeRewriter
) -> None:
    requests = many(40)
    endpoint.script = lambda it: answer_well(it) if it.number <= 20 else Say(status=401)
    with pytest.raises(EndpointDown):
        make(concurrency=1).prepare(requests)  # calls under way when it goes down are given up
    calls = endpoint.calls
    endpoint.script = answer_well
    assert reasons(make().rewrite(requests)) == [None] * 40
    assert endpoint.calls - calls == 20


@pytest.mark.parametrize(("status", "reason"), [(400, "request_refused"), (500, "endpoint_failed")])
def test_one_request_that_cannot_be_done_does_not_stop_the_rest(
    endpoint: Endpoint, make: MakeRewriter, status: int, reason: str
) -> None:
    def script(asked: Request) -> Say:
        return Say(status=status) if "place 5?" in asked.text else answer_well(asked)

    endpoint.script = script
    requests = many(30)
    outcomes = make(concurrency=2).rewrite(requests)
    assert reasons(outcomes) == [reason if at == 5 else None for at in range(30)]
    calls = endpoint.calls
    assert make(concurrency=2).rewrite(requests) == outcomes
    assert endpoint.calls == calls


def test_refusals_of_everything_end_the_run(endpoint: Endpoint, make: MakeRewriter) -> None:
    endpoint.script = lambda asked: Say(status=400, body="no")
    with pytest.raises(EndpointDown):
        make().rewrite(many(30))
    assert endpoint.calls < 16


@pytest.mark.parametrize(
    ("parameter", "body"),
    [("response_format", "unknown: json_schema"), ("seed", "'seed' is not supported"),
     ("max_tokens", "Use 'max_completion_tokens' instead of 'max_tokens'")],
)  # fmt: skip
@pytest.mark.parametrize("concurrency", [1, 16])
def test_parameters_that_are_refused_are_given_up(
    endpoint: Endpoint, make: MakeRewriter, parameter: str, body: str, concurrency: int
) -> None:
    def script(asked: Request) -> Say:
        refused = Say(status=400, body=body, delay=0.02)
        return refused if parameter in asked.body else answer_well(asked)

    endpoint.script = script
    assert reasons(make(concurrency=concurrency).rewrite(many(40))) == [None] * 40
    assert endpoint.calls == 40 + concurrency


def test_calls_in_flight_are_bounded_and_kept_busy(endpoint: Endpoint, make: MakeRewriter) -> None:
    endpoint.script = lambda asked: Say(answer_well(asked).content, delay=0.02)
    make(concurrency=7).prepare(many(60))
    assert endpoint.most_in_flight == 7


@pytest.mark.parametrize(
    ("limits", "calls"),
    [({"max_calls": 7}, 7), ({"max_tokens": 1300, "image_tokens": 0}, 10),
     ({"max_cost": 0.0013, "prompt_price": 1.0, "completion_price": 1.0, "image_tokens": 0}, 10),
     ({"max_calls": 0}, 0)],
)  # fmt: skip
def test_the_budget_is_never_exceeded_and_nothing_is_lost(
    endpoint: Endpoint, make: MakeRewriter, limits: dict[str, Any], calls: int
) -> None:
    requests = [request(at) for at in range(30)]
    rewriter = make(**limits)
    rewriter.prepare(requests)
    outcomes = rewriter.rewrite(requests)
    spent = rewriter.spent
    assert 0 <= endpoint.calls == spent.calls <= calls
    assert spent.prompt_tokens + spent.completion_tokens <= 120 * calls
    assert reasons(outcomes).count("budget_spent") == 30 - spent.calls
    assert make(**limits).rewrite(requests) == outcomes  # what was spent before counts
    assert endpoint.calls == spent.calls
    assert reasons(make().rewrite(requests)) == [None] * 30
    assert endpoint.calls == 30


def test_retries_count_as_calls(endpoint: Endpoint, make: MakeRewriter) -> None:
    endpoint.script = lambda asked: Say(status=500)
    rewriter = make(max_calls=2, retries=9)
    assert rewriter.rewrite([request(1)]) == [Failed("budget_spent")]
    assert endpoint.calls == 2


def test_progress_is_told(make: MakeRewriter) -> None:
    told: list[tuple[int, Spent]] = []
    make(tell=lambda done, spent: told.append((done, spent))).prepare(many(12))
    assert told[-1][0] == 12
    assert told[-1][1] == Spent(12, 1200, 240, 0.0)


def test_memory_is_bounded_by_pulling_requests_as_needed(
    endpoint: Endpoint, make: MakeRewriter
) -> None:
    pulled = 0

    def requests() -> Any:
        nonlocal pulled
        for at in range(200):
            pulled += 1
            yield request(at)

    ahead: list[int] = []
    rewriter = make(tell=lambda done, spent: ahead.append(pulled - done))
    rewriter.prepare(requests())
    assert max(ahead) <= 2 * 4


def test_the_api_key_goes_to_the_endpoint_only(
    endpoint: Endpoint, make: MakeRewriter, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-secret-12345"
    endpoint.script = lambda asked: Say(f"refused for {key}")
    with caplog.at_level(logging.DEBUG):
        rewriter = make(api_key=key, structured=False)
        outcomes = rewriter.rewrite([request(1)])
    assert endpoint.requests[0].headers["authorization"] == f"Bearer {key}"
    rewriter.close()
    stored = b"".join(it.read_bytes() for it in tmp_path.iterdir())
    assert key.encode() not in stored
    assert key not in caplog.text + repr(outcomes) + repr(llm_settings("http://x/v1", api_key=key))


_CHILD = """
import sys
from pathlib import Path
from tests.asd_rewriter.conftest import card
from tests.asd_rewriter.llm.conftest import llm_settings, request
from asd_rewriter.llm.rewriter import LlmRewriter
url, cache = sys.argv[1:]
rewriter = LlmRewriter(card(), 0, llm_settings(url), lambda digest: b"x", Path(cache))
rewriter.prepare(request(at) for at in range(60))
"""


def test_a_killed_run_goes_on_where_it_stopped(
    endpoint: Endpoint, make: MakeRewriter, tmp_path: Path
) -> None:
    endpoint.script = lambda asked: Say(answer_well(asked).content, delay=0.03)
    command = [sys.executable, "-c", _CHILD, endpoint.url, str(tmp_path / "cache.db")]
    child = subprocess.Popen(command, cwd=Path(__file__).parents[3])
    while endpoint.calls < 20:
        assert child.poll() is None
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    time.sleep(0.1)
    before = endpoint.calls
    rewriter = make()
    kept = rewriter.spent.calls
    assert before - 4 <= kept < 60
    requests = [request(at) for at in range(60)]
    assert reasons(rewriter.rewrite(requests)) == [None] * 60
    assert endpoint.calls - before == 60 - kept


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"base_url": "ftp://x"}, "http://host"), ({"base_url": "http://x:99999/v1"}, "http://host"),
     ({"base_url": f"http://{'x' * 64}/v1"}, "http://host"),
     ({"base_url": "http://u:p@x/v1"}, "api_key"),
     ({"base_url": "http://x/v1?k=1"}, "query"), ({"max_cost": 5.0}, "prompt_price"),
     ({"concurrency": 0}, "concurrency"), ({"extra": {"model": "y"}}, "set elsewhere"),
     ({"colour": 1}, "colour"), ({"attempts": 0}, "attempts")],
)  # fmt: skip
def test_bad_settings_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        LlmSettings.model_validate({"base_url": "http://x/v1", "model": "m", **changes})


def test_an_unknown_model_is_named(endpoint: Endpoint, make: MakeRewriter) -> None:
    with pytest.raises(EndpointDown, match="no such model; it has m"):
        make(model="other").prepare([request(1)])


@pytest.mark.parametrize("models", ["[" * 100_000, "<html>", [], {"data": [7]}])
def test_a_list_of_models_that_cannot_be_read_is_none(
    endpoint: Endpoint, make: MakeRewriter, models: Any
) -> None:
    endpoint.models = models
    assert reasons(make().rewrite([request(1)])) == [None]
