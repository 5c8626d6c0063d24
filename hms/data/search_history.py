"""The SQL that fills months of the search log: past months have no partition until somebody needs one. Pure.

What is written is searches as they might have been: the beginnings of real titles, spread evenly over the month, with
`instance` 0, which no process of the service has. Each month is one transaction and its rows have keys of their own, so
that what is cut off leaves whole months, and a second run adds what is missing and nothing else.
"""

from datetime import date

MOST_MONTHS = 12
"""As many as the service keeps; its maintenance would retire older ones."""

GENERATED = 0
"""The `instance` of rows that were made here."""


def months_before(today: date, count: int) -> list[date]:
    """Return the first days of the `count` months before today's, the oldest first."""
    index = today.year * 12 + today.month - 1
    return [date((index - back) // 12, (index - back) % 12 + 1, 1) for back in range(count, 0, -1)]


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def fill_month(month: date, rows: int) -> str:
    """Return the statements that make the month's partition, if it is not there, and its rows; prints how many are new.

    To be run by psql as the database's superuser; the partition belongs to whom the log belongs to.
    """
    table = f"search_logs_{month:%Y_%m}"
    start, end = f"{month:%Y-%m-%d} 00:00:00+00", f"{_next(month):%Y-%m-%d} 00:00:00+00"
    return f"""
BEGIN;
DO $$ BEGIN
  IF to_regclass('public.{table}') IS NULL THEN
    CREATE TABLE public.{table} (LIKE public.search_logs INCLUDING ALL);
    EXECUTE format('ALTER TABLE public.{table} OWNER TO %I',
      (SELECT relowner::regrole::text FROM pg_class WHERE oid = 'public.search_logs'::regclass));
    ALTER TABLE public.search_logs ATTACH PARTITION public.{table} FOR VALUES FROM ('{start}') TO ('{end}');
  END IF;
END $$;
WITH titles AS (
  SELECT array_agg(lower(title) ORDER BY code) AS words FROM public.icd10_codes WHERE active AND kind = 'category'
), release AS (SELECT name FROM public.icd10_releases WHERE active),
added AS (
  INSERT INTO public.{table}
    (searched_at, instance, number, query, release, hits, duration_ms, matched, cached)
  SELECT timestamptz '{start}' + (timestamptz '{end}' - timestamptz '{start}') * ((number - 1)::float8 / {rows}),
    {GENERATED}, number, left(words[1 + number * 7919 % cardinality(words)], 4 + (number % 20)::int), release.name,
    (number % 21)::int, (1 + number % 40)::real, 'words', number % 3 = 0
  FROM titles, release, generate_series(1::bigint, {rows}) AS number
  WHERE number > (SELECT count(*) FROM public.{table} WHERE instance = {GENERATED})
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) FROM added;
COMMIT;
"""  # noqa: S608 - psql binds nothing within DO; what is put in is a date's digits and whole numbers, by their types
