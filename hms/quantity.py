"""Kubernetes quantities: CPU in thousandths of a core, memory and storage in bytes."""

import re
from typing import Final

_UNITS: Final = {
    "": 1,
    "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4,
    "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4,
}  # fmt: skip
_BYTES: Final = re.compile(r"(\d+)(|k|M|G|T|Ki|Mi|Gi|Ti)")
_CPU: Final = re.compile(r"(?:(\d+)m|(\d+)(?:\.(\d{1,3}))?)")


def parse_millicores(text: str) -> int:
    """Read a CPU quantity (`250m`, `2`, `0.5`) in thousandths of a core; `ValueError` if it is none."""
    found = _CPU.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a CPU quantity such as 250m, 1 or 0.5")
    thousandths, cores, fraction = found.groups()
    if thousandths is not None:
        return int(thousandths)
    return int(cores) * 1000 + int((fraction or "").ljust(3, "0"))


def parse_bytes(text: str) -> int:
    """Read a memory or storage quantity (`256Mi`, `1G`, `1048576`) in bytes; `ValueError` if it is none."""
    found = _BYTES.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a quantity of bytes such as 256Mi or 1Gi")
    return int(found[1]) * _UNITS[found[2]]


def format_millicores(millicores: int) -> str:
    """Write a CPU quantity in the form that the API server keeps: `1` for 1000, else `250m`."""
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def format_bytes(size_bytes: int) -> str:
    """Write a quantity of bytes in the largest binary unit that divides it, as the API server keeps it."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if size_bytes and size_bytes % _UNITS[unit] == 0:
            return f"{size_bytes // _UNITS[unit]}{unit}"
    return str(size_bytes)
