"""Links that are written for the repository, turned into links of the site.

A page says `[keys](../lua/README.md)`, which works wherever the repository is read. On the site the
same page stands elsewhere, and source files do not stand at all: what is a page is linked to where
it is, what is only a file is left as text, what is neither is a mistake.
"""

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

_FENCE = re.compile(r"^( *)(`{3,})[^\n]*\n.*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[((?:`[^`\n]*`|[^\[\]`])*)\]\(([^()\s]+)\)")
_ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:|#", re.IGNORECASE)


class Links:
    """Turns the links of one page after the other. `pages`: path in the repository -> on the site.

    `dead` gathers the links to what is no page and no file; they are left as they are.
    """

    def __init__(self, root: Path, pages: Mapping[str, str]) -> None:
        self._root = root
        self._pages = pages
        self.dead: list[str] = []

    def turned(self, markdown: str, source: str, uri: str) -> str:
        """The text of the page at `source` in the repository for its place on the site."""
        parts, end = [], 0
        for fence in _FENCE.finditer(markdown):
            parts.append(self._prose(markdown[end : fence.start()], source, uri))
            parts.append(fence[0])
            end = fence.end()
        parts.append(self._prose(markdown[end:], source, uri))
        return "".join(parts)

    def _prose(self, text: str, source: str, uri: str) -> str:
        def turn(match: re.Match[str]) -> str:
            target = self._target(match[2], source, uri)
            return match[1] if target is None else f"[{match[1]}]({target})"

        return _LINK.sub(turn, text)

    def _target(self, link: str, source: str, uri: str) -> str | None:
        """Where it leads on the site; None where that is no page."""
        if _ELSEWHERE.match(link):
            return link
        path, _, anchor = link.partition("#")
        folder = posixpath.dirname(source)
        wanted = posixpath.normpath(posixpath.join(folder, path))
        found = self._pages.get(wanted) or self._pages.get(f"{wanted}/index.md")
        if found:
            relative = posixpath.relpath(found, posixpath.dirname(uri) or ".")
            return f"{relative}#{anchor}" if anchor else relative
        if (self._root / wanted).exists():
            return None
        self.dead.append(f"{source} links to {link}: there is no {wanted}")
        return link
