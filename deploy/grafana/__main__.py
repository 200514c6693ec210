"""`make dashboards`: writes dashboards/*.json, which Grafana reads, from the boards here.

The JSON is committed, so that a checkout runs without the builder; a test compares both.
"""

from pathlib import Path

from deploy.grafana.inside import ENGINE, PERSISTENCE
from deploy.grafana.on_sale import ON_SALE
from deploy.grafana.panels import render
from deploy.grafana.stores import POSTGRES, REDIS

BOARDS = (ON_SALE, ENGINE, PERSISTENCE, REDIS, POSTGRES)
FOLDER = Path(__file__).parent / "dashboards"

if __name__ == "__main__":
    for board in BOARDS:
        (FOLDER / f"{board.uid}.json").write_text(render(board), encoding="utf-8")
