"""The `engine` command against real servers: what it prints, and its exit codes."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click.testing
import msgspec
import pytest
import redis as sync_redis

from cli.commands import main
from engine import Settings
from tests.support.factories import GALA

SEATS = "section,row,number,category,price_minor\nStalls,1,1,A,5000\nStalls,1,2,A,5000\n"
PLACED = "section,row,number,category,price_minor,x,y\n" + "".join(
    f"Stalls,{row},1,A,5000,0,{row}0\n" for row in (1, 5, 9)
) + "Stalls,9,2,A,5000,10,90\n"  # fmt: skip


class Terminal:
    """Runs commands as a person would, with REDIS_URL and DATABASE_URL set."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.env = {
            "REDIS_URL": settings.redis_url,
            "DATABASE_URL": settings.database_url,
            "JWT_SECRET": settings.jwt_secret,
        }
        self.folder = folder

    def __call__(self, *arguments: str, exit_code: int = 0) -> str:
        """Run `engine …`, check how it ends, and return what it printed."""
        runner = click.testing.CliRunner()
        data = [] if arguments[0] in ("lua", "--help") else ["--data", str(self.folder / "none")]
        result = runner.invoke(main, [*arguments, *data], env=self.env)
        assert result.exit_code == exit_code, result.output
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result.output if exit_code == 2 else result.stdout

    def process(
        self, *arguments: str, stdout: int | IO[bytes] = subprocess.PIPE, **over: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `engine …` in a process of its own."""
        command = [sys.executable, "-m", "engine", *arguments, "--data", str(self.folder / "none")]
        return subprocess.run(
            command, env=os.environ | self.env | over, stdout=stdout, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip

    def file(self, name: str, text: str) -> str:
        """A file to load."""
        path = self.folder / name
        path.write_text(text)
        return str(path)


@pytest.fixture
def engine_command(settings: Settings, database_url: str, tmp_path: Path) -> Terminal:
    return Terminal(msgspec.structs.replace(settings, database_url=database_url), tmp_path)


@pytest.fixture
def raw(settings: Settings) -> Iterator[sync_redis.Redis]:
    with sync_redis.Redis.from_url(settings.redis_url) as client:
        yield client


def test_load_and_status_show_the_event(engine_command: Terminal) -> None:
    path = engine_command.file("seats.csv", SEATS)
    options = ("--hold-ttl", "12.5", "--max-seats", "4", "--customer-max", "6")
    said = engine_command("load", path, "--event", GALA, "--name", "The Gala", *options)
    assert "The Gala is loaded as gala: 2 places" in said
    shown = msgspec.json.decode(engine_command("status", GALA, "--json"))
    event = shown["events"][0]["event"]
    assert (event["hold_ttl_ms"], event["seats_max"], event["customer_max"]) == (12_500, 4, 6)
    assert event["counts"] == {"available": 2, "held": 0, "sold": 0, "blocked": 0}
    assert shown["parts"] == dict.fromkeys(("expirer", "writer", "deliverer", "reconciler"), False)
    table = engine_command("status", GALA)
    assert "available" in table
    assert "gala: 0.0 holds/s" in table
    assert "\x1b" not in table
    assert "gala" in engine_command("status")
    assert "choose one" in engine_command("status", "--once", "--watch", "1", exit_code=2)


def test_load_of_a_pretix_plan_reports_what_it_ignores(engine_command: Terminal) -> None:
    name = "Parkett, Reihe 1-5"
    seat = {"seat_guid": "1", "seat_number": "1", "position": {"x": 0, "y": 0}, "category": name}
    row = {"row_number": "1", "seats": [seat], "fill": "[/]"}
    plan = {"name": "Stage", "categories": [{"name": name}], "zones": [{"rows": [row]}]}
    path = engine_command.file("stage.json", msgspec.json.encode(plan).decode())
    options = ("--prices", f'{{"{name}": 45.00}}', "--price-unit", "major")
    said = engine_command("load", path, "--event", GALA, *options)
    assert "note: ignored: zones[].rows[].fill (1)" in said
    told = engine_command("load", path, "--event", GALA, *options, "--replace", "--json")
    assert msgspec.json.decode(told)["notes"] == ["ignored: zones[].rows[].fill (1)"]


def test_load_of_a_spreadsheet_in_an_old_encoding(engine_command: Terminal) -> None:
    text = "sep=;\nsection;row;number;category;price;\nBalkón;1;1;A;45,00;\n"
    path = engine_command.file("sitze.csv", "")
    Path(path).write_bytes(text.encode("cp1252"))
    load = ("load", path, "--event", GALA, "--price-unit", "major")
    assert "--encoding cp1252" in engine_command(*load, exit_code=2)
    said = engine_command(*load, "--encoding", "cp1252", "--delimiter", ";", "--json")
    assert msgspec.json.decode(said)["capacity"] == 1


def test_load_with_sales_paused_does_not_sell(engine_command: Terminal) -> None:
    path = engine_command.file("seats.csv", SEATS)
    said = engine_command("load", path, "--event", GALA, "--sales", "paused", "--json")
    assert msgspec.json.decode(said)["sales"] == "paused"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_load_shows_any_name_in_any_encoding(engine_command: Terminal, encoding: str) -> None:
    path = engine_command.file("seats.csv", SEATS)
    name = "AC[/]DC Ελλάς"
    options = ("--event", GALA, "--name", name)
    done = engine_command.process("load", path, *options, PYTHONIOENCODING=encoding)
    shown = name if encoding == "utf-8" else "AC[/]DC ?????"
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding).startswith(f"{shown} is loaded as gala: 2 places")
    told = engine_command.process("status", GALA, "--json", PYTHONIOENCODING=encoding)
    assert msgspec.json.decode(told.stdout)["events"][0]["event"]["name"] == name


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_report_that_cannot_be_written_does_not_change_the_exit_code(
    engine_command: Terminal, options: tuple[str, ...]
) -> None:
    path = engine_command.file("seats.csv", SEATS)
    with open("/dev/full", "wb") as full:
        done = engine_command.process("load", path, "--event", GALA, *options, stdout=full)
    assert done.returncode == 0
    assert b"report_failed" in done.stderr
    assert "gala" in engine_command("status")


def test_wrong_ports_times_and_urls_are_refused_with_the_reason(engine_command: Terminal) -> None:
    path = engine_command.file("seats.csv", SEATS)
    assert "99999 is not in the range" in engine_command("serve", "--port", "99999", exit_code=2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = engine_command("serve", "--port", port, exit_code=2)
    assert "Address already in use; choose another --port" in said
    said = engine_command("serve", "--host", "192.0.2.1", exit_code=2)
    assert "choose another --host" in said
    said = engine_command("load", path, "--event", GALA, "--hold-ttl", "nan", exit_code=2)
    assert "not a number of seconds" in said
    assert "not a number" in engine_command("reconcile", "--lag", "inf", exit_code=2)
    for command in ("war", "status"):
        for url in ("foo", "http://", "redis://localhost"):
            assert "is not a URL such as" in engine_command(command, "--url", url, exit_code=2)


def test_load_with_a_start_and_a_time_zone_shows_them(engine_command: Terminal) -> None:
    path = engine_command.file("seats.csv", SEATS)
    options = ("--starts-at", "2030-06-01T19:30:00+02:00", "--time-zone", "Europe/Berlin")
    event = msgspec.json.decode(engine_command("load", path, "--event", GALA, *options, "--json"))
    assert (event["starts_at_ms"], event["time_zone"]) == (1_906_565_400_000, "Europe/Berlin")


def test_load_of_a_plan_that_its_options_contradict_loads_nothing(
    engine_command: Terminal, raw: sync_redis.Redis
) -> None:
    area = {"id": "pit", "name": "Pit", "category": "a", "capacity": 3}
    category = {"id": "a", "name": "A", "priceMinor": 100}
    plan = {"name": "G", "categories": [category], "areas": [area]}
    plan |= {"opensAt": "2030-06-02T00:00:00Z"}
    path = engine_command.file("gala.json", msgspec.json.encode(plan).decode())
    options = ("--event", GALA, "--starts-at", "2030-06-01T00:00:00Z")
    assert "opens after the event starts" in engine_command("load", path, *options, exit_code=2)
    assert raw.keys("*") == []


def test_load_twice_is_refused_and_replace_loads_again(engine_command: Terminal) -> None:
    path = engine_command.file("seats.csv", SEATS)
    engine_command("load", path, "--event", GALA)
    said = engine_command("load", path, "--event", GALA, exit_code=2)
    assert "gala is loaded already: choose another --event, or load it again with --repl" in said
    engine_command("load", "venue:hall", "--event", GALA, "--replace")
    assert "2,063" in engine_command("status", GALA)


def test_load_shows_the_best_rows(engine_command: Terminal) -> None:
    path = engine_command.file("seats.csv", PLACED)
    said = engine_command("load", path, "--event", GALA, "--focus", "0,95")
    heading, columns, first, second, third = said.splitlines()[1:]
    assert heading.strip() == "Best rows first, by their distance to 0,95: 0 is the best quality"
    assert columns.split() == ["section", "row", "category", "seats", "best", "worst"]
    assert [line.split()[1] for line in (first, second, third)] == ["9", "5", "1"]
    ranks = engine_command.file(
        "ranks.csv", "section,row,rank\nStalls,5,0\nStalls,1,1\nStalls,9,2\n"
    )
    load = ("load", path, "--event", GALA, "--replace", "--ranks", ranks)
    assert "Best rows first, by rank" in engine_command(*load)
    told = msgspec.json.decode(engine_command(*load, "--json"))
    assert [row["row"] for row in told["best_rows"]] == ["5", "1", "9"]
    assert told["best_rows"][0]["best"] == 0


def test_rank_shows_and_draws_the_house(engine_command: Terminal, tmp_path: Path) -> None:
    name = "<b>Pit & [/]"
    text = PLACED.replace("Stalls", name)
    engine_command("load", engine_command.file("seats.csv", text), "--event", GALA)
    shown = engine_command("rank", GALA).splitlines()
    assert [line.split()[-5:] for line in shown[2:3]] == [["1", "A", "1", "0", "0"]]
    assert [line.startswith(name) for line in shown[2:]] == [True, True, True]
    told = msgspec.json.decode(engine_command("rank", GALA, "--json"))
    assert told["quality"]["by"] == "focus"
    assert [row["row"] for row in told["rows"]] == ["1", "5", "9"]
    drawing = tmp_path / "gala.svg"
    assert f"gala is drawn in {drawing}" in engine_command("rank", GALA, "--svg", str(drawing))
    svg = drawing.read_text(encoding="utf-8")
    assert svg.count("<circle") == 4 + 1  # and one in the legend
    assert "&lt;b&gt;Pit &amp; [/], row 1, A: 0" in svg
    missing = str(tmp_path / "none" / "gala.svg")
    said = engine_command("rank", GALA, "--svg", missing, exit_code=2)
    assert f"--svg: cannot write {missing}: No such file" in said


def test_rank_draws_seats_that_are_blocked_now(
    engine_command: Terminal, raw: sync_redis.Redis, tmp_path: Path
) -> None:
    engine_command("load", engine_command.file("seats.csv", PLACED), "--event", GALA)
    raw.setrange("{gala}:map", 0, "b")
    engine_command("rank", GALA, "--svg", str(tmp_path / "gala.svg"))
    assert (tmp_path / "gala.svg").read_text().count('class="blocked"') == 2  # and the legend


def test_rank_of_an_event_without_seats_is_refused(engine_command: Terminal) -> None:
    event = '{"name": "Club", "categories": [{"id": "A", "name": "A", "priceMinor": 1}], '
    event += '"areas": [{"id": "floor", "name": "Floor", "category": "A", "capacity": 9}]}'
    said = engine_command("load", engine_command.file("club.json", event), "--event", "club")
    assert "Best rows" not in said
    assert "club has no seats" in engine_command("rank", "club", exit_code=2)


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (SEATS + "Stalls,1\n", [], "line 4"),
        (SEATS + "Stalls,1,2,A,5000\n", [], "line 4"),
        (SEATS, ["--event", "a:b"], "--event: not an event id"),
        (SEATS, ["--event", "{a}"], "--event: not an event id"),
        (SEATS, ["--hold-ttl", "0.1"], "hold_ttl_ms"),
        (SEATS, ["--max-seats", "51"], "seats_max"),
        (SEATS, ["--currency", "euro"], "urrency"),
        (SEATS, ["--starts-at", "2030-06-01T19:30:00"], "--starts-at"),
        (SEATS, ["--time-zone", "Mars/Base"], "no time zone"),
        (SEATS, ["--time-zone", "a b"], "time_zone"),
        (SEATS, ["--focus", "1"], "--focus: '1' is not X,Y, as 1200,-50"),
        (SEATS, ["--focus", "1,2,3"], "--focus: '1,2,3' is not X,Y"),
        (SEATS, ["--focus", "1,2"], "line 2: there are no x and y"),
        (SEATS, ["--ranks", "nowhere.csv"], "ranks: cannot read 'nowhere.csv'"),
    ],
)
def test_load_of_a_bad_plan_or_option_says_what_and_loads_nothing(
    engine_command: Terminal,
    raw: sync_redis.Redis,
    text: str,
    options: list[str],
    says: str,
) -> None:
    path = engine_command.file("seats.csv", text)
    said = engine_command("load", path, "--event", GALA, *options, exit_code=2)
    assert says in said
    assert raw.keys("*") == []


def test_load_of_a_missing_file_names_it(engine_command: Terminal) -> None:
    assert "nowhere.csv" in engine_command("load", "nowhere.csv", "--event", GALA, exit_code=2)


def test_verify_is_1_when_a_promise_is_broken(
    engine_command: Terminal, raw: sync_redis.Redis
) -> None:
    engine_command("load", engine_command.file("seats.csv", SEATS), "--event", GALA)
    assert "every promise holds" in engine_command("verify", GALA)
    raw.hset("{gala}:event", "sold", 1)
    assert "counts_differ" in engine_command("verify", GALA, exit_code=1)
    found = msgspec.json.decode(engine_command("verify", "--json", exit_code=1))
    assert found[0]["violations"][0]["kind"] == "counts_differ"


def test_commands_on_a_malformed_seat_name_its_event_and_seat(
    engine_command: Terminal, raw: sync_redis.Redis
) -> None:
    engine_command("load", engine_command.file("seats.csv", SEATS), "--event", GALA)
    seat = "Stalls-1-1"
    assert raw.hexists("{gala}:seats", seat)
    raw.hset("{gala}:seats", seat, "nonsense")
    for command in (["verify"], ["reconcile", "--lag", "3600"]):
        said = engine_command(*command, exit_code=1)
        assert all(word in said for word in ("gala", "malformed", seat, "nonsense"))
    raw.hset("{gala}:event", "sold", "many")
    for command in (["verify"], ["reconcile", "--lag", "3600"]):
        assert "the event's own fields cannot be read" in engine_command(*command, exit_code=1)
    assert "gala: the event's own fields cannot be read" in engine_command("status")
    assert "gala: the event's own fields cannot be read" in engine_command(
        "status", GALA, exit_code=2
    )


def test_reconcile_lists_and_repairs_a_difference(
    engine_command: Terminal, raw: sync_redis.Redis
) -> None:
    engine_command("load", engine_command.file("seats.csv", SEATS), "--event", GALA)
    raw.setrange("{gala}:map", 0, "s")
    options = (GALA, "--lag", "3600")
    assert "map_differs" in engine_command("reconcile", *options, exit_code=1)
    report = msgspec.json.decode(engine_command("reconcile", *options, "--repair", "--json"))
    assert report["events"][0]["differences"][0]["repaired"]
    assert "agree" in engine_command("reconcile", *options)


def test_tables_show_foreign_text_as_it_is(engine_command: Terminal, raw: sync_redis.Redis) -> None:
    engine_command("load", engine_command.file("seats.csv", SEATS), "--event", GALA)
    raw.zadd("{gala}:customers", {"ann [/red]": 0})
    assert "[/red]" in engine_command("verify", exit_code=1)
    assert "[/red]" in engine_command("reconcile", "--lag", "3600", exit_code=1)


def test_commands_on_an_unknown_event_are_refused(engine_command: Terminal) -> None:
    for command in ("status", "verify", "rank"):
        assert "no such event" in engine_command(command, "nothing", exit_code=2)


def test_token_is_signed_and_carries_its_role(engine_command: Terminal) -> None:
    from api.http.tokens import Tokens

    token = engine_command("token", "--sub", "ann", "--role", "organizer").strip()
    caller = Tokens(engine_command.env["JWT_SECRET"]).caller(f"Bearer {token}".encode())
    assert caller.customer_id == "ann"
    assert "event:create:own" in caller.permissions


def test_token_without_a_secret_is_refused(engine_command: Terminal) -> None:
    engine_command.env["JWT_SECRET"] = ""
    assert "set JWT_SECRET" in engine_command("token", "--sub", "ann", exit_code=2)
    assert "at least 32 bytes" in engine_command("serve", exit_code=2)


def test_migrate_again_applies_nothing(engine_command: Terminal) -> None:
    assert engine_command("migrate") == ""


def test_lua_show_prints_the_assembled_script(engine_command: Terminal) -> None:
    assert "local claims = {}" in engine_command("lua", "show", "hold_seats")
    assert "there are add_seats" in engine_command("lua", "show", "nothing", exit_code=2)


@pytest.mark.parametrize("command", ["status", "verify", "expire", "write", "deliver", "serve"])
def test_commands_with_no_redis_say_so(engine_command: Terminal, command: str) -> None:
    engine_command.env["REDIS_URL"] = ""
    assert "no Redis: nothing runs in" in engine_command(command, exit_code=2)
    engine_command.env["REDIS_URL"] = "redis://127.0.0.1:1"
    assert "redis://127.0.0.1:1 cannot be reached" in engine_command(command, exit_code=2)


@pytest.mark.parametrize("command", ["migrate", "write", "deliver", "reconcile"])
def test_commands_with_no_postgres_say_so(engine_command: Terminal, command: str) -> None:
    engine_command.env["DATABASE_URL"] = ""
    assert "no Postgres: nothing runs in" in engine_command(command, exit_code=2)
    engine_command.env["DATABASE_URL"] = "postgresql://u:secret@127.0.0.1:1/none"
    said = engine_command(command, exit_code=2)
    assert "127.0.0.1" in said
    assert "secret" not in said


def test_every_command_has_help_with_an_example_or_a_word(engine_command: Terminal) -> None:
    for name, command in main.commands.items():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.is_flag:
                assert parameter.help or parameter.show_default, f"{name} {parameter.name}"
