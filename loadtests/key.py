"""The API key that the load is sent with: without one, a generator is one anonymous client, and limited as such."""

import os
from pathlib import Path

KEY_FILE_VARIABLE = "HMS_API_KEY_FILE"
"""Names the file that holds the key."""


def key_headers() -> dict[str, str]:
    """Return the headers that show the key, if there is one."""
    path = os.environ.get(KEY_FILE_VARIABLE)
    return {"X-API-Key": Path(path).read_text(encoding="utf-8").strip()} if path else {}
