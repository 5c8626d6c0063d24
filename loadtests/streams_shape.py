"""Locust's own shape of a test, for streams: as many users as were asked for, until the last stream is over.

The rate's shape over time is in the streams themselves, on the monotonic clock (`--stream-shape`); Locust's shapes act
once a second and by starting and stopping users, which would cut off what is under way.
"""

from typing import ClassVar

from locust import LoadTestShape

from loadtests.options import stream_options

LAST_ANSWERS_SECONDS = 12.0
"""Beyond the streams' own end: a request's timeout, and a little."""


class Streams(LoadTestShape):
    """All streams at once; the test is stopped when they have ended, so that the web page says so, too."""

    use_common_options: ClassVar[bool] = True

    def tick(self) -> tuple[int, float] | None:
        """Return how many streams there are, or None when the test is over."""
        if self.runner is None:
            return None
        options = stream_options(self.runner.environment)
        ran_seconds: float = self.get_run_time()  # type: ignore[no-untyped-call]  # Locust leaves this one untyped
        if options.seconds is not None and ran_seconds > options.seconds + LAST_ANSWERS_SECONDS:
            return None
        return options.streams, float(options.streams)
