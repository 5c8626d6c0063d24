"""What one container asks for and may use, read from four settings with one prefix."""

from dataclasses import dataclass
from typing import Final

from hms.quantity import format_bytes, format_millicores
from hms.spec_fields import Fields

_MIB: Final = 1024**2
_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSpec:
    """What one container asks for and may use."""

    cpu_request_millicores: int
    cpu_limit_millicores: int
    memory_request_bytes: int
    memory_limit_bytes: int


def read_resources(fields: Fields, prefix: str, least_memory_bytes: int) -> ResourceSpec:
    """Read `<prefix>CpuRequest`, `CpuLimit`, `MemoryRequest` and `MemoryLimit`, limits at or above requests."""
    most_cpu, most_memory = 256_000, 4096 * _GIB
    spec = ResourceSpec(
        cpu_request_millicores=fields.millicores(f"{prefix}CpuRequest", 1, most_cpu),
        cpu_limit_millicores=fields.millicores(f"{prefix}CpuLimit", 10, most_cpu),
        memory_request_bytes=fields.bytes(f"{prefix}MemoryRequest", 4 * _MIB, most_memory),
        memory_limit_bytes=fields.bytes(f"{prefix}MemoryLimit", least_memory_bytes, most_memory),
    )
    fields.require(
        spec.cpu_limit_millicores >= spec.cpu_request_millicores,
        f"{prefix}CpuLimit: {format_millicores(spec.cpu_limit_millicores)} is below "
        f"{prefix}CpuRequest {format_millicores(spec.cpu_request_millicores)}",
    )
    fields.require(
        spec.memory_limit_bytes >= spec.memory_request_bytes,
        f"{prefix}MemoryLimit: {format_bytes(spec.memory_limit_bytes)} is below "
        f"{prefix}MemoryRequest {format_bytes(spec.memory_request_bytes)}",
    )
    return spec
