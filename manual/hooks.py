"""What MkDocs calls while it builds the site (`hooks` in mkdocs.yml).

Pages that stand at the root of the repository are read from there, pages that tell what the code
has are made from the code, so there is no second copy of either. Hooks of our own rather than
gen-files, literate-nav and macros: three plugins less to keep up with, for a page of code.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:  # MkDocs may be called as a command of its own
    sys.path.insert(0, str(ROOT))

from manual.api_page import api_page  # noqa: E402
from manual.cli_page import cli_page  # noqa: E402
from manual.decisions_page import decisions_page  # noqa: E402
from manual.links import Links  # noqa: E402
from manual.schema_page import schema_page  # noqa: E402

INCLUDED = {
    "ARCHITECTURE.md": "explanation/architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "bench/README.md": "bench.md",
    "lua/README.md": "reference/lua.md",
}
"""Pages outside docs/, and where they stand on the site."""

MADE: dict[str, Callable[[], str]] = {
    "reference/api.md": api_page,
    "reference/cli.md": cli_page,
    "reference/schema.md": lambda: schema_page(ROOT / "persistence" / "migrations"),
    "decisions/index.md": lambda: decisions_page(ROOT / "docs" / "decisions"),
}

_log = logging.getLogger("mkdocs.hooks.manual")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """A folder in the navigation becomes its pages that are not named otherwise."""
    named = set(_named(config.nav))
    sections = _unfolded(config.nav, Path(config.docs_dir), named)
    config.nav = [section for section in sections if section not in _empty(sections)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and those that stand elsewhere."""
    for uri, make in MADE.items():
        files.append(File.generated(config, uri, content=make()))
    for path, uri in INCLUDED.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Turn the links of the repository into links of the site."""
    uri = page.file.src_uri
    pages = {f"docs/{file.src_uri}": file.src_uri for file in files}
    pages |= {**INCLUDED, "README.md": "index.md", "docs": "index.md"}
    source = next((path for path, to in INCLUDED.items() if to == uri), f"docs/{uri}")
    links = Links(ROOT, pages)
    text = links.turned(markdown, source, uri)
    for dead in links.dead:
        _log.warning(dead)  # an error, as the build is strict
    return text


def _empty(sections: list[Any]) -> list[Any]:
    """Sections of a folder that has no pages yet."""
    return [one for one in sections if isinstance(one, dict) and [] in one.values()]


def _named(nav: Any) -> Iterator[str]:
    """Every page that the navigation names."""
    if isinstance(nav, str):
        yield nav
    for item in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else ():
        yield from _named(item)


def _unfolded(nav: Any, docs: Path, named: set[str]) -> Any:
    if isinstance(nav, dict):
        return {name: _unfolded(item, docs, named) for name, item in nav.items()}
    if not isinstance(nav, list):
        return nav
    found: list[Any] = []
    for item in nav:
        if isinstance(item, str) and item.endswith("/"):
            paths = sorted(path.relative_to(docs).as_posix() for path in docs.glob(f"{item}*.md"))
            found += sorted(
                set(paths) - named, key=lambda path: (not path.endswith("index.md"), path)
            )
        else:
            found.append(_unfolded(item, docs, named))
    return found
