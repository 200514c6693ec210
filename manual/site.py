"""Builds the site: writes every page and its configuration into build/, then runs Zensical there.

Zensical calls no hooks, so the pages are complete before it starts. Pages at the root of the
repository are read from there, reference pages are made from the code: there is no second copy of
either. `make docs` runs it.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from manual.api_page import api_page
from manual.cli_page import cli_page
from manual.decisions_page import decisions_page
from manual.links import Links
from manual.schema_page import schema_page

ROOT = Path(__file__).parent.parent

INCLUDED = {
    "ARCHITECTURE.md": "explanation/architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "bench/README.md": "bench.md",
    "lua/README.md": "reference/lua.md",
}
"""Pages outside docs/, and their place on the site."""

MADE: dict[str, Callable[[], str]] = {
    "reference/api.md": api_page,
    "reference/cli.md": cli_page,
    "reference/schema.md": lambda: schema_page(ROOT / "persistence" / "migrations"),
    "decisions/index.md": lambda: decisions_page(ROOT / "docs" / "decisions"),
}

_FOLDER = re.compile(r"^( *- )(\S+/)$", re.MULTILINE)
"""A folder in the navigation of mkdocs.yml."""


def main() -> None:
    """Build the site into build/site/. Exits with 1 and a line for each mistake if there is any."""
    folder = ROOT / "build"
    shutil.rmtree(folder, ignore_errors=True)
    mistakes = write_pages(ROOT, folder, INCLUDED, MADE)
    sys.stderr.writelines(f"{mistake}\n" for mistake in mistakes)
    sys.exit(build(folder) or bool(mistakes))


def build(folder: Path) -> int:
    """Build `folder`/site from the pages in `folder`; the exit code, not 0 if a link is dead."""
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    command += ["--config-file", str(folder / "mkdocs.yml")]
    return subprocess.run(command, check=False).returncode  # noqa: S603


def write_pages(
    root: Path, folder: Path, included: dict[str, str], made: dict[str, Callable[[], str]]
) -> list[str]:
    """Write `folder`/docs and `folder`/mkdocs.yml from the repository at `root`.

    Returns the mistakes: links to nothing, and pages that the navigation does not have.
    """
    docs = root / "docs"
    shutil.copytree(docs, folder / "docs")
    sources = {path.relative_to(docs).as_posix(): path for path in docs.rglob("*.*")}
    pages = {f"docs/{uri}": uri for uri in [*sources, *made]}
    pages |= {**included, "README.md": "index.md", "docs": "index.md"}
    texts = {uri: path.read_text("utf-8") for uri, path in sources.items() if path.suffix == ".md"}
    texts |= {uri: make() for uri, make in made.items()}
    texts |= {uri: (root / path).read_text("utf-8") for path, uri in included.items()}
    outside = {uri: path for path, uri in included.items()}
    links = Links(root, pages)
    for uri, text in texts.items():
        page = folder / "docs" / uri
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(links.turned(text, outside.get(uri, f"docs/{uri}"), uri), "utf-8")
    config = _unfolded((root / "mkdocs.yml").read_text("utf-8"), texts)
    (folder / "mkdocs.yml").write_text(config, "utf-8")
    return links.dead + [
        f"{uri} has no place in the navigation of mkdocs.yml"
        for uri in sorted(texts)
        if not _names(config, uri)
    ]


def _unfolded(config: str, pages: Iterable[str]) -> str:
    """The configuration, with the pages of a folder that it does not name in place of the folder.

    The index comes first, the other pages in alphabetical order.
    """

    def listed(match: re.Match[str]) -> str:
        start, folder = match.groups()
        found = [uri for uri in pages if uri.startswith(folder) and not _names(config, uri)]
        return "\n".join(start + uri for uri in sorted(found, key=_index_first))

    return _FOLDER.sub(listed, config)


def _index_first(uri: str) -> tuple[bool, str]:
    return not uri.endswith("index.md"), uri


def _names(config: str, uri: str) -> bool:
    return re.search(rf"[ \[]{re.escape(uri)}[,\]]?$", config, re.MULTILINE) is not None


if __name__ == "__main__":
    main()
