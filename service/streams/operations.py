"""Creating and reading streams."""

from __future__ import annotations

from sqlalchemy.orm import Session

from service.db.engine import Database
from service.db.tables import StreamRow
from service.errors import PermanentConflict
from service.idempotency import Once, remember, replay
from service.ids import new_id, now
from service.pagination import Page, page_of
from service.settings import Settings
from service.streams import plans, queries
from service.streams.bases import Download, ResolvedBase, download_base, resolve_base
from service.streams.schemas import AsdOptions, StreamCreate, StreamRead
from service.versions.operations import create_base_version


def create_stream(
    db: Database,
    body: StreamCreate,
    settings: Settings,
    intention: Once | None = None,
    download: Download = download_base,
) -> StreamRead:
    """Create a stream with its version 0; the base is fetched and digested first."""
    plans.find_method(body.method)
    method_config = plans.resolve_method_config(body.method, body.method_config)
    hyperparameters = plans.resolve_hyperparameters(body.hyperparameters, body.seed)
    plans.check_own_rank(body.method, method_config, settings.engine_max_lora_rank)
    asd = plans.resolve_asd(body.asd)
    plans.check_engine(asd, settings)
    with db.read() as session:
        first = _answer_before(session, body.name, intention)
    if first is not None:
        return first
    base = resolve_base(body.base, body.revision, download)
    plans.check_targets(method_config, base.path)

    def work(session: Session) -> StreamRead:
        first = _answer_before(session, body.name, intention)
        if first is not None:
            return first
        row = _row(body, asd, base)
        row.method_config, row.hyperparameters = method_config, hyperparameters
        session.add(row)
        session.flush()
        create_base_version(session, row)
        created = stream_read(row)
        remember(session, intention, created.model_dump(mode="json"))
        return created

    return db.commit(work)


def read_stream(db: Database, name: str) -> StreamRead:
    """Return a stream as it goes over the wire; raises NotFound."""
    with db.read() as session:
        return stream_read(queries.get_stream(session, name))


def list_streams(db: Database, after: str | None, limit: int) -> Page[StreamRead]:
    """Return a page of streams by name."""
    with db.read() as session:
        rows = queries.list_streams(session, after, limit + 1)
    return page_of([stream_read(row) for row in rows], limit, lambda it: it.name)


def stream_read(row: StreamRow) -> StreamRead:
    """Return a row's wire shape."""
    return StreamRead(
        id=row.id,
        name=row.name,
        base=row.base_source,
        base_revision=row.base_revision,
        base_digest=row.base_digest,
        method=row.method,
        method_config=row.method_config,
        hyperparameters=row.hyperparameters,
        x_percent=row.rewrite["x_percent"],
        asd=AsdOptions.model_validate(row.rewrite.get("asd", {})),
        seed=row.rewrite["seed"],
        gate=row.gate,
        eval_limit=row.eval_limit,
        probe_limit=row.probe_limit,
        future_tasks=row.future_tasks,
        created_at=row.created_at,
    )


def _row(body: StreamCreate, asd: AsdOptions, base: ResolvedBase) -> StreamRow:
    rewrite = {"x_percent": body.x_percent, "seed": body.seed, "asd": asd.model_dump(mode="json")}
    return StreamRow(
        id=new_id("str"),
        name=body.name,
        base_source=base.source,
        base_revision=base.revision,
        base_path=str(base.path),
        base_digest=base.digest,
        method=body.method,
        rewrite=rewrite,
        gate=body.gate.model_dump(mode="json"),
        eval_limit=body.eval_limit,
        probe_limit=body.probe_limit,
        future_tasks=body.future_tasks,
        next_version=1,
        created_at=now(),
    )


def _answer_before(session: Session, name: str, intention: Once | None) -> StreamRead | None:
    """Return the answer to an equal request; raises PermanentConflict when the name is taken.

    The name is looked for first: whoever has taken it by then may be our equal.
    """
    taken = queries.find_stream(session, name) is not None
    first = replay(session, intention)
    if first is not None:
        return StreamRead.model_validate(first)
    if taken:
        raise _taken(name)
    return None


def _taken(name: str) -> PermanentConflict:
    message = f"there is a stream {name!r} already. Choose another name."
    return PermanentConflict(message, param="name")
