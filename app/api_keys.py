"""API keys: how one is written, and what is kept of it. Pure.

A key is `hms_` and 256 random bits. Kept is its SHA-256, without salt and without stretching: these make guessing dear
where the secret is a word that can be guessed, and nobody guesses 256 bits. Whoever reads the table can use no key.
"""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_bytes

from app.limits import Tier

_FORM = re.compile(r"hms_[A-Za-z0-9_-]{43}")
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key. `id` is the beginning of its digest, public; a time that is None will not come."""

    id: str
    name: str
    tier: Tier
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_good(self, now: datetime | None = None) -> bool:
        """Say whether the key opens anything."""
        if self.revoked_at is not None:
            return False
        return self.expires_at is None or (now or datetime.now(UTC)) < self.expires_at


def new_key() -> str:
    """Return a new secret key."""
    return "hms_" + urlsafe_b64encode(token_bytes(32)).decode().rstrip("=")


def has_form(text: str) -> bool:
    """Say whether `text` is written like a key."""
    return _FORM.fullmatch(text) is not None


def digest_of(key: str) -> bytes:
    """Return what is kept of a key."""
    return sha256(key.encode()).digest()


def id_of(digest: bytes) -> str:
    """Return the public name of the key with this digest."""
    return digest[:8].hex()
