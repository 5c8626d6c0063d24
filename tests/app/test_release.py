from dataclasses import replace

import pytest

from app.db.release import APRIL_2026, Release, check
from app.errors import ReleaseError


def test_the_packaged_release_passes_its_checks(release: Release) -> None:
    check(release, APRIL_2026)


def test_the_39_names_that_are_block_and_category_are_there_as_both(release: Release) -> None:
    categories = {row.code for row in release.codes if row.kind == "category"}
    blocks = {group.name for group in release.groups if group.kind == "block"}
    assert len(categories & blocks) == 39
    assert {"B20", "C50", "QA0", "R99"} <= categories & blocks


def test_parents_and_children_agree(release: Release) -> None:
    by_code = {row.code: row for row in release.codes}
    for row in release.codes:
        assert all(by_code[child].parent == row.code for child in row.children)
        assert row.parent is None or row.code in by_code[row.parent].children
        assert row.billable == (not row.children)


def test_every_breach_is_named(release: Release) -> None:
    codes = tuple(row for row in release.codes if row.code != "E11")
    broken = replace(release, codes=(*codes, codes[0], replace(codes[1], code="1A")))
    with pytest.raises(ReleaseError) as refusal:
        check(broken, APRIL_2026)
    message = str(refusal.value)
    assert f"codes that are there twice: {codes[0].code}" in message
    assert "codes whose parent is missing: E11.0" in message
    assert "'1A' falls in no partition" in message
    assert "must be 74719" in message


def test_the_digest_is_of_the_contents(release: Release) -> None:
    first, *rest = release.codes
    assert replace(release).digest == release.digest
    assert replace(release, codes=(replace(first, title="another"), *rest)).digest != release.digest
