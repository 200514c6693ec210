"""The rows of the route table for the OpenAPI document and the page that shows it."""

from api.http.calls import Endpoint, Route
from api.http.limits import LimitClass
from api.http.problems import PAGES
from api.openapi import page

PAGE = "/api/docs"


def _file(path: str, endpoint: Endpoint, produces: str, refusals: tuple[str, ...] = ()) -> Route:
    """A row for a file of the page; the document leaves it out."""
    return Route(
        method="GET",
        path=path,
        endpoint=endpoint,
        response=str,
        limit=LimitClass.READ,
        request_headers=("If-None-Match",),
        produces=produces,
        refusals=refusals,
        described=False,
    )


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/api/openapi.json",
        endpoint=page.read_document,
        response=dict,
        request_headers=("If-None-Match",),
    ),
    _file(PAGE, page.read_page, "text/html"),
    _file(f"{PAGE}/swagger-ui.css", page.read_styles, "text/css"),
    _file(f"{PAGE}/swagger-ui-bundle.js", page.read_bundle, "text/javascript"),
    _file(f"{PAGE}/start.js", page.read_start, "text/javascript"),
    _file(f"{PAGES}/{{code}}", page.read_problem, "text/html", ("not_found",)),
    _file(f"{PAGE}/favicon.png", page.read_icon, "image/png"),
)
