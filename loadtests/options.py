"""The open loop's own options on Locust's command line, and what was given."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from hms.load_shape import LoadShape, parse_shape, steady
from loadtests.schedule import Arrivals
from loadtests.windows import window_seconds_for

if TYPE_CHECKING:  # to import Locust is to have the standard library patched
    from locust.env import Environment


def _shape(text: str) -> str:
    """Return a shape's text if it is one; the parser shows what is wrong with another."""
    if text:
        parse_shape(text)
    return text


def add_arguments(parser: Any, **_: Any) -> None:
    """Add the options; a listener of Locust's `init_command_line_parser`."""
    add = parser.add_argument_group("open loop", "Each Locust user is a stream of arrivals.").add_argument
    add("--stream-rate", type=float, default=10.0, help="arrivals per second of each user (default 10)")
    add("--stream-seconds", type=float, default=0.0, help="how long a stream lasts; 0: until stopped (default)")
    add("--stream-shape", type=_shape, default="", help="stages as multiples of the rate: 1:30s, 1-10:60s, 10:5s")
    add("--arrivals", choices=get_args(Arrivals), default="poisson", help="how arrivals are spaced (default poisson)")
    add("--max-in-flight", type=int, default=512, help="requests under way at once in a stream; more are dropped")
    add("--load-seed", type=int, default=1, help="seed of schedule and choices (default 1)")
    add("--load-scenario", default="", help="print the run's record under this name and quit when all streams ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """What was given. `seconds` is None where streams run until they are stopped; `scenario` is empty by hand."""

    rate_per_second: float
    seconds: float | None
    shape: str
    arrivals: Arrivals
    max_in_flight: int
    seed: int
    scenario: str
    streams: int
    workers: int

    @property
    def load_shape(self) -> LoadShape:
        """Return the shape of a stream: the one that was given, or its rate as long as it lasts."""
        return parse_shape(self.shape) if self.shape else steady(self.seconds or math.inf)

    @property
    def window_seconds(self) -> float:
        """Return the length of the windows in which the run is recorded."""
        return window_seconds_for(self.seconds)


def stream_options(environment: "Environment") -> StreamOptions:
    """Read the options of an environment; on a worker they are the master's once the run has begun."""
    given = environment.parsed_options
    if given is None:
        raise RuntimeError("this Locust environment was made without a command line; the open loop needs its options")
    shape = str(given.stream_shape)
    return StreamOptions(
        rate_per_second=float(given.stream_rate),
        seconds=parse_shape(shape).seconds if shape else float(given.stream_seconds) or None,
        shape=shape,
        arrivals=given.arrivals,
        max_in_flight=int(given.max_in_flight),
        seed=int(given.load_seed),
        scenario=str(given.load_scenario),
        streams=int(given.num_users or 1),
        workers=int(given.expect_workers),
    )
