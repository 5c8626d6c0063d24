"""What keeps a record that a witness holds as it is. See `docs/decisions/witness.md`."""

import pulumi

from infra.admission import rule
from infra.names import HOLD_PREFIX, POSTGRES
from infra.site import Site

_VARIABLES = {
    "was": "has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}",
    "will": "has(object.metadata.annotations) ? object.metadata.annotations : {}",
    "leader": "'leader' in variables.was ? variables.was['leader'] : ''",
    # A hold is for a lease of one leader. Another leader's record is its own.
    "held": f"variables.was.exists(name, name.startsWith('{HOLD_PREFIX}') && "
    """variables.was[name].contains('"leader": "' + variables.leader + '"'))""",
    "same_leader": "('leader' in variables.will ? variables.will['leader'] : '') == variables.leader",
    "same_voters": "['sync_standby', 'quorum'].all(name, "
    "(name in variables.will ? variables.will[name] : '') == (name in variables.was ? variables.was[name] : ''))",
}


def held_record(site: Site, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """Return the rule and where it counts: the leader's changes of `postgres-sync` fail while a witness holds it."""
    return rule(
        site,
        parent,
        "held-record",
        resource="endpoints",
        names=[f"{POSTGRES}-sync"],
        variables=_VARIABLES,
        expression="!variables.held || !variables.same_leader || variables.same_voters",
        message="a witness holds this record: its standby may lack what the others have",
        failure_policy="Fail",
    )
