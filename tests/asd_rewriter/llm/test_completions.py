"""What a reply of status 200 is taken for: an answer, its tokens, or a reason to try again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asd_rewriter.errors import EndpointDown
from asd_rewriter.llm.budget import Spent
from asd_rewriter.llm.completions import NoCompletion, read_completion
from asd_rewriter.rewriter import Rewritten
from tests.asd_rewriter.llm.conftest import MakeRewriter, request
from tests.asd_rewriter.llm.endpoint import Endpoint, Say, answer_well

HELD = (500, 60)


def body(**more: Any) -> str:
    choice = {"message": {"content": "It is red."}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], **more})


@pytest.mark.parametrize(
    ("usage", "used"),
    [({"prompt_tokens": 7, "completion_tokens": 2}, (7, 2)), (None, HELD), ("much", HELD),
     ({"prompt_tokens": None, "completion_tokens": 2}, (500, 2)),
     ({"prompt_tokens": -1, "completion_tokens": float("inf")}, HELD),
     ({"prompt_tokens": 10**30, "completion_tokens": [1]}, HELD)],
)  # fmt: skip
def test_what_usage_does_not_say_counts_as_held(usage: Any, used: tuple[int, int]) -> None:
    answer, found = read_completion(body(usage=usage), HELD)
    assert (answer.text, found) == ("It is red.", used)
    assert read_completion(body(), HELD)[1] == HELD


@pytest.mark.parametrize(
    "text",
    ["", "[" * 100_000, "null", "<html>", '{"choices": []}',
     '{"choices": [{"message": {"content": [1]}}]}'],
)  # fmt: skip
def test_what_is_no_completion(text: str) -> None:
    with pytest.raises(NoCompletion, match="no chat completion"):
        read_completion(text, HELD)


@pytest.mark.parametrize(
    "said",
    [Say("It is r", finish="abort", usage=(0, 0)), Say("It is r", finish="error", usage=(0, 0))],
)
def test_an_answer_that_the_endpoint_gave_up_is_asked_for_again(
    endpoint: Endpoint, make: MakeRewriter, said: Say
) -> None:
    endpoint.script = lambda asked: said if asked.number == 1 else answer_well(asked)
    rewriter = make()
    (outcome,) = rewriter.rewrite([request(1)])
    assert isinstance(outcome, Rewritten)
    assert endpoint.requests[0].body == endpoint.requests[1].body  # the same attempt
    assert rewriter.spent == Spent(2, 100, 20)


def test_a_reply_that_cannot_be_read_may_have_been_paid_for(
    endpoint: Endpoint, make: MakeRewriter
) -> None:
    nonsense = Say(body="[" * 100_000)
    endpoint.script = lambda asked: nonsense if asked.number == 1 else answer_well(asked)
    rewriter = make(image_tokens=1000)
    (outcome,) = rewriter.rewrite([request(1)])
    assert isinstance(outcome, Rewritten)
    assert (rewriter.spent.calls, rewriter.spent.prompt_tokens > 1100) == (2, True)


def test_an_endless_answer_is_cut(endpoint: Endpoint, make: MakeRewriter) -> None:
    endless = Say(body="x" * 5_000_000)
    endpoint.script = lambda asked: endless if asked.number == 1 else answer_well(asked)
    (first,) = make().rewrite([request(1)])
    assert isinstance(first, Rewritten)
    endpoint.script = lambda asked: endless
    with pytest.raises(EndpointDown, match="the answer exceeds 4,194,304 bytes"):
        make(retries=0).rewrite([request(2)])
