"""The list of decisions, made from their titles: a new one needs no line elsewhere."""

from pathlib import Path


def decisions_page(folder: Path) -> str:
    """The page, as Markdown."""
    lines = [
        "# Decisions",
        "",
        "Where the code left the plan, or chose between two ways, and why. One page each: context, "
        "decision, consequences; how to add one is told in [Contributing](../../CONTRIBUTING.md).",
        "",
    ]
    for path in sorted(folder.glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        lines.append(f"- [{title.replace('. ', ' · ', 1)}]({path.name})")
    return "\n".join(lines) + "\n"
