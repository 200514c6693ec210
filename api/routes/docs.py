"""The document and its page: the rows of the route table for those who write clients."""

from api import docs
from api.calls import Endpoint, Route
from api.limits import LimitClass

PAGE = "/api/docs"


def _file(path: str, endpoint: Endpoint, produces: str) -> Route:
    """A row for a part of the page: it is no call of the API, so the document leaves it out."""
    return Route(
        method="GET",
        path=path,
        endpoint=endpoint,
        answer=str,
        limit=LimitClass.READ,
        takes=("If-None-Match",),
        produces=produces,
        described=False,
    )


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/api/openapi.json",
        endpoint=docs.read_document,
        answer=dict,
        takes=("If-None-Match",),
    ),
    _file(PAGE, docs.read_page, "text/html"),
    _file(f"{PAGE}/swagger-ui.css", docs.read_styles, "text/css"),
    _file(f"{PAGE}/swagger-ui-bundle.js", docs.read_bundle, "text/javascript"),
    _file(f"{PAGE}/start.js", docs.read_start, "text/javascript"),
    _file(f"{PAGE}/favicon.png", docs.read_icon, "image/png"),
)
