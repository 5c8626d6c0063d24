"""The report: all that an auditor needs is on it, it needs nothing from outside, and its bytes are the same again."""

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from hms.errors import EvidenceError, UsageError
from hms.evidence_directory import EvidenceDirectory
from hms.judgement import judge_directory
from hms.report import write_report
from hms.report.compare import compare, comparison_table
from hms.report.junit import junit_xml
from hms.report.markdown import markdown_page
from hms.report.page import read_report
from hms.report.plots import claim_plot
from hms.report.svg import Drawing, Scale
from hms.report.table import summary, verdict_table
from hms.report.tables import runs_csv, verdicts_csv
from tests.hms.evidence_samples import TrialPlan, trial, write_frame, write_trial
from tests.hms.run_sample import CATALOGUE, CLAIM_COUNT, FULL_COUNT, sample_evidence

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Balance(HTMLParser):
    """Checks that every element is closed in its order, and gathers what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        if tag in ("script", "link", "img", "iframe", "object"):
            self.fetched.append(tag)
        href = given.get("href") or ""
        if href.startswith("#"):
            self.links.add(href[1:])
        elif href:
            self.fetched.append(href)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> EvidenceDirectory:
    return sample_evidence(tmp_path_factory.mktemp("good") / "run")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> EvidenceDirectory:
    """Evidence with a loss, a stack that did not recover, and text that must be escaped."""
    evidence = EvidenceDirectory(tmp_path_factory.mktemp("bad") / "run")
    write_frame(evidence)
    write_trial(evidence, TrialPlan(lost=7))
    write_trial(evidence, TrialPlan(number=2, gap_ms=None, steady_after=False))
    write_trial(evidence, TrialPlan(number=3, effective={"<b>ttl</b>": "\x07<script>alert(1)</script>"}))
    evidence.write_bytes("drills/postgres-kill-primary/4/trial.json", b"\x00<i>")
    judge_directory(evidence, catalogue=CATALOGUE)
    evidence.seal()
    return evidence


def page(evidence: EvidenceDirectory, out: Path) -> str:
    return write_report(evidence.path, out).read_text(encoding="utf-8")


def test_the_same_evidence_gives_the_same_page(good: EvidenceDirectory, tmp_path: Path) -> None:
    assert page(good, tmp_path / "a.html") == page(good, tmp_path / "b.html")


@pytest.mark.parametrize("which", ["good", "bad"])
def test_the_page_is_whole_and_needs_nothing_from_outside(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    text = page(request.getfixturevalue(which), tmp_path / "r.html")
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert parser.fetched == []
    assert parser.links <= parser.ids
    assert "url(" not in text
    assert "@import" not in text


def test_verdicts_come_first_and_the_failed_ones_before_all(bad: EvidenceDirectory, tmp_path: Path) -> None:
    text = page(bad, tmp_path / "r.html")
    assert f"<h1>3 of {CLAIM_COUNT} claims FAILED</h1>" in text
    badges = re.findall(r'class="badge (\w+)"', text.split("<tbody>")[1].split("</tbody>")[0])
    assert badges == sorted(badges, key=["FAILED", "INCONCLUSIVE", "PASSED", "NOT_APPLICABLE"].index)
    assert badges.count("FAILED") == 3


def test_what_was_lost_and_what_could_not_be_read_is_said(bad: EvidenceDirectory, tmp_path: Path) -> None:
    text = page(bad, tmp_path / "r.html")
    assert "drills/postgres-kill-primary/1, postgres lost: drill:1:0, drill:1:1, " in text
    assert "and 2 more." in text
    assert "drills/postgres-kill-primary/4/trial.json: not a Trial" in text
    assert "no end" in text


def test_nothing_from_evidence_becomes_markup(bad: EvidenceDirectory, tmp_path: Path) -> None:
    text = page(bad, tmp_path / "r.html")
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;ttl&lt;/b&gt;" in text


def test_the_page_says_how_to_check_it_and_what_was_not_tested(good: EvidenceDirectory, tmp_path: Path) -> None:
    text = page(good, tmp_path / "r.html")
    assert f"<h1>All {CLAIM_COUNT} claims held</h1>" in text
    for command in ("hms verify run", "hms judge run --json", "sha256sum run/manifest.json"):
        assert command in text
    assert "Node: power loss, freeze, isolation" in text
    assert "Postgres: primary killed" not in text
    assert text.count("<svg ") == text.count("</svg>") == 8 + 1 + 7 + 6  # claims, load, timelines, phases


def test_damage_is_on_the_first_page(good: EvidenceDirectory, tmp_path: Path) -> None:
    copied = EvidenceDirectory(tmp_path / "run")
    for name, content in good.files().items():
        copied.write_bytes(name, content)
    copied.seal()
    ledger = copied.path / "drills/redis-kill-primary/1/redis.ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes() + b"\n")
    text = page(copied, tmp_path / "r.html")
    assert "The evidence is damaged." in text.split("<section>")[0]
    assert "INCONCLUSIVE" in text


def test_a_report_never_lands_in_sealed_evidence(good: EvidenceDirectory) -> None:
    with pytest.raises(EvidenceError, match="inside sealed evidence"):
        write_report(good.path, good.path / "report.html")


def test_a_report_that_cannot_be_written(good: EvidenceDirectory, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_report(good.path, tmp_path / "file" / "report.html")


def test_evidence_of_a_single_load_or_nothing_known_can_be_shown(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path / "run")
    evidence.write("note.json", {})
    text = page(evidence, tmp_path / "r.html")
    assert "not sealed" in text
    assert f"No claim failed; 0 of {FULL_COUNT} held" in text


def test_a_trial_that_could_not_be_tried_is_shown(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path / "run")
    skipped = msgspec.structs.replace(trial(TrialPlan()), not_applicable="one node only", writers=())
    evidence.write("drills/postgres-kill-primary/1/trial.json", skipped)
    assert "one node only" in page(evidence, tmp_path / "r.html")


def test_the_terminal_table(bad: EvidenceDirectory) -> None:
    report = read_report(bad)
    claims, verdicts = [j.claim for j in report.claims], [j.verdict for j in report.claims]
    table = verdict_table(claims, verdicts, colour=False)
    assert "\x1b" not in table
    lines = table.splitlines()
    assert lines[0].split() == ["VERDICT", "CLAIM", "FIGURE", "BOUND", "RUNS"]
    lost = next(line for line in lines if " postgres-lost " in line)
    assert " ".join(lost.split()) == "FAILED postgres-lost 7 writes sum = 0 writes 2 (+2 set aside)"
    assert lines[-1] == summary(verdicts) == f"{CLAIM_COUNT} claims: 3 FAILED, {CLAIM_COUNT - 3} INCONCLUSIVE"
    coloured = verdict_table(claims, verdicts, colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == table
    assert "\x1b[31m" in coloured


def test_junit_xml(bad: EvidenceDirectory) -> None:
    content = junit_xml(read_report(bad))
    assert content == junit_xml(read_report(bad))
    suite = ElementTree.fromstring(content)[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == tuple(
        map(str, (CLAIM_COUNT, 3, CLAIM_COUNT - 3))
    )
    cases = {case.get("name"): case for case in suite}
    assert cases["postgres-lost"].find("failure") is not None
    skipped = cases["redis-duplicated"].find("skipped")
    assert skipped is not None
    assert str(skipped.get("message")).startswith("INCONCLUSIVE: 0 conclusive runs of the 3")


def test_markdown_has_every_verdict_step_and_load(bad: EvidenceDirectory) -> None:
    report = read_report(bad)

    page = markdown_page(report).decode()

    assert all(f"| {j.verdict.outcome} | {j.claim.id} |" in page for j in report.claims)
    assert all(f"| {step.name} | {step.seconds:.1f} s |" in page for step in report.steps)
    assert all(f"## Load: {name}" in page for name, _ in report.loads)
    assert report.manifest_sha256 in page


def test_csv(bad: EvidenceDirectory) -> None:
    report = read_report(bad)
    verdicts = {row["claim"]: row for row in csv.DictReader(io.StringIO(verdicts_csv(report).decode()))}
    assert (verdicts["postgres-lost"]["verdict"], verdicts["postgres-lost"]["figure"]) == ("FAILED", "7.0")
    assert verdicts["redis-duplicated"]["figure"] == ""
    runs = list(csv.DictReader(io.StringIO(runs_csv(report).decode())))
    gaps = [row for row in runs if row["claim"] == "postgres-kill-primary-write-gap"]
    assert [row["value"] for row in gaps][1] == "inf"
    assert {row["counted"] for row in runs} == {"yes", "no"}
    assert all(bool(row["doubt"]) == (row["counted"] == "no") for row in runs)


def test_two_runs_side_by_side(good: EvidenceDirectory, bad: EvidenceDirectory) -> None:
    before, after = read_report(good), read_report(bad)
    rows = {row.claim.id: row for row in compare(before, after)}
    assert rows["postgres-lost"].change == 7
    assert rows["postgres-lost"].worse
    assert rows["postgres-kill-primary-write-gap"].change is None
    assert not any(row.worse for row in compare(before, before))
    assert comparison_table(before, after).endswith(f"{CLAIM_COUNT} claims, {CLAIM_COUNT} worse in B")


def test_a_scale_has_round_ticks_within_it() -> None:
    assert Scale(0, 2.8, 0, 100).ticks() == [0, 0.5, 1, 1.5, 2, 2.5]
    assert Scale(-1.5, 3.5, 0, 100).ticks(8) == [-1, 0, 1, 2, 3]
    assert Scale(0, 3, 0, 100).ticks(least_step=1) == [0, 1, 2, 3]
    assert Scale(0, 10, 0, 100)(50) == 100


def test_a_drawing_escapes_what_it_writes() -> None:
    drawing = Drawing(10, 10, title='"<t>&')
    drawing.text((1, 2.123456), "<&>", "tick")
    assert drawing.render() == (
        '<svg viewBox="0 0 10 10" role="img" aria-label="&quot;&lt;t&gt;&amp;" xmlns="http://www.w3.org/2000/svg">'
        '<title>&quot;&lt;t&gt;&amp;</title><text class="tick" x="1" y="2.12" text-anchor="start">'
        "&lt;&amp;&gt;</text></svg>"
    )


def test_a_claim_without_values_has_no_plot(good: EvidenceDirectory) -> None:
    assert claim_plot(read_report(good).claims[0].claim, ()) == ""
