"""Layout and availability over HTTP: their ETags, their encodings, how long they may be kept."""

import gzip
from typing import Any

import msgspec
import pytest

from engine.models import Layout
from tests.api.client import EVENT, Api, bearer

LAYOUT = f"{EVENT}/gala/seats"
MAP = f"{EVENT}/gala/availability"


async def test_read_layout_sends_it_gzipped_or_plain(api: Api) -> None:
    await api.office.open(areas={"pit": 3})
    packed = await api.call("GET", LAYOUT, {"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    for refusing in ("identity", "", "gzip;q=0", "br, gzip; q=0.0, *"):
        plain = await api.call("GET", LAYOUT, {"accept-encoding": refusing})
        assert "content-encoding" not in plain.headers
        assert plain.content == packed.content  # httpx has unpacked it
        assert plain.headers["etag"] == packed.headers["etag"]
        assert plain.headers["vary"] == "accept-encoding"
    layout = msgspec.json.decode(plain.content, type=Layout)
    assert layout.sections[0].rows[1].index == 6
    assert plain.json()["categories"][0]["priceMinor"] == 1500
    assert plain.json()["areas"] == [
        {"id": "pit", "name": "pit", "category": "standing", "capacity": 3}
    ]


async def test_read_layout_may_be_kept_for_ever_by_its_version(api: Api) -> None:
    await api.office.open()
    found = await api.call("GET", LAYOUT)
    version = found.json()["version"]
    assert found.headers["cache-control"] == "no-cache"
    fixed = await api.call("GET", f"{LAYOUT}?version={version}")
    assert fixed.headers["cache-control"] == "public, max-age=31536000, immutable"
    gone = await api.call("GET", f"{LAYOUT}?version=another")
    assert (gone.json()["version"], gone.headers["cache-control"]) == (version, "no-cache")


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', 'W/"other",W/{}'])
async def test_read_layout_that_is_known_is_304(api: Api, known: str) -> None:
    await api.office.open()
    etag = (await api.call("GET", LAYOUT)).headers["etag"]
    known = known.format(etag.removeprefix("W/"))
    answer = await api.call("GET", LAYOUT, {"if-none-match": known})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag


async def test_read_map_returns_the_whole_event(api: Api) -> None:
    await api.office.open(areas={"pit": 3}, blocked="A-2-5", opens_at_ms=1000)
    await api.held("ann", "A-1-2")
    await api.office.confirm(await api.office.hold("bob", "A-1-3", pit=1))
    found: dict[str, Any] = (await api.call("GET", MAP)).json()
    event = (await api.call("GET", f"{EVENT}/gala")).json()
    assert found == {
        "eventId": "gala",
        "layoutVersion": event["layoutVersion"],
        "position": event["position"],
        "sales": "open",
        "counts": {"available": 9, "held": 1, "sold": 2, "blocked": 1},
        "map": "ahsaa/aaaab",
        "areas": [{"areaId": "pit", "quantity": 2}],
        "opensAt": "1970-01-01T00:00:01.000Z",
        "closesAt": None,
    }


async def test_read_map_is_304_until_something_changes(api: Api) -> None:
    await api.office.open()
    etag = (await api.call("GET", MAP)).headers["etag"]
    for _ in range(2):
        unchanged = await api.call("GET", MAP, {"if-none-match": etag})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == etag
    await api.held("ann", "A-1-1")
    changed = await api.call("GET", MAP, {"if-none-match": etag})
    assert (changed.status_code, changed.json()["map"]) == (200, "haaaa/aaaaa")
    assert changed.headers["etag"] != etag


@pytest.mark.parametrize("known", ["", '""', "nonsense", '"1"', '"{gala}-1"', '"' + "9" * 60])
async def test_read_map_with_a_strange_tag_is_sent_whole(api: Api, known: str) -> None:
    await api.office.open()
    answer = await api.call("GET", MAP, {"if-none-match": known})
    assert answer.status_code == 200


async def test_read_layout_after_adding_seats_is_another_version(api: Api) -> None:
    await api.office.open()
    before = await api.call("GET", LAYOUT)
    rows = [{"id": "9", "seats": [{"number": "1"}, {"number": "2"}]}]
    body = {"sections": [{"id": "A", "category": "seat", "rows": rows}]}
    added = await api.call("POST", LAYOUT, bearer("root", "admin"), json=body)
    assert added.json()["counts"]["available"] == 12
    after = await api.call("GET", LAYOUT, {"if-none-match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["version"] == added.json()["layoutVersion"]
    assert (await api.call("GET", MAP)).json()["map"] == "aaaaa/aaaaa/aa"
    assert gzip.decompress(gzip.compress(after.content)) == after.content
