"""What Redis and its Sentinels say of themselves."""

import pytest

from smoke.checks import Checks
from smoke.redis import (
    Role,
    node_script,
    parse_pairs,
    parse_role,
    parse_sections,
    parse_users,
    sentinel_script,
)
from smoke.stack import Place, RunningStack, secret_paths

Sections = dict[str, list[str]]

PASSWORD_FILE = "sentinel-password"  # noqa: S105  # a file's name
STRANGER = "NOAUTH Authentication required."


def password_path(place: Place) -> str:
    """Return the file in the container that has the password of the user `sentinel`."""
    for path in secret_paths(place.pod, place.container.name):
        return path if path.endswith(PASSWORD_FILE) else f"{path}/{PASSWORD_FILE}"
    raise LookupError(f"{place.target}: no secret is mounted")


@pytest.fixture(scope="module")
def nodes(stack: RunningStack) -> list[tuple[Place, Sections]]:
    """Ask every Redis node everything, once."""
    port = stack.inventory.redis.port
    asked = stack.ask_each(
        stack.places_of("redis"), lambda place: node_script(port, password_file=password_path(place))
    )
    return [(place, parse_sections(answer)) for place, answer in asked]


@pytest.fixture(scope="module")
def sentinels(stack: RunningStack) -> list[tuple[Place, Sections]]:
    """Ask every Sentinel everything, once."""
    declared = stack.inventory.redis
    asked = stack.ask_each(
        stack.places_of("sentinel"),
        lambda place: sentinel_script(
            declared.sentinel_port, password_file=password_path(place), master_name=declared.master_name
        ),
    )
    return [(place, parse_sections(answer)) for place, answer in asked]


def test_settings_are_those_of_every_node(
    stack: RunningStack, nodes: list[tuple[Place, Sections]], checks: Checks
) -> None:
    """`CONFIG GET` prints the declared value on every node."""
    for place, answers in nodes:
        settings = parse_pairs(answers["config"])
        for name, value in stack.inventory.redis.settings.items():
            checks.equal(f"redis.setting.{name}", place.target, declared=value, observed=settings.get(name, "missing"))


def test_one_primary_and_its_replicas(nodes: list[tuple[Place, Sections]], checks: Checks) -> None:
    """By their own `ROLE` one node is the primary, and all the others are linked to it."""
    roles = {place.target: parse_role(answers["role"]) for place, answers in nodes}
    primaries = [role for role in roles.values() if role.name == "master"]
    checks.equal("redis.primaries", "redis", declared=1, observed=len(primaries))
    for primary in primaries:
        checks.equal("redis.replicas", "redis", declared=len(nodes) - 1, observed=len(set(primary.replicas)))
    _check_links(roles, checks)


def _check_links(roles: dict[str, Role], checks: Checks) -> None:
    replicas = {target: role for target, role in roles.items() if role.name == "slave"}
    for target, role in replicas.items():
        checks.equal("redis.link", target, declared="connected", observed=role.link)
    checks.equal("redis.followed", "redis", declared=1, observed=len({role.primary for role in replicas.values()}))


def test_sentinels_agree_on_one_primary(
    stack: RunningStack,
    nodes: list[tuple[Place, Sections]],
    sentinels: list[tuple[Place, Sections]],
    checks: Checks,
) -> None:
    """Every Sentinel names the primary that the replicas follow, sees all the others, and has its quorum."""
    followed = {role.primary for _, answers in nodes if (role := parse_role(answers["role"])).name == "slave"}
    declared = stack.inventory.redis
    for place, answers in sentinels:
        known = parse_pairs(answers["master"])
        checks.equal("sentinel.primary", place.target, declared=followed, observed={known.get("ip", "none")})
        checks.equal("sentinel.flags", place.target, declared="master", observed=known.get("flags"))
        checks.equal("sentinel.quorum", place.target, declared=str(declared.quorum), observed=known.get("quorum"))
        others = str(len(sentinels) - 1)
        checks.equal("sentinel.others", place.target, declared=others, observed=known.get("num-other-sentinels"))
        replicas = str(len(nodes) - 1)
        checks.equal("sentinel.replicas", place.target, declared=replicas, observed=known.get("num-slaves"))
        for name, value in declared.settings_of_sentinel(place.pod_name).items():
            checks.equal(f"sentinel.setting.{name}", place.target, declared=value, observed=known.get(name, "missing"))
        said = " ".join(answers["quorum"])
        checks.that("sentinel.can_fail_over", place.target, said.startswith("OK"), declared="OK", observed=said)


def test_strangers_are_refused(
    nodes: list[tuple[Place, Sections]], sentinels: list[tuple[Place, Sections]], checks: Checks
) -> None:
    """The default user is off, and who gives no name and password gets nothing."""
    for place, answers in (*nodes, *sentinels):
        users = parse_users(answers["users"])
        checks.equal("redis.default_user", place.target, declared="off", observed=users.get("default", "missing"))
        said = " ".join(answers["stranger"]).strip()
        checks.equal("redis.stranger", place.target, declared=STRANGER, observed=said)
