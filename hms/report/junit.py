"""The verdicts as JUnit XML, the form that CI systems show. Pure."""

import re
from xml.etree import ElementTree

from hms.figures import bound_text
from hms.report.model import JudgedClaim, Report
from hms.report.table import figure_of, runs_of


def junit_xml(report: Report) -> bytes:
    """Return one test case per claim: FAILED is a failure, INCONCLUSIVE and NOT_APPLICABLE are skipped with the reason.

    No times: a claim takes none, and the same evidence must give the same bytes.
    """
    outcomes = [judged.verdict.outcome for judged in report.claims]
    skipped = outcomes.count("INCONCLUSIVE") + outcomes.count("NOT_APPLICABLE")
    name = f"hms claims, run {report.run.id}" if report.run else "hms claims"
    suite = ElementTree.Element(
        "testsuite", name=name, tests=str(len(outcomes)), failures=str(outcomes.count("FAILED")), errors="0",
        skipped=str(skipped),
    )  # fmt: skip
    for judged in report.claims:
        _case(suite, judged)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


# XML 1.0 has no way to write these; a reason may quote damaged bytes.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _case(suite: ElementTree.Element, judged: JudgedClaim) -> None:
    claim, verdict = judged.claim, judged.verdict
    case = ElementTree.SubElement(suite, "testcase", classname=f"claims.{claim.metric}", name=claim.id)
    properties = ElementTree.SubElement(case, "properties")
    for name, value in (
        ("verdict", verdict.outcome),
        ("figure", figure_of(claim, verdict)),
        ("bound", bound_text(claim.comparison, claim.bound, claim.unit)),
        ("runs", runs_of(verdict)),
    ):
        ElementTree.SubElement(properties, "property", name=name, value=value)
    reason = UNWRITABLE.sub("�", verdict.reason)
    if verdict.outcome == "FAILED":
        ElementTree.SubElement(case, "failure", type="breach", message=f"{claim.statement} {reason}")
    elif verdict.outcome != "PASSED":
        ElementTree.SubElement(case, "skipped", message=f"{verdict.outcome}: {reason}")
