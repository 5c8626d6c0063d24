"""What Postgres and Patroni say of themselves: the questions, asked inside a member's container, and the answers. Pure.

psql connects over the container's own socket as the container's own user, so that no password is used at all.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

_NAME = re.compile(r"[a-z_][a-z0-9_.]*")

_QUERIES = r"""
\echo @recovery
SELECT pg_is_in_recovery();
\echo @weak_passwords
SELECT coalesce(string_agg(rolname, ' '), '') FROM pg_authid
    WHERE rolpassword IS NOT NULL AND rolpassword NOT LIKE 'SCRAM-SHA-256$%';
\echo @weak_access
SELECT line_number || ': ' || concat_ws(' ', type, array_to_string(database, ','), auth_method) FROM pg_hba_file_rules
    WHERE error IS NOT NULL
       OR (type = 'local' AND auth_method NOT IN ('peer', 'scram-sha-256', 'reject'))
       OR (type = 'hostssl' AND auth_method NOT IN ('scram-sha-256', 'cert', 'reject'))
       OR (type NOT IN ('local', 'hostssl') AND auth_method <> 'reject');
\echo @plain_connections
SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL AND NOT ssl;
\echo @standbys
SELECT json_build_object('name', application_name, 'state', state, 'sync_state', sync_state,
        'lag_bytes', pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint)
    FROM pg_stat_replication WHERE NOT pg_is_in_recovery() ORDER BY application_name;
\echo @receiver
SELECT status FROM pg_stat_wal_receiver;
\echo @checksums
SHOW data_checksums;
\connect DATABASE
\echo @codes
SELECT count(*) FROM icd10_codes WHERE active;
\echo @release
SELECT name FROM icd10_releases WHERE active;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """One standby as its primary sees it."""

    name: str
    state: str
    sync_state: str
    lag_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one member said. `standbys` is empty on a replica, `receiver` on the primary."""

    settings: dict[str, str]
    in_recovery: bool
    weak_passwords: str
    weak_access: tuple[str, ...]
    plain_connections: int
    standbys: tuple[Standby, ...]
    receiver: str
    checksums: str
    codes: int
    release: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member as Patroni's `/cluster` shows it; `lag_bytes` is None for the leader and where it is unknown."""

    name: str
    role: str
    state: str
    timeline: int | None
    lag_bytes: int | None


def question_script(settings: Iterable[str], *, database: str) -> str:
    """Return the shell command that asks everything in one psql session.

    `ValueError` for a setting's or database's name that is none.
    """
    names = list(settings)
    if bad := [name for name in (*names, database) if not _NAME.fullmatch(name)]:
        raise ValueError(f"not a name in Postgres: {', '.join(map(repr, bad))}")
    shows = "".join(f"\\echo @setting {name}\n{_show(name)}\n" for name in names)
    queries = shows + _QUERIES.replace("DATABASE", database)
    options = "--no-psqlrc --no-align --tuples-only --quiet --set ON_ERROR_STOP=1"
    return f"printf '%s' {quote(queries)} | psql {options} --username postgres --dbname postgres"


def _show(name: str) -> str:
    """Return the question for a setting: `SHOW`, but for what `SHOW` answers for this session's own socket alone.

    Over a Unix socket the TCP timers are always 0; what a TCP session would begin with is in `pg_settings`.
    """
    if not name.startswith("tcp_"):
        return f"SHOW {name};"
    # The name was held to the form of one.
    return f"SELECT reset_val || coalesce(unit, '') FROM pg_settings WHERE name = '{name}';"  # noqa: S608  # see above


def same_setting(name: str, declared: str, observed: str | None) -> bool:
    """Tell whether a setting has the declared value; TCP timers may be written in another unit (2, 2s and 2000ms)."""
    if not name.startswith("tcp_") or observed is None:
        return observed == declared
    unit = "ms" if observed.endswith("ms") else "s"
    return _milliseconds(declared, unit) == _milliseconds(observed, unit)


def _milliseconds(text: str, unit: str) -> int:
    number = text.rstrip("ms")
    given = text.removeprefix(number) or unit
    return int(number) * (1 if given == "ms" else 1000)


def _sections(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("@"):
            current = found.setdefault(line[1:], [])
        elif line:
            current.append(line)
    return found


def parse_answers(text: str) -> Answers:
    """Take psql's output apart; `ValueError` names what is missing."""
    parts = _sections(text)
    try:
        return Answers(
            settings={
                head.removeprefix("setting "): " ".join(lines)
                for head, lines in parts.items()
                if head.startswith("setting ")
            },
            in_recovery=parts["recovery"] == ["t"],
            weak_passwords=" ".join(parts["weak_passwords"]),
            weak_access=tuple(parts["weak_access"]),
            plain_connections=int(parts["plain_connections"][0]),
            standbys=tuple(Standby(**json.loads(line)) for line in parts["standbys"]),
            receiver=" ".join(parts["receiver"]),
            checksums=" ".join(parts["checksums"]),
            codes=int(parts["codes"][0]),
            release=" ".join(parts["release"]),
        )
    except (KeyError, IndexError) as error:
        raise ValueError(f"psql's answer lacks {error}: {text[-200:]!r}") from error


def rest_script(port: int, paths: Sequence[str]) -> str:
    """Return the shell command that asks Patroni's REST API and prints one JSON object, an answer by its path."""
    program = (
        "import json,sys,urllib.request as u\n"
        "get=lambda p:json.load(u.urlopen('http://127.0.0.1:'+sys.argv[1]+p,timeout=5))\n"
        "print(json.dumps({p:get(p) for p in sys.argv[2:]}))"
    )
    return f"python3 -c {quote(program)} {port} {' '.join(quote(path) for path in paths)}"


def parse_members(cluster: dict[str, Any]) -> tuple[Member, ...]:
    """Return the members of Patroni's `/cluster`, by name."""
    members = (
        Member(
            name=str(member["name"]),
            role=str(member["role"]),
            state=str(member["state"]),
            timeline=member.get("timeline"),
            lag_bytes=member["lag"] if isinstance(member.get("lag"), int) else None,
        )
        for member in cluster.get("members", ())
    )
    return tuple(sorted(members, key=lambda member: member.name))
