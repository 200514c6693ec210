"""Draws docs/architecture/*.dot as SVG with Graphviz, in colours that suit a light and a dark page.

    python -m manual.pictures        needs `dot` (Debian: graphviz)

Each SVG carries the digest of its source, so that a test finds a picture that was not drawn again.
"""

import hashlib
import re
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "architecture"
_STYLE = """<style>
:root { --ink: #24292f; --quiet: #8c959f; --accent: #0969da; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --quiet: #7d8590; --accent: #58a6ff; } }
text { fill: var(--ink); }
.node path, .node polygon, .edge path { stroke: var(--ink); fill: none; }
.edge polygon { stroke: var(--ink); fill: var(--ink); }
.cluster path, .cluster polygon { stroke: var(--quiet); fill: none; }
.cluster text { fill: var(--quiet); }
.accent path { stroke: var(--accent); stroke-width: 2; }
.accent text { fill: var(--accent); }
</style>
"""  # noqa: E501


def digest(source: Path) -> str:
    """What a picture says of its source: SHA-256 of the text and of the style."""
    return hashlib.sha256(source.read_bytes() + _STYLE.encode()).hexdigest()


def draw(source: Path) -> str:
    """The SVG of a Graphviz file. Raises CalledProcessError for a source that dot rejects."""
    command = ["dot", "-Tsvg", str(source)]
    svg = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<\?xml.*?\?>\n?|<!DOCTYPE.*?>\n?", "", svg, flags=re.DOTALL)
    opening = svg.index(">", svg.index("<svg")) + 1
    mark = f"\n<!-- Drawn from {source.name} {digest(source)} -->\n"
    return svg[:opening] + mark + _STYLE + svg[opening:].lstrip()


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.dot")):
        path.with_suffix(".svg").write_text(draw(path), encoding="utf-8")
