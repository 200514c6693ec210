"""The endpoints of the OpenAPI document, of its page and of the pages of problems.

The document's page is Swagger UI, which works offline.

The page's files are part of the package (`static/VERSION.txt` names their release), stored gzipped
because most browsers accept gzip. The page may load only from this server.
"""

from importlib import resources

import msgspec

from api.http.caching import Gzipped
from api.http.calls import Call
from api.http.payloads import NoQuery
from api.http.responses import Response

PAGE_POLICY = (
    b"default-src 'self'; img-src 'self' data:; object-src 'none'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PROBLEM_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


async def read_document(call: Call[NoQuery, None]) -> Response:
    """This document: every call of the API, with its parameters, bodies and responses."""
    return await call.services.document.respond(call.headers)


async def read_page(call: Call[NoQuery, None]) -> Response:
    """The document as a page, where calls can be tried."""
    page = await _respond(call, "docs.html", b"text/html; charset=utf-8")
    return msgspec.structs.replace(page, policy=PAGE_POLICY)


async def read_problem(call: Call[NoQuery, None]) -> Response:
    """The page that explains one code."""
    page = await call.services.problem_pages[call.path["code"]].respond(call.headers)
    return msgspec.structs.replace(
        page, content_type=b"text/html; charset=utf-8", policy=PROBLEM_POLICY
    )


async def read_styles(call: Call[NoQuery, None]) -> Response:
    """The page's style sheet."""
    return await _respond(call, "swagger-ui.css.gz", b"text/css; charset=utf-8")


async def read_bundle(call: Call[NoQuery, None]) -> Response:
    """Swagger UI itself."""
    return await _respond(call, "swagger-ui-bundle.js.gz", b"text/javascript; charset=utf-8")


async def read_start(call: Call[NoQuery, None]) -> Response:
    """The page's own script."""
    return await _respond(call, "start.js", b"text/javascript; charset=utf-8")


async def read_icon(call: Call[NoQuery, None]) -> Response:
    """The page's icon."""
    return await _respond(call, "favicon.png", b"image/png")


async def _respond(call: Call[NoQuery, None], name: str, content_type: bytes) -> Response:
    response = await _FILES[name].respond(call.headers)
    return msgspec.structs.replace(response, content_type=content_type)


def _read(name: str) -> Gzipped:
    content = resources.files("api").joinpath("static", name).read_bytes()
    return Gzipped(content) if name.endswith(".gz") else Gzipped.of(content)


_FILES = {
    name: _read(name)
    for name in (
        "docs.html",
        "swagger-ui.css.gz",
        "swagger-ui-bundle.js.gz",
        "start.js",
        "favicon.png",
    )
}
"""Read when the process starts: an upgrade on disk does not change a running process."""
