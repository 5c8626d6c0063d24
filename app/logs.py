"""Logs as JSON, one object a line, on standard error."""

import logging
import sys
from datetime import UTC, datetime

import msgspec

_ENCODER = msgspec.json.Encoder()


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: `at` (UTC), `level`, `logger`, `message`, and `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line.update(fields)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line).decode()


def configure(level: int = logging.INFO) -> None:
    """Send every log of the process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
