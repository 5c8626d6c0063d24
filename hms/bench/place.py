"""What is measured, started once for a run: a loaded primary, a streaming replica of it, the files of its secrets."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hms.bench.cores import started_on
from hms.bench.processes import Process
from hms.bench.servers import PASSWORD, Postgres
from hms.bench.service import Service, clean_environment
from hms.errors import BenchError

Say = Callable[[str], None]

FEW_ROWS = 500_000
"""Of the history: the packaged release and five more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The database and the cores: `service_core` is the service's alone. The history is to have `rows` rows."""

    postgres: Postgres
    directory: Path
    service_core: int
    other_core: int
    rows: int

    @property
    def environment(self) -> dict[str, str]:
        """Return the settings with which the service and the load reach the primary."""
        return {
            "HMS_POSTGRES_HOSTS": self.postgres.address,
            "HMS_POSTGRES_PASSWORD_FILE": str(self.directory / "password"),
            "HMS_POSTGRES_CA_FILE": str(self.postgres.ca_file),
        }

    @contextmanager
    def service(self, **environment: str) -> Iterator[Service]:
        """Yield the service on its core, ready, with `environment` beside what it needs."""
        with ExitStack() as stack:
            with started_on(self.service_core):
                service = stack.enter_context(Service(**{**self.environment, **environment}))
            yield service.until_ready()


@contextmanager
def prepared(directory: Path, cores: tuple[int, int], say: Say, *, rows: int = FEW_ROWS) -> Iterator[Place]:
    """Yield the place with the packaged release loaded; takes it away again. Raises `BenchError`."""
    service_core, other_core = cores
    with ExitStack() as stack:
        with started_on(other_core):
            postgres = Postgres()
        stack.callback(postgres.remove)
        postgres.create("hms")
        (directory / "password").write_text(PASSWORD + "\n")
        place = Place(
            postgres=postgres, directory=directory, service_core=service_core, other_core=other_core, rows=rows
        )
        say("loading the release")
        load = Process([sys.executable, "-m", "app.load"], environment=clean_environment(**place.environment))
        if load.wait() != 0:
            raise BenchError("the release could not be loaded", remedy=load.output)
        with postgres.connect() as connection:
            connection.execute("CHECKPOINT")
        yield place
