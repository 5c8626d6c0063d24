"""From evidence to `Observation`s: what each run contributes to each metric. Pure: bytes in, records out.

The layout of the files is in `hms.evidence`. What is damaged never raises here and is never skipped: it becomes an
observation that says so and that no verdict passes over.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping

import msgspec

from hms.derive_drill import trial_observations
from hms.derive_load import load_observations
from hms.evidence import Check
from hms.verdict import Observation


def derive(files: Mapping[str, bytes], *, damaged: Collection[str] = ()) -> tuple[Observation, ...]:
    """Return the observations of all runs, in order of the runs' paths.

    `files` are contents by path inside the evidence; `damaged` are paths whose content is not what the manifest says.
    Invariant: a run that left any file, or that the manifest knows, yields an observation for each of its metrics.
    """
    observations: list[Observation] = []
    for run, names in sorted(_runs({*files, *damaged}).items()):
        contents = {name.rsplit("/", 1)[-1]: files[name] for name in names if name in files}
        broken = sorted(name for name in damaged if name == run or name.startswith(f"{run}/"))
        damage = f"{broken[0]} is not what the manifest says" if broken else ""
        kind, *labels = run.split("/")
        if kind == "smoke":
            observations.append(_smoke(contents, damage))
        elif kind == "load":
            observations += load_observations(contents, run=run, scenario=labels[0], damage=damage)
        else:
            observations += trial_observations(contents, run=run, drill=labels[0], damage=damage)
    return tuple(observations)


def _runs(files: Collection[str]) -> dict[str, list[str]]:
    """Return the paths by run: `smoke`, `load/<scenario>/<n>` and `drills/<drill>/<n>`."""
    depth = {"smoke": 1, "load": 3, "drills": 3}
    runs: dict[str, list[str]] = defaultdict(list)
    for name in sorted(files):
        parts = name.split("/")
        wanted = depth.get(parts[0])
        if wanted is not None and len(parts) == wanted + 1:
            runs["/".join(parts[:wanted])].append(name)
    return runs


def _smoke(contents: Mapping[str, bytes], damage: str) -> Observation:
    """Count the checks that disagree; a run without a single check says nothing."""
    disagreements = 0
    lines = contents.get("checks.jsonl", b"").splitlines()
    try:
        disagreements = sum(not msgspec.json.decode(line, type=Check).ok for line in lines)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        damage = damage or f"smoke/checks.jsonl cannot be read: {error}"
    if not lines:
        damage = damage or "smoke/checks.jsonl holds no check"
    return Observation(
        metric="smoke.disagreements", labels={}, run="smoke",
        values=() if damage else (float(disagreements),), inconclusive=damage, unresolved=bool(damage),
    )  # fmt: skip
