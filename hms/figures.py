"""Figures in words: one way to print a number with its unit, so that table, report and reasons agree. Pure."""

import math

NO_END = "no end"

SIGNS = {"<=": "≤", "<": "<", ">=": "≥", ">": ">", "==": "="}


def bound_text(comparison: str, bound: float, unit: str = "") -> str:
    """Return a comparison with its bound: `≤ 2.50 s`."""
    return f"{SIGNS[comparison]} {figure_text(bound, unit)}"


def figure_text(value: float | None, unit: str = "") -> str:
    """Return a figure with at least three significant digits, thousands apart, and its unit; a dash for None.

    It is rounded for the eye only; verdicts are judged and stored unrounded.
    """
    if value is None:
        return "–"
    if math.isinf(value):
        return NO_END
    suffix = f" {unit}" if unit else ""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}{suffix}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 6)}f}{suffix}"


def count_text(count: int, noun: str) -> str:
    """Return `1 run`, `2 runs`, `3,000 writes`: a count with its regular noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
