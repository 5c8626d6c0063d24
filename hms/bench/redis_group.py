"""A whole Redis as the stack has it: a primary, replicas of it, and three Sentinels that replace it."""

import shutil
import tempfile
from pathlib import Path

import redis
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from hms.bench.processes import Process, eventually, free_port
from hms.bench.servers import APP_RIGHTS, PASSWORD, SENTINEL_RIGHTS

_SENTINELS = 3
_DOWN_AFTER_MS = 500
_STAGGER_MS = 50
_FAILOVER_TIMEOUT_MS = 3000


class RedisGroup:
    """Nodes by number; the first one begins as the primary. One that is killed keeps nothing and comes back empty."""

    def __init__(self, *, replicas: int = 1, max_memory_bytes: int = 0) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="hms-bench-"))
        self.ports = [free_port() for _ in range(1 + replicas)]
        self.sentinel_ports = [free_port() for _ in range(_SENTINELS)]
        self._secret = PASSWORD.replace(" ", "-")
        self._max_memory_bytes = max_memory_bytes
        (self.directory / "password").write_text(self._secret + "\n")
        self.nodes = [self._node(number, follows=None if number == 0 else 0) for number in range(len(self.ports))]
        self.sentinels = [self._sentinel(number) for number in range(_SENTINELS)]
        eventually(self.is_whole)

    @property
    def environment(self) -> dict[str, str]:
        """Return the service's settings for this Redis."""
        return {
            "HMS_REDIS_SENTINELS": ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports),
            "HMS_REDIS_USER": "app",
            "HMS_REDIS_PASSWORD_FILE": str(self.directory / "password"),
            "HMS_SENTINEL_USER": "app",
            "HMS_SENTINEL_PASSWORD_FILE": str(self.directory / "password"),
        }

    def client(self, number: int) -> "redis.Redis":
        """Return a client that may do everything at a node."""
        return _client(self.ports[number])

    def role(self, number: int) -> str:
        """Return what a node says that it is; "silent" if it does not answer."""
        with self.client(number) as client:
            try:
                return bytes(client.role()[0]).decode()
            except RedisError:
                return "silent"

    def primary(self) -> int:
        """Return the number of the node that says that it is the primary, waiting for it."""
        eventually(lambda: self._claimants() != [])
        return self._claimants()[0]

    def is_whole(self) -> bool:
        """Say whether one primary has all others as replicas, and the Sentinels know everybody."""
        claimants = self._claimants()
        if len(claimants) != 1:
            return False
        with self.client(claimants[0]) as client:
            linked = [replica for replica in range(len(self.ports)) if self._is_linked(replica)]
            told = client.info("replication")
        return (
            len(linked) == len(self.ports) - 1
            and int(told["connected_slaves"]) == len(linked)
            and all(self._knows_all(port, self.ports[claimants[0]]) for port in self.sentinel_ports)
        )

    def kill(self, number: int) -> None:
        """Kill a node, as a machine does that dies."""
        self.nodes[number].kill()

    def restart(self, number: int) -> None:
        """Start a node that was killed, as a replica of whoever is the primary."""
        self.nodes[number] = self._node(number, follows=next(iter(self._claimants()), None))

    def remove(self) -> None:
        """Kill everything and remove what it wrote."""
        for process in (*self.sentinels, *self.nodes):
            process.kill()
        shutil.rmtree(self.directory)

    def restart_sentinel(self, number: int) -> None:
        """Start a Sentinel that was killed."""
        self.sentinels[number] = Process(["redis-sentinel", self._folder(f"sentinel-{number}") / "sentinel.conf"])

    def _claimants(self) -> list[int]:
        return [number for number in range(len(self.ports)) if self.role(number) == "master"]

    def _is_linked(self, number: int) -> bool:
        with self.client(number) as client:
            try:
                return str(client.info("replication").get("master_link_status")) == "up"
            except RedisError:
                return False

    def _knows_all(self, port: int, primary_port: int) -> bool:
        with _client(port) as client:
            try:
                facts = client.execute_command("SENTINEL MASTERS")["hms"]
            except RedisError:
                return False
        known = (int(facts["port"]), int(facts["num-slaves"]), int(facts["num-other-sentinels"]))
        return known == (primary_port, len(self.ports) - 1, _SENTINELS - 1)

    def _folder(self, name: str) -> Path:
        folder = self.directory / name
        folder.mkdir(exist_ok=True)
        return folder

    def _node(self, number: int, *, follows: int | None) -> Process:
        folder = self._folder(f"node-{number}")
        lines = [
            "bind 127.0.0.1",
            f"port {self.ports[number]}",
            f"dir {folder}",
            'save ""',
            "repl-diskless-sync-delay 0",
            "repl-ping-replica-period 1",
            "maxmemory-policy volatile-lru",
            f"maxmemory {self._max_memory_bytes}",
            "user default on nopass ~* &* +@all",
            f"user app on >{self._secret} {APP_RIGHTS}",
        ]
        if follows is not None:
            lines.append(f"replicaof 127.0.0.1 {self.ports[follows]}")
        (folder / "redis.conf").write_text("\n".join(lines) + "\n")
        return Process(["redis-server", folder / "redis.conf"]).started("Ready to accept connections")

    def _sentinel(self, number: int) -> Process:
        folder = self._folder(f"sentinel-{number}")
        (folder / "sentinel.conf").write_text(
            "\n".join(
                [
                    "bind 127.0.0.1",
                    f"port {self.sentinel_ports[number]}",
                    f"dir {folder}",
                    f"sentinel monitor hms 127.0.0.1 {self.ports[0]} 2",
                    f"sentinel down-after-milliseconds hms {_DOWN_AFTER_MS + number * _STAGGER_MS}",
                    f"sentinel failover-timeout hms {_FAILOVER_TIMEOUT_MS}",
                    "user default on nopass ~* &* +@all",
                    f"user app on >{self._secret} {SENTINEL_RIGHTS}",
                    "",
                ]
            )
        )
        return Process(["redis-sentinel", folder / "sentinel.conf"]).started("monitor master hms")


def _client(port: int) -> "redis.Redis":
    # Without retries: by default a node that is down costs seconds before it is called so.
    return redis.Redis(port=port, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
