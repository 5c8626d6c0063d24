"""What a history of releases costs: its bytes, a search in one of them, and making another one current."""

import json
import sys

from hms.bench import searches
from hms.bench.figure import Figure, figure_of
from hms.bench.place import Place, Say
from hms.bench.processes import Process
from hms.bench.service import clean_environment
from hms.errors import BenchError

_RELEASES = 2
_SWITCHES = 4
_PATIENCE_SECONDS = 600.0

_RELEASE = "SELECT name FROM icd10_releases WHERE active"
_ROWS = "SELECT sum(codes) FROM icd10_releases"
_LAST = "SELECT name FROM icd10_releases WHERE NOT active ORDER BY loaded_at DESC LIMIT 1"
_TABLE_BYTES = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('icd10_codes')"
_WAL_BYTES = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Store some releases more, search in one of them, and switch to one of them and back."""
    return (
        *_size(place, say),
        *searches.measure_old(place, say, str(place.postgres.value(_LAST))),
        *_switch(place, say),
    )


def _size(place: Place, say: Say) -> tuple[Figure, ...]:
    before = [_number(place, query) for query in (_ROWS, _TABLE_BYTES, _WAL_BYTES)]
    each = _number(place, "SELECT max(codes) FROM icd10_releases")
    _load(place, "--generate", str(round(before[0] + _RELEASES * each)))
    after = [_number(place, query) for query in (_ROWS, _TABLE_BYTES, _WAL_BYTES)]
    rows, table_bytes, wal_bytes = (end - begin for begin, end in zip(before, after, strict=True))
    say(f"{rows:.0f} rows generated")
    how = f"{_RELEASES} releases are stored beside the current one by `python -m app.load --generate`, with their keys"
    return (
        figure_of([table_bytes / rows], name="history-bytes-per-row", statistic="median", unit="B", how=how),
        figure_of([wal_bytes / rows], name="history-wal-bytes-per-row", statistic="median", unit="B", how=how),
    )


def _switch(place: Place, say: Say) -> tuple[Figure, ...]:
    first, other = (str(place.postgres.value(query)) for query in (_RELEASE, _LAST))
    seconds = [
        float(str(line["seconds"]))
        for _ in range(_SWITCHES // 2)
        for name in (other, first)
        for line in _load(place, "--switch", name)
        if line["message"] == "release switched"
    ]
    if len(seconds) != _SWITCHES:
        raise BenchError(f"{len(seconds)} switches were made, not {_SWITCHES}")
    say(f"{len(seconds)} switches")
    return (
        figure_of(
            seconds,
            name="switch",
            statistic="median",
            unit="s",
            how="`python -m app.load --switch NAME`: the transaction that makes a stored release the current one, with "
            "the lease of the instances that it waits for; readers have the old one until it is committed",
        ),
    )


def _load(place: Place, *arguments: str) -> list[dict[str, object]]:
    process = Process(
        [sys.executable, "-m", "app.load", *arguments], environment=clean_environment(**place.environment)
    )
    if process.wait(seconds=_PATIENCE_SECONDS) != 0:
        raise BenchError(f"`python -m app.load {' '.join(arguments)}` failed", remedy=process.output)
    return [json.loads(line) for line in process.lines]


def _number(place: Place, query: str) -> float:
    return float(str(place.postgres.value(query)))
