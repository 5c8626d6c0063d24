"""What the driver and the two programs in the drill's pod tell each other: settings in, one JSON object a line out.

The programs read their `Settings` once from the environment (`SETTINGS_VARIABLE`); it holds names and the paths of
mounted secrets, never a secret. They answer on stdout, where `kubectl logs --follow` finds every line again.
"""

import sys
from typing import Literal

import msgspec

from hms.evidence import Reader, ReaderName

SETTINGS_VARIABLE = "HMS_DRILL_SETTINGS"

WriterName = Literal["postgres", "postgres-stubborn", "redis", "app"]
"""Who writes. The stubborn one stays with a member that says nothing: what that acknowledges must be kept as well."""


class PostgresSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a drill's client reaches Postgres and Patroni's REST API."""

    members: tuple[str, ...]
    port: int
    rest_port: int
    database: str
    user: str
    password_file: str
    ca_file: str


def short_name(host: str) -> str:
    """Return a member's own name, the first label of its host name; an address stays what it is."""
    first = host.split(".", 1)[0]
    return host if first.isdigit() else first


class RedisSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a drill's client reaches Redis and the Sentinels.

    `minimum_replicas` is the declared `min-replicas-to-write`: a primary with fewer takes no write and is passed over.
    """

    nodes: tuple[str, ...]
    port: int
    sentinels: tuple[str, ...]
    sentinel_port: int
    master_name: str
    user: str
    password_file: str
    minimum_replicas: int


class AppSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the app's Service listens, and the file with the API key that it is asked with."""

    host: str
    port: int
    key_file: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the writer and the observer need to know.

    `directory` is the volume that outlives their container: ledgers, and `wanted`, the file that names the trial to
    write for. `rates_per_second` has the open-loop rate of each writer that shall run, `read_rates_per_second` of each
    reader.
    """

    run: str
    directory: str
    postgres: PostgresSettings
    redis: RedisSettings
    app: AppSettings
    rates_per_second: dict[WriterName, float]
    read_rates_per_second: dict[ReaderName, float] = {}


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """The writers have begun a trial, or went on with it after their container was restarted (`resumed`)."""

    trial: str
    boot_id: str
    at_ns: int
    resumed: bool


class WriterStatus(msgspec.Struct, frozen=True, kw_only=True, tag="status"):
    """One writer's counts so far.

    `last_acknowledged_sent_ns` is when the last acknowledged write was sent; `last_failed_ns` when the last write was
    refused, unknown or could not be sent. Zero where there was none.
    """

    trial: str
    writer: WriterName
    at_ns: int
    acknowledged: int
    refused: int
    unknown: int
    not_sent: int
    last_acknowledged_sent_ns: int
    last_failed_ns: int
    detail: str = ""


class LedgerFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the writers left for the driver, by its path inside the trial's directory."""

    name: str
    bytes: int
    sha256: str


class WriterResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a writer left: the nodes that it read back, and the one that decides; empty if that did not answer."""

    writer: WriterName
    nodes: tuple[str, ...]
    authoritative: str
    not_sent: int
    problem: str = ""


class Stopped(msgspec.Struct, frozen=True, kw_only=True, tag="stopped"):
    """The writers have ended a trial, read back what every node has, and left these files."""

    trial: str
    at_ns: int
    results: tuple[WriterResult, ...]
    readers: tuple[Reader, ...] = ()
    files: tuple[LedgerFile, ...]


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """A program in the pod cannot go on; `reason` is one line."""

    at_ns: int
    reason: str


class Seen(msgspec.Struct, frozen=True, kw_only=True, tag="seen"):
    """One thing that the observer saw happen, on the pod's monotonic clock."""

    at_ns: int
    source: str
    what: str


class PostgresState(msgspec.Struct, frozen=True, kw_only=True):
    """What Patroni's members say at one moment.

    `primary` is empty while none leads. `started` has each member's postmaster start time, `timeline` the leader's.
    """

    steady: bool
    detail: str
    primary: str
    replicas: tuple[str, ...]
    synchronous: tuple[str, ...]
    timeline: int
    started: dict[str, str]


class RedisState(msgspec.Struct, frozen=True, kw_only=True):
    """What the Redis nodes and their Sentinels say at one moment; `run_ids` has each node's, new with each start."""

    steady: bool
    detail: str
    primary: str
    replicas: tuple[str, ...]
    run_ids: dict[str, str]


class State(msgspec.Struct, frozen=True, kw_only=True, tag="state"):
    """The observer's view at one moment; sent when it changes, and every half second."""

    at_ns: int
    postgres: PostgresState
    redis: RedisState


class Effective(msgspec.Struct, frozen=True, kw_only=True, tag="effective"):
    """Timers as the running engines state them, by name."""

    at_ns: int
    values: dict[str, str]


Message = Started | WriterStatus | Stopped | Failed | Seen | State | Effective

_DECODER: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return a message as one line."""
    return msgspec.json.encode(message) + b"\n"


def print_message(message: Message) -> None:
    """Write a message to stdout, whole."""
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


def decode(line: bytes) -> Message | None:
    """Return the message in a line, or None where the line is something else (a library's warning)."""
    try:
        return _DECODER.decode(line)
    except msgspec.DecodeError:
        return None
