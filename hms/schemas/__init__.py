"""JSON Schemas of every record in evidence, for readers that do not use our code.

The `.json` files are made by `python -m hms.schemas` from the records' types; a test holds them equal.

May import: hms.
"""

from pathlib import Path
from typing import Any

import msgspec

from hms.claim import Catalogue
from hms.evidence import Check, Environment, LoadRun, Manifest, Present, Run, Step, Trial
from hms.inventory import Inventory
from hms.ledger import Record
from hms.reads import Read
from hms.verdict import Verdicts

DIRECTORY = Path(__file__).parent

# By the schema's name: the type, and which files of evidence hold it (`hms.evidence` has the layout).
RECORDS: dict[str, tuple[Any, str]] = {
    "run": (Run, "run.json"),
    "environment": (Environment, "environment.json"),
    "inventory": (Inventory, "inventory.json"),
    "step": (Step, "each line of steps.jsonl"),
    "check": (Check, "each line of smoke/checks.jsonl"),
    "load": (LoadRun, "load/<scenario>/<n>/load.json"),
    "trial": (Trial, "drills/<drill>/<n>/trial.json"),
    "ledger-record": (Record, "each line of drills/<drill>/<n>/<writer>.ledger.jsonl"),
    "read": (Read, "each line of drills/<drill>/<n>/<reader>.reads.jsonl"),
    "present": (Present, "each line of drills/<drill>/<n>/<writer>.present.<node>.jsonl"),
    "claims": (Catalogue, "claims.json"),
    "verdicts": (Verdicts, "verdicts.json"),
    "manifest": (Manifest, "manifest.json"),
}


def schema_files() -> dict[str, bytes]:
    """Return the content of every schema file by its name."""
    files = {}
    for name, (record, where) in RECORDS.items():
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": name,
            "description": f"Evidence of hms: {where}.",
            **msgspec.json.schema(record),
        }
        files[f"{name}.json"] = msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=1) + b"\n"
    return files
