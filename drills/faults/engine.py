"""The two engines as a fault sees them: who leads, what is its server, and how to tell that it is another one now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from drills.stage import Injection, Proof, Stage
from drills.wire import State
from hms.errors import HmsError

WITNESS_SECONDS = 20.0
LEASE_SECONDS = 60.0
"""Patroni's lease is 20 to 24 s, Sentinel's patience below a second: by then another one leads, or none will."""

Member = Literal["primary", "replica"]


@dataclass(frozen=True, slots=True)
class Engine:
    """Postgres or Redis: `container` has its server, whose first process is called `process`."""

    name: Literal["postgres", "redis"]
    title: str
    container: str
    process: str

    def primary(self, state: State) -> str:
        """Return who leads; `HmsError` if none does."""
        primary = state.postgres.primary if self.name == "postgres" else state.redis.primary
        if not primary:
            raise HmsError(f"{self.title} has no primary now", remedy="Is the stack in its steady state?")
        return primary

    def replicas(self, state: State) -> tuple[str, ...]:
        """Return the replicas, of Postgres those that confirm commits; `HmsError` if there is none."""
        replicas = state.postgres.synchronous if self.name == "postgres" else state.redis.replicas
        if not replicas:
            raise HmsError(f"{self.title} has no replica now", remedy="Is the stack in its steady state?")
        return replicas

    def member(self, state: State, member: Member) -> str:
        """Return the primary, or the first replica."""
        return self.primary(state) if member == "primary" else self.replicas(state)[0]

    def starts(self, state: State) -> Mapping[str, str]:
        """Return what tells one start of each member's server from the next."""
        return state.postgres.started if self.name == "postgres" else state.redis.run_ids

    def another_leads(self, state: State, injection: Injection) -> str | None:
        """Return who leads instead of the one that did, as the servers said after the fault."""
        old = self.primary(injection.before)
        now = state.postgres.primary if self.name == "postgres" else state.redis.primary
        if state.at_ns > injection.at_ns and now not in {"", old}:
            return f"{now} leads instead of {old}"
        return None

    def started_anew(self, state: State, injection: Injection, member: str = "") -> str | None:
        """Return how a member, by default the target, said after the fault that its server is not that of before."""
        who = member or injection.target
        old = self.starts(injection.before).get(who, "")
        new = self.starts(state).get(who)
        if state.at_ns <= injection.at_ns or new in {None, old}:
            return None
        return f"{who}'s server is of {new}, before {old}" if new else f"{who}'s server is gone"

    def wait_for_another(self, stage: Stage, injection: Injection, timeout_seconds: float = LEASE_SECONDS) -> str:
        """Wait until another member leads; return who, or nothing when time is up."""
        return stage.until(lambda state: self.another_leads(state, injection), timeout_seconds) or ""

    def prove_gone(self, stage: Stage, injection: Injection, first: str = "") -> Proof:
        """Wait until the engine itself says that the target's server is another one, or that another member leads."""

        def witness(state: State) -> str | None:
            return self.started_anew(state, injection) or self.another_leads(state, injection)

        seen = stage.until(witness, WITNESS_SECONDS)
        words = seen or f"{self.title} saw nothing of it"
        return Proof(seen is not None, f"{first}; {words}" if first else words)


POSTGRES = Engine(name="postgres", title="Postgres", container="postgres", process="postgres")
REDIS = Engine(name="redis", title="Redis", container="redis", process="redis-server")
