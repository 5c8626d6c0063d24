"""The log: a JSON object a line, for who asks afterwards what a witness saw and did."""

import json
import time


def say(step: str, **about: object) -> None:
    """Write a step. `at` is the time of day, `monotonic` the clock of durations, both in seconds."""
    print(json.dumps({"step": step, "at": time.time(), "monotonic": time.monotonic(), **about}), flush=True)
