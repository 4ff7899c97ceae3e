"""The pages. Everything they show is also in the REST API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel

from service.dashboard import queries, rewrites
from service.dashboard.sessions import COOKIE, LINK_SECONDS, SESSION_SECONDS, Sessions
from service.deps import Reader, ServicesDep
from service.errors import NotAuthenticated, NotFound
from service.jobs.operations import control
from service.keys.operations import Caller, authenticate, check_role, is_live
from service.reports.operations import get_report, get_report_by_digest
from service.reports.routes import html as report_as_html
from service.rewrites.images import image_response
from service.rewrites.operations import decide as take_decisions
from service.rewrites.schemas import Verdict

HERE = Path(__file__).parent
STATIC = {path.name: path for path in (HERE / "static").iterdir()}
CSP = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"

router = APIRouter()
pages = APIRouter(include_in_schema=False)
templates = Jinja2Templates(HERE / "templates")
templates.env.filters["short_source"] = queries.short_source
sessions = Sessions()


class LoginLink(BaseModel):
    """A link that signs one browser in, once, within ten minutes."""

    path: str


def _signed_in(request: Request, services: ServicesDep) -> Caller | None:
    caller = sessions.find(request.cookies.get(COOKIE))
    return caller if caller is not None and is_live(services.db, caller.key_id) else None


Visitor = Annotated[Caller | None, Depends(_signed_in)]


def _operator(visitor: Caller | None) -> Caller:
    """Return who is signed in; raises what the API would for a key that may not steer jobs."""
    if visitor is None:
        raise NotAuthenticated("nobody is signed in here. Sign in at /ui/login, then try again.")
    check_role(visitor, "operator")
    return visitor


def _page(request: Request, name: str, context: dict[str, Any]) -> HTMLResponse:
    headers = {"content-security-policy": CSP, "x-content-type-options": "nosniff"}
    return templates.TemplateResponse(request, name, context, headers=headers)


@pages.get("/")
def home(request: Request, services: ServicesDep, visitor: Visitor) -> Response:
    """Show all streams and the latest jobs."""
    if visitor is None:
        return RedirectResponse("/ui/login", 303)
    with services.db.read() as session:
        context = {"streams": queries.streams(session), "jobs": queries.jobs(session)}
    return _page(request, "home.html", context)


@pages.get("/ui")
@pages.get("/ui/")
def home_by_another_name() -> Response:
    """Lead to the home page what people type."""
    return RedirectResponse("/", 303)


@pages.get("/ui/streams/{stream}")
def stream_page(stream: str, request: Request, services: ServicesDep, visitor: Visitor) -> Response:
    """Show one stream: aliases, versions, the accuracy matrix, the journal."""
    if visitor is None:
        return RedirectResponse("/ui/login", 303)
    with services.db.read() as session:
        context = queries.stream_page(session, stream)
    return _page(request, "stream.html", context)


@pages.get("/ui/streams/{stream}/versions/{version}/report")
def report_page(stream: str, version: str, services: ServicesDep, visitor: Visitor) -> Response:
    """Show a version's report as its self-contained page."""
    if visitor is None:
        return RedirectResponse("/ui/login", 303)
    with services.db.read() as session:
        report = get_report(session, stream, version)
    return report_as_html(services, report)


@pages.get("/ui/reports/{digest}")
def report_by_digest(digest: str, services: ServicesDep, visitor: Visitor) -> Response:
    """Show the report of the version with a digest: a link that never moves."""
    if visitor is None:
        return RedirectResponse("/ui/login", 303)
    with services.db.read() as session:
        report = get_report_by_digest(session, digest)
    return report_as_html(services, report)


@pages.get("/ui/jobs/{job_id}")
def job_page(
    job_id: str,
    request: Request,
    services: ServicesDep,
    visitor: Visitor,
    look: Annotated[rewrites.LookQuery, Query()],
) -> Response:
    """Show one job: its phases, what was rewritten and its last events.

    The page refreshes while the job runs.
    """
    if visitor is None:
        return RedirectResponse("/ui/login", 303)
    with services.db.read() as session:
        context = queries.job_page(session, job_id)
        context |= {"report": rewrites.report_view(session, job_id)}
    page = rewrites.rows_view(services, job_id, look) if context["report"] else None
    may_decide = visitor.role != "reader"
    return _page(request, "job.html", {**context, "rows": page, "may_decide": may_decide})


@pages.post("/ui/jobs/{job_id}/rewrites")
def decide(
    job_id: str,
    services: ServicesDep,
    visitor: Visitor,
    key: Annotated[str, Form()],
    verdict: Annotated[Verdict, Form()],
    back: Annotated[str, Form()] = "",
) -> Response:
    """Accept or reject one rewritten turn, then show the page as it was."""
    caller = _operator(visitor)
    take_decisions(services, caller.name, job_id, {key: verdict})
    return RedirectResponse(f"/ui/jobs/{quote(job_id)}?{back}#rewritten", 303)


@pages.post("/ui/jobs/{job_id}/resume")
def end_review(job_id: str, services: ServicesDep, visitor: Visitor) -> Response:
    """End a review: the job goes on with what was decided."""
    _operator(visitor)
    control(services.db, job_id, "resume", services.settings.engine_max_lora_rank)
    services.runner.wake()
    return RedirectResponse(f"/ui/jobs/{quote(job_id)}", 303)


@pages.get("/ui/images/{digest}")
def image(digest: str, services: ServicesDep, visitor: Visitor) -> Response:
    """Return an image of a task."""
    if visitor is None:
        return RedirectResponse("/ui/login", 303)
    return image_response(services.settings.folder("blobs"), digest)


@pages.get("/ui/login")
def login_page(request: Request, token: str | None = None) -> Response:
    """Show the sign-in form, or sign in by a one-time link."""
    caller = sessions.take(token) if token else None
    if caller is None:
        note = "This link was used or has expired." if token else ""
        return _page(request, "login.html", {"note": note})
    return _sign_in(caller)


@pages.post("/ui/login")
def login(request: Request, services: ServicesDep, key: Annotated[str, Form()]) -> Response:
    """Sign in with an API key."""
    try:
        caller = authenticate(services.db, f"Bearer {key}", "reader")
    except NotAuthenticated as error:
        return _page(request, "login.html", {"note": error.message})
    return _sign_in(caller)


@router.post("/v1/login-links", tags=["dashboard"], status_code=201)
def create_login_link(caller: Reader) -> LoginLink:
    """Make a link that signs one browser in to the dashboard as this key, once."""
    token = sessions.open(caller, LINK_SECONDS, "link")
    return LoginLink(path=f"/ui/login?token={token}")


@pages.get("/static/{name}")
def static(name: str) -> FileResponse:
    """Return one of our own style sheets or scripts."""
    if name not in STATIC:
        raise NotFound(f"there is no static file {name!r}.")
    return FileResponse(STATIC[name])


router.include_router(pages)


def _sign_in(caller: Caller) -> Response:
    response = RedirectResponse("/", 303)
    response.set_cookie(
        COOKIE, sessions.open(caller), max_age=SESSION_SECONDS, httponly=True, samesite="strict"
    )
    return response
