"""A load run in a few lines for a person."""

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # the package ships no types

from hms.evidence import LoadRun, OperationLoad


def percentile_ms(histogram: str, percentile: float) -> float:
    """Return a percentile, 0 to 100, in milliseconds of an encoded histogram of microseconds; 0 where it is empty."""
    return float(HdrHistogram.decode(histogram.encode("ascii")).get_value_at_percentile(percentile)) / 1000


def _operation_line(operation: OperationLoad) -> str:
    p50, p99 = (percentile_ms(operation.response_histogram, p) for p in (50, 99))
    service = percentile_ms(operation.service_histogram, 99)
    failures = ", ".join(f"{count} x {reason}" for reason, count in operation.failures.items())
    return (
        f"{operation.name:<10} {operation.ok + operation.failed:>8} sent {operation.failed:>6} failed   "
        f"response p50 {p50:7.1f} ms, p99 {p99:7.1f} ms; service p99 {service:7.1f} ms"
        f"{f'   ({failures})' if failures else ''}"
    )


def summary_lines(run: LoadRun) -> list[str]:
    """Return a line per operation, one on the arrivals and one on the generator itself."""
    lag = percentile_ms(run.generator.lag_histogram, 99)
    return [
        *(_operation_line(operation) for operation in run.operations),
        f"arrivals   {run.intended:>8} intended, {run.sent} sent, {run.dropped} dropped",
        f"generator  {run.generator.workers:>8} workers, busiest {run.generator.cpu_fraction:.0%} of a CPU, "
        f"lag p99 {lag:.1f} ms",
    ]
