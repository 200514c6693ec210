"""The site: built strictly, whole, with nothing from elsewhere; the build finds what is wrong."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from manual.links import Links
from manual.site import INCLUDED, MADE, build, write_pages

ROOT = Path(__file__).parents[2]
_FETCHED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=\"?(?:https?:)?//", re.I)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("build")
    assert write_pages(ROOT, folder, INCLUDED, MADE) == []
    assert build(folder) == 0
    return folder / "site"


def test_site_has_every_page(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    wanted = [*map(str, pages), *INCLUDED.values(), *MADE]
    assert [uri for uri in wanted if not (site / uri).with_suffix(".html").exists()] == []


def test_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    found = {
        str(page.relative_to(site)): match[0]
        for page in site.rglob("*.html")
        if (match := _FETCHED.search(page.read_text(encoding="utf-8")))
    }
    assert found == {}
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.search(r"url\(\"?'?(https?:)?//", styles)
    assert "@import" not in styles
    diagrams = [path for path in site.rglob("*.html") if 'class="mermaid"' in path.read_text()]
    assert diagrams == [], "their script would be fetched"


def test_what_would_be_fetched_is_found() -> None:
    assert _FETCHED.search('<link rel="stylesheet" href="https://fonts.example/css">')
    assert _FETCHED.search("<script src=//cdn.example/x.js></script>")
    assert not _FETCHED.search('<a href="https://www.conventionalcommits.org">')


def _written(folder: Path, pages: dict[str, str]) -> list[str]:
    """Write a site of these pages of docs/ into `folder`/build; the mistakes."""
    for uri, text in pages.items():
        path = folder / "docs" / uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    nav = "nav:\n  - Home: index.md\n  - Decisions:\n      - decisions/\n"
    (folder / "mkdocs.yml").write_text("site_name: x\n" + nav)
    made: dict[str, Callable[[], str]] = {"decisions/index.md": lambda: "# Decisions\n"}
    return write_pages(folder, folder / "build", {}, made)


@pytest.mark.parametrize(
    ("link", "mistake"),
    [
        ("[x](nowhere.md)", "there is no docs/nowhere.md"),
        ("[x](../engine/nothing.py)", "there is no engine/nothing.py"),
        ("[x](/index.md)", "there is no /index.md"),
        ("![x](nothing.svg)", "there is no docs/nothing.svg"),
    ],
)
def test_link_to_nothing_is_a_mistake(tmp_path: Path, link: str, mistake: str) -> None:
    [found] = _written(tmp_path, {"index.md": f"# Home\n\n{link}\n"})
    assert found.endswith(mistake)


@pytest.mark.parametrize("link", ["index.md#nothing", "#nothing", "decisions/1.md#nothing"])
def test_build_fails_on_an_anchor_that_is_nowhere(
    tmp_path: Path, link: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pages = {"index.md": f"# Home\n\n[x]({link})\n", "decisions/1.md": "# 1. One\n"}
    assert _written(tmp_path, pages) == []
    assert build(tmp_path / "build") != 0
    assert "anchor does not exist" in capfd.readouterr().err


def test_page_without_a_place_in_the_navigation_is_a_mistake(tmp_path: Path) -> None:
    pages = {"index.md": "# Home\n", "forgotten.md": "# Forgotten\n"}
    assert _written(tmp_path, pages) == [
        "forgotten.md has no place in the navigation of mkdocs.yml"
    ]


def test_folder_in_the_navigation_is_its_pages_with_the_index_first(tmp_path: Path) -> None:
    _written(tmp_path, {"index.md": "# Home\n", "decisions/1.md": "", "decisions/2.md": ""})
    config = (tmp_path / "build" / "mkdocs.yml").read_text()
    pages = ["index", "1", "2"]
    assert config.endswith("".join(f"      - decisions/{page}.md\n" for page in pages))


def test_links_are_turned_for_the_site() -> None:
    links = Links(ROOT, {"lua/README.md": "reference/lua.md", "docs/http.md": "http.md"})
    text = "[keys](lua/README.md#keys), [`keys`](engine/keys.py), [h](docs/http.md)\n"
    turned = links.turned(text, "ARCHITECTURE.md", "explanation/architecture.md")
    assert turned == "[keys](../reference/lua.md#keys), `keys`, [h](../http.md)\n"
    code = "```md\n[x](lua/README.md)\n```\n"
    assert links.turned(code, "ARCHITECTURE.md", "architecture.md") == code
    assert links.turned("[x](https://a.example) [y](#z)", "a.md", "a.md").count("(") == 2
    assert not links.dead
