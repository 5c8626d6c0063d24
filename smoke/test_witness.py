"""What the witnesses of the Postgres members say."""

from smoke.checks import Checks
from smoke.postgres import rest_script
from smoke.stack import RunningStack
from smoke.witness import metrics_script, parse_metrics

WITNESS = "witness"


def test_every_witness_of_a_standby_hears_its_leader(stack: RunningStack, checks: Checks) -> None:
    """A witness is beside every member that shall have one; those of standbys have had answers, and none is fenced."""
    workload = stack.inventory.workload("postgres")
    declared = [container for container in workload.containers if container.name == WITNESS]
    if not declared:
        return
    places = [place for place in stack.places if place.container.name == WITNESS]
    checks.equal("witness.members", WITNESS, declared=set(workload.pods), observed={p.pod_name for p in places})
    (port,) = declared[0].ports
    rest_port = stack.inventory.postgres.rest_port
    both = (
        f"{metrics_script(port)}; test ! -e /data/witness/latch || echo latched; {rest_script(rest_port, ['/patroni'])}"
    )
    for place, answer in stack.ask_each(places, lambda _place: both):
        counted = parse_metrics(answer)
        is_standby = '"role": "replica"' in answer
        answers = counted.get("probes.answered", 0)
        checks.that(
            "witness.hears_its_leader",
            place.target,
            answers > 0 or not is_standby,
            declared="more than 0 answers on a standby",
            observed=f"{answers:g} answers",
        )
        checks.equal("witness.latched", place.target, declared=False, observed="latched" in answer.splitlines())
