"""A Postgres with TLS and passwords, a streaming replica of it, a Redis with a Sentinel: children of their caller."""

import datetime
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import psycopg
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg import sql

from hms.bench.processes import PACKAGES, Process, free_port
from hms.errors import BenchError

PASSWORD = "correct horse battery staple"  # noqa: S105 - opens a server of ours alone; spaces must survive every quoting


APP_RIGHTS = "~app:* &app:* +@all -@admin -@dangerous +role +info"
SENTINEL_RIGHTS = "-@all +@connection +sentinel|get-master-addr-by-name +sentinel|slaves"
"""What the stack grants the service at Redis; the part that the service needs of what it grants at the Sentinels."""


def _server_user() -> str | None:
    """Postgres refuses to run as root; then its own user runs it."""
    return "postgres" if os.geteuid() == 0 else None


def _private_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="hms-bench-"))
    if user := _server_user():
        owner = pwd.getpwnam(user)
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    return directory


def binary(name: str) -> Path:
    """Return a command of the newest Postgres on this machine. Raises `BenchError` if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if not found:
        raise BenchError(f"no {name} on this machine", remedy=f"apt-get install {' '.join(PACKAGES)}")
    return found[-1]


def _certificate(directory: Path) -> None:
    """Write `server.key` and `server.crt`, signed by itself, for the name localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for file, content in (
        ("server.key", pem),
        ("server.crt", certificate.public_bytes(serialization.Encoding.PEM)),
    ):
        (directory / file).write_bytes(content)
        if user := _server_user():
            shutil.chown(directory / file, user, user)
    (directory / "server.key").chmod(0o600)


class Postgres:
    """One server; the superuser comes by the socket, everybody else by TLS and password."""

    def __init__(self, *, replica_of: "Postgres | None" = None) -> None:
        self.directory = _private_directory()
        self.data = self.directory / "data"
        self.port = free_port()
        if replica_of is None:
            self._run("initdb", "-D", self.data, "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256",
                      "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
            _certificate(self.data)
        else:
            self._run("pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
                      "-h", replica_of.directory, "-p", str(replica_of.port), "-U", "postgres")  # fmt: skip
        self._process = self._started()

    @property
    def ca_file(self) -> Path:
        """Return the file of the authority that signed its certificate."""
        return self.data / "server.crt"

    @property
    def address(self) -> str:
        """Return host and port, as a client names them."""
        return f"localhost:{self.port}"

    @property
    def log(self) -> list[str]:
        """Return the lines that the server has written since it was started."""
        return self._process.lines

    def connect(self, database: str = "hms") -> psycopg.Connection[tuple[object, ...]]:
        """Connect as the superuser, in autocommit."""
        return psycopg.connect(
            host=str(self.directory), port=self.port, user="postgres", dbname=database, autocommit=True
        )

    def value(self, query: str, *, database: str = "hms") -> object:
        """Return the one value that a query gives."""
        with self.connect(database) as connection:
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            return row[0]

    def create(self, database: str) -> None:
        """Make a database that the role `app` owns, and the role if there is none."""
        with self.connect("postgres") as connection:
            if connection.execute("SELECT FROM pg_roles WHERE rolname = 'app'").fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE app LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER app").format(sql.Identifier(database)))

    def configure(self, **settings: str) -> None:
        """Change settings that a reload is enough for; an empty value is the default."""
        with self.connect("postgres") as connection:
            for name, value in settings.items():
                setting = sql.SQL("SET {} = {}") if value else sql.SQL("RESET {}")
                parts = (sql.Identifier(name), sql.Literal(value)) if value else (sql.Identifier(name),)
                connection.execute(sql.SQL("ALTER SYSTEM {}").format(setting.format(*parts)))
            connection.execute("SELECT pg_reload_conf()")

    def kill(self) -> None:
        """Kill the server, as a node does that dies."""
        self._process.kill()

    def start(self) -> None:
        """Start the server that was killed; returns when it takes connections."""
        self._process = self._started()

    def promote(self) -> None:
        """Make a primary of this replica; returns when it is one."""
        self.value("SELECT pg_promote()", database="postgres")

    def demote(self) -> None:
        """Kill this primary and start it as a replica, as who supervises it does; returns when it takes connections."""
        self.kill()
        (self.data / "standby.signal").touch()
        self.start()

    def freeze(self) -> None:
        """Stop the server where it is: sockets stay open, nothing answers."""
        self._process.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._process.thaw()

    def remove(self) -> None:
        """Kill the server and remove all it wrote."""
        self._process.kill()
        shutil.rmtree(self.directory)

    def _started(self) -> Process:
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "ssl": "on",
            "wal_level": "replica",
            "max_wal_senders": "4",
            "shared_buffers": "128MB",
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        process = Process(
            [binary("postgres"), "-D", self.data, *settings], user=_server_user(), directory=self.directory
        )
        return process.started("ready to accept (read-only )?connections")

    def _run(self, name: str, *arguments: str | Path) -> None:
        process = Process([binary(name), *arguments], user=_server_user(), directory=self.directory)
        if (code := process.wait()) != 0:
            raise BenchError(f"{name} ended with {code}", remedy=f"It said:\n{process.output}")


class Redis:
    """One Redis primary and the one Sentinel that knows it; the user `app` may touch keys `app:*` only."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="hms-bench-"))
        self.port = free_port()
        self.sentinel_port = free_port()
        secret = PASSWORD.replace(" ", "-")
        (self.directory / "password").write_text(secret + "\n")
        (self.directory / "redis.conf").write_text(
            f'bind 127.0.0.1\nport {self.port}\nsave ""\ndir {self.directory}\n'
            f"user default on nopass ~* &* +@all\nuser app on >{secret} {APP_RIGHTS}\n"
        )
        (self.directory / "sentinel.conf").write_text(
            f"bind 127.0.0.1\nport {self.sentinel_port}\ndir {self.directory}\n"
            f"sentinel monitor hms 127.0.0.1 {self.port} 1\n"
            f"user default off\nuser sentinel on >{secret} {SENTINEL_RIGHTS}\n"
        )
        self._sentinel = Process(["redis-sentinel", self.directory / "sentinel.conf"]).started("monitor master hms")
        self._server = self._started()

    @property
    def environment(self) -> dict[str, str]:
        """Return the service's settings for this cache."""
        return {
            "HMS_REDIS_SENTINELS": f"127.0.0.1:{self.sentinel_port}",
            "HMS_REDIS_USER": "app",
            "HMS_REDIS_PASSWORD_FILE": str(self.directory / "password"),
            "HMS_SENTINEL_USER": "sentinel",
            "HMS_SENTINEL_PASSWORD_FILE": str(self.directory / "password"),
        }

    def stored(self) -> list[bytes]:
        """List the keys."""
        with redis.Redis(port=self.port) as client:
            return [bytes(key) for key in client.scan_iter()]

    def clear(self) -> None:
        """Forget everything that is stored."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def kill(self) -> None:
        """Kill the server, as a node does that dies."""
        self._server.kill()

    def start(self) -> None:
        """Start the server that was killed."""
        self._server = self._started()

    def freeze(self) -> None:
        """Stop the server where it is: sockets stay open, nothing answers."""
        self._server.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._server.thaw()

    def remove(self) -> None:
        """Kill the server and remove all it wrote."""
        self._sentinel.kill()
        self._server.kill()
        shutil.rmtree(self.directory)

    def _started(self) -> Process:
        return Process(["redis-server", self.directory / "redis.conf"]).started("Ready to accept connections")
