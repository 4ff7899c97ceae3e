"""Reading reports and matrices; a version that was never evaluated has neither."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from eval.errors import ItemImageMissing
from eval.export import accuracy_csv, figures_csv
from eval.images import image_data_url
from eval.matrix import AccuracyMatrix
from eval.report import ForgettingReport
from eval.report_page import report_html
from service.db.tables import StreamRow, VersionRow
from service.deps import Services
from service.errors import NotFound
from service.reports import queries
from service.versions.operations import get_version


def get_report(session: Session, stream: str, selector: str) -> ForgettingReport:
    """Return the report of a version (number or alias); raises NotFound."""
    version = get_version(session, stream, selector)
    report = _find_report(session, version)
    if report is None:
        raise NotFound(
            f"{stream}@{version.number} has no report: the base and versions whose job has not "
            f"been evaluated have none. GET /v1/streams/{stream}/versions lists those that do."
        )
    return report


def get_report_by_digest(session: Session, digest: str) -> ForgettingReport:
    """Return the report of the version with a digest (64 hex digits); raises NotFound."""
    version = queries.find_version(session, digest)
    report = None if version is None else _find_report(session, version)
    if report is None:
        raise NotFound(
            f"no version with the digest {digest[:80]!r} has a report. "
            "GET /v1/streams/{stream}/versions lists every version's digest."
        )
    return report


def _find_report(session: Session, version: VersionRow) -> ForgettingReport | None:
    record = queries.find_record(session, version, "report")
    if record is None:
        return None
    return ForgettingReport.model_validate({**record.data, "digest": version.digest})


def get_matrix(session: Session, stream_name: str, selector: str | None) -> AccuracyMatrix:
    """Return the matrix of a version's lineage, by default the newest evaluated version's."""
    base = get_version(session, stream_name, "0")
    stream = session.get_one(StreamRow, base.stream_id)
    if selector is not None:
        return queries.matrix_of(session, stream, get_version(session, stream_name, selector))
    return queries.current_matrix(session, stream) or queries.matrix_of(session, stream, base)


def as_html(services: Services, report: ForgettingReport) -> str:
    """Return the report as one self-contained page, with the images of its worst items."""
    return report_html(report, _images(services, report))


def as_csv(report: ForgettingReport, table: str) -> str:
    """Return one of the report's two tables: `accuracy` or `figures`."""
    return accuracy_csv(report.matrix) if table == "accuracy" else figures_csv(report)


def _images(services: Services, report: ForgettingReport) -> Mapping[str, str]:
    found = {}
    for item in report.worst_items:
        for digest in item.images[:1]:  # the page shows no more
            try:
                found[digest] = image_data_url(services.settings.folder("blobs"), digest)
            except ItemImageMissing:
                continue  # the page then shows the digest instead
    return found
