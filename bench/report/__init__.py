"""From measured sections to results, charts and docs/performance.md."""
