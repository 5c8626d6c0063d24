"""What Prometheus is told of Redis: read from the nodes when it asks, so that nothing has to be kept up to date."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.services.memory import MemoryWatch
from app.services.redis_cluster import RedisCluster


class RedisCollector(Collector):
    """The nodes' roles, their breakers, the connections to them, their memory."""

    def __init__(self, redis: RedisCluster, memory: MemoryWatch) -> None:
        self._redis = redis
        self._memory = memory

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
        yield from self._of_memory()

    def _of_memory(self) -> Iterator[Metric]:
        def gauge(name: str, text: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"hms_app_redis_memory_{name}", text, labels=("node",))

        used = gauge("used_bytes", "Memory that a node uses.")
        limit = gauge("limit_bytes", "Memory that a node may use; 0 is no limit.")
        ratio = gauge("ratio", "Used over limit; 0 without a limit.")
        fragmentation = gauge("fragmentation", "Resident over used memory.")
        alarm = gauge("alarm", "1 from 80 % on, until it is below 70 %.")
        evicted = CounterMetricFamily("hms_app_redis_evicted_keys", "Keys that a node evicted.", labels=("node",))
        for address, usage in self._memory.usage.items():
            name = (str(address),)
            used.add_metric(name, usage.used_bytes)
            limit.add_metric(name, usage.limit_bytes)
            ratio.add_metric(name, usage.ratio)
            fragmentation.add_metric(name, usage.fragmentation)
            alarm.add_metric(name, int(self._memory.alarms[address].on))
            evicted.add_metric(name, usage.evicted_keys)
        yield from (used, limit, ratio, fragmentation, alarm, evicted)
