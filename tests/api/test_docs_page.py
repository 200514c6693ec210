"""The documentation page: complete, cached, and nothing on it from another server."""

import gzip
import hashlib
import re
from html import escape
from html.parser import HTMLParser
from importlib import resources

import pytest

from api.http.problems import KINDS
from api.openapi.examples.problems import problem_example
from api.openapi.page import PAGE_POLICY
from api.routes import ROUTES as ROUTE_TABLE
from api.routes import refusals_of
from api.routes.docs import PAGE, ROUTES
from tests.api.client import Api

FILES = [route.path for route in ROUTES if route.path.startswith(f"{PAGE}/")]
STATIC = resources.files("api").joinpath("static")
IDENTITY = {"accept-encoding": "identity"}


class _References(HTMLParser):
    """What a page loads, and its inline scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loaded += [value for name in ("src", "href") if (value := given.get(name))]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


async def test_page_loads_from_this_server_alone_and_all_it_names_is_there(api: Api) -> None:
    page = await api.call("GET", PAGE)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    found = _References(page.text)
    assert found.inline == []
    paths = {str(page.url.join(reference).path) for reference in found.loaded}
    assert paths == {*FILES, "/api/openapi.json"}
    for reference in found.loaded:
        assert page.url.join(reference).host == page.url.host
        assert (await api.call("GET", str(page.url.join(reference)))).status_code == 200


async def test_page_may_load_from_this_server_and_nowhere_else(api: Api) -> None:
    policy = (await api.call("GET", PAGE)).headers["content-security-policy"]
    assert policy == PAGE_POLICY.decode()
    told = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert told["default-src"] == "'self'"
    assert told["img-src"] == "'self' data:"
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_own_script_names_no_other_server(api: Api) -> None:
    script = (await api.call("GET", f"{PAGE}/start.js")).text
    assert re.search(r'url: "openapi.json"', script)
    assert "validatorUrl: null" in script
    assert "//" not in script.replace("// ", "")


@pytest.mark.parametrize("path", [PAGE, *FILES])
async def test_files_are_sent_gzipped_or_plain_and_not_twice(api: Api, path: str) -> None:
    zipped = await api.call("GET", path, {"accept-encoding": "gzip"})
    plain = await api.call("GET", path, IDENTITY)
    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert zipped.content == plain.content
    assert plain.content
    assert plain.headers["vary"] == "accept-encoding"
    for tag in (plain.headers["etag"], f'"other", {plain.headers["etag"]}', "*"):
        again = await api.call("GET", path, {"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control", "content-security-policy"):
            assert again.headers[name] == plain.headers[name]
    assert (await api.call("GET", path, {"if-none-match": '"other"'})).status_code == 200


def test_shipped_files_are_those_of_the_release_that_is_named() -> None:
    said = STATIC.joinpath("VERSION.txt").read_text("utf-8")
    sums = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", said, re.MULTILINE))
    assert len(sums) == 2
    for checksum, name in sums.items():
        content = gzip.decompress(STATIC.joinpath(f"{name}.gz").read_bytes())
        assert hashlib.sha256(content).hexdigest() == checksum
    for name in ("LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"):
        assert STATIC.joinpath(name).is_file()
    size = sum(len(file.read_bytes()) for file in STATIC.iterdir() if file.is_file())
    assert size < 600_000
    print(f"S10: the page is {size:,} bytes, {len(FILES) + 1} files, none from elsewhere")


@pytest.mark.parametrize("code", KINDS)
async def test_type_of_every_problem_is_a_page_that_explains_it(api: Api, code: str) -> None:
    example = problem_example(code)
    page = await api.call("GET", example["type"], {"accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "'unsafe-inline'" not in page.headers["content-security-policy"].split("style-src")[0]
    assert f"<code>{code}</code>, status {KINDS[code].status}" in page.text
    assert escape(example["detail"].removesuffix(".")) in page.text
    returning = [f"{r.method} {r.path}" for r in ROUTE_TABLE if code in refusals_of(r)]
    named = re.findall(r"<li><code>(.*)</code></li>", page.text)
    assert set(named) <= set(returning)
    assert bool(named) == bool(returning)


async def test_page_of_no_code_is_not_found(api: Api) -> None:
    await api.refused(404, "not_found", "GET", "/api/problems/seat_stolen")
