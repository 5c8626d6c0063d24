"""What a witness says of itself: its counters, asked inside its container. Pure."""

import re

_LINE = re.compile(r'^witness_(\w+?)(?:_total)?(?:\{found="(\w+)"\})? ([0-9.]+)$', re.MULTILINE)


def metrics_script(port: int) -> str:
    """Return the shell command that prints a witness's metrics."""
    url = f"http://127.0.0.1:{port}/metrics"
    return f"python3 -c 'import urllib.request as u; print(u.urlopen(\"{url}\", timeout=5).read().decode())'"


def parse_metrics(text: str) -> dict[str, float]:
    """Return the counters by name, those with a label as `name.label`; `ValueError` if there is none."""
    found = {f"{name}.{label}" if label else name: float(value) for name, label, value in _LINE.findall(text)}
    if not found:
        raise ValueError(f"no counter of a witness in {text[:200]!r}")
    return found
