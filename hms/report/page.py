"""The report as one HTML file: offline, printable, without a script, the same bytes for the same evidence."""

from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hms.evidence_directory import MANIFEST, EvidenceDirectory
from hms.figures import bound_text, count_text, figure_text
from hms.files import write_whole
from hms.judgement import judgement_of
from hms.report.events import left_out, shown_events
from hms.report.failovers import phase_rows, reader_rows
from hms.report.limits import limits, untried_families
from hms.report.load_plots import course_plot, knee_plots
from hms.report.model import JudgedClaim, Report, WriterView, report_of
from hms.report.phase_bar import phase_bar
from hms.report.plots import claim_plot, latency_plot, timeline
from hms.report.table import OUTCOMES, figure_of, summary
from hms.statistics import decode_histogram, statistic_of
from hms.verdict import Outcome

MARKS: dict[Outcome, str] = {"PASSED": "✓", "FAILED": "✗", "INCONCLUSIVE": "?", "NOT_APPLICABLE": "–"}
KEYS_SHOWN = 5


def write_report(directory: Path, out: Path) -> Path:
    """Write the report of the evidence in `directory` to the file `out` and return it.

    Raises `EvidenceError` if `out` lies in a sealed directory of evidence: the report would break its seal.
    """
    evidence = EvidenceDirectory(directory)
    page = render_page(read_report(evidence), directory=directory.resolve().name)
    return write_whole(out, page.encode(), outside=evidence)


def read_report(evidence: EvidenceDirectory) -> Report:
    """Return what the report of a directory shows; it is judged anew, not read from `verdicts.json`."""
    judgement = judgement_of(evidence)
    manifest = sha256((evidence.path / MANIFEST).read_bytes()).hexdigest() if evidence.sealed else ""
    return report_of(evidence.files(), judgement, manifest_sha256=manifest)


def render_page(report: Report, *, directory: str) -> str:
    """Return the whole page; `directory` is the name by which its commands call the evidence."""
    environment = Environment(
        loader=PackageLoader("hms.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["sentence"] = _sentence
    loader = environment.loader
    style = "" if loader is None else loader.get_source(environment, "page.css")[0]
    verdicts = [judged.verdict for judged in report.claims]
    return environment.get_template("page.html").render(
        report=report,
        style=Markup(style),  # noqa: S704 - our own file
        headline=_headline(report),
        summary=summary(verdicts),
        ordered=sorted(report.claims, key=lambda judged: (OUTCOMES.index(judged.verdict.outcome), judged.claim.id)),
        disagreeing=[check for check in report.checks if not check.ok],
        effective=_effective(report),
        losses=list(_losses(report)),
        untried=untried_families(report),
        unclaimed=report.left_out,
        limits=limits(report),
        directory=directory,
        badge=_badge,
        claim_figure=_claim_figure,
        timeline=lambda view: _drawn(timeline(view)),
        latency_plot=lambda load: _drawn(latency_plot(load)),
        course_plot=lambda run, load: _drawn(course_plot(load, report.resources.get(run, ()))),
        knees=[(scenario, _drawn(drawn)) for scenario, drawn in knee_plots([load for _, load in report.loads])],
        shown_events=shown_events,
        left_out=left_out,
        phase_rows=phase_rows(report),
        reader_rows=list(reader_rows(report)),
        phase_bar=lambda view: _drawn(phase_bar(view)),
        percentiles=_percentiles,
        lost_on_replica=_lost_on_replica,
        figure=figure_text,
        bound=bound_text,
        figure_of=figure_of,
        count=count_text,
    )


def _headline(report: Report) -> str:
    outcomes = [judged.verdict.outcome for judged in report.claims]
    failed, passed = outcomes.count("FAILED"), outcomes.count("PASSED")
    if failed:
        return f"{failed} of {count_text(len(outcomes), 'claim')} FAILED"
    if passed == len(outcomes):
        return f"All {count_text(len(outcomes), 'claim')} held"
    return f"No claim failed; {passed} of {len(outcomes)} held, the others could not be told"


def _badge(outcome: Outcome) -> Markup:
    word = outcome.replace("_", " ")
    return Markup('<span class="badge {}">{} {}</span>').format(outcome, MARKS[outcome], word)


def _drawn(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - hms.report.svg escapes all that it writes


def _claim_figure(judged: JudgedClaim) -> Markup:
    """Return the plot of a claim whose values are worth one: counts that are all zero are said, not drawn."""
    values = [value for value in judged.values if value.value or value.doubt]
    return _drawn(claim_plot(judged.claim, judged.values)) if values else Markup()


def _sentence(text: str) -> str:
    """Return text as a sentence; a path or a name such as p99 at its beginning keeps its case."""
    text = text.strip()
    if not text:
        return ""
    first = text.split()[0]
    start = text[0].upper() if first.isalpha() else text[0]
    return start + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _percentiles(histogram: str) -> list[str]:
    """Return p50, p95, p99, p99.9 and the maximum of a histogram of microseconds, in words."""
    seen = decode_histogram(histogram, scale=0.001)
    if not seen.total:
        return ["–"] * 5
    values = [seen.quantile(Fraction(p, 1000)) for p in (500, 950, 990, 999)]
    return [figure_text(value, "ms") for value in (*values, statistic_of(seen, "max"))]


def _lost_on_replica(view: WriterView) -> int:
    held = view.held
    return len({k for node, r in held.reckonings.items() if node != held.writer.authoritative for k in r.lost})


def _losses(report: Report) -> Iterator[str]:
    """Say which keys were lost, so that they can be looked up in the ledger."""
    for view in report.trials:
        for writer in view.writers:
            lost = writer.held.reckonings[writer.held.writer.authoritative].lost
            if lost:
                more = f" and {len(lost) - KEYS_SHOWN} more" if len(lost) > KEYS_SHOWN else ""
                yield f"{view.run}, {writer.name} lost: {', '.join(lost[:KEYS_SHOWN])}{more}."


def _effective(report: Report) -> list[tuple[str, str]]:
    """Return the timers in effect; where trials differ, every value with how many trials had it."""
    values: dict[str, list[str]] = {}
    for view in report.trials:
        for key, value in (view.trial.effective if view.trial else {}).items():
            values.setdefault(key, []).append(value)
    shown = []
    for key, seen in sorted(values.items()):
        distinct = sorted(set(seen))
        text = distinct[0] if len(distinct) == 1 else ", ".join(f"{v} ({seen.count(v)} trials)" for v in distinct)
        shown.append((key, text))
    return shown
