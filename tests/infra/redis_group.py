"""Redis nodes and Sentinels as processes on this machine, started by the image's own scripts."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, Any, Literal

import httpx
from redis import Redis, RedisError

from hms.paths import project_root
from infra.names import REDIS_READINESS_PORT
from infra.redis_config import PING_PERIOD_MS, lines, patience_seconds, redis_conf, sentinel_conf, sentinel_settings
from tests.stack.settings import spec

Kind = Literal["redis", "sentinel"]

SCRIPTS = project_root() / "images" / "redis"
COUNT = 3
PORTS: dict[Kind, int] = {"redis": 6379, "sentinel": 26379}
# Each process of pytest has networks of its own: 127.61.1 for the first one, up to 127.66 for the others.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_NETWORKS = count(1)
_LOG_LINES = 30
PASSWORDS = ("app", "replication", "sentinel", "drill")


def eventually(holds: Callable[[], bool], what: str, *, within_seconds: float = 30) -> None:
    """Ask until it holds; a server that does not answer is an answer of "not yet"."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except RedisError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {within_seconds:g} s")


def _is_gone(leader: int) -> bool:
    """Tell whether no process runs of the group that `leader` began; a zombie holds nothing any more."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and state not in "ZX":
                return False
    return True


@dataclass(slots=True)
class RedisGroup:
    """Three nodes and three Sentinels, each with an address of its own, as in the pods; groups can run side by side."""

    folder: Path
    network: int = field(default_factory=lambda: next(_NETWORKS))
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    logs: list[IO[bytes]] = field(default_factory=list)

    def prepare(self) -> None:
        """Write what the ConfigMap and the Secret hold."""
        made = spec()
        config = {
            "nodes": lines({f"redis-{n}": self.address("redis", n) for n in range(COUNT)}),
            "sentinels": lines({f"sentinel-{n}": self.address("sentinel", n) for n in range(COUNT)}),
            "sentinel-settings": lines(sentinel_settings(made.sentinel)),
            "stagger-ms": f"{made.sentinel.stagger_ms}\n",
            "ping-period-ms": f"{PING_PERIOD_MS}\n",
            "quorum": "2\n",
            "patience-seconds": f"{patience_seconds(made.sentinel)}\n",
        }
        for name, text in config.items():
            self.write(f"config/{name}", text)
        for user in PASSWORDS:
            self.write(f"secrets/{user}-password", f"password-of-{user}")
        for kind in PORTS:
            for number in range(COUNT):
                self.prepare_member(kind, number, redis_conf(made.redis), sentinel_conf())

    def prepare_member(self, kind: Kind, number: int, redis: str, sentinel: str) -> None:
        """Give a member its folders, and the pod's configuration with this machine's address and folder in it."""
        home = self.folder / f"{kind}-{number}"
        for name in ("data", "run"):
            (home / name).mkdir(parents=True)
        shutil.copytree(self.folder / "config", home / "config")
        for name, text in (("redis.conf", redis), ("sentinel.conf", sentinel)):
            local = text.replace("bind * -::*", f"bind {self.address(kind, number)}")
            (home / "config" / name).write_text(local.replace("dir /data", f"dir {home}/data"))

    def address(self, kind: Kind, number: int) -> str:
        return f"127.{61 + _WORKER}.{self.network}.{(10 if kind == 'redis' else 20) + number}"

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self, *members: str) -> None:
        """Start members, `redis-0` or `sentinel-2`, as the pod does; by default all."""
        for name in members or [f"{kind}-{number}" for kind in PORTS for number in range(COUNT)]:
            kind, _, number = name.partition("-")
            home = self.folder / name
            log = (home / "log").open("ab")
            self.logs.append(log)
            self.processes[name] = subprocess.Popen(
                [SCRIPTS / f"{kind}-start"],
                cwd=home / "data",
                stdout=log,
                stderr=log,
                process_group=0,
                env={
                    "PATH": os.environ["PATH"],
                    "POD_NAME": name,
                    "HMS_CONFIG": str(home / "config"),
                    "HMS_SECRETS": str(self.folder / "secrets"),
                    "HMS_RUN": str(home / "run"),
                    "HMS_DATA": str(home / "data"),
                    "HMS_SELF": self.address("redis" if kind == "redis" else "sentinel", int(number)),
                },
            )

    def kill(self, *members: str) -> None:
        """End members at once, script and server, as a node that loses its power does; they are gone afterwards.

        A server that is killed while it writes to the disk ends when the disk has answered. Until then its address is
        taken, and one that is started in its place could not listen.
        """
        ended = [self.processes.pop(name) for name in members or list(self.processes)]
        for process in ended:
            os.killpg(process.pid, signal.SIGKILL)
        for process in ended:
            process.wait()
            eventually(partial(_is_gone, process.pid), "every process is gone")

    def close(self) -> None:
        """End all that runs, and print the last that each one said, which pytest shows of a test that failed."""
        self.kill()
        for log in self.logs:
            log.close()
        for path in sorted(self.folder.glob("*/log")):
            print(f"{path.parent.name}:", *path.read_text().splitlines()[-_LOG_LINES:], sep="\n  ")

    def client(self, number: int, user: str = "drill") -> Redis:
        return Redis(
            host=self.address("redis", number), port=PORTS["redis"], username=user, password=f"password-of-{user}",
            socket_timeout=1, decode_responses=True,
        )  # fmt: skip

    def role(self, number: int) -> list[Any]:
        """Return what a node says of its role; empty if it does not answer."""
        with self.client(number) as client:
            try:
                return list(client.execute_command("ROLE"))
            except RedisError:
                return []

    def primaries(self) -> list[int]:
        return [number for number in range(COUNT) if self.role(number)[:1] == ["master"]]

    def whole(self) -> bool:
        """Tell whether there is one primary with two replicas whose links are up, and the Sentinels agree on it."""
        roles = [self.role(number) for number in range(COUNT)]
        if sorted(role[0] for role in roles if role) != ["master", "slave", "slave"]:
            return False
        primary = next(n for n, role in enumerate(roles) if role[0] == "master")
        linked = all(role[3] == "connected" for role in roles if role[0] == "slave")
        followed = all(role[1] == self.address("redis", primary) for role in roles if role[0] == "slave")
        return linked and followed and self.named() == {self.address("redis", primary)} and self.can_fail_over()

    def can_fail_over(self) -> bool:
        """Tell whether each Sentinel has heard of the others and of the replicas: until then it replaces no one."""
        for number in range(COUNT):
            with self.sentinel(number) as client:
                facts = client.execute_command("SENTINEL MASTERS")["hms"]
                if (facts["num-slaves"], facts["num-other-sentinels"]) != (COUNT - 1, COUNT - 1):
                    return False
        return True

    def named(self) -> set[str]:
        """Return whom the Sentinels name as primary."""
        return {self._named_by(number) for number in range(COUNT)}

    def _named_by(self, number: int) -> str:
        with self.sentinel(number) as client:
            answer = client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", "hms")
            return str(answer[0]) if answer else "unknown"

    def readiness(self, kind: Kind, number: int) -> tuple[int, str]:
        """Return the status and the words that the kubelet is answered; 0 where nobody answers."""
        try:
            answer = httpx.get(f"http://{self.address(kind, number)}:{REDIS_READINESS_PORT}/", timeout=5)
        except httpx.TransportError as error:
            return 0, str(error)
        return answer.status_code, answer.text.strip()

    def sentinel(self, number: int, user: str = "app") -> Redis:
        return Redis(
            host=self.address("sentinel", number), port=PORTS["sentinel"], username=user,
            password=f"password-of-{user}", socket_timeout=1, decode_responses=True,
        )  # fmt: skip

    def server_pid(self, number: int) -> int:
        with self.client(number) as client:
            return int(client.info("server")["process_id"])

    def log(self, member: str) -> str:
        return (self.folder / member / "log").read_text()
