"""The catalogue of claims: the checkout's own is sound, and every problem of a wrong one is named at once."""

from pathlib import Path

import pytest

from hms.catalogue import default_catalogue_directory, load_catalogue
from hms.errors import InvalidSpecError

GOOD = """
[[claim]]
id = "{id}"
statement = "S."
source = "T."
metric = "drill.lost"
where = {{ writer = "postgres" }}
statistic = "sum"
comparison = "=="
bound = 0
unit = "writes"
"""


def test_the_checkouts_claims() -> None:
    claims = load_catalogue(default_catalogue_directory()).claims
    by_id = {claim.id: claim for claim in claims}
    assert [*by_id] == sorted(by_id)
    assert by_id["postgres-lost"].bound == 0
    assert by_id["postgres-kill-primary-write-gap"].bound == 2.5
    assert by_id["redis-kill-primary-write-gap"].bound == 2.5
    assert by_id["load-throughput"].bound == 100_000
    assert not any(claim.metric == "drill.lost" and claim.where.get("writer") == "redis" for claim in claims)


def test_claims_of_all_files_in_order_of_id(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD.format(id="z"))
    (tmp_path / "b.toml").write_text(GOOD.format(id="y"))
    assert [claim.id for claim in load_catalogue(tmp_path).claims] == ["y", "z"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("drill.lost", "drill.found"), "metric 'drill.found': unknown"),
        (('"writes"', '"s"'), "unit 's': drill.lost is in 'writes'"),
        (("writer =", "colour ="), "where 'colour': drill.lost has no such label; it has drill, writer"),
        (("bound = 0", "bound = inf"), "bound inf: must be finite"),
        (("bound = 0", "bound = 0\nminimum_runs = 0"), "minimum_runs 0: must be at least 1"),
        (('"S."', '" "'), "statement: must not be empty"),
        (('"sum"', '"average"'), "Invalid enum value 'average'"),
        (("bound = 0", 'bound = "0"'), "Expected `float`, got `str`"),
        (("bound = 0", "bound = 0\nbounds = 1"), "unknown field `bounds`"),
        (("drill.lost", "load.response_time"), "statistic 'sum': of a histogram only"),
    ],
)
def test_a_wrong_claim_is_refused(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    (tmp_path / "a.toml").write_text(GOOD.format(id="c").replace(*change))
    with pytest.raises(InvalidSpecError) as caught:
        load_catalogue(tmp_path)
    assert any(problem in line and "a.toml, claim 'c'" in line for line in caught.value.problems)


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD.format(id="c").replace('"writes"', '"s"') + GOOD.format(id="c"))
    (tmp_path / "b.toml").write_text("[[claim")
    (tmp_path / "c.toml").write_text("claims = 1")
    with pytest.raises(InvalidSpecError) as caught:
        load_catalogue(tmp_path)
    text = "\n".join(caught.value.problems)
    for part in (
        "unit 's'",
        "taken by another",
        "b.toml: not TOML",
        "unknown key 'claims'",
        "c.toml: no table [[claim]]",
    ):
        assert part in text


def test_no_claims_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpecError, match="no claims"):
        load_catalogue(tmp_path)


def test_a_short_proof_makes_some_claims_with_less_runs_and_names_the_others() -> None:
    full = load_catalogue(default_catalogue_directory())
    short = full.short_proof()
    assert {claim.id for claim in short.claims} | set(short.left_out) == {claim.id for claim in full.claims}
    assert not {claim.id for claim in short.claims} & set(short.left_out)
    assert {claim.minimum_runs for claim in short.claims} == {1, 3}
    assert all(claim.minimum_runs == claim.proof_runs for claim in short.claims)
    assert "control-caught" in {claim.id for claim in short.claims}
