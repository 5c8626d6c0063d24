from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.maintenance import check_clocks
from app.db.months import Month, plan
from app.errors import ClockError

MONTHS = st.builds(Month, st.integers(1990, 2100), st.integers(1, 12))
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.timezones())


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC), Month(2026, 1)),
        (datetime(2026, 2, 1, tzinfo=UTC), Month(2026, 2)),
        (datetime(2028, 2, 29, 12, tzinfo=UTC), Month(2028, 2)),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), Month(2026, 12)),
        (datetime(2027, 1, 1, tzinfo=UTC), Month(2027, 1)),
        (datetime(2027, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2))), Month(2026, 12)),
        (datetime(2026, 12, 31, 20, tzinfo=timezone(timedelta(hours=-5))), Month(2027, 1)),
    ],
)
def test_a_moment_falls_in_the_month_of_utc(moment: datetime, month: Month) -> None:
    assert Month.of(moment) == month


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        Month.of(datetime(2026, 1, 31))


@pytest.mark.parametrize(
    ("month", "months", "then"),
    [
        (Month(2026, 1), 1, Month(2026, 2)),
        (Month(2026, 12), 1, Month(2027, 1)),
        (Month(2026, 11), 2, Month(2027, 1)),
        (Month(2027, 1), -1, Month(2026, 12)),
        (Month(2026, 3), -15, Month(2024, 12)),
        (Month(2026, 12), 24, Month(2028, 12)),
    ],
)
def test_months_are_counted_over_the_end_of_a_year(month: Month, months: int, then: Month) -> None:
    assert month.plus(months) == then


@given(MOMENTS)
def test_a_month_holds_its_moments_and_no_other_does(moment: datetime) -> None:
    month = Month.of(moment)
    assert month.start <= moment < month.end
    assert month.plus(1).start == month.end
    assert Month.of(month.start) == Month.of(month.end - timedelta(microseconds=1)) == month


@given(MONTHS, st.integers(-500, 500), st.integers(-500, 500))
def test_months_add_up(month: Month, one: int, other: int) -> None:
    assert month.plus(one).plus(other) == month.plus(one + other)
    assert (month.plus(one) < month) == (one < 0)


@given(MONTHS)
def test_the_name_of_a_partition_tells_its_month(month: Month) -> None:
    assert Month.of_table(month.table) == month


@pytest.mark.parametrize(
    "name", ["search_logs", "search_logs_2026_13", "search_logs_2026_00", "search_logs_26_01", "x"]
)
def test_another_table_tells_none(name: str) -> None:
    assert Month.of_table(name) is None


@given(st.sets(MONTHS), MOMENTS, st.integers(0, 6), st.integers(0, 36))
def test_a_plan_makes_what_is_needed_keeps_what_is_to_be_kept_and_is_done_after_one_time(
    there: set[Month], now: datetime, ahead: int, keep: int
) -> None:
    todo = plan(there, now=now, ahead=ahead, keep=keep)
    current = Month.of(now)
    kept = {month for month in there if month >= current.plus(-keep)}
    after = (there | set(todo.make)) - set(todo.retire)
    assert after == kept | {current.plus(n) for n in range(ahead + 1)}
    assert not set(todo.make) & there
    assert set(todo.retire) <= there
    assert not set(todo.make) & set(todo.retire)
    again = plan(after, now=now, ahead=ahead, keep=keep)
    assert (again.make, again.retire) == ((), ())


@given(MOMENTS, st.integers(1, 40))
def test_going_on_month_by_month_there_is_always_a_partition_for_now_and_the_months_ahead(
    now: datetime, months: int
) -> None:
    there: set[Month] = set()
    for n in range(months):
        moment = Month.of(now).plus(n).start
        todo = plan(there, now=moment, ahead=2, keep=12)
        assert len(todo.retire) <= 1
        assert len(todo.make) == (3 if n == 0 else 1)
        there = (there | set(todo.make)) - set(todo.retire)
        assert Month.of(moment) in there
    assert len(there) == min(months + 2, 15)


def test_clocks_that_differ_by_more_than_an_hour_are_not_gone_by() -> None:
    now = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    check_clocks(server=now, own=now + timedelta(hours=1))
    with pytest.raises(ClockError, match=r"2026-12-31 23:30 UTC and this machine's 2027-01-01 00:31: 1:00:00 apart"):
        check_clocks(server=now, own=now + timedelta(hours=1, minutes=1))
