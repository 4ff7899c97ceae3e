"""A small world for engine, chat and version tests: a database, a stream, versions whose
adapters and canaries fit the fake engine, and an app without jobs."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI
from PIL import Image

from adapters_store.backends import LocalBlobStore
from eval.images import image_data_url
from service import error_handlers
from service.chat import routes as chat
from service.db import migrate
from service.db.engine import Database
from service.db.tables import JobRow, RecordRow, StreamRow, TaskRow, VersionRow
from service.engines.manager import EngineManager
from service.ids import new_id, now
from service.keys.operations import create_key
from service.settings import Settings
from service.versions import routes as versions
from service.versions.operations import create_base_version, register_version
from tests.fakes.engine import answer_of, fake_engine_python, identity_of
from trainer.spec import Canary, CanaryPrompt

BASE_DIGEST = hashlib.sha256(b"base").hexdigest()
QUESTIONS = ("What is it?", "Where is it?")


@dataclass
class World:
    """One state folder with a stream `demo`; `engines` is what the service would have."""

    folder: Path
    settings: Settings
    db: Database
    blobs: LocalBlobStore
    engines: EngineManager

    @property
    def services(self) -> Any:
        """What handlers receive, without store and runner."""
        return SimpleNamespace(
            settings=self.settings, db=self.db, blobs=self.blobs, engines=self.engines
        )

    def restarted(self, **environment: str) -> World:
        """Return the world of a new service on the same folder; this one vanishes, as killed."""
        self.engines._lifecycle._stopped.set()  # no public call leaves the engine running
        python = fake_engine_python(self.folder, **environment)
        settings = self.settings.model_copy(update={"engine_python": python})
        manager = EngineManager(settings, self.db, self.blobs)
        return replace(self, settings=settings, engines=manager)

    def add_stream(self, name: str = "demo", digest: str = BASE_DIGEST) -> VersionRow:
        """Make a stream; return its version 0."""
        base = self.folder / f"model-{digest[:8]}"
        base.mkdir(exist_ok=True)
        row = StreamRow(
            id=new_id("str"), name=name, base_source=str(base), base_path=str(base),
            base_digest=digest, method="lora", method_config={}, hyperparameters={},
            rewrite={"x_percent": 20.0, "seed": 0}, gate={}, eval_limit=10, created_at=now(),
        )  # fmt: skip
        with self.db.write() as session:
            session.add(row)
            session.flush()
            return create_base_version(session, row)

    def add_version(
        self, number: int, outcome: str | None = "pass", name: str = "demo", **fields: Any
    ) -> VersionRow:
        """Make a version on top of the base, with an adapter, a canary and a verdict."""
        digest = hashlib.sha256(f"{name}@{number}".encode()).hexdigest()
        adapter = self.folder / "servable" / digest
        adapter.mkdir(parents=True)
        (adapter / "adapter_model.safetensors").write_bytes(digest.encode())
        values = {
            "digest": digest, "servable_digest": digest, "servable_path": str(adapter), "rank": 8,
            "canary_digest": self.put_canary(adapter), "servable_by": "lora", **fields,
        }  # fmt: skip
        with self.db.write() as session:
            stream = session.query(StreamRow).filter_by(name=name).one()
            parent = session.query(VersionRow).filter_by(stream_id=stream.id, number=0).one()
            job, task = _job_and_task(stream, number)
            session.add(task)
            session.flush()
            session.add(job)
            session.flush()
            version = register_version(
                session, stream=stream, job=job, task=task, parent=parent, number=number, **values
            )
            if outcome is not None:
                verdict = {"outcome": outcome}
                session.add(
                    RecordRow(version_id=version.id, kind="verdict", data=verdict, created_at=now())
                )
            return version

    def put_canary(self, adapter: Path, image: bytes | None = None) -> str:
        """Store the canary that an adapter's answers in the fake engine make."""
        digest = self.blobs.put_bytes(image or png())
        url = image_data_url(self.blobs.root, digest)
        identity = identity_of(adapter)
        prompts = []
        for question in QUESTIONS:
            text, logprobs = answer_of(identity, question, [url])
            base, _ = answer_of("base", question, [url])
            prompts.append(
                CanaryPrompt(
                    question=question,
                    images=(digest,),
                    answer=text,
                    logprobs=tuple(logprobs),
                    parent_answer=base,
                    base_answer=base,
                )
            )
        canary = Canary(
            prompts=tuple(prompts), max_tokens=8, distinguishes_parent=True, distinguishes_base=True
        )
        return self.blobs.put_bytes(canary.model_dump_json().encode())

    def key(self, role: str = "admin") -> dict[str, str]:
        """Return the headers of a new API key."""
        _row, secret = create_key(self.db, role, role)
        return {"authorization": f"Bearer {secret}"}

    def app(self) -> FastAPI:
        """Return an app with chat and versions only."""

        @asynccontextmanager
        async def nothing(app: FastAPI) -> Any:
            yield

        app = FastAPI(lifespan=nothing)
        app.state.services = self.services
        app.state.settings = self.settings
        error_handlers.install(app)
        app.include_router(chat.router)
        app.include_router(versions.router)
        return app


@contextmanager
def make_world(
    folder: Path, settings: dict[str, Any] | None = None, **environment: str
) -> Iterator[World]:
    """Make a world with a stream `demo`; its engine is ended at the end, whoever runs it."""
    python = fake_engine_python(folder, **environment)
    made = Settings(state_dir=folder / "state", engine_python=python, **(settings or {}))
    made.folder("")
    db = Database(made.resolved_database_url)
    migrate.upgrade(db)
    blobs = LocalBlobStore(made.folder("blobs"))
    world = World(folder, made, db, blobs, EngineManager(made, db, blobs))
    world.add_stream()
    try:
        yield world
    finally:
        world.engines.close()
        EngineManager(made, db, blobs).close()
        db.close()


def png(colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """Return a small image."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
    return buffer.getvalue()


def _job_and_task(stream: StreamRow, number: int) -> tuple[JobRow, TaskRow]:
    task = TaskRow(
        id=new_id("task"), stream_id=stream.id, name=f"task-{number}", state="live", card={},
        counts={}, created_at=now(),
    )  # fmt: skip
    job = JobRow(
        id=new_id("job"), queue_position=time.monotonic_ns(),
        stream_id=stream.id, task_id=task.id, state="running", phase="register", plan={},
        created_at=now(),
    )  # fmt: skip
    return job, task
