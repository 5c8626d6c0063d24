"""Patroni's configuration, made from the spec. Pure: what is a secret or a pod's own is not in it.

The pod's start script adds the passwords from their files, the environment adds the pod's name and address.
"""

from typing import Any, Final

import yaml

from hms.quantity import format_bytes
from hms.spec import PostgresSpec
from infra.names import (
    PATRONI_LABELS,
    PATRONI_PORT,
    POSTGRES,
    POSTGRES_PORT,
    RUN_PATH,
    TLS_PATH,
)

DATA_PATH: Final = "/data/pgdata"
WAL_PATH: Final = "/wal/pg_wal"
SOCKET_PATH: Final = "/run/postgresql"
BINARIES: Final = "/usr/lib/postgresql/17/bin"
_MIB: Final = 1024**2
_SUPERUSER_SESSIONS: Final = 5  # two are Patroni's own


def dynamic_timers(spec: PostgresSpec) -> dict[str, int]:
    """Return Patroni's timers in seconds by the names that its `/config` shows."""
    return {
        "ttl": spec.ttl_seconds,
        "loop_wait": spec.loop_wait_seconds,
        "retry_timeout": spec.retry_timeout_seconds,
        "primary_start_timeout": spec.primary_start_timeout_seconds,
    }


def server_settings(spec: PostgresSpec) -> dict[str, str]:
    """Return the server settings by name, as `SHOW` prints them.

    A standby or a primary that falls silent is noticed within `replication_timeout_seconds`; keepalives and
    `tcp_user_timeout` do the same for clients. The WAL is capped so that it stays within its own volume. Whoever else
    asks for sessions, those of the app (which has `pg_use_reserved_connections`) and of the superuser stay free.
    """
    replication_timeout = f"{spec.replication_timeout_seconds}s"
    max_wal_bytes = max(spec.wal_storage_bytes // 4 // _MIB, 64) * _MIB
    return {
        **_agreed_settings(spec),
        "superuser_reserved_connections": str(_SUPERUSER_SESSIONS),
        "reserved_connections": str(spec.reserved_connections),
        "shared_buffers": _shown(spec.shared_buffers_bytes),
        "effective_cache_size": _shown(spec.resources.memory_limit_bytes // 2 // _MIB * _MIB),
        "work_mem": "8MB",
        "maintenance_work_mem": _shown(max(spec.resources.memory_limit_bytes // 8 // _MIB, 16) * _MIB),
        "max_wal_size": _shown(max_wal_bytes),
        "max_slot_wal_keep_size": _shown(max_wal_bytes),
        "wal_sender_timeout": replication_timeout,
        "wal_receiver_timeout": replication_timeout,
        "wal_receiver_status_interval": "1s",
        # Half of a failover's replicas dial the new primary before it has promoted; the default lets them wait 5 s.
        "wal_retrieve_retry_interval": "100ms",
        "hot_standby_feedback": "on",
        "synchronous_commit": "on",
        "tcp_keepalives_idle": "2",
        "tcp_keepalives_interval": "1",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "2s",
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_min_protocol_version": "TLSv1.2",
        "shared_preload_libraries": "pg_stat_statements",
        "track_io_timing": "on",
        "jit": "off",
        "log_checkpoints": "on",
        "log_replication_commands": "on",
        "idle_in_transaction_session_timeout": "1min",
    }


def _agreed_settings(spec: PostgresSpec) -> dict[str, str]:
    """Return the settings that Patroni takes from the cluster's own configuration alone."""
    return {
        "max_connections": str(spec.max_connections),
        "max_wal_senders": "10",
        "max_replication_slots": "10",
        "max_worker_processes": "8",
        "wal_keep_size": "64MB",
        "wal_level": "replica",
        "wal_log_hints": "on",
    }


def _shown(size_bytes: int) -> str:
    """Write a size as `SHOW` does: in the largest unit that divides it, `MB` for MiB."""
    return format_bytes(size_bytes).removesuffix("i") + "B"


def host_based_access() -> list[str]:
    """Return the lines of `pg_hba.conf`: the container's own user over its socket; all else with TLS and scram."""
    lines = ["local all postgres peer", "local all all scram-sha-256"]
    for addresses in ("0.0.0.0/0", "::0/0"):
        lines += [
            f"hostssl replication replicator {addresses} scram-sha-256",
            f"hostssl all all {addresses} scram-sha-256",
        ]
    return lines


def patroni_config(spec: PostgresSpec) -> dict[str, Any]:
    """Return the whole configuration but for the passwords, as Patroni's YAML has it."""
    agreed = _agreed_settings(spec)
    verify = {"sslmode": "verify-ca", "sslrootcert": f"{TLS_PATH}/ca.crt"}
    return {
        "scope": POSTGRES,
        "kubernetes": {
            "labels": PATRONI_LABELS,
            "use_endpoints": True,
            "leader_label_value": "primary",
            "standby_leader_label_value": "primary",
            "ports": [{"name": POSTGRES, "port": POSTGRES_PORT}],
        },
        "restapi": {"listen": f"0.0.0.0:{PATRONI_PORT}", "authentication": {"username": "patroni"}},
        "bootstrap": {
            "dcs": {
                **dynamic_timers(spec),
                "maximum_lag_on_failover": 1 * _MIB,
                "synchronous_mode": {"off": False, "on": True, "quorum": "quorum"}[spec.synchronous_mode],
                "synchronous_mode_strict": spec.synchronous_mode != "off",
                "synchronous_node_count": 1,
                "failsafe_mode": True,
                "postgresql": {
                    "use_pg_rewind": True,
                    "use_slots": True,
                    "parameters": _agreed_settings(spec),
                    "remove_data_directory_on_diverged_timelines": True,
                    "remove_data_directory_on_rewind_failure": True,
                },
            },
            "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums", {"waldir": WAL_PATH}],
            "post_bootstrap": "/opt/hms/post-bootstrap",
        },
        "postgresql": {
            "listen": f"0.0.0.0:{POSTGRES_PORT}",
            "use_unix_socket": True,
            "use_unix_socket_repl": False,
            "data_dir": DATA_PATH,
            "bin_dir": BINARIES,
            "bin_name": {"postgres": "/opt/hms/postgres", "pg_rewind": "/opt/hms/pg_rewind"},
            "pgpass": f"{RUN_PATH}/pgpass",
            "create_replica_methods": ["basebackup"],
            "basebackup": [{"waldir": WAL_PATH}, {"checkpoint": "fast"}],
            "authentication": {
                "superuser": {"username": "postgres", **verify},
                "replication": {"username": "replicator", **verify},
                "rewind": {"username": "rewind", **verify},
            },
            "parameters": {
                **{name: value for name, value in server_settings(spec).items() if name not in agreed},
                "unix_socket_directories": SOCKET_PATH,
                "ssl_cert_file": f"{TLS_PATH}/tls.crt",
                "ssl_key_file": f"{TLS_PATH}/tls.key",
                "ssl_ca_file": f"{TLS_PATH}/ca.crt",
            },
            "pg_hba": host_based_access(),
            **({"recovery_conf": {"restore_command": "/opt/hms/latch-wait"}} if spec.witness == "on" else {}),
        },
        "watchdog": {"mode": "off"},
        "log": {"deduplicate_heartbeat_logs": True},
    }


def render(spec: PostgresSpec) -> str:
    """Return the configuration as YAML text, the same bytes for the same spec."""
    return yaml.safe_dump(patroni_config(spec), sort_keys=True, default_flow_style=False)
