"""The `Profile`: load runs that belong together, as data, and what they are judged by."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from hms.claim import Catalogue
from hms.errors import InvalidSpecError
from hms.judge import concerns
from hms.verdict import Observation
from loadtests.plan import LoadPlan, make_plan
from loadtests.target import Target

FILE = Path(__file__).with_name("profiles.toml")


class ProfileRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run of a profile, `rounds` times; its rate is in arrivals a second."""

    scenario: str
    rate: float
    duration: str = "0s"
    shape: str = ""
    rounds: int = 1


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Runs in their order; the second round comes when each has had its first."""

    statement: str
    runs: tuple[ProfileRun, ...]


@cache
def load_profiles() -> dict[str, Profile]:
    """Read the profiles by name."""
    return msgspec.toml.decode(FILE.read_bytes(), type=dict[str, Profile])


def profile_plans(app: Target, name: str, *, workers: int | str, seed: int | str) -> tuple[LoadPlan, ...]:
    """Return a profile's plans in order of their runs; `InvalidSpecError` if there is no such profile.

    Each round has a seed of its own, so that it is not the same luck again; the profile's are always the same.
    """
    profile = load_profiles().get(name)
    if profile is None:
        raise InvalidSpecError("load", [f"profile {name!r}: must be one of {', '.join(sorted(load_profiles()))}"])
    return tuple(
        make_plan(
            app,
            scenario=run.scenario, rate_per_second=run.rate, duration=run.duration, shape=run.shape, workers=workers,
            seed=int(seed) + number if str(seed).isdigit() else seed,
        )
        for number in range(max(run.rounds for run in profile.runs))
        for run in profile.runs
        if number < run.rounds
    )  # fmt: skip


def claims_about(catalogue: Catalogue, observations: Iterable[Observation]) -> Catalogue:
    """Return the claims on load that these observations are about; the others are left out by name."""
    seen = tuple(observations)
    kept = tuple(
        claim
        for claim in catalogue.claims
        if claim.metric.startswith("load.") and any(concerns(claim, observation) for observation in seen)
    )
    names = {claim.id for claim in kept}
    return Catalogue(claims=kept, left_out=tuple(claim.id for claim in catalogue.claims if claim.id not in names))
