"""The drill's pod: two containers, the writers and their observer, of the load generator's image."""

import hashlib
import io
import json
import subprocess
import tarfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from drills.clock import Offset, Ping, boot_id, estimate
from drills.feed import Deduplicator, Feed, Follower
from drills.wire import (
    SETTINGS_VARIABLE,
    AppSettings,
    LedgerFile,
    PostgresSettings,
    RedisSettings,
    Settings,
    WriterName,
)
from drills.writer.program import WANTED
from hms.errors import KubectlError, StackError
from hms.evidence import ReaderName
from hms.inventory import API_KEY, API_KEY_SECRET, Inventory
from hms.kubectl import Kubectl

NAME = "drill-writer"
LABELS = {"app.kubernetes.io/part-of": "hms", "app.kubernetes.io/name": NAME}
DIRECTORY = "/ledger"
SECRETS = "/etc/hms/secrets"
TLS = "/etc/hms/tls"

READY_SECONDS = 60.0
LONGEST_LIFE_SECONDS = 6 * 3600
PINGS = 9

RATES_PER_SECOND: dict[WriterName, float] = {"postgres": 50.0, "redis": 50.0, "app": 10.0}
STUBBORN_RATES_PER_SECOND: dict[WriterName, float] = {"postgres-stubborn": 20.0}
READ_RATES_PER_SECOND: dict[ReaderName, float] = {
    "postgres-primary": 10.0, "postgres-replica": 10.0, "redis-primary": 10.0,
    "api-search": 5.0, "api-lookup": 5.0, "api-bookmarks": 5.0,
}  # fmt: skip

Progress = Callable[[str], None]


def make_settings(inventory: Inventory, *, run: str, rates: dict[WriterName, float] = RATES_PER_SECOND) -> Settings:
    """Return what the pod's programs need to know of a stack."""
    postgres, redis, app = inventory.postgres, inventory.redis, inventory.endpoint("app")
    return Settings(
        run=run,
        directory=DIRECTORY,
        postgres=PostgresSettings(
            members=postgres.members,
            port=postgres.port,
            rest_port=postgres.rest_port,
            database=postgres.database,
            user="drill",
            password_file=f"{SECRETS}/postgres/drill-password",
            ca_file=f"{TLS}/ca.crt",
        ),
        redis=RedisSettings(
            nodes=redis.nodes,
            port=redis.port,
            sentinels=redis.sentinels,
            sentinel_port=redis.sentinel_port,
            master_name=redis.master_name,
            user="drill",
            password_file=f"{SECRETS}/redis/drill-password",
            minimum_replicas=int(redis.settings.get("min-replicas-to-write", "0")),
        ),
        app=AppSettings(host=app.host, port=app.port, key_file=f"{SECRETS}/app/{API_KEY}"),
        rates_per_second=rates,
        read_rates_per_second=READ_RATES_PER_SECOND,
    )


def manifest(inventory: Inventory, settings: Settings, *, nodes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the pod under the "restricted" Pod Security standard; of the secrets it mounts the drills' keys alone.

    It runs on one of `nodes`, or anywhere if none is named.
    """
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": LABELS},
        "spec": {
            "restartPolicy": "Always",
            "activeDeadlineSeconds": LONGEST_LIFE_SECONDS,
            "terminationGracePeriodSeconds": 2,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            **({"affinity": _affinity(nodes)} if nodes else {}),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 26104,
                "runAsGroup": 26104,
                "fsGroup": 26104,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                _container("writer", "drills.writer", inventory.loadgen_image, settings),
                _container("observer", "drills.observer", inventory.loadgen_image, settings),
            ],
            "volumes": [
                {"name": "ledger", "emptyDir": {"sizeLimit": "256Mi"}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
                _secret("postgres", inventory.postgres.credentials_secret, "drill-password"),
                _secret("redis", inventory.redis.credentials_secret, "drill-password"),
                _secret("tls", "postgres-tls", "ca.crt"),
                _secret("app", API_KEY_SECRET, API_KEY),
            ],
        },
    }


def _affinity(nodes: tuple[str, ...]) -> dict[str, Any]:
    wanted = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [wanted]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def _container(name: str, module: str, image: str, settings: Settings) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", module],
        "env": [{"name": SETTINGS_VARIABLE, "value": msgspec.json.encode(settings).decode()}],
        "resources": {
            # More than it uses: on a busy node what measures must not wait for its turn behind what is measured.
            "requests": {"cpu": "250m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "ledger", "mountPath": DIRECTORY},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path inside the pod
            {"name": "postgres", "mountPath": f"{SECRETS}/postgres", "readOnly": True},
            {"name": "redis", "mountPath": f"{SECRETS}/redis", "readOnly": True},
            {"name": "tls", "mountPath": TLS, "readOnly": True},
            {"name": "app", "mountPath": f"{SECRETS}/app", "readOnly": True},
        ],
    }


def _secret(volume: str, name: str, key: str) -> dict[str, Any]:
    return {
        "name": volume,
        "secret": {"secretName": name, "defaultMode": 0o440, "items": [{"key": key, "path": key}]},
    }


class DrillPod:
    """The pod while it runs, with its clock and its messages. Leaving the context removes it, whatever happened.

    `node` is the name of the node that it runs on.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        inventory: Inventory,
        settings: Settings,
        *,
        progress: Progress,
        nodes: tuple[str, ...] = (),
        document: dict[str, Any] | None = None,
    ) -> None:
        self._kubectl = kubectl
        self._inventory = inventory
        self._settings = settings
        self._progress = progress
        self._document = manifest(inventory, settings, nodes=nodes) if document is None else document
        self._followers: list[Follower] = []
        self.feed = Feed()
        self.rates_per_second = settings.rates_per_second
        self.offset = Offset(0, 0)
        self.boot_id = ""
        self.node = ""
        self.asleep_ns = 0

    def __enter__(self) -> "DrillPod":
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        remove_leftover(self._kubectl)
        document = self._document
        self._kubectl.run("create", "-f", "-", stdin=json.dumps(document))
        try:
            self._kubectl.run(
                "wait", "--for=condition=Ready", f"pod/{NAME}", f"--timeout={READY_SECONDS:.0f}s",
                timeout_seconds=READY_SECONDS + 5,
            )  # fmt: skip
        except KubectlError as error:
            raise StackError(
                f"pod {NAME} is not ready within {READY_SECONDS:.0f} s: {self._last_words()}",
                remedy="Is the image loadgen on every node (`hms images`), and has the quota room for a drill?",
            ) from error
        self.node = str(self._kubectl.get("pod", NAME)["spec"]["nodeName"])
        there = {container["name"] for container in document["spec"]["containers"]}
        for container in ("writer", "observer"):
            if container not in there:
                continue
            command = self._kubectl.command("logs", "--follow", NAME, "-c", container)
            self._followers.append(Follower(command, Deduplicator(self.feed.add).line, name=f"logs {container}"))
        self._compare_clocks()

    def close(self) -> None:
        """Stop following and remove the pod."""
        for follower in self._followers:
            follower.close()
        self._followers.clear()
        self._kubectl.run(
            "delete", "pod", NAME, "--ignore-not-found", "--grace-period=1", "--wait=false", timeout_seconds=30
        )

    def _last_words(self) -> str:
        """Return the newest event of the pod, and the end of its writers' log."""
        said: list[str] = []
        events = self._kubectl.get("events", "--field-selector", f"involvedObject.name={NAME}")["items"]
        said += [f"{event.get('reason')}: {event.get('message')}" for event in events[-2:]]
        try:
            said.append(self._kubectl.run("logs", NAME, "-c", "writer", "--tail=3").strip())
        except KubectlError as error:
            said.append(error.stderr)
        return "; ".join(filter(None, said)) or "it says nothing"

    def far_ns(self, near_ns: int | None = None) -> int:
        """Return the pod's monotonic time of a moment of ours; of now by default."""
        return self.offset.likely(time.monotonic_ns() if near_ns is None else near_ns)

    def _compare_clocks(self) -> None:
        command = self._kubectl.command("exec", "-i", NAME, "-c", "writer", "--", "python", "-m", "drills.clock")
        pings: list[Ping] = []
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as far:
            if far.stdin is None or far.stdout is None:
                raise StackError("the clock of the drill's pod: no pipe to it")
            for _ in range(PINGS):
                sent_ns = time.monotonic_ns()
                far.stdin.write(b"\n")
                far.stdin.flush()
                words = far.stdout.readline().split()
                if len(words) != 3:
                    raise StackError("the clock of the drill's pod does not answer", remedy="Run the drill again.")
                pings.append(Ping(sent_ns, int(words[1]), time.monotonic_ns()))
                self.boot_id, self.asleep_ns = words[0].decode(), int(words[2])
            far.stdin.close()
        same_kernel = self.boot_id == boot_id()
        self.offset = estimate(pings[1:], same_kernel=same_kernel)  # the first waited for Python to start
        where = (
            "on this machine's clock" if same_kernel else f"offset known to {self.offset.uncertainty_ns / 1e6:.1f} ms"
        )
        self._progress(f"drill pod is ready on {self.node}, {where}")

    def listen_anew(self) -> None:
        """Follow the logs over new connections: the old ones may take long to notice that they were cut off."""
        for follower in self._followers:
            follower.restart()

    def ask(self, argv: Sequence[str]) -> str:
        """Run a program beside the observer and return what it printed."""
        return self._kubectl.exec(NAME, "observer", argv).strip()

    def start(self, command: str) -> None:
        """Have the shell beside the observer run a command, and do not wait for it."""
        self.ask(["sh", "-c", f"({command}) </dev/null >/dev/null 2>&1 &"])

    def read(self, path: str) -> str:
        """Return the content of a file beside the observer; empty if there is none."""
        return self.ask(["sh", "-c", f"cat {path} 2>/dev/null || true"])

    def want(self, trial: str) -> None:
        """Have the writers write for a trial; for none, with an empty name, which makes them read back and stop."""
        script = f"printf %s {trial!r} > {DIRECTORY}/.{WANTED} && mv {DIRECTORY}/.{WANTED} {DIRECTORY}/{WANTED}"
        self._kubectl.exec(NAME, "writer", ["sh", "-c", script])

    def fetch(self, trial: str, files: tuple[LedgerFile, ...]) -> dict[str, bytes]:
        """Return the files that the writers left for a trial; `StackError` where one did not come whole."""
        command = self._kubectl.command(
            "exec", NAME, "-c", "writer", "--", "tar", "-cf", "-", "-C", f"{DIRECTORY}/{trial}",
            *(file.name for file in files),
        )  # fmt: skip
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        found: dict[str, bytes] = {}
        try:
            with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
                for member in archive.getmembers():
                    content = archive.extractfile(member)
                    found[member.name] = content.read() if content else b""
        except tarfile.TarError as error:
            raise StackError(f"the ledgers of {trial} cannot be fetched: {error}") from error
        for file in files:
            if hashlib.sha256(found.get(file.name, b"")).hexdigest() != file.sha256:
                raise StackError(f"the ledgers of {trial} cannot be fetched: {file.name} did not come whole")
        return found


def remove_leftover(kubectl: Kubectl) -> None:
    """Remove the pod of an earlier drill that was killed, and wait until it is gone."""
    labels = ",".join(f"{key}={value}" for key, value in LABELS.items())
    kubectl.run("delete", "pod", "-l", labels, "--grace-period=1", "--wait=true", timeout_seconds=60)
