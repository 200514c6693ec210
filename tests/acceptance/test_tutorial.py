"""The tutorial and the README's five minutes, run unchanged in a fresh folder.

What makes the virtual environment is replaced by the one the tests run in, and the port by a free
one (see `tests.support.walkthrough`); everything else is the page's own text in a real shell.
"""

import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from bench.rig.stand import free_port
from tests.support.walkthrough import INSTALLING, ROOT, Broken, Walkthrough, agrees, steps_of

TUTORIAL = (ROOT / "docs" / "tutorial" / "first-sale.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.timeout(300)  # a page has two wars and waits for an expiry

FIVE_MINUTES = README.partition("\n## Five minutes\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("page", [TUTORIAL, FIVE_MINUTES], ids=["tutorial", "readme"])
async def test_every_command_of_the_page_does_what_it_shows(tmp_path: Path, page: str) -> None:
    steps = steps_of(page)
    assert any("engine war" in step.text for step in steps)
    # The tutorial shows its refusals; the README shows no answers, so there may be none.
    reader = Walkthrough(tmp_path, free_port(), refusals_fail=page is FIVE_MINUTES)
    await reader.walk(steps)


@pytest.mark.parametrize("page", [TUTORIAL, FIVE_MINUTES], ids=["tutorial", "readme"])
def test_page_installs_what_there_is(page: str) -> None:
    assert all(line in page for line in INSTALLING[:2])
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"embedded", "war"} <= extras["optional-dependencies"].keys()


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("```sh\ntrue\nengine lua show nothing\n```\n", "there is no script 'nothing'"),
        ("```sh\nfalse | true\n```\n", "line 1"),
        (
            "```sh\nengine lua show hold_seats | head -n 1\n```\n```text\n-- hold_seats\n```\n",
            "sha1",
        ),
        ("prose\n\n```sh\nengine lua show hold_seat\n```\n", "line 3"),
    ],
)
async def test_page_with_a_broken_command_is_found(tmp_path: Path, page: str, says: str) -> None:
    with pytest.raises(Broken, match=says):
        await Walkthrough(tmp_path, free_port()).walk(steps_of(page))


async def test_a_call_that_is_refused_is_found_where_no_answer_is_shown(tmp_path: Path) -> None:
    steps = steps_of("```sh\ncurl -sS localhost:8000/healthz\n```\n")
    (tmp_path / "loose").mkdir()
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as refuses_all:
        threading.Thread(target=refuses_all.serve_forever, daemon=True).start()
        port = refuses_all.server_port
        with pytest.raises(Broken, match="line 1"):
            await Walkthrough(tmp_path, port, refusals_fail=True).walk(steps)
        await Walkthrough(tmp_path / "loose", port).walk(steps)
        refuses_all.shutdown()


def test_outputs_agree_by_their_form() -> None:
    assert agrees('{"id": "gala:01M824ZKNYB1FKMQ2TZJXVNS5Q"}', '{"id": "gala:' + "0" * 26 + '"}')
    assert agrees("2026-11-22T17:31:08.864Z", "2030-01-01T00:00:00.000Z")
    assert agrees("a … c\n…\nz", "a  b c\nd\ne\nz")
    assert agrees("…\nz", "z\nz")
    assert not agrees("a\n…\nz", "b\nz")
    assert not agrees("sold 2", "sold 3")
