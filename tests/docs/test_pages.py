"""The pages agree with the code: commands, calls, codes, tables, names."""

import re
import shlex
from pathlib import Path

import asyncpg
import click
import pytest

from api.http.problems import KINDS
from api.routes import ROUTES
from cli.commands import main
from manual.cli_page import cli_page, commands
from manual.schema_page import read_tables, schema_page
from tests.support.commands import SHELL, commands_of, fences, mentions_of, parse

ROOT = Path(__file__).parents[2]
MIGRATIONS = ROOT / "persistence" / "migrations"
PAGES = sorted(
    path
    for folder in (".", "docs", "lua", "bench", "deploy")
    for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
)
_URL = re.compile(r"localhost:8000(/[^\s\"'?]*)")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_engine_command_of_a_page_is_one(path: Path) -> None:
    for command in commands_of(_text(path)):
        parse(command)
    for command in mentions_of(_text(path)):
        parse(command, complete=False)


@pytest.mark.parametrize("start", ["README.md", "docs/index.md"])
def test_start_page_links_to_every_page(start: str) -> None:
    """A decision and a runbook's page are found from the page of their kind."""
    told, folder = _text(ROOT / start), (ROOT / start).parent
    by_kind = ("decisions", "runbook", "reference")
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.parent.name not in by_kind]
    assert len(pages) > 20
    assert [
        page
        for page in pages
        if page.name != "index.md" and f"({page.relative_to(folder)})" not in told
    ] == []


def test_contributing_names_every_make_target_and_every_folder_of_tests() -> None:
    page = _text(ROOT / "CONTRIBUTING.md")
    [targets] = re.findall(r"^\.PHONY: (.*)$", _text(ROOT / "Makefile"), re.MULTILINE)
    named = set(re.findall(r"`(?:make )?([\w/-]+)`", page))
    assert {target for target in targets.split() if target not in named} == {"clean"}
    folders = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/*.py")}
    assert folders - named == set()


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("```sh\nengine lode x --event a\n```\n", "no such command: lode"),
        ("```sh\ncd x && engine load x --evnt a\n```\n", "evnt"),
        ("```sh\nT=$(engine token --role king --sub a)\n```\n", "king"),
        ("1. one\n\n    ```sh\n    engine load x\n    ```\n", "Missing parameter: event"),
        ("so:\n\n    engine up --port many\n", "many"),
        ("run `engine wri te` now", "no such command: wri"),
        ("```sh\ndocker compose exec app engine status --colour\n```\n", "colour"),
    ],
)
def test_a_command_that_is_none_is_found(page: str, says: str) -> None:
    [command] = [*commands_of(page), *mentions_of(page)]
    with pytest.raises(click.UsageError, match=says):
        parse(command)


def test_commands_are_found_where_they_stand() -> None:
    page = (
        "```sh\nA=1 engine up \\\n  --port 1   # all\nx=$(engine token --sub a) | engine lua\n```\n"
    )
    assert commands_of(page) == ["engine up --port 1", "engine token --sub a", "engine lua"]
    assert commands_of("```sh\nengine expire 2>log &\n```\n") == ["engine expire"]
    assert mentions_of("`engine write | expire --data D`") == [
        "engine write --data D",
        "engine expire --data D",
    ]
    assert mentions_of("so `engine reconcile --every` and\n`engine\nload`") == [
        "engine reconcile --every",
        "engine load",
    ]
    assert len(commands_of(_text(ROOT / "docs" / "tutorial" / "first-sale.md"))) > 8


def _calls(text: str) -> list[tuple[str, str]]:
    """Method and path of each curl call to the API in a page's blocks."""
    found = []
    for fence in fences(text):
        for line in re.sub(r"\\\n", " ", fence.text).splitlines():
            if fence.language in SHELL and (url := _URL.search(line)) and "curl" in line:
                method = re.search(r"-X (\w+)", line)
                found.append((method[1] if method else "GET", url[1]))
    return found


def _is_route(method: str, path: str) -> bool:
    named = re.sub(r"\$\{?\w+\}?", "x", path)
    return any(
        route.method == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route.path), named)
        for route in ROUTES
    )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_call_of_a_page_is_a_route(path: Path) -> None:
    assert [call for call in _calls(_text(path)) if not _is_route(*call)] == []


def test_a_call_that_is_no_route_is_found() -> None:
    assert _is_route("POST", "/api/v1/payment/$BOOKING/confirm")
    assert not _is_route("PUT", "/api/v1/booking")
    assert not _is_route("GET", "/api/v1/bookings/$ID")


def _codes(text: str) -> list[tuple[str, int]]:
    return [
        (code, int(status)) for code, status in re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.M)
    ]


def test_errors_page_has_every_code_once_with_its_status() -> None:
    found = _codes(_text(ROOT / "docs" / "reference" / "errors.md"))
    assert sorted(found) == sorted((code, kind.status) for code, kind in KINDS.items())


def test_http_page_names_codes_that_are() -> None:
    rows = re.findall(r"^\| \d{3}.*?\|", _text(ROOT / "docs" / "http.md"), re.MULTILINE)
    named = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    assert named <= KINDS.keys()


def test_cli_page_has_every_command_with_every_option() -> None:
    page = cli_page()
    context = click.Context(main, info_name="engine", **main.context_settings)
    for command, found in commands(main, context):
        section = page.partition(f"## {found.command_path}\n")[2].partition("\n## ")[0]
        for parameter in command.params:
            for name in parameter.opts if isinstance(parameter, click.Option) else ():
                assert name in section, f"{found.command_path} {name}"


async def test_schema_page_is_what_the_migrations_make(database_url: str) -> None:
    tables = read_tables(MIGRATIONS)
    connection = await asyncpg.connect(database_url)
    try:
        columns = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name <> 'migrations'"
        )
        indexes = await connection.fetch(
            "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public'"
            " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        )
    finally:
        await connection.close()
    assert {(table.name, column) for table in tables.values() for column in table.columns} == {
        tuple(row) for row in columns
    }
    assert {(table.name, index) for table in tables.values() for index in table.indexes} == {
        tuple(row) for row in indexes
    }


def test_schema_page_has_the_comments_of_the_migrations(tmp_path: Path) -> None:
    (tmp_path / "0001.sql").write_text(
        "-- What is sold.\nCREATE TABLE places (\n    place_id text PRIMARY KEY,  -- <event>:1\n"
        "    state text\n        CHECK (state IN ('a', 'b')),\n    UNIQUE (state)\n);\n"
        "CREATE UNIQUE INDEX one ON places (state) WHERE state = 'a';\n"
        "ALTER TABLE places\n    ADD COLUMN more bigint;\n"
    )
    page = schema_page(tmp_path)
    assert "What is sold." in page
    assert "| `place_id` | `text PRIMARY KEY` | &lt;event>:1 |" in page
    assert "| `more` | `bigint` |" in page
    assert "- `one: unique, on places (state) WHERE state = 'a'`" in page
    (tmp_path / "0002.sql").write_text(
        "DELETE FROM places;\n-- None of state c.\nALTER TABLE places\n"
        "    DROP CONSTRAINT places_state_check,\n"
        "    ADD CONSTRAINT known CHECK (state <> 'c'),\n    ALTER COLUMN more TYPE integer;\n"
        "-- All there are.\nCREATE VIEW shown AS\nSELECT place_id, more FROM places;\n"
    )
    page = schema_page(tmp_path)
    assert "What is sold. None of state c." in page
    assert "| `state` | `text` |" in page
    assert "| `more` | `integer` |" in page
    assert "- `CONSTRAINT known CHECK (state <> 'c')`" in page
    assert "All there are." in page.partition("## shown")[2]
    assert "| `place_id` |" in page.partition("## shown")[2]
    (tmp_path / "0003.sql").write_text("ALTER TABLE places DROP CONSTRAINT known;\n")
    assert "CONSTRAINT known" not in schema_page(tmp_path)
    (tmp_path / "0004.sql").write_text("DROP SCHEMA public;\n")
    with pytest.raises(ValueError, match="DROP SCHEMA"):
        schema_page(tmp_path)


TALKING = [path for path in PAGES if path.parent.name in ("how-to", "tutorial", "explanation")]
_METRIC = re.compile(r"`((?:http|engine|writer|reconcile|webhook|restore)_\w+)")
_SETTING = re.compile(r"`((?!OTEL_)[A-Z]{2,}(?:_[A-Z]+)+)[`=]")


def _unknown_names(text: str) -> list[str]:
    """Metrics and settings a text talks of that their pages do not have."""
    metrics_page = _text(ROOT / "docs" / "metrics.md")
    settings_page = _text(ROOT / "docs" / "settings.md")
    compose = _text(ROOT / "docker-compose.yml")  # which has variables of its own
    names = [name.removesuffix("_FILE") for name in _SETTING.findall(text)]
    return [
        *(name for name in _METRIC.findall(text) if f"`{name}`" not in metrics_page),
        *(name for name in names if f"`{name}`" not in settings_page and name not in compose),
    ]


@pytest.mark.parametrize("path", TALKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_metrics_and_settings_a_page_talks_of_are_there(path: Path) -> None:
    assert _unknown_names(_text(path)) == []


def test_a_metric_and_a_setting_that_are_none_are_found() -> None:
    text = "`writer_lag_seconds{event}` `writer_leg_seconds` `JWT_SECRET_FILE` `JWT_SECRETS=x`"
    assert _unknown_names(text) == ["writer_leg_seconds", "JWT_SECRETS"]


def test_shell_blocks_are_shell() -> None:
    """A quote that is not closed would hide a command from the tests above."""
    for path in PAGES:
        for fence in fences(_text(path)):
            if fence.language in SHELL and "<<" not in fence.text:
                shlex.split(fence.text, comments=True)
