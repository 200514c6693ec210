"""The runbook: a page for every alert and an alert for every page, and all that a page says is so.

That its `engine` commands exist and its calls are routes is checked with all other pages.
"""

import re
from pathlib import Path

import asyncpg
import pytest

from tests.deploy.conftest import Promtool
from tests.deploy.known import ROOT, alerts, known
from tests.deploy.promql import faults
from tests.support.commands import commands_of, fences

PAGES = sorted((ROOT / "docs" / "runbook").glob("*.md"))
OF_ALERTS = [path for path in PAGES if path.stem != "index"]
SECTIONS = ["What customers notice", "Diagnose", "Resolve", "Resolved when", "Causes"]
_SAYS_WHERE = re.compile(r"\{\{ \$externalLabels\.runbooks \}\}/([a-z-]+\.md)")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _slug(alert: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert).lower()


def _blocks(path: Path, language: str) -> list[str]:
    return [fence.text for fence in fences(_text(path)) if fence.language == language]


def _queries(path: Path) -> list[str]:
    return [line for block in _blocks(path, "promql") for line in block.splitlines()]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    wanted = {f"{_slug(rule['alert'])}.md" for rule in alerts()}
    assert {path.name for path in OF_ALERTS} == wanted
    for rule in alerts():
        found = _SAYS_WHERE.fullmatch(rule["annotations"]["runbook_url"])
        assert found, rule["annotations"]["runbook_url"]
        assert found[1] == f"{_slug(rule['alert'])}.md"


@pytest.mark.parametrize("name", ["prometheus.yml", "one-machine.yml"])
def test_configuration_says_where_the_pages_are(name: str) -> None:
    where = re.search(r"^    runbooks: (\S+)$", _text(ROOT / "deploy" / "prometheus" / name), re.M)
    assert where
    assert (ROOT / where[1] / "index.md").exists()


@pytest.mark.parametrize("path", OF_ALERTS, ids=lambda path: path.stem)
def test_page_is_named_for_its_alert_and_has_every_section(path: Path) -> None:
    text = _text(path)
    title, *_ = text.splitlines()
    assert _slug(title.removeprefix("# ")) == path.stem
    assert re.findall(r"^## (.+)$", text, re.M) == SECTIONS
    meaning = text.partition("\n\n")[2].partition("\n## ")[0]
    assert len(meaning.split()) > 10
    assert _queries(path), "a page shows what to look at"
    assert commands_of(text) or "curl" in text or "docker compose" in text


def test_index_leads_to_every_page() -> None:
    linked = re.findall(
        r"^\| \[(\w+)\]\(([a-z-]+\.md)\)", _text(PAGES[0].parent / "index.md"), re.M
    )
    assert {(title, f"{_slug(title)}.md") for title, _ in linked} == set(linked)
    assert {page for _, page in linked} == {path.name for path in OF_ALERTS}


@pytest.mark.parametrize("path", OF_ALERTS, ids=lambda path: path.stem)
def test_query_of_a_page_asks_for_what_exists(path: Path) -> None:
    assert [(query, wrong) for query in _queries(path) if (wrong := faults(query, known()))] == []


def test_query_in_a_sentence_names_metrics_that_exist() -> None:
    ours = re.compile(r"`((?:engine|writer|reconcile|webhook|http|redis|pg)_[a-z_]+)`")
    found = {name for path in PAGES for name in ours.findall(_text(path))}
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known().labels}
    assert found - names - known().labels.keys() == set()
    assert len(found) > 5


async def test_sql_of_the_pages_runs(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        statements = [block for path in OF_ALERTS for block in _blocks(path, "sql")]
        assert len(statements) > 2
        for statement in statements:
            await connection.execute(f"EXPLAIN {statement}")
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.execute("EXPLAIN SELECT * FROM orders")
    finally:
        await connection.close()


@pytest.mark.prometheus
def test_promtool_parses_every_query_of_the_pages(promtool: Promtool, tmp_path: Path) -> None:
    queries = [query for path in OF_ALERTS for query in _queries(path)]
    rules = "".join(
        f"  - record: page:query:{at}\n    expr: {query!r}\n" for at, query in enumerate(queries)
    )
    (tmp_path / "pages.yml").write_text(f"groups:\n- name: pages\n  rules:\n{rules}")
    told = promtool("check", "rules", tmp_path / "pages.yml")
    assert told.returncode == 0, told.stdout
    assert f"SUCCESS: {len(queries)} rules found" in told.stdout
