"""The Locust user of an open loop: a stream of arrivals that no slow answer can hold back.

A Locust user waits for an answer before it asks again, so a server that stalls is simply asked less, and the wait of
those who would have come meanwhile is in no figure. An `OpenLoopUser` is not a person but a stream of people: its
arrivals come when the schedule says, each in a greenlet of its own, and are measured from when they should have begun.
"""

import time
from random import Random
from typing import Any, ClassVar

from gevent import GreenletExit, Timeout, sleep
from gevent.local import local
from gevent.pool import Pool
from locust import FastHttpUser
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_STOPPING

from loadtests.key import key_headers
from loadtests.options import stream_options
from loadtests.recorder import Recorder
from loadtests.schedule import NANOSECONDS, offsets_ns

LATEST_START_SECONDS = 1.0
"""An arrival that the generator itself comes to later than this is dropped: sent then, it would be another load."""

_under_way = local()
"""The arrival that the current greenlet serves."""


class _Arrival:
    """One arrival while it is under way."""

    __slots__ = ("failure", "intended_ns", "name", "started_ns")

    def __init__(self, intended_ns: int, started_ns: int) -> None:
        self.intended_ns = intended_ns
        self.started_ns = started_ns
        self.failure = ""
        self.name = ""


def failure_reason(meta: dict[str, Any]) -> str:
    """Return in a few words why a request failed, from what Locust says of it; empty if it went well."""
    exception = meta.get("exception")
    if exception is None:
        return ""
    status = getattr(meta.get("response"), "status_code", 0)
    if status and not 200 <= status < 400:
        return f"HTTP {status}"
    # The HTTP client wraps what happened; its own text has the URL in it, which makes every failure one of a kind.
    original = getattr(exception, "original", None) or exception
    return type(original).__name__


class _FromIntendedStart:
    """Stands before Locust's `request` event: its response time becomes the one from the intended start.

    So Locust's own statistics, web page and exporters show what a person would have met.
    """

    def __init__(self, event: Any) -> None:
        self._event = event

    def fire(self, **meta: Any) -> None:
        arrival = getattr(_under_way, "arrival", None)
        if isinstance(arrival, _Arrival):
            arrival.failure = arrival.failure or failure_reason(meta)
            meta["response_time"] = (time.monotonic_ns() - arrival.intended_ns) / 1e6
        self._event.fire(**meta)


class OpenLoopUser(FastHttpUser):
    """A stream of `--stream-rate` arrivals per second; more users are more streams, which add up.

    Arrivals are a Poisson process unless `--arrivals` says otherwise; `--stream-shape` changes their rate over time.
    Each runs one of the class's tasks, chosen by their weights, in a greenlet of its own. At most `--max-in-flight` are
    under way at once; an arrival beyond that, or one that the generator comes to more than `LATEST_START_SECONDS` late,
    is dropped and counted. An operation is named after its task, unless the task says by `counts_as` that it came to
    something else. The schedule and every choice come from `--load-seed` and the stream's number alone.
    """

    abstract = True
    connection_timeout = 5.0
    network_timeout = 15.0
    request_timeout_seconds: ClassVar[float] = 10.0

    def __init__(self, environment: Environment) -> None:
        options = stream_options(environment)
        self.concurrency = options.max_in_flight
        self.default_headers = key_headers()
        super().__init__(environment)
        self.client.request_event = _FromIntendedStart(environment.events.request)
        load = environment.hms_load  # type: ignore[attr-defined]  # put there by loadtests.reporting for every environment
        self.recorder: Recorder = load.recorder
        self._mix: list[Any] = list(self.tasks)
        # Locust runs one task after the other; the one that it is given is the stream, which runs the class's own.
        self.tasks = [type(self).run_stream]
        stream = load.next_stream()
        self._arrivals = Random(f"{options.seed}/{stream}/arrivals")  # noqa: S311  # must be repeatable, not secret
        self.random = Random(f"{options.seed}/{stream}/choices")  # noqa: S311  # as above
        self.options = options
        self._load = load

    def run_stream(self) -> None:
        """Let the arrivals come until the stream's end, wait for the last answers, then end the user."""
        in_flight = Pool(self.concurrency)
        completed = False
        try:
            self._dispatch(in_flight)
            # Every request ends by its own timeout, so this ends too.
            in_flight.join()
            completed = True
        finally:
            in_flight.kill()
            self._load.stream_ended(completed=completed)
        raise StopUser

    def session(self, *, headers: dict[str, str]) -> FastHttpSession:
        """Return a client like `self.client`, with connections of its own and with these headers instead."""
        return FastHttpSession(
            base_url=self.host, request_event=self.client.request_event, user=self, headers=headers,
            network_timeout=self.network_timeout, connection_timeout=self.connection_timeout,
            concurrency=self.concurrency, insecure=self.insecure,
        )  # fmt: skip

    @staticmethod
    def counts_as(name: str) -> None:
        """Let the arrival that the calling task serves count as another operation."""
        arrival = getattr(_under_way, "arrival", None)
        if isinstance(arrival, _Arrival):
            arrival.name = name

    def _dispatch(self, in_flight: Pool) -> None:
        origin_ns = time.monotonic_ns()
        self.recorder.begin(origin_ns=origin_ns, window_seconds=self.options.window_seconds)
        for offset_ns in offsets_ns(
            rate_per_second=self.options.rate_per_second, shape=self.options.load_shape,
            arrivals=self.options.arrivals, random=self._arrivals,
        ):  # fmt: skip
            if self._state == LOCUST_STATE_STOPPING:
                return
            intended_ns = origin_ns + offset_ns
            # A late arrival yields too, or those before it would never get their turn.
            sleep(0)
            while (early_ns := intended_ns - time.monotonic_ns()) > 0:
                sleep(early_ns / NANOSECONDS)
            late_ns = time.monotonic_ns() - intended_ns
            if in_flight.free_count() <= 0 or late_ns > LATEST_START_SECONDS * NANOSECONDS:
                self.recorder.drop(intended_ns=intended_ns)
            else:
                in_flight.spawn(self._arrive, intended_ns)

    def _arrive(self, intended_ns: int) -> None:
        started_ns = time.monotonic_ns()
        arrival = _Arrival(intended_ns, started_ns)
        _under_way.arrival = arrival
        self.recorder.start(intended_ns=intended_ns, started_ns=started_ns)
        task: Any = self.random.choice(self._mix)
        try:
            with Timeout(self.request_timeout_seconds):
                task(self)
        except Timeout:
            arrival.failure = "Timeout"
        except GreenletExit:
            arrival.failure = "cut off at the end of the run"
        except Exception as error:  # the stream goes on whatever one task meets
            arrival.failure = type(error).__name__
        ended_ns = time.monotonic_ns()
        if arrival.failure and ended_ns - started_ns >= self.request_timeout_seconds * NANOSECONDS:
            # Locust's client takes the timeout for a failure like any other.
            arrival.failure = f"no answer within {self.request_timeout_seconds:g} s"
        self.recorder.finish(
            arrival.name or task.__name__,
            intended_ns=intended_ns,
            started_ns=started_ns,
            ended_ns=ended_ns,
            failure=arrival.failure,
        )
