"""The tables of phases and of reads: what was measured is shown, what was not seen has no figure."""

import pytest

from hms.report.failovers import phase_rows, reader_rows
from hms.report.model import Report
from hms.report.page import read_report, render_page
from hms.report.phase_bar import phase_bar
from tests.hms.run_sample import sample_evidence


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return read_report(sample_evidence(tmp_path_factory.mktemp("failovers") / "run"))


def test_every_phase_has_its_distribution(report: Report) -> None:
    rows = {(row.engine, row.name): row for row in phase_rows(report)}
    assert [name for engine, name in rows if engine == "postgres"] == [
        "proved", "detected", "promoted", "routed", "acknowledged", "steady",
    ]  # fmt: skip
    assert {row.runs for row in rows.values()} == {row.of for row in rows.values()} == {3}
    assert all(row.smallest <= row.median <= row.p95 <= row.largest for row in rows.values())
    detected = rows["postgres", "detected"]
    assert (detected.smallest, detected.median, detected.largest) == (0.366, 0.413, 0.536)


def test_each_reader_of_each_trial_is_shown(report: Report) -> None:
    rows = list(reader_rows(report))
    assert len(rows) == 3 * 4 + 3 * 3
    assert {reader.held.failed for _, reader in rows} == {0}
    assert {name for name, _ in rows} >= {"postgres-kill-primary 1", "redis-kill-primary 3"}


def test_a_failover_is_drawn_with_its_phases_and_a_control_is_called_one(report: Report) -> None:
    drawn = {view.run: phase_bar(view) for view in report.trials}
    assert "detected 0.37 s" in drawn["drills/postgres-kill-primary/1"]
    assert "steady after 4.1 s" in drawn["drills/postgres-kill-primary/1"]
    assert drawn["drills/control-redis-asynchronous/1"] == ""
    page = render_page(report, directory="run")
    assert "A control: writes were made to be lost here" in page
    assert "Claims that this short proof does not make" in page
    assert "redis-sub-second-failover" in page
