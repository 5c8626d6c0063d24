"""What Prometheus is told of Redis: read from the nodes when it asks, so that nothing has to be kept up to date."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.services.redis_cluster import RedisCluster


class RedisCollector(Collector):
    """The nodes' roles, their breakers and the connections to them."""

    def __init__(self, redis: RedisCluster) -> None:
        self._redis = redis

    def collect(self) -> Iterator[Metric]:
        """Yield the figures as they are now."""
        up = GaugeMetricFamily("hms_app_cache_up", "1 while Redis has a primary that requests ask, else 0.")
        up.add_metric((), int(self._redis.up))
        role = GaugeMetricFamily(
            "hms_app_redis_node", "1 for the role in which a node is seen.", labels=("node", "role")
        )
        breaker = GaugeMetricFamily(
            "hms_app_redis_breaker",
            "1 for the state of a node's circuit breaker: closed, open or half-open.",
            labels=("node", "state"),
        )
        connections = GaugeMetricFamily(
            "hms_app_redis_connections",
            "Connections to a node: in use or waited for, and the limit.",
            labels=("node", "state"),
        )
        for node in self._redis.nodes:
            name = str(node.address)
            role.add_metric((name, node.view.role.value), 1)
            breaker.add_metric((name, node.breaker.state.value), 1)
            connections.add_metric((name, "used"), node.in_use)
            connections.add_metric((name, "limit"), node.pool_size)
        yield from (up, role, breaker, connections)
