"""What a run did not show: said by the report itself, before a reader has to find out."""

from hms.report.model import Report

# Families of faults that the design names, and how a drill of the family is recognised by its name.
FAMILIES = (
    ("Postgres: primary killed", ("postgres-kill-primary",)),
    ("Postgres: Patroni killed or frozen alone", ("postgres-kill-patroni", "postgres-freeze-patroni")),
    ("Postgres: primary frozen", ("postgres-freeze-primary", "postgres-blink-primary")),
    ("Postgres: pod deleted", ("postgres-delete",)),
    ("Postgres: planned switchover", ("postgres-switchover",)),
    ("Postgres: replicas killed", ("postgres-kill-replica", "postgres-kill-both-replicas")),
    ("Postgres: disk full, volume lost", ("postgres-wal-disk-full", "postgres-lose-")),
    ("Postgres: connection storm", ("postgres-connection",)),
    ("Redis: primary killed", ("redis-kill-primary",)),
    ("Redis: primary frozen", ("redis-freeze", "redis-blink")),
    ("Redis: pod deleted", ("redis-delete",)),
    ("Redis: planned failover", ("redis-failover", "redis-switchover")),
    ("Redis: a replica killed", ("redis-kill-replica",)),
    ("Redis: primary reborn empty", ("redis-primary-reborn-empty",)),
    ("Redis: Sentinels lost", ("redis-sentinel-lost", "redis-two-sentinels-lost")),
    ("Redis: memory full, slow command", ("redis-memory", "redis-slow")),
    ("App: a pod deleted", ("app-delete-one",)),
    ("App: rolling update", ("app-rolling-update",)),
    (
        "App: all but one killed, out of memory, starved of CPU",
        ("app-delete-all-but-one", "app-out-of-memory", "app-starved-of-cpu"),
    ),
    ("Node: power loss, freeze, isolation", ("node-",)),
    ("Cluster: API server stopped, DNS stopped, everything restarted", ("cluster-",)),
)


def untried_families(report: Report) -> list[str]:
    """Return the families of faults that no readable, applicable trial of this run injected."""
    tried = {view.trial.drill for view in report.trials if view.trial is not None and not view.trial.not_applicable}
    return [name for name, prefixes in FAMILIES if not any(drill.startswith(prefixes) for drill in tried)]


def limits(report: Report) -> list[str]:
    """Return what must be kept in mind with these figures, a sentence or two each."""
    said: list[str] = []
    if report.environment is not None and report.environment.machine:
        nodes = len(report.environment.nodes)
        said.append(
            f"The {nodes} nodes, the clients and the load generator were on what the table under Environment "
            "describes. Where that is one machine, its nodes share one kernel, one disk and its CPUs: the loss of the "
            "whole machine, of its disk, and delays of a real network are not in these figures."
        )
    if any(view.trial is not None for view in report.trials):
        said.append(
            "A killed process leaves what the kernel had already taken from it. These trials do not show what a loss "
            "of power would do to writes that a disk had promised and not kept."
        )
        said.append(
            "Of Redis nothing is claimed about lost writes: its replication is asynchronous. What was lost is in the "
            "reckoning."
        )
    if report.loads:
        longest = max(load.duration_seconds for _, load in report.loads)
        said.append(
            f"The longest load lasted {longest:g} s. Nothing here tells of an hour or a day: caches, vacuum, growth "
            "of logs."
        )
    return said
