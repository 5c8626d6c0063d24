"""A run in Markdown: what `docs/measurements.md` is made of. Pure."""

from collections.abc import Iterable, Iterator

from hms.evidence import Environment, LoadRun
from hms.figures import count_text, figure_text
from hms.progress import clock_text
from hms.report.model import Report
from hms.report.table import bound_of, figure_of, runs_of
from hms.statistics import decode_histogram, statistic_of

GIB = 1 << 30
MS_PER_US = 0.001


def markdown_page(report: Report) -> bytes:
    """Return the verdicts with their spread, the time of each step, the load and the machine, as one page."""
    return "\n".join((*_head(report), *_verdicts(report), *_steps(report), *_loads(report), *_machine(report))).encode()


def _head(report: Report) -> Iterator[str]:
    run = report.run
    yield "# Measurements"
    yield ""
    yield "Written by `hms report DIR --markdown FILE` from the evidence of one `make prove`."
    yield ""
    if run is not None:
        yield f"Run `{run.id}` of stack `{run.stack}`, begun {run.started_at}, commit `{run.commit[:12]}`."
    if report.manifest_sha256:
        yield f"SHA-256 of the evidence's manifest: `{report.manifest_sha256}`."


def _verdicts(report: Report) -> Iterator[str]:
    yield from ("", "## Verdicts", "")
    rows = (
        (
            j.verdict.outcome, j.claim.id, figure_of(j.claim, j.verdict),
            *(figure_text(value, j.claim.unit) for value in (j.verdict.smallest, j.verdict.median, j.verdict.largest)),
            bound_of(j.claim), runs_of(j.verdict),
        )
        for j in report.claims
    )  # fmt: skip
    yield from markdown_table(("verdict", "claim", "figure", "smallest", "median", "largest", "bound", "runs"), rows)


def _steps(report: Report) -> Iterator[str]:
    yield from ("", "## Steps", "")
    rows = [(step.name, f"{step.seconds:.1f} s", "" if step.ok else step.detail) for step in report.steps]
    rows.append(("all of them", clock_text(sum(step.seconds for step in report.steps)), ""))
    yield from markdown_table(("step", "time", ""), rows)


def _loads(report: Report) -> Iterator[str]:
    for name, load in report.loads:
        yield from ("", f"## Load: {name}", "")
        yield (
            f"{load.rate_per_second:g} arrivals a second for {load.duration_seconds:g} s, open loop: "
            f"{load.intended} intended, {load.sent} sent, {load.dropped} dropped. Response time is from the intended "
            "start."
        )
        yield ""
        yield from markdown_table(
            ("request", "answered", "failed", "p50", "p99", "longest", "service p99"), _operations(load)
        )


def _operations(load: LoadRun) -> Iterator[tuple[str, ...]]:
    for operation in load.operations:
        response = decode_histogram(operation.response_histogram, scale=MS_PER_US)
        service = decode_histogram(operation.service_histogram, scale=MS_PER_US)
        times = (statistic_of(response, "median"), statistic_of(response, "p99"), statistic_of(response, "max"))
        yield (
            operation.name, str(operation.ok), str(operation.failed),
            *(figure_text(value, "ms") for value in (*times, statistic_of(service, "p99"))),
        )  # fmt: skip


def _machine(report: Report) -> Iterator[str]:
    machine: Environment | None = report.environment
    if machine is None:
        return
    yield from ("", "## The machine", "")
    yield from machine_lines(machine)
    yield ""


def machine_lines(machine: Environment) -> Iterator[str]:
    """Yield what machine it was, and its cluster's nodes, a line of a list each."""
    yield f"- {count_text(machine.cpu_count, 'core')}, {machine.cpu_model}; {machine.memory_bytes / GIB:.0f} GiB"
    yield f"- {machine.distribution}, Linux {machine.kernel}, Python {machine.python}"
    yield from (f"- {node}" for node in machine.nodes)


def markdown_table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of a table."""
    for row in (headings, tuple("---" for _ in headings), *rows):
        yield f"| {' | '.join(row)} |"
