"""The plots of load: what a reader must see is drawn, and nothing where there is nothing."""

import re
from xml.etree import ElementTree

import msgspec

from hms.evidence import LoadRun, Resource
from hms.report.load_plots import course_plot, knee_plots
from tests.hms.evidence_samples import load_run
from tests.hms.test_derive_load_time import window


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


def run_in_time(*, failed: int) -> LoadRun:
    windows = tuple(window(n, ms=10.0 + n, failed=failed if n == 7 else 0) for n in range(30))
    return msgspec.structs.replace(load_run(), window_seconds=1.0, windows=windows)


def test_a_run_in_time_has_rate_latencies_failures_and_what_the_parts_used() -> None:
    used = [
        Resource(at_seconds=at, pod=f"{role}-0", role=role, cpu_cores=0.5, memory_bytes=1)
        for at in (5.0, 10.0)
        for role in ("app", "postgres")
    ]
    svg = course_plot(run_in_time(failed=3), used)
    assert {"req/s", "ms", "failed", "CPUs", "p50", "p99", "app", "postgres"} <= set(texts(svg))
    assert len(re.findall(r'class="series ', svg)) == 1 + 2 + 2
    assert 'class="unanswered"' in svg


def test_a_run_without_failures_says_so_and_one_without_windows_is_not_drawn() -> None:
    assert "none failed, none dropped" in texts(course_plot(run_in_time(failed=0), []))
    assert "CPUs" not in texts(course_plot(run_in_time(failed=0), []))
    assert course_plot(load_run(), []) == ""


def test_three_rates_show_a_knee_and_failed_runs_are_hollow() -> None:
    loads = [load_run(rate_per_second=rate) for rate in (50, 100)]
    assert knee_plots(loads) == []
    ((scenario, svg),) = knee_plots([*loads, load_run(rate_per_second=200, failed=600, median_us=90_000)])
    assert scenario == "first"
    assert len(re.findall(r'class="point"', svg)) == 2
    assert len(re.findall(r'class="point-hollow"', svg)) == 1
    shaped = msgspec.structs.replace(loads[0], shape="1:30s")
    assert knee_plots([shaped] * 3) == []
