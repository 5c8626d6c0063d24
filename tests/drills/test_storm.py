"""More sessions than a real Postgres allows."""

import asyncio
from pathlib import Path

import pytest

from drills.storm import Storm, is_too_many, storm
from tests.drills.conftest import PostgresPair, make_settings
from tests.drills.engines import PASSWORD

pytestmark = pytest.mark.fault


def test_a_storm_counts_what_is_given_and_what_is_refused(pair: PostgresPair, folder: Path) -> None:
    settings = make_settings(folder, postgres_port=pair.primary.port, rates={}).postgres
    found = asyncio.run(storm(settings, pair.primary.host, 60, 0.0, password=PASSWORD))
    assert (found.asked, found.opened + found.too_many, found.failed) == (60, 60, 0)
    assert found.too_many > 0
    assert found.in_words() == f"60 sessions asked for: {found.opened} given, {found.too_many} refused as too many"


def test_a_server_that_is_not_there_is_no_storm(folder: Path) -> None:
    settings = make_settings(folder, rates={}).postgres
    found = asyncio.run(storm(settings, "127.0.0.1", 2, 0.0, password=PASSWORD))
    assert (found.opened, found.too_many, found.failed) == (0, 0, 2)
    assert "2 failed otherwise" in found.in_words()


@pytest.mark.parametrize(
    "said",
    [
        "FATAL:  sorry, too many clients already",
        'FATAL:  too many connections for role "drill"',
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
    ],
)
def test_postgres_has_three_ways_to_say_that_it_has_no_session_left(said: str) -> None:
    assert is_too_many(said)
    assert not is_too_many("FATAL:  the database system is starting up")
    assert Storm(asked=1, opened=0, too_many=1, failed=0).last_failure == ""
