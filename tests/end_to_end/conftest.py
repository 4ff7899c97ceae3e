"""One live service per test session, on the session's one real vLLM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.streams.bases import digest_base
from tests.end_to_end.live import SETTINGS, WEIGHTS, Json, LiveService
from tests.fixtures_engine import StartEngine


@pytest.fixture(scope="session")
def live(
    tmp_path_factory: pytest.TempPathFactory, real_engine: StartEngine
) -> Iterator[LiveService]:
    service = LiveService(tmp_path_factory.mktemp("live"))
    real_engine(WEIGHTS, digest_base(WEIGHTS)).lend(service.state_dir)
    service.start()
    service.client().create_stream(name="shop", base=str(WEIGHTS), **SETTINGS)
    yield service
    service.stop()
    left = service.processes()
    assert left == [], "the service left processes behind"


@pytest.fixture(autouse=True)
def _running(live: LiveService) -> None:
    """A test that failed with the service down fails alone."""
    if live.process is None or live.process.poll() is not None:
        live.start()


@pytest.fixture(scope="session")
def first_job(live: LiveService) -> Json:
    """The stream's first task, learned: shop@1."""
    return live.wait(live.submit("shop", "classes")["id"], seconds=400)


@pytest.fixture(scope="session")
def second_job(live: LiveService, first_job: Json) -> Json:
    """The second task, rewritten by the base itself, learned on top of the first: shop@2."""
    return live.wait(live.submit("shop", "signs", asd={"engine": "llm"})["id"])
