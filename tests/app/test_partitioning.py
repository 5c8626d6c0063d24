from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.errors import CheckViolation

from app.db.partitioning import PARTITIONS, partition_of
from app.errors import OutOfRangeError
from hms.bench.servers import Postgres


def test_there_are_nineteen_without_a_gap_from_a_to_z() -> None:
    assert len(PARTITIONS) == 19
    assert PARTITIONS[0].lower == "A"
    assert PARTITIONS[-1].upper == "["
    assert all(left.upper == right.lower for left, right in pairwise(PARTITIONS))
    assert len({partition.table for partition in PARTITIONS}) == 19


@given(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), st.text("0123456789.ABCDEFGHIJKLMNOPQRSTUVWXYZ", max_size=7))
def test_every_code_falls_in_exactly_one(first: str, rest: str) -> None:
    code = first + rest
    assert [partition for partition in PARTITIONS if partition.holds(code)] == [partition_of(code)]


@pytest.mark.parametrize("code", ["", "1A", "a00", "[", "É11", "~"])
def test_what_falls_in_none_is_refused(code: str) -> None:
    with pytest.raises(OutOfRangeError, match="falls in no partition"):
        partition_of(code)


def test_postgres_puts_all_98186_codes_where_the_bounds_say(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        rows = connection.execute("SELECT code, tableoid::regclass::text FROM icd10_codes").fetchall()
    assert len(rows) == 98_186
    assert Counter(str(table) for _, table in rows) == Counter(partition_of(str(code)).table for code, _ in rows)
    assert all(partition_of(str(code)).table == table for code, table in rows)


def test_postgres_refuses_a_code_outside(postgres: Postgres) -> None:
    insert = "INSERT INTO icd10_codes (code) VALUES ('1A')"
    with postgres.connect() as connection, pytest.raises(CheckViolation, match="no partition of relation"):
        connection.execute(insert)
