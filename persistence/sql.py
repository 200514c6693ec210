"""SQL by name: one `.sql` file a noun, `-- name: …` above each query; no SQL in Python."""

import re
from pathlib import Path


def named_queries(file: str) -> dict[str, str]:
    """The queries of a file of this package, by their names."""
    text = (Path(__file__).parent / file).read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
