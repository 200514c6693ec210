"""The OpenAPI document, and a page to read it and try it: Swagger UI, with no internet.

Its files are shipped with the package (`static/VERSION.txt` says which release) and kept gzipped,
as most browsers take them. The page may load from this server and nowhere else.
"""

from functools import cache
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


async def read_document(call: Call[NoQuery, None]) -> Response:
    """This document: every call of the API, what it takes and what it may answer."""
    return await call.services.document.answer(call.headers)


async def read_page(call: Call[NoQuery, None]) -> Response:
    """The document as a page, to read and to try."""
    page = await _answer(call, "docs.html", b"text/html; charset=utf-8")
    return msgspec.structs.replace(page, policy=PAGE_POLICY)


async def read_styles(call: Call[NoQuery, None]) -> Response:
    """The page's style sheet."""
    return await _answer(call, "swagger-ui.css.gz", b"text/css; charset=utf-8")


async def read_bundle(call: Call[NoQuery, None]) -> Response:
    """Swagger UI itself."""
    return await _answer(call, "swagger-ui-bundle.js.gz", b"text/javascript; charset=utf-8")


async def read_start(call: Call[NoQuery, None]) -> Response:
    """The page's own script."""
    return await _answer(call, "start.js", b"text/javascript; charset=utf-8")


async def read_icon(call: Call[NoQuery, None]) -> Response:
    """The page's icon."""
    return await _answer(call, "favicon.png", b"image/png")


async def _answer(call: Call[NoQuery, None], name: str, content_type: bytes) -> Response:
    answer = await _file(name).answer(call.headers)
    return msgspec.structs.replace(answer, content_type=content_type)


@cache
def _file(name: str) -> Gzipped:
    content = resources.files("api").joinpath("static", name).read_bytes()
    return Gzipped(content) if name.endswith(".gz") else Gzipped.of(content)
