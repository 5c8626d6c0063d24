"""What a witness has done, as Prometheus reads it, and whether it is alive."""

import asyncio
import contextlib
import time
from collections import Counter

_HELP = {
    "probes": "Probes of the leader, by what they found: answered, silent, or late, which proves nothing.",
    "suspicions": "Times that this witness found the leader silent.",
    "fences": "Times that it kept its standby from confirming.",
    "votes": "Votes that came to stand in the API.",
    "withdrawals": "Votes that it took back.",
    "keys_taken": "Times that it freed a silent leader's key.",
    "releases": "Fences that ended.",
    "deposed": "Times that it ended this member's primary because another led.",
    "marks": "Times that it marked an instance of the service as not ready.",
    "conflicts": "Writes that the API server refused because another came first.",
    "errors": "Calls of the API server that failed.",
}
ALIVE_SECONDS = 10.0


class Metrics:
    """Counters, and the moment when the witness last came round."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._fenced_seconds = 0.0
        self._round_at = time.monotonic()

    def add(self, name: str, label: str = "") -> None:
        """Count one of what `_HELP` names."""
        self._counts[(name, label)] += 1

    def fenced(self, seconds: float) -> None:
        """Add how long a fence stood."""
        self._fenced_seconds += seconds

    def came_round(self) -> None:
        """Note that the witness looked at its record just now."""
        self._round_at = time.monotonic()

    def text(self) -> str:
        """Return all in Prometheus' text form (version 0.0.4)."""
        lines = []
        for name, says in _HELP.items():
            lines += [f"# HELP witness_{name}_total {says}", f"# TYPE witness_{name}_total counter"]
            found = sorted((label, count) for (of, label), count in self._counts.items() if of == name)
            for label, count in found or [("", 0)]:
                lines.append(
                    f'witness_{name}_total{{found="{label}"}} {count}' if label else f"witness_{name}_total {count}"
                )
        lines += ["# HELP witness_fenced_seconds_total How long fences stood.",
                  "# TYPE witness_fenced_seconds_total counter",
                  f"witness_fenced_seconds_total {self._fenced_seconds:.3f}"]  # fmt: skip
        return "\n".join(lines) + "\n"

    async def serve(self, port: int) -> asyncio.Server:
        """Answer `GET /metrics`, and `GET /live` with 503 where the witness has not come round for 10 s."""
        return await asyncio.start_server(self._answer, "0.0.0.0", port)  # noqa: S104 - the pod's own address

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            async with asyncio.timeout(2.0):
                request = await reader.readuntil(b"\r\n\r\n")
            path = request.split(b" ", 2)[1] if request.count(b" ") >= 2 else b""
            alive = time.monotonic() - self._round_at < ALIVE_SECONDS
            status, body = {
                b"/metrics": ("200 OK", self.text()),
                b"/live": ("200 OK", "alive\n") if alive else ("503 Service Unavailable", "stuck\n"),
            }.get(path, ("404 Not Found", "GET /metrics or /live\n"))
            head = (
                f"HTTP/1.0 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write((head + body).encode())
            await writer.drain()
        writer.close()
