"""What Prometheus is told."""

from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app.db.member import Role
from app.db.router import Router

_BUCKETS_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


# A second series for each counter, of which nobody needs anything.
disable_created_metrics()  # type: ignore[no-untyped-call]  # theirs


class Metrics:
    """The figures of one instance, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.request_seconds = Histogram(
            "hms_app_request_duration_seconds",
            "Time from the request's head to the last byte of the answer.",
            ("route", "method", "status"),
            buckets=_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self.requests_active = Gauge(
            "hms_app_requests_active", "Requests that are being answered.", registry=self.registry
        )
        self.refused = Counter(
            "hms_app_requests_refused", "Requests refused because too many ran.", registry=self.registry
        )
        self.limited = Counter(
            "hms_app_requests_limited",
            "Requests refused because their client used up a limit: burst, minute or hour; or because its address "
            "showed too many keys that open nothing (keys).",
            ("tier", "limit"),
            registry=self.registry,
        )
        self.limit_decisions = Counter(
            "hms_app_limit_decisions",
            "Decisions on limits: shared by all instances in Redis, or by this one alone.",
            ("by",),
            registry=self.registry,
        )
        self.abandoned = Counter(
            "hms_app_requests_abandoned",
            "Requests ended because the client left, or took nothing of its answer (stalled).",
            ("reason",),
            registry=self.registry,
        )
        self.cache_lookups = Counter(
            "hms_app_cache_lookups",
            "Look-ups in the cache: hit, miss, or off while the cache is not reachable.",
            ("result",),
            registry=self.registry,
        )
        self.cache_shared = Counter(
            "hms_app_cache_shared",
            "Answers that another request computed meanwhile: in this instance (flight), or in another one (lock).",
            ("by",),
            registry=self.registry,
        )
        self.cache_early = Counter(
            "hms_app_cache_early", "Answers computed anew before their time, against stampedes.", registry=self.registry
        )
        self.postgres_retries = Counter(
            "hms_app_postgres_retries",
            "Attempts at a member that did not count and were made again, by SQLSTATE or reason.",
            ("reason",),
            registry=self.registry,
        )
        self.postgres_reads = Counter(
            "hms_app_postgres_reads",
            "Attempts at a read, by where they went: a replica that is fresh enough, the primary, or a stale replica "
            "because there was nobody else.",
            ("to",),
            registry=self.registry,
        )
        self.search_log_rows = Counter(
            "hms_app_search_log_rows",
            "Searches by what became of their row: written; or dropped, because too many waited (full), the primary "
            "did not take them in time (database), or it refused them (defect).",
            ("result",),
            registry=self.registry,
        )
        self.search_log_waiting = Gauge(
            "hms_app_search_log_waiting", "Searches whose row is not written yet.", registry=self.registry
        )
        self.search_log_partitions = Counter(
            "hms_app_search_log_partitions",
            "Monthly partitions of the search log that this instance made, dropped or archived.",
            ("action",),
            registry=self.registry,
        )
        self.maintenance_leads = Gauge(
            "hms_app_maintenance_leads",
            "1 if this instance is the one that tends to the tables, else 0.",
            registry=self.registry,
        )
        self.maintenance_runs = Counter(
            "hms_app_maintenance_runs", "Runs of the maintenance, done or failed.", ("result",), registry=self.registry
        )
        self.maintenance_done_at = Gauge(
            "hms_app_maintenance_done_timestamp_seconds",
            "When this instance last ended a run, as Unix time; 0 if never.",
            registry=self.registry,
        )

    def watch(self, router: Router) -> None:
        """Tell of the members of the database from now on."""
        self.registry.register(_MembersCollector(router))

    def exposition(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)


class _MembersCollector(Collector):
    """Reads the members when it is asked, so that nothing has to be kept up to date."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def collect(self) -> Iterator[Metric]:
        role = GaugeMetricFamily(
            "hms_app_postgres_member", "1 for the role in which a member is seen.", labels=("member", "role")
        )
        connections = GaugeMetricFamily(
            "hms_app_postgres_connections", "Connections to a member, by state.", labels=("member", "state")
        )
        limit = GaugeMetricFamily(
            "hms_app_postgres_connections_limit", "Connections to a member at most.", labels=("member",)
        )
        staleness = GaugeMetricFamily(
            "hms_app_postgres_staleness_seconds",
            "Seconds of commits that a read from a member may lack at most; not told of a member that is down.",
            labels=("member",),
        )
        budget = GaugeMetricFamily(
            "hms_app_postgres_budget", "Connections to all members together: taken, and the limit.", labels=("state",)
        )
        budget.add_metric(("taken",), self._router.budget.taken)
        budget.add_metric(("limit",), self._router.budget.most)
        for member in self._router.members:
            name = str(member.address)
            role.add_metric((name, member.view.role.value), 1)
            connections.add_metric((name, "used"), member.pool.in_use)
            connections.add_metric((name, "idle"), member.pool.idle)
            limit.add_metric((name,), member.pool.size)
            if member.view.role is not Role.DOWN:
                staleness.add_metric((name,), self._router.staleness(member))
        yield from (role, connections, limit, staleness, budget)
