"""Loads SQL by name: each `.sql` file has `-- name: …` above every query."""

import re
from pathlib import Path


def named_queries(file: str) -> dict[str, str]:
    """The queries of a file of this package, by name."""
    text = (Path(__file__).parent / file).read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
