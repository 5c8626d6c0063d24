"""Steady or not: what the members of a cluster say of themselves, held against each other. Pure."""

from collections.abc import Mapping

import msgspec

from drills.wire import PostgresState, RedisState

# Members are asked one after the other while writes go on: a healthy replica seems to lag by what was written between.
LARGEST_LAG_BYTES = 1 << 20


class PostgresMember(msgspec.Struct, frozen=True, kw_only=True):
    """What one Patroni says of its Postgres.

    `position` is the end of the log it has, in bytes; `streaming` and `synchronous` are, on a primary, the replicas
    that stream from it and those whose confirmation a commit may count.
    """

    state: str
    role: str
    timeline: int
    started: str
    position: int
    streaming: tuple[str, ...] = ()
    synchronous: tuple[str, ...] = ()


class RedisNode(msgspec.Struct, frozen=True, kw_only=True):
    """What one Redis says of itself; `master` is the address that a replica follows, if its link is up."""

    role: str
    run_id: str
    offset: int
    replicas: int = 0
    master: str = ""


class SentinelView(msgspec.Struct, frozen=True, kw_only=True):
    """What one Sentinel says of the master: its address, its flags, the replicas and other Sentinels that it knows.

    One that is tilted found that its clock, or it, had stood still: it takes part in no failover for 30 s
    (`SENTINEL_TILT_PERIOD`).
    """

    address: str
    flags: str
    replicas: int
    others: int
    tilted: bool


def judge_postgres(members: Mapping[str, PostgresMember | None]) -> PostgresState:
    """Judge what every member said last; None is no answer.

    Steady is: every member runs, exactly one is primary, all others stream from it on its timeline and are level with
    it, and at least one of them is synchronous.
    """
    there = {name: member for name, member in members.items() if member is not None}
    running = {name: member for name, member in there.items() if member.state in {"running", "streaming"}}
    primaries = [name for name, member in running.items() if member.role in {"primary", "master", "leader"}]
    problems = [f"{name} does not answer" for name in members if name not in there]
    problems += [f"{name} is {member.state}" for name, member in there.items() if name not in running]
    if len(primaries) != 1:
        problems.append(f"{len(primaries)} members lead" if primaries else "no member leads")
    primary = primaries[0] if len(primaries) == 1 else ""
    leader = there[primary] if primary else None
    replicas = tuple(sorted(set(running) - {primary})) if leader else ()
    if leader is not None:
        problems += _replica_problems(leader, {name: running[name] for name in replicas})
    return PostgresState(
        steady=not problems,
        detail="; ".join(problems) or f"{primary} leads, {', '.join(replicas)} stream, lag 0",
        primary=primary,
        replicas=replicas,
        synchronous=leader.synchronous if leader else (),
        timeline=leader.timeline if leader else 0,
        started={name: member.started for name, member in there.items()},
    )


def _replica_problems(leader: PostgresMember, replicas: Mapping[str, PostgresMember]) -> list[str]:
    problems: list[str] = []
    for name, member in replicas.items():
        lag_bytes = leader.position - member.position
        if name not in leader.streaming:
            problems.append(f"{name} does not stream")
        elif member.timeline != leader.timeline:
            problems.append(f"{name} is on timeline {member.timeline}, the primary on {leader.timeline}")
        elif lag_bytes > LARGEST_LAG_BYTES:
            problems.append(f"{name} lags by {lag_bytes} bytes")
    if replicas and not leader.synchronous:
        problems.append("no replica is synchronous")
    return problems


def judge_redis(nodes: Mapping[str, RedisNode | None], sentinels: Mapping[str, SentinelView | None]) -> RedisState:
    """Judge what every node and Sentinel said last; None is no answer.

    Steady is: one master, all other nodes its replicas with their links up and level with it, and every Sentinel names
    the master that the replicas follow, sees it up, and knows all replicas and all other Sentinels.
    """
    there = {name: node for name, node in nodes.items() if node is not None}
    problems = [f"{name} does not answer" for name, answer in (*nodes.items(), *sentinels.items()) if answer is None]
    masters = [name for name, node in there.items() if node.role == "master"]
    if len(masters) != 1:
        problems.append(f"masters are {', '.join(masters)}" if masters else "no node is master")
    primary = masters[0] if len(masters) == 1 else ""
    replicas = tuple(sorted(set(there) - {primary})) if primary else ()
    if primary:
        problems += _link_problems(there[primary], {name: there[name] for name in replicas})
    followed = {node.master for node in there.values() if node.master}
    if len(followed) > 1:
        problems.append(f"replicas follow {', '.join(sorted(followed))}")
    for name, view in sentinels.items():
        if view is not None:
            problems += _view_problems(name, view, followed, len(nodes) - 1, len(sentinels) - 1)
    return RedisState(
        steady=not problems,
        detail="; ".join(problems) or f"{primary} is master of {', '.join(replicas)}; {len(sentinels)} Sentinels agree",
        primary=primary,
        replicas=replicas,
        run_ids={name: node.run_id for name, node in there.items()},
    )


def _link_problems(master: RedisNode, replicas: Mapping[str, RedisNode]) -> list[str]:
    problems = [f"{name}'s link to its master is down" for name, node in replicas.items() if not node.master]
    if master.replicas != len(replicas):
        problems.append(f"the master has {master.replicas} replicas of {len(replicas)}")
    for name, node in replicas.items():
        if (lag_bytes := master.offset - node.offset) > LARGEST_LAG_BYTES:
            problems.append(f"{name} lags by {lag_bytes} bytes")
    return problems


def _view_problems(name: str, view: SentinelView, followed: set[str], replicas: int, others: int) -> list[str]:
    problems: list[str] = []
    if followed and view.address not in followed:
        problems.append(f"{name} names {view.address}, the replicas follow {', '.join(sorted(followed))}")
    if view.tilted:
        problems.append(f"{name} is in tilt mode, and takes part in no failover")
    if view.flags != "master":
        problems.append(f"{name} flags the master {view.flags}")
    if view.replicas < replicas:
        problems.append(f"{name} knows {view.replicas} replicas of {replicas}")
    if view.others != others:
        problems.append(f"{name} knows {view.others} other Sentinels of {others}")
    return problems


def postgres_changes(name: str, before: PostgresMember | None, after: PostgresMember | None) -> list[str]:
    """Return what became different with one member, a line each."""
    if after is None:
        return [f"{name}: Patroni does not answer"] if before is not None else []
    if before is None:
        return [f"{name}: {after.role}, {after.state}, timeline {after.timeline}"]
    changes = [
        f"{name}: {field} {getattr(before, field) or 'none'} -> {getattr(after, field) or 'none'}"
        for field in ("role", "state", "timeline")
        if getattr(before, field) != getattr(after, field)
    ]
    if before.started != after.started:
        changes.append(f"{name}: postmaster started anew" if after.started else f"{name}: postmaster is gone")
    if before.synchronous != after.synchronous:
        changes.append(f"{name}: synchronous {', '.join(after.synchronous) or 'none'}")
    return changes


def redis_changes(name: str, before: RedisNode | None, after: RedisNode | None) -> list[str]:
    """Return what became different with one node, a line each."""
    if after is None:
        return [f"{name}: does not answer"] if before is not None else []
    if before is None:
        return [f"{name}: {after.role}, run {after.run_id[:8]}"]
    changes: list[str] = []
    if before.run_id != after.run_id:
        changes.append(f"{name}: started anew, run {after.run_id[:8]}")
    if before.role != after.role:
        changes.append(f"{name}: role {before.role} -> {after.role}")
    if before.master != after.master:
        changes.append(f"{name}: follows {after.master or 'nobody'}")
    if after.role == "master" and before.replicas != after.replicas:
        changes.append(f"{name}: has {after.replicas} replicas")
    return changes
