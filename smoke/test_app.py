"""What a client of the stack gets: answers through the app's Service."""

import json

from smoke.checks import Checks
from smoke.client import Client
from smoke.stack import RunningStack

KNOWN_CODE = "E11.9"
KNOWN_WORDS = "diabetes"
MISSPELT_WORD = "diabtes"
UNKNOWN_CODE = "E11.99Z"

RELEASE_CODES = 98_186
RELEASE_CHAPTERS = 22
"""Of ICD-10-CM, April 2026: what `simple-icd-10-cm` 1.5.0 carries."""


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


def test_service_tells_of_its_data_and_of_itself(stack: RunningStack, client: Client, checks: Checks) -> None:
    """The whole release is there, what the routes are is told, and what is the administrator's is not for everybody."""
    endpoint = stack.inventory.endpoint("app")
    root = f"http://{endpoint.host}:{endpoint.port}"
    chapters, corrected, description, metrics, resources = client.get(
        f"{root}/api/v1/statistics/chapters",
        f"{root}/api/v1/search?q={MISSPELT_WORD}&limit=5",
        f"{root}/api/v1/openapi.json",
        f"{root}/metrics",
        f"{root}/api/v1/health/resources",
    )
    counted = json.loads(chapters[1]) if chapters[0] == 200 else {}
    checks.equal("app.release.codes", "statistics", declared=RELEASE_CODES, observed=counted.get("codes"))
    checks.equal(
        "app.release.chapters", "statistics", declared=RELEASE_CHAPTERS, observed=len(counted.get("chapters", ()))
    )
    checks.that(
        "app.search.corrected",
        MISSPELT_WORD,
        KNOWN_WORDS in corrected[1].lower(),
        declared=f"hits that name {KNOWN_WORDS}",
        observed=f"{corrected[1].lower().count(KNOWN_WORDS)} of them",
    )
    told = json.loads(description[1]).get("openapi") if description[0] == 200 else "nothing"
    checks.equal("app.description", "openapi.json", declared="3.1.0", observed=told)
    checks.that(
        "app.metrics",
        "metrics",
        "hms_app_request_duration_seconds" in metrics[1],
        declared="the app's own figures",
        observed=f"status {metrics[0]}",
    )
    checks.equal("app.resources.refused", "resources", declared=401, observed=resources[0])
