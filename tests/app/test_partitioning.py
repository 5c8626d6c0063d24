from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.errors import CheckViolation

from app.db.partitioning import PARTITIONS, partition_of
from app.errors import OutOfRangeError
from hms.bench.servers import Postgres

RANGES = [
    ("A", "C", "icd10_codes_a_b"),
    ("C", "E", "icd10_codes_c_d"),
    ("E", "F", "icd10_codes_e"),
    ("F", "G", "icd10_codes_f"),
    ("G", "H", "icd10_codes_g"),
    ("H", "I", "icd10_codes_h"),
    ("I", "J", "icd10_codes_i"),
    ("J", "K", "icd10_codes_j"),
    ("K", "L", "icd10_codes_k"),
    ("L", "M", "icd10_codes_l"),
    ("M", "N", "icd10_codes_m"),
    ("N", "O", "icd10_codes_n"),
    ("O", "P", "icd10_codes_o"),
    ("P", "Q", "icd10_codes_p"),
    ("Q", "R", "icd10_codes_q"),
    ("R", "S", "icd10_codes_r"),
    ("S", "U", "icd10_codes_s_t"),
    ("U", "Z", "icd10_codes_u_y"),
    ("Z", "[", "icd10_codes_z"),
]
"""Each lower bound and the upper one, which is not in it: 20 bounds in all."""

BOUNDS = """
SELECT relname::text, pg_get_expr(relpartbound, pg_class.oid) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'icd10_codes'::regclass ORDER BY relname
"""


def test_there_are_nineteen_by_the_ranges_of_the_chapters() -> None:
    assert [(partition.lower, partition.upper, partition.table) for partition in PARTITIONS] == RANGES
    assert len(PARTITIONS) == 19
    assert len({bound for lower, upper, _ in RANGES for bound in (lower, upper)}) == 20
    assert all(left.upper == right.lower for left, right in pairwise(PARTITIONS))


def test_postgres_has_these_and_no_default(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        assert connection.execute(BOUNDS.encode()).fetchall() == [
            (table, f"FOR VALUES FROM ('{lower}') TO ('{upper}')") for lower, upper, table in RANGES
        ]


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
