"""How many searches a second one core of the service answers, against the same statements asked by pgbench."""

import statistics
from functools import partial
from urllib.parse import quote

from app.db.connection import parameters
from app.settings import from_environment
from hms.bench import pgbench, wrk
from hms.bench.cores import started_on
from hms.bench.figure import Figure, Raw, figure_of
from hms.bench.place import Place, Say
from hms.bench.queries import sample
from hms.bench.service import Service
from hms.bench.statements import sent_by

BOUND_RATIO = 0.6
ROUNDS = 5
SECONDS = 5
CONNECTIONS = 32
RAW_CLIENTS = 8
"""As many as the service's own pool: more than that Postgres does not get from it."""

_QUERIES = 100
_SEED = 98_186


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Measure in rounds, one of the service and one of pgbench in turn, so that both meet the same machine."""
    queries = sample(place.postgres, _QUERIES, seed=_SEED)
    paths = [f"/api/v1/search?q={quote(query)}" for query in queries]
    with place.service(HMS_POSTGRES_POOL_SIZE=str(RAW_CLIENTS)) as service:
        requests = sent_by(place.postgres, [partial(_ask, service, path) for path in paths])
        loads, rates = [], []
        for number in range(ROUNDS + 1):
            with started_on(place.other_core):
                load = wrk.run(service.url, paths, connections=CONNECTIONS, seconds=SECONDS)
                rate = pgbench.run(requests, connection=_connection(place), clients=RAW_CLIENTS, seconds=SECONDS)
            say(f"searches a second: the service {load.per_second:,.0f}, pgbench {rate:,.0f}")
            if number:  # the first round warms both
                loads.append(load)
                rates.append(rate)
    how = (
        f"{ROUNDS} rounds of {SECONDS} s each, in turn: {_QUERIES} queries made from titles, {CONNECTIONS} connections "
        f"to the service on a core of its own, without a cache; pgbench with {RAW_CLIENTS} prepared connections on "
        "the core of Postgres, as the load is"
    )
    raw = Raw(value=statistics.median(rates), what="the same statements, by pgbench")
    ratios = [load.per_second / rate for load, rate in zip(loads, rates, strict=True)]
    return (
        figure_of(
            [load.per_second for load in loads], name="search-rate", statistic="median", unit="1/s", how=how, raw=raw
        ),
        figure_of(
            ratios, name="search-rate-of-raw", statistic="median", unit="", how=how, promised=(">=", BOUND_RATIO)
        ),
        figure_of(
            [load.p99_ms for load in loads], name="search-p99-under-load", statistic="median", unit="ms", how=how
        ),
    )


def _ask(service: Service, path: str) -> None:
    service.client.get(path).raise_for_status()


def _connection(place: Place) -> str:
    """Return the service's own connection string: what its sessions are set to is a part of what is compared."""
    settings = from_environment(place.environment).postgres
    return parameters(settings.hosts[0], settings, application="hms-pgbench", statement_timeout_seconds=30)
