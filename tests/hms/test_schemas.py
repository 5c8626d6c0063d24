"""The schema files are those of the records, and evidence fits them."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from hms.schemas import DIRECTORY, RECORDS, schema_files
from tests.hms.run_sample import sample_evidence


def test_the_files_are_those_of_the_records() -> None:
    assert {path.name: path.read_bytes() for path in DIRECTORY.glob("*.json")} == schema_files(), (
        "run `python -m hms.schemas`"
    )


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(json.loads(schema_files()[f"{name}.json"]))


def test_evidence_fits_its_schemas(tmp_path: Path) -> None:
    evidence = sample_evidence(tmp_path)
    seen = set()
    for path in sorted(p for p in evidence.path.rglob("*") if p.is_file()):
        name = _schema_of(path)
        seen.add(name)
        validator = Draft202012Validator(json.loads(schema_files()[f"{name}.json"]))
        texts = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        for text in texts[:50]:
            validator.validate(json.loads(text))
    assert seen == set(RECORDS)


def _schema_of(path: Path) -> str:
    if path.suffix == ".json":
        return path.stem
    parts = path.name.split(".")
    return {"steps": "step", "checks": "check"}.get(parts[0]) or {
        "ledger": "ledger-record", "present": "present", "reads": "read",
    }[parts[1]]  # fmt: skip
