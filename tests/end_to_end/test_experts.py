"""A method whose versions no engine serves, through the whole loop on the real service."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.client import ApiError
from tests.end_to_end.live import SETTINGS, WEIGHTS, LiveService

pytestmark = pytest.mark.e2e

EXPERTS = SETTINGS | {"method": "moelora", "method_config": {"rank": 8, "alpha": 16, "experts": 2}}


def test_experts_end_with_a_report_as_candidate(live: LiveService) -> None:
    client = live.client()
    client.create_stream(name="experts", base=str(WEIGHTS), **EXPERTS)

    job = live.wait(live.submit("experts", "signs")["id"], seconds=400)

    assert job["state"] == "succeeded", job
    path = "/v1/streams/experts/versions/1"
    assert client.get(path)["servable_by"] == "offline"
    report = client.get(f"{path}/report")
    assert report["version"] == "experts@1"
    zero_shot, row = client.get("/v1/streams/experts/matrix", version=1)["rows"]
    assert (zero_shot["cells"]["signs"]["n"], row["cells"]["signs"]["n"]) == (24, 24)
    assert client.get("/v1/streams/experts/versions/candidate")["number"] == 1
    assert client.get("/v1/streams/experts/versions/production")["number"] == 0
    for refused in (
        lambda: client.move_alias("experts", 1, "test"),
        lambda: client.chat("experts@1", "What is it?", max_tokens=4),
    ):
        with pytest.raises(ApiError, match="served offline") as refusal:
            refused()
        assert refusal.value.status == 422
    answering = live.state_dir / "attempts" / job["id"] / "answering" / "1"
    assert Path(answering / "version.json").is_file()
    assert not [it for it in live.processes() if str(answering) in " ".join(it.cmdline())]
