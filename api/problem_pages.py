"""The pages behind the `type` of the problems, made from their table and from the route table.

A page tells a person what a program reads from `code`: what it means, whether a retry helps, which
calls return it, and an example.
"""

import json
from collections.abc import Mapping
from html import escape

from api.http.caching import Gzipped
from api.http.problems import KINDS
from api.openapi.examples.problems import problem_example
from api.routes import ROUTES, refusals_of

_RETRY = {
    408: "Retry; with the same Idempotency-Key, if the request had one.",
    429: "Retry after Retry-After.",
    500: "A retry with the same Idempotency-Key is safe. Report the X-Request-ID.",
    503: "Retry after Retry-After, with the same Idempotency-Key.",
}
_RETRY_LATER = {"request_in_progress": "Retry after Retry-After, with the same Idempotency-Key."}
_NO_RETRY = "The same request gives the same response, unless the state has changed meanwhile."
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}: {code}</title>
<style>body {{ font: 1.1rem/1.5 system-ui; max-width: 45rem; margin: 3rem auto; padding: 0 1rem }}
pre {{ overflow: auto; padding: 1rem; background: #8881 }}</style>
<h1>{title}</h1>
<p><code>{code}</code>, status {status}: {detail}.</p>
<p>{retry}</p>
<h2>Example</h2>
<pre>{example}</pre>
<h2>Calls that return it</h2>
<ul>
{calls}
</ul>
<p><a href="/api/docs">Every call</a></p>
</html>
"""


def problem_pages() -> Mapping[str, Gzipped]:
    """The page of each code."""
    return {code: Gzipped.of(_page(code).encode()) for code in KINDS}


def _page(code: str) -> str:
    kind, example = KINDS[code], problem_example(code)
    calls = [
        f"<li><code>{route.method} {route.path}</code></li>"
        for route in ROUTES
        if route.described and code in refusals_of(route)
    ]
    return _PAGE.format(
        code=code,
        title=escape(kind.title),
        status=kind.status,
        detail=escape(example["detail"].removesuffix(".")),
        retry=_RETRY_LATER.get(code) or _RETRY.get(kind.status, _NO_RETRY),
        example=escape(json.dumps(example, indent=2)),
        calls="\n".join(calls) or "<li>none of the document</li>",
    )
