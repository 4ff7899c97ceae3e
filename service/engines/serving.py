"""A running engine with its adapters: loading, unloading and proving servables."""

from __future__ import annotations

import threading
from dataclasses import asdict

import structlog

from adapters_store.backends import LocalBlobStore
from eval.images import image_data_url
from service.db.engine import Database
from service.db.tables import RecordRow
from service.engines.adapters import AdapterTable, Servable
from service.engines.client import EngineAnswer
from service.engines.process import EngineProcess
from service.engines.proof import Proof, prove
from service.errors import EngineProofFailed, EngineUnavailable, RetainError
from service.ids import now
from trainer.spec import Canary, CanaryPrompt

log = structlog.get_logger()

_FAILURE_SECONDS = 30.0


class ServingEngine:
    """One engine process and what it serves. `make_ready` takes turns, everything else is short."""

    def __init__(
        self, process: EngineProcess, db: Database, blobs: LocalBlobStore, capacity: int
    ) -> None:
        self.process = process
        self.table = AdapterTable(capacity)
        self._db = db
        self._blobs = blobs
        self._turn = threading.Lock()

    def make_ready(self, servable: Servable) -> None:
        """Return once the servable is loaded and has reproduced its canary.

        Raises EngineUnavailable and EngineProofFailed.
        """
        if self.table.is_proven(servable.name):
            return
        with self._turn:
            if not self.table.is_proven(servable.name):
                self._load_and_prove(servable)

    def refuse_if_failed(self, servable: Servable) -> None:
        """Raise the failure of a servable that could not be proven a short while ago."""
        error = self.table.recent_failure(servable.name, _FAILURE_SECONDS)
        if error is not None:
            raise error

    def _load_and_prove(self, servable: Servable) -> None:
        try:
            self._load(servable)
            self._prove(servable)
        except RetainError as error:
            if isinstance(error, EngineProofFailed):
                self._withdraw(servable)
            self.table.fail(servable.name, error)
            log.error("engine.not_ready", servable=servable.name, error=error.message)
            raise
        self.table.set_proven(servable.name)

    def _load(self, servable: Servable) -> None:
        client = self.process.client
        if servable.path is not None:
            loaded = client.models()
            for name in self.table.plan([servable.name]).unload:
                self._unload(name)
            if loaded.get(servable.name) != servable.path:
                if servable.name in loaded:
                    client.unload(servable.name)
                client.load(servable.name, servable.path)
                log.info("engine.adapter_loaded", servable=servable.name)
        self.table.add(servable)

    def _prove(self, servable: Servable) -> None:
        if servable.canary_digest is None:
            return
        with self._blobs.open(servable.canary_digest, verify=True) as file:
            canary = Canary.model_validate_json(file.read())

        def ask(prompt: CanaryPrompt, max_tokens: int) -> EngineAnswer:
            images = [image_data_url(self._blobs.root, digest) for digest in prompt.images]
            client = self.process.client
            return client.ask(servable.name, prompt.question, images, max_tokens)

        proof = prove(canary, ask, self.process.record.dtype)
        self._record(servable, proof)

    def _record(self, servable: Servable, proof: Proof) -> None:
        record = self.process.record
        data = {
            **asdict(proof),
            "engine_version": record.engine_version,
            "engine": f"{record.pid}:{record.start_time}",
            "servable": servable.name,
        }
        row = RecordRow(version_id=servable.version_id, kind="proof", data=data, created_at=now())
        with self._db.write() as session:
            session.merge(row)
        log.info("engine.proven", servable=servable.name, gap=proof.max_logprob_gap)

    def _withdraw(self, servable: Servable) -> None:
        if servable.path is None:
            return
        self._unload(servable.name)

    def _unload(self, name: str) -> None:
        try:
            self.process.client.unload(name)
        except EngineUnavailable as error:  # it is not loaded, or the engine is gone
            log.warning("engine.not_unloaded", servable=name, error=error.message)
