"""Months of searches, on a real Postgres that the service's own program prepared."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from hms.bench.processes import Process
from hms.bench.servers import PASSWORD, Postgres
from hms.bench.service import clean_environment
from hms.data.search_history import fill_month, months_before


def test_months_go_back_over_the_year_s_end() -> None:
    assert months_before(date(2026, 2, 28), 3) == [date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1)]
    assert months_before(date(2026, 1, 1), 0) == []


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    password = tmp_path_factory.mktemp("secrets") / "password"
    password.write_text(PASSWORD + "\n")
    server = Postgres()
    try:
        server.create("hms")
        environment = {
            "HMS_POSTGRES_HOSTS": server.address,
            "HMS_POSTGRES_PASSWORD_FILE": str(password),
            "HMS_POSTGRES_CA_FILE": str(server.ca_file),
        }
        load = Process([sys.executable, "-m", "app.load"], environment=clean_environment(**environment))
        assert load.wait() == 0, load.output
        yield server
    finally:
        server.remove()


def psql(postgres: Postgres, text: str) -> int:
    done = subprocess.run(
        ["psql", "--no-psqlrc", "-Atq", "-v", "ON_ERROR_STOP=1", "-h", str(postgres.directory), "-p",
         str(postgres.port), "-U", "postgres", "hms"],
        input=text, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.slow
def test_a_month_is_filled_once_goes_on_where_it_was_and_belongs_to_the_service(postgres: Postgres) -> None:
    month = months_before(datetime.now(UTC).date(), 3)[0]
    assert psql(postgres, fill_month(month, 500)) == 500
    assert psql(postgres, fill_month(month, 500)) == 0
    postgres.value(f"DELETE FROM search_logs_{month:%Y_%m} WHERE number > 300 RETURNING 1")
    assert psql(postgres, fill_month(month, 500)) == 200
    assert psql(postgres, fill_month(months_before(datetime.now(UTC).date(), 1)[0], 500)) == 500
    assert postgres.value("SELECT count(*) FROM search_logs WHERE instance = 0") == 1000
    assert postgres.value(f"SELECT count(DISTINCT query) > 100 FROM search_logs_{month:%Y_%m}") is True
    owner = f"SELECT tableowner FROM pg_tables WHERE tablename = 'search_logs_{month:%Y_%m}'"
    assert postgres.value(owner) == "app"
