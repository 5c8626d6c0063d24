"""The page of the service has every setting, route and figure, in the words of the code that has them.

`python -m tests.app.test_docs` writes the tables anew. What the bounds of a client do, `test_connections.py` shows.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

import app.settings
from app.api.routes import ROUTES
from app.connections import MOST_HEAD_BYTES
from app.middleware.bounds import MOST_BODY_BYTES, MOST_URL_BYTES
from app.openapi import operation_of
from app.server import _IDLE_CONNECTION_SECONDS, Application
from app.settings import from_environment

PAGE = Path(__file__).resolve().parents[2] / "docs" / "app.md"


def families() -> list[Metric]:
    """Return what an instance tells Prometheus, before it has met anybody."""

    async def made() -> list[Metric]:
        environment = {"HMS_POSTGRES_HOSTS": "localhost:1", "HMS_REDIS_SENTINELS": "localhost:2"}
        return list(Application(from_environment(environment)).service.metrics.registry.collect())

    found = asyncio.run(made())
    return [family for family in found if family.name.startswith("hms_app_")]


def settings_table() -> str:
    described = app.settings.__doc__ or ""
    return "\n".join(line for line in described.splitlines() if line.startswith("|"))


def routes_table() -> str:
    lines = ["| route | what it does |", "|---|---|"]
    for route in ROUTES:
        if route.include_in_schema:
            methods = ", ".join(sorted((route.methods or set()) - {"HEAD"}))
            lines.append(f"| `{methods} {route.path}` | {operation_of(route).summary} |")
    return "\n".join(lines)


def metrics_table() -> str:
    lines = ["| figure | kind | what it tells |", "|---|---|---|"]
    for family in sorted(families(), key=lambda family: family.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        lines.append(f"| `{name}` | {family.type} | {family.documentation} |")
    return "\n".join(lines)


def bounds_table() -> str:
    seconds = f"{from_environment({'HMS_POSTGRES_HOSTS': 'localhost:1'}).timeouts.slow_client_seconds:g} s"
    rows = (
        ("head", f"{MOST_HEAD_BYTES:,} bytes, within {seconds}", "431; 408, or closed if nothing came"),
        ("path and query", f"{MOST_URL_BYTES:,} bytes", "414"),
        ("body", f"{MOST_BODY_BYTES:,} bytes, within {seconds}, its length stated", "413; 408; 411"),
        ("answer", f"some of it taken within {seconds}", "the connection is cut"),
        ("silence between requests", f"{_IDLE_CONNECTION_SECONDS} s", "the connection is closed"),
    )
    return "\n".join(["| part | bound | beyond it |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


TABLES = (settings_table, routes_table, metrics_table, bounds_table)


@pytest.mark.parametrize("table", TABLES)
def test_the_page_has_the_table(table: Callable[[], str]) -> None:
    assert table() in PAGE.read_text(), "run `python -m tests.app.test_docs`, and look at what it wrote"


def test_every_variable_that_is_read_is_in_the_table_of_settings() -> None:
    """The variables that the program knows are found by what it says of one that it does not."""
    source = Path(app.settings.__file__).read_text()
    read = set(re.findall(r'reader\.\w+\(\s*"(HMS_\w+)"', source))
    described = set(re.findall(r"HMS_\w+", settings_table()))
    shortened = {f"HMS_{part}" for part in re.findall(r"`HMS_(\w+)`", settings_table())}
    missing = {name for name in read - described - shortened if not _stands_short(name)}
    assert read
    assert missing == set()


def _stands_short(name: str) -> bool:
    """Say whether a row names the variable by its end alone, beside another one: `HMS_REDIS_MASTER`, `_USER`."""
    rows = [line for line in settings_table().splitlines() if name.rsplit("_", 1)[0] + "_" in line]
    return any(f"`_{name.rsplit('_', 1)[1]}`" in row for row in rows)


def test_every_figure_has_a_description() -> None:
    assert [family.name for family in families() if len(family.documentation) < 10] == []


def write() -> None:
    """Put the tables, as they are now, in the place of those with the same head."""
    page = PAGE.read_text()
    for table in TABLES:
        wanted = table()
        head = re.escape(wanted.splitlines()[0])
        found = re.search(rf"^{head}\n(\|.*\n)+", page, re.MULTILINE)
        assert found, f"docs/app.md has no table that begins with {wanted.splitlines()[0]}"
        page = f"{page[: found.start()]}{wanted}\n{page[found.end() :]}"
    PAGE.write_text(page)


if __name__ == "__main__":
    write()
