"""The `Scenario`: who asks for what, in which mix. Data, in `scenarios.toml`."""

from functools import cache
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("scenarios.toml")


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mix of operations by weight; the other fields are rules of `loadtests.queries` and `loadtests.popularity`."""

    statement: str
    zipf_exponent: float
    misspelt_percent: float
    operations: dict[str, int]


@cache
def load_scenarios() -> dict[str, Scenario]:
    """Read the scenarios by name."""
    return msgspec.toml.decode(FILE.read_bytes(), type=dict[str, Scenario])


def class_name(scenario: str) -> str:
    """Return the name of a scenario's Locust user class: `cache-cold` is `CacheCold`."""
    return "".join(word.capitalize() for word in scenario.split("-"))
