"""What a soak says of itself."""

from drills.faults.soak import proof_of

POSTGRES = "nr_throttled 10\nrounds 7\nrounds 5\nnr_throttled 42\n"
REDIS = "rewrites 1\nslow 30\nrewrites 3\n"


def test_a_soak_is_proved_by_what_was_done() -> None:
    found = proof_of(POSTGRES, REDIS, seconds=60)
    assert found.proved
    assert "12 rounds" in found.how
    assert "32 periods" in found.how
    assert "2 rewrites" in found.how


def test_a_soak_in_which_one_thing_was_not_done_is_not_proved() -> None:
    assert not proof_of(POSTGRES, REDIS.replace("3", "1"), seconds=60).proved
    assert not proof_of(POSTGRES.replace("42", "10"), REDIS, seconds=60).proved
    assert not proof_of(POSTGRES, "", seconds=60).proved
    assert not proof_of("", REDIS, seconds=60).proved
