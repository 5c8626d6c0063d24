"""The start script of the Postgres image: secrets joined in, orphaned WAL set aside, the configuration kept."""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
import yaml

from hms.bench.processes import eventually
from hms.paths import project_root
from infra.patroni_config import patroni_config, render
from tests.stack.settings import spec

PASSWORDS = ("superuser", "replication", "rewind", "rest")


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the script as a module, with its files in a folder of the test's own."""
    loader = SourceFileLoader("hms_postgres_start", str(project_root() / "images" / "postgres" / "start"))
    found = spec_from_loader(loader.name, loader)
    assert found is not None
    module = module_from_spec(found)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader.exec_module(module)
    (tmp_path / "secrets").mkdir()
    for name in PASSWORDS:
        (tmp_path / "secrets" / f"{name}-password").write_text(f"password-of-{name}\n")
    (tmp_path / "patroni.yml").write_text(render(spec().postgres))
    monkeypatch.setattr(module, "CONFIG", tmp_path / "patroni.yml")
    monkeypatch.setattr(module, "SECRETS", tmp_path / "secrets")
    monkeypatch.setattr(module, "RENDERED", tmp_path / "rendered.yml")
    monkeypatch.setattr(module, "ATTEMPTS_SECONDS", 10)
    return module


def test_the_passwords_are_joined_in_a_file_for_its_owner_alone(start: ModuleType, tmp_path: Path) -> None:
    start.render()
    rendered = tmp_path / "rendered.yml"
    assert stat.S_IMODE(rendered.stat().st_mode) == 0o600
    config = yaml.safe_load(rendered.read_text())
    roles = config["postgresql"]["authentication"]
    assert {role: roles[role]["password"] for role in roles} == {role: f"password-of-{role}" for role in roles}
    assert config["restapi"]["authentication"] == {"username": "patroni", "password": "password-of-rest"}
    assert config["bootstrap"] == patroni_config(spec().postgres)["bootstrap"]


class TestHeldVolume:
    """Of two pods on one volume the later waits for the earlier, which was deleted by force and has not ended yet."""

    SERVER = project_root() / "images" / "postgres" / "postgres"

    @pytest.fixture
    def holders(self, start: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        found = tmp_path / "holders"
        monkeypatch.setattr(start, "HOLDERS", found)
        monkeypatch.setattr(start, "SAY_SECONDS", 0.2)
        yield found
        for path in found.glob("*"):
            close_all(path)

    @contextmanager
    def server(self, holders: Path) -> Iterator[subprocess.Popen[str]]:
        """Run what holds the volume as a server does: the wrapper, with `sleep` in place of Postgres."""
        environment = {"PATH": os.environ["PATH"], "HMS_HOLDERS": str(holders), "HMS_POSTGRES": "/bin/sleep"}
        with subprocess.Popen([self.SERVER, "60"], env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def test_a_server_of_another_pod_is_waited_for_though_its_patroni_is_dead(
        self, start: ModuleType, holders: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        start.hold_volume()
        own = next(holders.iterdir())
        with self.server(holders) as server:
            eventually(lambda: Path(f"/proc/{server.pid}/comm").read_text() == "sleep\n")
            other = own.rename(holders / "1")
            waiting = Thread(target=start.hold_volume)
            # This process held the file before it was the other pod's; a dead Patroni's is closed.
            close_all(other)
            waiting.start()
            eventually(lambda: "still use the data volume" in capsys.readouterr().out)
            assert other.exists()
            server.kill()
            waiting.join(timeout=10)
        assert not waiting.is_alive()
        assert [path.name for path in holders.iterdir()] == [own.name]

    def test_what_nobody_holds_is_not_waited_for(self, start: ModuleType, holders: Path) -> None:
        holders.mkdir()
        (holders / "1").touch()
        start.hold_volume()
        assert not (holders / "1").exists()

    def test_a_server_is_refused_where_its_pod_does_not_hold_the_volume(self, holders: Path) -> None:
        holders.mkdir()
        with self.server(holders) as server:
            assert server.wait(timeout=10) == 1
            assert server.stderr is not None
            assert "this pod does not hold its data volume" in server.stderr.read()

    def test_asked_about_itself_a_server_holds_nothing(self, holders: Path) -> None:
        environment = {"PATH": os.environ["PATH"], "HMS_HOLDERS": str(holders), "HMS_POSTGRES": "/bin/echo"}
        said = subprocess.run([self.SERVER, "--version"], env=environment, capture_output=True, text=True, check=True)
        assert said.stdout.startswith("echo ")
        assert not holders.exists()


def close_all(path: Path) -> None:
    """Close this process' descriptors of a file, as its end would."""
    for link in [link for link in Path("/proc/self/fd").iterdir() if link.exists() and link.samefile(path)]:
        os.close(int(link.name))


class TestOrphanedWal:
    @pytest.fixture
    def config(self, tmp_path: Path) -> dict[str, Any]:
        (tmp_path / "pg_wal").mkdir()
        (tmp_path / "pg_wal" / "000000010000000000000001").write_text("wal")
        data = tmp_path / "pgdata"
        data.mkdir()
        return {"postgresql": {"data_dir": str(data), "basebackup": [{"waldir": str(tmp_path / "pg_wal")}]}}

    def test_wal_without_data_is_moved_and_not_deleted(
        self, start: ModuleType, config: dict[str, Any], tmp_path: Path
    ) -> None:
        start.set_orphaned_wal_aside(config)
        assert not (tmp_path / "pg_wal").exists()
        assert [path.name for path in (tmp_path / "pg_wal.orphaned").iterdir()] == ["000000010000000000000001"]

    def test_wal_of_a_member_that_has_data_is_left_alone(
        self, start: ModuleType, config: dict[str, Any], tmp_path: Path
    ) -> None:
        (tmp_path / "pgdata" / "PG_VERSION").write_text("17")
        start.set_orphaned_wal_aside(config)
        assert len(list((tmp_path / "pg_wal").iterdir())) == 1

    def test_only_the_last_orphan_is_kept(self, start: ModuleType, config: dict[str, Any], tmp_path: Path) -> None:
        (tmp_path / "pg_wal.orphaned").mkdir()
        (tmp_path / "pg_wal.orphaned" / "older").touch()
        start.set_orphaned_wal_aside(config)
        assert not (tmp_path / "pg_wal.orphaned" / "older").exists()


class TestDynamicConfiguration:
    """Patroni reads `bootstrap.dcs` only when the cluster is made; later changes must reach it another way."""

    @pytest.fixture
    def patroni(self) -> Iterator["Patroni"]:
        with Patroni() as server:
            yield server

    def configured(self, patroni: "Patroni", **changed: object) -> dict[str, Any]:
        config = patroni_config(spec(**changed).postgres)
        config["restapi"]["listen"] = f"0.0.0.0:{patroni.port}"
        config["restapi"]["authentication"]["password"] = "password-of-rest"
        return config

    def test_a_change_of_the_spec_is_sent_and_seen_to_hold(self, start: ModuleType, patroni: "Patroni") -> None:
        patroni.config = patroni_config(spec().postgres)["bootstrap"]["dcs"]
        start.agree_on_dynamic_configuration(self.configured(patroni, patroniTtlSeconds=30, postgresMaxConnections=300))
        assert patroni.config["ttl"] == 30
        assert patroni.config["postgresql"]["parameters"]["max_connections"] == "300"
        assert patroni.authorized == ["Basic cGF0cm9uaTpwYXNzd29yZC1vZi1yZXN0"]

    def test_what_agrees_is_not_sent(self, start: ModuleType, patroni: "Patroni") -> None:
        patroni.config = {**patroni_config(spec().postgres)["bootstrap"]["dcs"], "pause": False}
        start.agree_on_dynamic_configuration(self.configured(patroni))
        assert patroni.authorized == []
        assert patroni.config["pause"] is False


class Patroni(ThreadingHTTPServer):
    """The part of Patroni's API that keeps the cluster's configuration."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.config: dict[str, Any] = {}
        self.authorized: list[str] = []
        self.port = int(self.server_address[1])
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> "Patroni":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Patroni

    def do_GET(self) -> None:
        self._answer(json.dumps(self.server.config).encode())

    def do_PATCH(self) -> None:
        self.server.authorized.append(self.headers["Authorization"])
        self.server.config |= json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
