"""What Postgres and Patroni say of themselves."""

import json
from typing import Any

import pytest

from smoke.checks import Checks
from smoke.postgres import Answers, Member, parse_answers, parse_members, question_script, rest_script, same_setting
from smoke.stack import Place, RunningStack

HIGHEST_LAG_BYTES = 16 * 1024**2
"""One WAL segment: a standby that streams is behind by less, also while others write."""

LEADER = "leader"
QUORUM_STANDBY = "quorum_standby"
SYNC_STANDBY = "sync_standby"
RUNNING_STATES = {"running", "streaming"}
STANDBY_ROLES = {"quorum": {QUORUM_STANDBY}, "on": {SYNC_STANDBY, "replica"}, "off": {"replica"}}


@pytest.fixture(scope="module")
def members(stack: RunningStack) -> list[tuple[Place, Answers]]:
    """Ask every member everything, once."""
    declared = stack.inventory.postgres
    script = question_script(declared.settings, database=declared.database)
    asked = stack.ask_each(stack.places_of("postgres"), lambda _place: script)
    return [(place, parse_answers(answer)) for place, answer in asked]


def patroni(stack: RunningStack, *paths: str) -> list[Any]:
    """Return what Patroni answers now, as the first member tells it."""
    place = stack.places_of("postgres")[0]
    answers = json.loads(stack.ask(place, rest_script(stack.inventory.postgres.rest_port, paths)))
    return [answers[path] for path in paths]


def test_settings_are_shown_by_every_member(
    stack: RunningStack, members: list[tuple[Place, Answers]], checks: Checks
) -> None:
    """`SHOW` prints the declared value on every member."""
    for place, answers in members:
        for name, value in stack.inventory.postgres.settings.items():
            shown = answers.settings.get(name)
            same = same_setting(name, value, shown)
            checks.that(f"postgres.setting.{name}", place.target, same, declared=value, observed=shown)


def test_patroni_works_with_the_declared_timers(stack: RunningStack, checks: Checks) -> None:
    """The timers in force are the declared ones: Patroni raises too low a value with no more than a log line."""
    (config,) = patroni(stack, "/config")
    for name, seconds in stack.inventory.postgres.patroni.items():
        checks.equal(f"patroni.{name}", "postgres", declared=seconds, observed=config.get(name, "missing"))
    mode = {True: "on", False: "off", None: "off"}.get(config.get("synchronous_mode"), config.get("synchronous_mode"))
    checks.equal(
        "patroni.synchronous_mode", "postgres", declared=stack.inventory.postgres.synchronous_mode, observed=mode
    )


def test_one_leader_and_its_standbys(stack: RunningStack, checks: Checks) -> None:
    """Patroni knows every member, one of them the leader, all on its timeline, standbys in the declared mode."""
    (cluster,) = patroni(stack, "/cluster")
    found = parse_members(cluster)
    leaders = [member for member in found if member.role == LEADER]
    checks.equal(
        "patroni.members",
        "postgres",
        declared=set(stack.inventory.workload("postgres").pods),
        observed={member.name for member in found},
    )
    checks.equal("patroni.leaders", "postgres", declared=1, observed=len(leaders))
    timeline = leaders[0].timeline if leaders else None
    standby_roles = STANDBY_ROLES[stack.inventory.postgres.synchronous_mode]
    for member in found:
        checks.that(
            "patroni.state", member.name, member.state in RUNNING_STATES, declared=RUNNING_STATES, observed=member.state
        )
        checks.equal("patroni.timeline", member.name, declared=timeline, observed=member.timeline)
        if member.role != LEADER:
            _check_standby(member, standby_roles, checks)


def _check_standby(member: Member, roles: set[str], checks: Checks) -> None:
    checks.that("patroni.role", member.name, member.role in roles, declared=roles, observed=member.role)
    checks.that(
        "patroni.lag_bytes",
        member.name,
        member.lag_bytes is not None and member.lag_bytes <= HIGHEST_LAG_BYTES,
        declared=f"at most {HIGHEST_LAG_BYTES}",
        observed=member.lag_bytes,
    )


def test_primary_streams_to_every_standby(
    stack: RunningStack, members: list[tuple[Place, Answers]], checks: Checks
) -> None:
    """The one member outside recovery streams to all the others, which receive; commits wait as declared."""
    primaries = [(place, answers) for place, answers in members if not answers.in_recovery]
    checks.equal("postgres.primaries", "postgres", declared=1, observed=len(primaries))
    sync = {"quorum": "quorum", "on": "sync", "off": "async"}[stack.inventory.postgres.synchronous_mode]
    for place, answers in primaries:
        others = set(stack.inventory.workload("postgres").pods) - {place.pod_name}
        streaming = {standby.name for standby in answers.standbys if standby.state == "streaming"}
        checks.equal("postgres.streaming", place.target, declared=others, observed=streaming)
        waited = [standby.name for standby in answers.standbys if standby.sync_state == sync]
        needed = len(others) if sync != "sync" else 1
        checks.equal(f"postgres.{sync}_standbys", place.target, declared=needed, observed=len(waited))
        for standby in answers.standbys:
            lag = standby.lag_bytes
            checks.that(
                "postgres.lag_bytes",
                standby.name,
                lag is not None and lag <= HIGHEST_LAG_BYTES,
                declared=f"at most {HIGHEST_LAG_BYTES}",
                observed=lag,
            )
    for place, answers in members:
        if answers.in_recovery:
            checks.equal("postgres.receiver", place.target, declared="streaming", observed=answers.receiver)


def test_connections_need_tls_and_scram(members: list[tuple[Place, Answers]], checks: Checks) -> None:
    """No rule lets anyone in over the network without TLS and scram, no password is kept otherwise, nobody is in."""
    for place, answers in members:
        checks.equal("postgres.weak_access", place.target, declared=(), observed=answers.weak_access)
        checks.equal("postgres.weak_passwords", place.target, declared="", observed=answers.weak_passwords)
        checks.equal("postgres.plain_connections", place.target, declared=0, observed=answers.plain_connections)
        checks.equal("postgres.checksums", place.target, declared="on", observed=answers.checksums)


def test_every_member_has_all_codes(stack: RunningStack, members: list[tuple[Place, Answers]], checks: Checks) -> None:
    """The declared release is the active one, with all its codes, on the primary and on every standby."""
    for place, answers in members:
        checks.equal("data.codes", place.target, declared=stack.inventory.codes, observed=answers.codes)
        checks.equal("data.release", place.target, declared=stack.inventory.release, observed=answers.release)
