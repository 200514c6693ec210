"""Settings: a wrong value refuses to start and names the variable; the page lists them all."""

import re
from collections.abc import Iterator
from pathlib import Path

import click.testing
import msgspec
import pytest

from api.http.jwks import checked_url
from cli.commands import main
from engine.errors import Misconfigured
from engine.settings import settings
from engine.settings.checks import PARTS
from engine.settings.fields import Setting

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
CATALOGUE = {setting.name: setting for setting in settings.catalogue()}
LONG = "s3cr3t" * 8

_NO_INTEGERS = ("", "abc", "-1", "1.5", "nan", "inf", "1 2", "0x10", "2147483648", "9" * 30)
_NO_URLS = (
    *("localhost", "http", "ftp://host/x", "://host", "redis:", "host:6379", "smtp://"),
    *(f"redis://user:{LONG}/x@host", f"postgresql://user:{LONG}#x@host", "redis://host:port"),
)
_WRONG = {
    "REDIS_URL": (*_NO_URLS, "postgresql://host/x", f"redis://user:12?{LONG}@host"),
    "DATABASE_URL": (*_NO_URLS, "redis://host", f"postgresql://u:12#{LONG}@host/engine"),
    "SMTP_URL": (*_NO_URLS, "https://host"),
    "JWKS_URL": (*_NO_URLS, "http://keys.example.org/jwks"),
    "PUBLIC_URL": (*_NO_URLS, "javascript://x"),
    "JWT_SECRET": ("short", "s" * 31),
    "PAYMENT_WEBHOOK_SECRET": ("short", f"{LONG},short"),
    "STRIPE_WEBHOOK_SECRET": ("short", f"{LONG},short"),
    "MAIL_FROM": ("", "nobody", "two words", "a@b\r\nBcc: c@d"),
    "TRUSTED_PROXIES": ("proxy", "10.0.0.256", "10.0.0.0/33", "10.0.0.1,*", "10.0.0.1/8"),
    "CORS_ORIGINS": ("shop.example", "https://shop.example/", "https://a.example,b.example"),
    "READY_PARTS": ("expirer,writter", "redis", "expirer;writer"),
}
_FREE = {"JWT_ISSUER", "JWT_AUDIENCE"}
"""Any text is right."""


def _wrong_texts() -> Iterator[tuple[str, str]]:
    for name, setting in CATALOGUE.items():
        texts: tuple[str, ...] = _WRONG.get(name, ())
        if setting.kind.startswith("integer"):
            low = int(setting.kind.split()[-1].split(",")[0]) if ">=" in setting.kind else 0
            texts = (*_NO_INTEGERS, str(low - 1))
        elif setting.kind.startswith("`"):
            texts = ("", "maybe", "nan", "fsyncc", "2", "on off", "-1")
        yield from ((name, text) for text in texts)


@pytest.mark.parametrize(("name", "text"), list(_wrong_texts()))
def test_wrong_value_refuses_and_names_the_variable_not_the_value(
    name: str, text: str, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured) as caught:
        settings.load({name: text})
    assert str(caught.value).startswith(f"{name}: ")
    assert repr(text) not in str(caught.value)
    assert LONG not in str(caught.value)
    path = tmp_path / "value"
    path.write_text(f"{text}\n", newline="")
    with pytest.raises(Misconfigured, match=f"^{name}_FILE: ") as caught:
        settings.load({f"{name}_FILE": str(path)})
    assert LONG not in str(caught.value)


def test_every_setting_is_tried_with_wrong_values() -> None:
    assert {name for name, _ in _wrong_texts()} == set(CATALOGUE) - _FREE


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REDIS_URL", "unix:///run/redis.sock?db=0"),
        ("REDIS_URL", "rediss://engine:a%2Fb@redis.example.org:6380/1"),
        ("DATABASE_URL", "postgresql://postgres@/postgres?host=/run/postgresql"),
        ("DATABASE_URL", "postgres://engine@db/engine?sslmode=require"),
        ("JWT_SECRET", "s" * 32),
        ("PAYMENT_WEBHOOK_SECRET", f"{LONG}, {LONG}"),
        ("MAIL_FROM", "Tickets <tickets@example.org>"),
        ("TRUSTED_PROXIES", "10.0.0.7, 10.0.0.0/8,fd00::/8"),
        ("CORS_ORIGINS", "https://shop.example,http://localhost:3000"),
        ("CORS_ORIGINS", "*"),
        ("READY_PARTS", ",".join(PARTS)),
        ("SMTP_URL", "smtp://user:password@mail.example.org:587"),
        ("PUBLIC_URL", "https://tickets.example.org/shop"),
        ("REDIS_URL", ""),
    ],
)
def test_right_value_is_taken_as_it_is(name: str, text: str) -> None:
    assert getattr(settings.load({name: text}), name.lower()) == text


def test_outside_provider_without_issuer_is_refused() -> None:
    keys = {"JWKS_URL": "https://id.example.org/keys", "JWT_ISSUER": "https://id.example.org"}
    with pytest.raises(Misconfigured, match="JWT_AUDIENCE"):
        settings.load(keys)
    assert settings.load(keys | {"JWT_AUDIENCE": "tickets"}).jwks_url
    assert settings.load(
        {"JWKS_URL": "http://127.0.0.1:1/", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a"}
    )


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", " \n\n"])
def test_secret_from_a_file_has_no_line_end(ending: str, tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    path.write_text(LONG + ending, newline="")
    assert settings.load({"JWT_SECRET_FILE": str(path)}).jwt_secret == LONG


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xff\xfe" + LONG.encode(), "not UTF-8"),
        (LONG.encode() + b"\0", "no text"),
        (LONG.encode() * 2000, "more than 65536 bytes"),
    ],
)
def test_unusable_file_refuses_and_names_the_variable(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "jwt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Misconfigured, match=rf"^JWT_SECRET_FILE: .*{reason}") as caught:
        settings.load({"JWT_SECRET_FILE": str(path)})
    assert LONG not in str(caught.value)


def test_file_that_cannot_be_read_refuses(tmp_path: Path) -> None:
    for path in (str(tmp_path), "bad\0path", "/proc/1/mem"):
        with pytest.raises(Misconfigured, match=r"^JWT_SECRET_FILE: "):
            settings.load({"JWT_SECRET_FILE": path})


def test_variable_and_file_that_differ_refuse_and_show_neither(tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    path.write_text(LONG)
    result = _run(JWT_SECRET_FILE=str(path), JWT_SECRET="0ther" * 8)
    assert result.exit_code == 2
    assert "JWT_SECRET and JWT_SECRET_FILE are both set and differ" in result.output
    assert LONG not in result.output
    assert "0ther" not in result.output
    assert _run(JWT_SECRET_FILE=str(path), JWT_SECRET=LONG).exit_code == 0
    assert _run(JWT_SECRET_FILE=str(path), JWT_SECRET="").exit_code == 0


def test_worker_that_starts_after_the_file_was_changed_has_the_files_secret(tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    path.write_text("0ther" * 8)
    handed_on = {"JWT_SECRET_FILE": str(path), "JWT_SECRET": LONG}
    assert settings.load(handed_on).jwt_secret == "0ther" * 8


def test_misspelt_setting_is_reported_with_its_likely_name() -> None:
    said = settings.slips(
        ["REDIS_URLL", "JWT_SECRET_FLIE", "LIMIT_CUSTOMER_PER_SEC", "REDIS_URL", "JWT_SECRET_FILE"]
    )
    assert said == [
        ("JWT_SECRET_FLIE", "JWT_SECRET_FILE"),
        ("LIMIT_CUSTOMER_PER_SEC", "LIMIT_CUSTOMER_PER_S"),
        ("REDIS_URLL", "REDIS_URL"),
    ]
    assert settings.slips(["PATH", "HOME", "LANG", "SHELL", "REDIS_HOST", "TERM", "PWD"]) == []


def _run(*arguments: str, **env: str) -> click.testing.Result:
    runner = click.testing.CliRunner()
    return runner.invoke(main, ["settings", "--data", "/nowhere", *arguments], env=env)


def test_command_shows_every_setting_where_it_came_from_and_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    path.write_text(LONG)
    result = _run(
        "--json",
        JWT_SECRET_FILE=str(path),
        REDIS_URL=f"redis://engine:{LONG}@redis:6379/0",
        DATABASE_URL=f"postgresql:///engine?host=/run&password={LONG}",
        PAYMENT_WEBHOOK_SECRET=LONG,
        LOG_LEVEL="error",
        LOG_LEVELS="error",
    )
    assert result.exit_code == 0, result.output
    assert LONG not in result.output
    assert "unknown_setting" in result.stderr
    shown = {item["name"]: item for item in msgspec.json.decode(result.stdout)}
    assert list(shown) == list(CATALOGUE)
    assert shown["REDIS_URL"]["value"] == "redis://redis:6379/0"
    assert shown["JWT_SECRET"]["source"] == f"file {path}"
    assert shown["LOG_LEVEL"]["source"] == "environment"
    assert shown["REDIS_TIMEOUT_MS"] == {
        "name": "REDIS_TIMEOUT_MS",
        "value": 2000,
        "source": "default",
        "type": "integer >= 1",
        "unit": "ms",
        "default": 2000,
        "effect": CATALOGUE["REDIS_TIMEOUT_MS"].effect,
    }
    table = _run(JWT_SECRET=LONG, COLUMNS="200")
    assert re.search(r"JWT_SECRET +\(set\) +environment", table.stdout)
    assert LONG not in table.output


def test_command_refuses_a_wrong_value_in_one_line() -> None:
    result = _run(JOURNAL_KEEP_MS="soon")
    assert result.exit_code == 2
    assert "Error: JOURNAL_KEEP_MS: wants integer >= 0 (ms)" in result.output


def _rows() -> dict[str, list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def _default(setting: Setting) -> str:
    if isinstance(setting.default, bool):
        return f"`{str(setting.default).lower()}`"
    return f"`{setting.default}`" if setting.kind != "integer" else str(setting.default)


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_page_has_type_unit_and_default_of_the_code(name: str) -> None:
    setting = CATALOGUE[name]
    default = "none" if setting.default == "" else _default(setting).strip("`")
    kind, unit, told, effect = _rows()[name]
    assert (kind, unit.strip("-"), told.strip("`")) == (setting.kind, setting.unit, default)
    assert len(effect) > 10


def test_page_has_no_setting_that_the_code_lacks() -> None:
    assert list(_rows()) == list(CATALOGUE)


@pytest.mark.parametrize(
    ("environ", "customers_confirm"),
    [
        ({}, True),
        ({"PAYMENT_WEBHOOK_SECRET": LONG}, False),
        ({"STRIPE_WEBHOOK_SECRET": LONG}, False),
        ({"PAYMENT_WEBHOOK_SECRET": LONG, "PAYMENTS": "demo"}, True),
        ({"PAYMENT_WEBHOOK_SECRET": LONG, "PAYMENTS": "unchecked"}, True),
        ({"STRIPE_WEBHOOK_SECRET": LONG, "PAYMENTS": "provider"}, False),
    ],
)
def test_payments_are_checked_where_a_provider_is_set_up(
    environ: dict[str, str], customers_confirm: bool
) -> None:
    assert settings.load(environ).customers_confirm is customers_confirm


def test_payments_by_a_provider_without_its_secret_refuse_to_start() -> None:
    with pytest.raises(Misconfigured, match="PAYMENTS=provider needs"):
        settings.load({"PAYMENTS": "provider"})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "[::1]"])
def test_keys_of_this_machine_need_no_https_here_and_where_they_are_read(host: str) -> None:
    """The setting and its reader use one check."""
    url = f"http://{host}:8080/keys"
    environ = {"JWKS_URL": url, "JWT_ISSUER": "i", "JWT_AUDIENCE": "a"}
    assert checked_url(settings.load(environ).jwks_url) == url
