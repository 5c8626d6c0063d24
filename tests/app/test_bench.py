"""What `hms bench app` stands on: the statements that it captures, what it asks with them, and what it prints."""

from collections.abc import Iterator
from functools import partial

import pytest
from click.testing import CliRunner

from app.db.connection import parameters
from app.settings import from_environment
from hms.bench import pgbench, wrk
from hms.bench.figure import Raw, Results, figure_of
from hms.bench.queries import beginnings, longest, pairs_and_slips, sample
from hms.bench.servers import Postgres
from hms.bench.service import Service
from hms.bench.statements import Statement, sent_by
from hms.bench.table import page, table
from hms.cli.main import cli
from hms.environment import read_machine
from hms.errors import BenchError, UsageError


def ask(service: Service, text: str) -> None:
    service.get("/api/v1/search", q=text).raise_for_status()


@pytest.fixture(scope="module")
def uncached(postgres: Postgres, database_environment: dict[str, str]) -> Iterator[Service]:
    """Yield a service that asks the database for every answer."""
    del postgres
    with Service(**database_environment) as service:
        yield service.until_ready()


def test_the_statements_of_each_request_are_captured_with_their_parameters(
    postgres: Postgres, uncached: Service
) -> None:
    texts = ["paget's disease", "E11", "asthma"]
    captured = sent_by(postgres, [partial(ask, uncached, text) for text in texts])
    assert len(captured) == len(texts)
    for statements in captured:
        assert statements
        assert all("icd10_codes" in statement.text for statement in statements)
    assert any("disease" in str(value) for statement in captured[0] for value in statement.parameters)
    assert any(value == "E11" for statement in captured[1] for value in statement.parameters)
    assert postgres.value("SHOW log_statement") == "none"


def test_pgbench_asks_them_and_says_when_they_fail(
    postgres: Postgres, uncached: Service, database_environment: dict[str, str]
) -> None:
    settings = from_environment(database_environment).postgres
    connection = parameters(settings.hosts[0], settings, application="hms-pgbench", statement_timeout_seconds=30)
    requests = sent_by(postgres, [partial(ask, uncached, text) for text in sample(postgres, 10, seed=1)])
    repeated = Statement("SELECT 'fracture:A'::tsquery, $1::text IS NULL OR code = $1::text FROM bookmarks", ("E11",))
    assert pgbench.run([*requests, [repeated]], connection=connection, clients=1, seconds=1) > 0
    with pytest.raises(BenchError, match="pgbench ended"):
        pgbench.run([[Statement("SELECT 1 / $1::int", ("0",))]], connection=connection, clients=1, seconds=1)


def test_the_load_counts_answers_and_refuses_to_count_failures(uncached: Service) -> None:
    load = wrk.run(uncached.url, ["/api/v1/codes/E11"], connections=2, seconds=1)
    assert load.requests > 0
    assert load.per_second == load.requests / load.seconds
    with pytest.raises(BenchError, match="requests of the load failed"):
        wrk.run(uncached.url, ["/api/v1/codes/no"], connections=1, seconds=1)


def test_a_sample_of_queries_is_the_same_for_a_seed_and_finds_something(postgres: Postgres, uncached: Service) -> None:
    queries = sample(postgres, 20, seed=7)
    assert queries == sample(postgres, 20, seed=7) != sample(postgres, 20, seed=8)
    assert all(uncached.get("/api/v1/search", q=query).json()["hits"] for query in queries)


def test_pairs_and_slips_are_the_same_for_a_seed_and_slips_are_of_other_words() -> None:
    vocabulary = [f"commonword{number:03}" for number in range(200)]
    queries = pairs_and_slips(vocabulary, 10, seed=7)
    assert queries == pairs_and_slips(vocabulary, 10, seed=7) != pairs_and_slips(vocabulary, 10, seed=8)
    assert [len(query.split()) for query in queries] == [1, 2] * 5
    assert all(word in vocabulary[:5] for query in queries[1::2] for word in query.split())
    assert all(sorted(slip) in [sorted(word) for word in vocabulary] for slip in queries[::2])


def test_beginnings_are_all_that_is_typed_on_the_way_each_once() -> None:
    assert beginnings(["cold", "cod", "a"]) == ("co", "cod", "col", "cold")


def test_the_longest_queries_have_twelve_words_of_each_kind_and_are_the_same_for_one_seed() -> None:
    vocabulary = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}1234" for n in range(600)]
    titles = ["fracture of the lower third", " ".join(f"title{chr(97 + n)}" for n in range(20))]
    made = longest(titles, vocabulary, 40, most_words=12, seed=1)
    assert len(made) == 40
    assert {len(query.split()) for query in made} == {12}
    assert set(made[0::4]) == {" ".join(titles[1].split()[:12])}
    assert all(word in vocabulary for query in made[1::4] for word in query.split())
    assert all(len(word) == 2 for query in made[2::4] for word in query.split())
    assert not any(word in vocabulary for query in made[3::4] for word in query.split())
    assert made == longest(titles, vocabulary, 40, most_words=12, seed=1)


def test_rows_without_what_stores_them_are_refused() -> None:
    done = CliRunner().invoke(cli, ["bench", "app", "--rows", "1000000", "--only", "searches"])
    assert isinstance(done.exception, UsageError)
    assert done.exception.message == "--rows 1000000: without `generator` there is no history"


def results(*values: float) -> Results:
    figure = figure_of(
        values, name="refusal", statistic="p99", unit="ms", how="It is asked", promised=("<", 10.0),
        raw=Raw(value=0.5, what="a health check"),
    )  # fmt: skip
    plain = figure_of([3.0], name="rate", statistic="median", unit="1/s", how="It is counted")
    return Results(
        started_at="2026-11-23T21:00:00+00:00", seconds=12, commit="0123456789abcdef", machine=read_machine({}),
        busy_share=0.25, figures=(figure, plain),
    )  # fmt: skip


def test_a_figure_out_of_its_bound_is_a_breach() -> None:
    assert results(1, 9.99).breaches == ()
    assert [figure.name for figure in results(1, 10).breaches] == ["refusal"]


def test_table_and_page_have_each_figure_its_bound_and_what_is_beside_it() -> None:
    lines = table(results(1, 12), colour=False).splitlines()
    assert lines[1].split() == ["FAILED", "refusal", "12", "ms", "p99", "<", "10", "ms", "0.500", "ms", "2", "values"]
    assert lines[2].split() == ["rate", "3", "1/s", "median", "1", "value"]
    assert lines[-1] == "1 breach of 1 bounds."
    written = page(results(1, 12)).decode()
    assert "| FAILED | `refusal` | 12 ms | 1 ms | 12 ms | p99 < 10 ms | 0.500 ms | 2 |" in written
    assert "- `refusal`: It is asked. Beside it: a health check." in written
    assert "others used 25% of its processors before the run" in written
