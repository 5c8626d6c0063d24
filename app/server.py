"""The parts put together: the application, and the process that serves it from the first request to the last."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from app import tracing
from app.api.requests import Service
from app.api.routes import EXCEPTION_HANDLERS, FREE_PATHS, KEYLESS_PATHS, ROUTES
from app.connections import bounded
from app.db import api_keys
from app.db.maintenance import Maintenance
from app.db.router import Router
from app.db.search_log import SearchLog
from app.metrics import Metrics
from app.middleware.authenticate import Authenticate, RefuseUnknownKeys
from app.middleware.bounds import Bounds
from app.middleware.concurrency import Concurrency, Slots
from app.middleware.drain import Drain
from app.middleware.observe import Observe
from app.middleware.rate_limiter import Local, RateLimit, Shared
from app.middleware.security_headers import SecurityHeaders
from app.middleware.timeouts import Timeouts
from app.middleware.wrong_keys import WrongKeys
from app.resources import Monitor
from app.services.cache import Cache
from app.services.collector import RedisCollector
from app.services.invalidation import Invalidator
from app.services.key_ring import KeyRing
from app.services.memory import MemoryWatch
from app.services.redis_cluster import RedisCluster
from app.settings import Settings

_LOG = logging.getLogger("app.server")

_IDLE_CONNECTION_SECONDS = 75
"""Longer than clients and proxies commonly keep one: if we closed it first, a request could be on its way."""

_STOP_SLACK_SECONDS = 1.0

_YOUNG_OBJECTS = 10_000
"""Objects that are made before the collector looks at the youngest."""


class Application:
    """The ASGI application with its parts. Start and stop belong to ASGI's lifespan."""

    def __init__(self, settings: Settings) -> None:
        metrics = Metrics()
        router = Router(
            settings.postgres,
            statement_timeout_seconds=settings.timeouts.longest_seconds,
            retried=lambda reason: metrics.postgres_retries.labels(reason).inc(),
            chosen=lambda choice: metrics.postgres_reads.labels(choice.value).inc(),
        )
        metrics.watch(router)
        redis = RedisCluster(settings.redis)
        self.memory = MemoryWatch(redis)
        metrics.registry.register(RedisCollector(redis, self.memory))
        kept_seconds = settings.redis.ttl_seconds if settings.redis else 0
        cache = Cache(redis, ttl_seconds=kept_seconds, metrics=metrics)
        invalidator = Invalidator(redis, kept_seconds=kept_seconds)
        protection = settings.protection
        search_log = SearchLog(router, metrics, on=settings.search_log.on)
        self.maintenance = Maintenance(
            router, settings.postgres, settings.search_log, metrics, interval_seconds=settings.maintenance_seconds
        )
        starlette = Starlette(routes=ROUTES, exception_handlers=EXCEPTION_HANDLERS, lifespan=self._lifespan)
        ring = KeyRing(lambda digest, deadline: router.read(lambda c: api_keys.find(c, digest), deadline, fresh=True))
        local, wrong_keys = Local(protection.instances), WrongKeys()
        app: ASGIApp = RefuseUnknownKeys(starlette)
        if protection.limits is not None:
            app = RateLimit(
                app, metrics=metrics, shared=Shared(redis), local=local, tiers=protection.limits, free=FREE_PATHS
            )
        app = Authenticate(
            app,
            metrics=metrics,
            ring=ring,
            wrong_keys=wrong_keys,
            admin_key_file=protection.admin_key_file,
            trusted_proxies=protection.trusted_proxies,
            free=FREE_PATHS,
            keyless=KEYLESS_PATHS,
        )
        timed = Timeouts(app, metrics=metrics, timeouts=settings.timeouts)
        concurrency = Concurrency(timed, metrics=metrics, most=protection.max_concurrency, free=FREE_PATHS)
        bounds = Bounds(concurrency, slow_client_seconds=settings.timeouts.slow_client_seconds)
        observed = Observe(
            SecurityHeaders(bounds), metrics=metrics, routes={route.endpoint: route.path for route in ROUTES}
        )
        enterprise = Slots(protection.enterprise_concurrency)
        self.monitor = Monitor(
            slots=concurrency.slots,
            enterprise=enterprise,
            oldest_request_seconds=lambda: concurrency.oldest_seconds,
            stores={"api keys": ring, "limits": local, "wrong keys": wrong_keys},
            connections_limit=protection.max_connections,
        )
        metrics.registry.register(self.monitor)
        self.service = Service(
            router=router,
            redis=redis,
            cache=cache,
            invalidator=invalidator,
            metrics=metrics,
            enterprise=enterprise,
            monitor=self.monitor,
            search_log=search_log,
        )
        self.drain = Drain(observed)
        starlette.state.service = self.service
        starlette.state.drain = self.drain

    @property
    def asgi(self) -> ASGIApp:
        """Return what a server calls."""
        return self.drain

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        del app
        await self.service.router.start()
        await self.service.redis.start()
        await self.memory.start()
        await self.monitor.start()
        await self.service.search_log.start()
        await self.maintenance.start()
        # What is there now stays: the collector need not look at it again. And with a generation of 700 objects, its
        # default, it would look at the same few requests' objects several times while they are answered.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS, 10, 10)
        try:
            yield
        finally:
            await self.monitor.stop()
            await self.memory.stop()
            await self.service.invalidator.stop()
            await self.service.cache.stop()
            await self.maintenance.stop()
            await self.service.search_log.stop()
            await self.service.redis.stop()
            await self.service.router.stop()
            await tracing.end()


class Server(uvicorn.Server):
    """Uvicorn, with a stop that loses no request.

    On SIGTERM or SIGINT: readiness fails and every answer says `Connection: close`, for `drain_seconds`, so that
    clients leave by themselves; then no connection is accepted, what still runs ends within its deadline, and the
    process exits with 0.
    """

    def __init__(self, settings: Settings, application: Application) -> None:
        super().__init__(
            uvicorn.Config(
                application.asgi,
                host=settings.listen.host,
                port=settings.listen.port,
                loop="uvloop",
                http=bounded(
                    slow_client_seconds=settings.timeouts.slow_client_seconds,
                    most_connections=settings.protection.max_connections,
                ),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_IDLE_CONNECTION_SECONDS,
                timeout_graceful_shutdown=round(settings.timeouts.longest_seconds + _STOP_SLACK_SECONDS),
            )
        )
        application.monitor.connections = lambda: len(self.server_state.connections)
        self._drain = application.drain
        self._drain_seconds = settings.drain_seconds

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take the signals by the loop; uvicorn would raise them again at the end, and the exit code were not 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        if self._drain.begun:
            self.should_exit = True  # told twice: do not wait for the clients
            return
        _LOG.info("stopping", extra={"fields": {"signal": signal.Signals(number).name}})
        self._drain.begin()
        asyncio.get_running_loop().call_later(self._drain_seconds, self._close)

    def _close(self) -> None:
        self.should_exit = True
