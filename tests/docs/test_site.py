"""The site: built strictly, whole, with nothing from elsewhere; the build finds what is wrong."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from manual.hooks import INCLUDED, MADE
from manual.links import Links

ROOT = Path(__file__).parents[2]
_FETCHED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?\b(?:src|href)=\"?(?:https?:)?//", re.I)


def _build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config)]
    return subprocess.run(
        [*command, "-d", str(site)], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    built = _build(ROOT / "mkdocs.yml", folder)
    assert built.returncode == 0, built.stderr
    return folder


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


_MISTAKES = {
    "[x](nowhere.md)": "there is no docs/nowhere.md",
    "[x](index.md#nothing)": "no such anchor",
    "[x](../engine/nothing.py)": "there is no engine/nothing.py",
    "[x](/index.md)": "absolute link",
}


def test_build_with_mistakes_fails_and_names_each(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Home\n\n" + "\n\n".join(_MISTAKES) + "\n")
    (docs / "forgotten.md").write_text("# Forgotten\n")
    (tmp_path / "hooks.py").write_text(
        "from manual import hooks\nfrom manual.hooks import *\nhooks.INCLUDED = hooks.MADE = {}\n"
    )
    config = {"INHERIT": str(ROOT / "mkdocs.yml"), "docs_dir": str(docs), "plugins": []}
    config |= {"nav": ["index.md"], "hooks": [str(tmp_path / "hooks.py")], "theme": "mkdocs"}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(config))
    built = _build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert built.returncode != 0
    assert [
        says for says in (*_MISTAKES.values(), "forgotten.md") if says not in built.stderr
    ] == []


def test_links_are_turned_for_the_site() -> None:
    links = Links(ROOT, {"lua/README.md": "reference/lua.md", "docs/http.md": "http.md"})
    text = "[keys](lua/README.md#keys), [`keys`](engine/keys.py), [h](docs/http.md)\n"
    turned = links.turned(text, "ARCHITECTURE.md", "explanation/architecture.md")
    assert turned == "[keys](../reference/lua.md#keys), `keys`, [h](../http.md)\n"
    code = "```md\n[x](lua/README.md)\n```\n"
    assert links.turned(code, "ARCHITECTURE.md", "architecture.md") == code
    assert links.turned("[x](https://a.example) [y](#z)", "a.md", "a.md").count("(") == 2
    assert not links.dead
