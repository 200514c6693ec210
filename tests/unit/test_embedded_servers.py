"""The embedded servers on real wheels: start, adopt, refuse and stop, as root or not."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
import redis as redis_py

from embedded import postgres, process, servers, valkey
from engine.errors import Misconfigured
from tests.support.servers import is_running

_START_AND_BE_KILLED = """
import os, signal, sys
from embedded import servers
servers.start(sys.argv[1])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder; a server that a failed test leaves there is ended."""
    yield tmp_path / "data"
    left = servers.find(tmp_path / "data")
    if left and any(is_running(pid) for pid in left.pids.values()):
        servers.start(tmp_path / "data").stop()


def _kill_a_run(data: Path) -> servers.ServerUrls:
    """Start both servers in a process that dies without stopping them."""
    done = subprocess.run([sys.executable, "-c", _START_AND_BE_KILLED, str(data)], check=False)
    assert done.returncode == -signal.SIGKILL
    left = servers.find(data)
    assert left is not None
    return left


def _client(url: str) -> "redis_py.Redis":
    return redis_py.Redis.from_url(url, decode_responses=True)


async def test_start_runs_both_and_stop_leaves_nothing(data: Path) -> None:
    with servers.start(data) as running:
        assert servers.find(data) == running.urls
        with _client(running.redis_url) as client:
            for name, value in {"appendonly": "yes", "appendfsync": "always", "save": ""}.items():
                assert client.config_get(name) == {name: value}
            assert set(client.config_get("notify-*")["notify-keyspace-events"]) == {"x", "E"}
            assert client.config_get("port") == {"port": "0"}
        connection = await asyncpg.connect(running.database_url)
        assert await connection.fetchval("SHOW fsync") == "on"
        assert await connection.fetchval("SHOW listen_addresses") == ""
        await connection.close()
        sockets = [(data / name / "run").resolve() for name in ("valkey", "postgres")]
        private = [stat.S_IMODE(path.stat().st_mode) for path in (data, *sockets)]
        assert private == [0o700] * 3

    assert servers.find(data) is None
    assert not any(is_running(pid) for pid in running.urls.pids.values())
    assert not any(path.exists() for path in (*sockets, data / "servers.json"))


def test_start_as_root_runs_postgres_as_nobody(data: Path) -> None:
    expected = os.geteuid() or pwd.getpwnam("nobody").pw_uid
    with servers.start(data, redis=False):
        assert (data / "postgres" / "cluster" / "postmaster.pid").stat().st_uid == expected


def test_start_with_programs_out_of_reach_of_the_user_nobody_copies_them(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = postgres._find_wheel()
    assert wheel is not None
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (wheel, wheel.with_suffix(".libs")):
        (closed / folder.name).symlink_to(folder)
    monkeypatch.setattr(postgres, "_find_wheel", lambda: closed / wheel.name)
    with servers.start(data, redis=False):
        copied = (data / "postgres" / "run" / wheel.name).exists()
        assert copied == (os.geteuid() == 0)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Postgres in a folder of the system's, and no wheel: the wheel's programs, put elsewhere."""
    wheel = postgres._find_wheel()
    assert wheel is not None
    monkeypatch.setattr(postgres, "_find_wheel", lambda: None)
    with tempfile.TemporaryDirectory(prefix="installed-") as folder:
        Path(folder).chmod(0o755)
        for part in (wheel, wheel.with_suffix(".libs")):
            if part.exists():
                shutil.copytree(part, Path(folder, "usr", part.name), symlinks=True)
        yield Path(folder, "usr", wheel.name, "pginstall", "bin")


@pytest.mark.parametrize("place", ["on PATH", "of a package"])
async def test_start_without_the_wheel_runs_the_postgres_that_is_installed(
    data: Path, installed: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "on PATH":
        monkeypatch.setenv("PATH", f"{installed}:{os.environ['PATH']}")
        monkeypatch.setattr(postgres, "_PACKAGES", ())
    else:
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr(postgres, "_PACKAGES", (str(installed).lstrip("/"),))
    with servers.start(data, redis=False) as running:
        connection = await asyncpg.connect(running.database_url)
        folder = await connection.fetchval("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
        assert folder == str(installed)
        await connection.close()


async def test_start_again_keeps_what_was_written(data: Path) -> None:
    with servers.start(data) as running:
        with _client(running.redis_url) as client:
            client.set("kept", "1")
        connection = await asyncpg.connect(running.database_url)
        await connection.execute("CREATE TABLE kept ()")
        await connection.close()

    with servers.start(data) as running:
        with _client(running.redis_url) as client:
            assert client.get("kept") == "1"
        connection = await asyncpg.connect(running.database_url)
        await connection.execute("SELECT FROM kept")
        await connection.close()


WRITTEN = 30_000
"""While it loads, Valkey answers between every 1,024 of them."""


def _slow_to_load(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of many writes, each of which takes a moment to read again."""
    with (
        servers.start(data, postgres=False) as running,
        _client(running.redis_url) as client,
        client.pipeline(transaction=False) as writes,
    ):
        for number in range(WRITTEN):
            writes.set(f"kept:{number}", number)
        writes.execute()
    settings = {**valkey._SETTINGS, "key-load-delay": "-3"}  # 1 us in every 3
    monkeypatch.setattr(valkey, "_SETTINGS", settings)


@pytest.mark.parametrize("waits", [True, False])
def test_start_returns_when_all_is_loaded(
    data: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """The control comes back early, to a server that refuses whatever is asked."""
    _slow_to_load(data, monkeypatch)
    is_loading, seen = valkey.Valkey.is_loading, set[bool]()

    def look(server: valkey.Valkey) -> bool:
        seen.add(is_loading(server))
        return waits and is_loading(server)

    monkeypatch.setattr(valkey.Valkey, "is_loading", look)
    with servers.start(data, postgres=False) as running, _client(running.redis_url) as client:
        assert True in seen
        if waits:
            assert client.get("kept:7") == "7"
        else:
            with pytest.raises(redis_py.BusyLoadingError):
                client.get("kept:7")


def test_start_with_a_file_that_takes_too_long_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _slow_to_load(data, monkeypatch)
    monkeypatch.setattr(process, "LOAD_TIMEOUT_S", 0.05)
    with pytest.raises(Misconfigured, match="did not load its files"):
        servers.start(data, postgres=False)
    assert servers.find(data) is None


def test_start_while_another_runs_is_refused_naming_its_pid(data: Path) -> None:
    refused = pytest.raises(Misconfigured, match=rf"in use by `engine up` with pid {os.getpid()}$")
    with servers.start(data, postgres=False), refused:
        servers.start(data)


def test_start_after_a_killed_run_adopts_its_servers(data: Path) -> None:
    left = _kill_a_run(data)
    with servers.start(data) as running:
        assert running.urls == left
    assert not any(is_running(pid) for pid in left.pids.values())
    assert not _folder(left.redis_url).exists()


def test_start_after_a_killed_server_starts_another(data: Path) -> None:
    left = _kill_a_run(data)
    for pid in left.pids.values():
        os.kill(pid, signal.SIGKILL)
    with servers.start(data) as running:
        assert not set(running.urls.pids.values()) & set(left.pids.values())
    assert not _folder(left.redis_url).exists()


def test_revive_starts_what_died_under_the_same_urls(data: Path) -> None:
    with servers.start(data) as running:
        assert running.revive() == []
        before = running.urls
        for pid in before.pids.values():
            os.kill(pid, signal.SIGKILL)

        assert _revived(running) == {"Valkey", "Postgres"}

        assert running.redis_url == before.redis_url
        assert running.database_url == before.database_url
        assert servers.find(data) == running.urls != before


def _revived(running: servers.Servers) -> set[str]:
    """All that comes back: a killed Postgres is gone when the last of its processes is."""
    names: set[str] = set()
    while len(names) < 2:
        names.update(running.revive())
    return names


def test_start_beside_a_server_that_hangs_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_ADOPT_TIMEOUT_S", 0)
    left = _kill_a_run(data)
    os.kill(left.pids["valkey"], signal.SIGSTOP)
    with pytest.raises(Misconfigured, match="a Valkey of an earlier run holds"):
        servers.start(data)
    os.kill(left.pids["valkey"], signal.SIGCONT)
    servers.start(data).stop()


def test_start_with_a_damaged_cluster_shows_the_log_and_stops_valkey(data: Path) -> None:
    servers.start(data).stop()
    (data / "postgres" / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(Misconfigured, match=r"(?s)Postgres did not start.*incompatible"):
        servers.start(data)
    servers.start(data, postgres=False).stop()


@pytest.mark.parametrize(
    ("embedded", "variable"), [("valkey", "REDIS_URL"), ("postgres", "DATABASE_URL")]
)
def test_start_without_the_wheels_says_what_to_do(
    data: Path, monkeypatch: pytest.MonkeyPatch, embedded: str, variable: str
) -> None:
    monkeypatch.setattr(valkey, "find_spec", lambda _: None)
    monkeypatch.setattr(postgres, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(postgres, "_PACKAGES", ())
    with pytest.raises(
        Misconfigured, match=rf"install `ticket-wars\[embedded\]`, or set {variable}"
    ):
        servers.start(data, redis=embedded == "valkey")
    assert not (data / embedded / "run").is_symlink()


def test_start_on_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot be made: File exists"):
        servers.start(tmp_path / "file")


def test_start_with_a_long_temporary_folder_uses_a_short_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with servers.start(data, postgres=False) as running:
        assert not running.redis_url.startswith(f"unix://{long}")


def test_find_what_no_longer_runs_finds_nothing(data: Path) -> None:
    assert servers.find(data) is None
    left = _kill_a_run(data)
    os.kill(left.pids["valkey"], signal.SIGKILL)
    servers.start(data, redis=False).stop()
    data.joinpath("servers.json").write_text(
        f'{{"redis_url": "{left.redis_url}", "database_url": "", "pids": {{}}}}'
    )
    assert servers.find(data) is None
    servers.start(data).stop()  # clears what was killed


def test_jwt_secret_made_by_many_at_once_is_one(data: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(servers.jwt_secret, [data] * 32))
    assert len(made) == 1
    assert len(made.pop()) >= 48
    assert stat.S_IMODE((data / "jwt_secret").stat().st_mode) == 0o600
    assert [path.name for path in data.iterdir()] == ["jwt_secret"]


def _folder(redis_url: str) -> Path:
    return Path(redis_url.removeprefix("unix://").partition("?")[0]).parent
