"""The lines that a person sees while long work goes on: one per step, with the time since the start."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from hms.evidence import Step


def clock_text(seconds: float) -> str:
    """Return seconds as `m:ss`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress:
    """Print steps as they begin, their details as they come, and their end; keep a `Step` of each.

    `on_step` is called with every finished step, failed ones included, so that it is on record before an error travels
    on.
    """

    def __init__(self, total: int, *, out: TextIO | None = None, on_step: Callable[[Step], None] | None = None) -> None:
        self._total = total
        self._out = out if out is not None else sys.stderr
        self._on_step = on_step or (lambda _step: None)
        self._started = time.monotonic()
        self._number = 0
        self.steps: list[Step] = []

    @property
    def elapsed_seconds(self) -> float:
        """The time since this progress began."""
        return time.monotonic() - self._started

    def line(self, text: str) -> None:
        """Print one detail of the running step."""
        self._print(f"        {text}")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step, time it and keep it; an error passes through after it was kept."""
        self._number += 1
        head = f"[{self._number:>2}/{self._total}]"
        self._print(f"{head} {name}")
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            self._keep(Step(name=name, seconds=time.monotonic() - began, ok=False, detail=reason))
            self._print(f"{head} {name}: failed after {time.monotonic() - began:.1f} s")
            raise
        self._keep(Step(name=name, seconds=time.monotonic() - began, ok=True))
        self._print(f"{head} {name}: done in {time.monotonic() - began:.1f} s")

    def _keep(self, step: Step) -> None:
        self.steps.append(step)
        self._on_step(step)

    def _print(self, text: str) -> None:
        print(f"{clock_text(self.elapsed_seconds):>6}  {text}", file=self._out, flush=True)
