"""Explore every interleaving of a small cluster breadth first, over the core or a careless one.

`python -m tests.witness.explorer` runs the full configurations and the careless ones, and prints states, seconds and
the shortest trace of each loss. States are known by 64 bits (a symmetric pair by one of them): at a million states
the odds that two were taken for one are below one in ten million.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.witness.careless import CARELESS
from tests.witness.states import Budget, State, fingerprint, loses, start
from tests.witness.world import Rules, steps
from witness.core import decide

CAREFUL = Rules(decide)
FULL = (
    Budget(commits=2, renewals=0, terms=1, sync_steps=0, crashes=0),
    Budget(commits=1, renewals=1, terms=1, sync_steps=0, crashes=0),
    Budget(commits=1, renewals=0, terms=1, sync_steps=0, crashes=1),
    Budget(commits=1, renewals=0, terms=2, sync_steps=0, crashes=0),
    Budget(commits=1, renewals=0, terms=1, sync_steps=3, crashes=0),
    Budget(commits=1, renewals=0, terms=1, sync_steps=0, crashes=0, addresses=3),
)
DEEP = Budget(commits=1, renewals=1, terms=1, sync_steps=2, crashes=0, deaths=1)
DEEP_STEPS = 19
"""Too large to be explored to its end: as deep as the deepest loss of a careless one lies in it."""


@dataclass
class Exploration:
    """What came of it: how many states there are, and the shortest way to a loss if there is one."""

    states: int = 0
    depth: int = 0
    seconds: float = 0.0
    trace: list[str] = field(default_factory=list)
    seen_steps: set[str] = field(default_factory=set)

    @property
    def loses(self) -> bool:
        """Tell whether an acknowledged commit can be lost."""
        return bool(self.trace)


def explore(
    budget: Budget, rules: Rules, *, most_steps: int = sys.maxsize, said: Callable[[str], None] | None = None
) -> Exploration:
    """Visit every state that can be reached within the budget and so many steps, or up to the first loss."""
    began = time.monotonic()
    first = start(budget)
    parents: dict[int, int] = {fingerprint(first): 0}
    frontier = [first]
    found = Exploration()
    while frontier and found.depth < most_steps:
        found.depth += 1
        following: list[State] = []
        for state in frontier:
            parent = fingerprint(state)
            for name, after in steps(state, rules):
                mark = fingerprint(after)
                if mark in parents:
                    continue
                parents[mark] = parent
                found.seen_steps.add(name)
                if loses(after):
                    found.trace = _trace(first, mark, parents, rules)
                    break
                following.append(after)
            if found.trace:
                break
        frontier = [] if found.trace else following
        if said is not None:
            said(f"depth {found.depth}: {len(parents):,} states, {time.monotonic() - began:.0f} s")
    found.states = len(parents)
    found.seconds = time.monotonic() - began
    return found


def _trace(first: State, last: int, parents: dict[int, int], rules: Rules) -> list[str]:
    """Walk the way again that led to a state, and name its steps."""
    way = [last]
    while parents[way[-1]]:
        way.append(parents[way[-1]])
    names, state = [], first
    for mark in reversed(way[:-1]):
        name, state = next((n, s) for n, s in steps(state, rules) if fingerprint(s) == mark)
        names.append(name)
    return names


def main() -> int:
    """Explore all, print what was found; the core must lose nothing, each careless one something."""
    wrong = 0
    for budget in (*FULL, DEEP):
        most_steps = DEEP_STEPS if budget == DEEP else sys.maxsize
        found = explore(budget, CAREFUL, most_steps=most_steps, said=lambda line: print(f"  {line}", file=sys.stderr))
        print(f"the core, {budget}: {found.states:,} states, depth {found.depth}, {found.seconds:.0f} s, loses nothing"
              if not found.loses else f"the core, {budget}: LOSES\n  " + "\n  ".join(found.trace))  # fmt: skip
        wrong += found.loses
    for name, (rules, budget) in CARELESS.items():
        found = explore(budget, rules)
        print(f"{name}: {found.states:,} states, {found.seconds:.0f} s, " + ("loses:" if found.loses else "NOT CAUGHT"))
        print("".join(f"  {number}. {step}\n" for number, step in enumerate(found.trace, 1)), end="")
        wrong += not found.loses
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
