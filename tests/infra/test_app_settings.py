"""The environment that the stack gives the service is one that the service takes."""

from pathlib import Path

import pytest

from app.settings import from_environment
from infra.app import app_environment
from tests.stack.settings import spec


@pytest.mark.parametrize("changed", [{}, {"appPoolSize": 50, "postgresMaxConnections": 1000}, {"rateLimits": "off"}])
def test_the_service_takes_every_setting_that_the_stack_gives_it(changed: dict[str, object], tmp_path: Path) -> None:
    given = app_environment(spec(**changed))
    for name in given:
        if name.endswith("_FILE"):
            file = tmp_path / name.lower()
            file.write_text("a-secret-of-more-than-thirty-two-characters")
            given[name] = str(file)
    taken = from_environment(given)
    assert [address.port for address in taken.postgres.hosts] == [5432, 5432, 5432]
    assert taken.postgres.pool_size == int(given["HMS_POSTGRES_POOL_SIZE"])
    assert taken.redis is not None
    assert taken.redis.user == "app"
    assert (taken.protection.limits is None) == (changed.get("rateLimits") == "off")
    assert taken.protection.admin_key_file is not None
