"""What a client of the stack gets: answers through the app's Service."""

import json

from smoke.checks import Checks
from smoke.client import Client
from smoke.stack import RunningStack

KNOWN_CODE = "E11.9"
KNOWN_WORDS = "diabetes"
UNKNOWN_CODE = "E11.99Z"


def test_service_answers_with_real_codes(stack: RunningStack, client: Client, checks: Checks) -> None:
    """Through the Service's name and address a client gets a code, hits of a search, and 404 for what is none."""
    endpoint = stack.inventory.endpoint("app")
    root = f"http://{endpoint.host}:{endpoint.port}"
    code, search, unknown, ready = client.get(
        f"{root}/api/v1/codes/{KNOWN_CODE}",
        f"{root}/api/v1/search?q={KNOWN_WORDS}&limit=5",
        f"{root}/api/v1/codes/{UNKNOWN_CODE}",
        f"{root}/api/v1/health/ready",
    )
    checks.equal("app.code.status", KNOWN_CODE, declared=200, observed=code[0])
    answered = json.loads(code[1]).get("code") if code[0] == 200 else "nothing"
    checks.equal("app.code.answer", KNOWN_CODE, declared=KNOWN_CODE, observed=answered)
    checks.equal("app.search.status", KNOWN_WORDS, declared=200, observed=search[0])
    checks.that(
        "app.search.answer",
        KNOWN_WORDS,
        KNOWN_WORDS in search[1].lower(),
        declared=f"hits that name {KNOWN_WORDS}",
        observed=f"{search[1].lower().count(KNOWN_WORDS)} of them",
    )
    checks.equal("app.unknown.status", UNKNOWN_CODE, declared=404, observed=unknown[0])
    checks.equal("app.ready.status", "ready", declared=200, observed=ready[0])
