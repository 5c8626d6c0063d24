"""What keeps a pod that was deleted by force from acting for the next of its name. See `docs/decisions/witness.md`.

It lives on for seconds, and its token, which the API server remembers, works as long: its Patroni took back the key
that witnesses had freed, and told the others, on the new pod, to ask at an address that nobody has any more. A pod's
token says which pod it was given to. These rules only make a failover faster: what they cannot judge, they let pass.
"""

import pulumi

from infra.admission import rule
from infra.names import POSTGRES
from infra.site import Site


def _claim(name: str) -> str:
    key = f"authentication.kubernetes.io/{name}"
    return f"'{key}' in request.userInfo.extra ? request.userInfo.extra['{key}'][0] : ''"


def _note(of: str, name: str) -> str:
    notes = f"{of}.metadata.annotations"
    return f"has({notes}) && '{name}' in {notes} ? {notes}['{name}'] : ''"


_WRITER = {"writer": _claim("pod-name"), "pod": _claim("pod-uid")}


def own_pod(site: Site, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """Return the rules and where they count: a member's key and address are written by the pod that has its name."""
    key = rule(
        site,
        parent,
        "own-key",
        resource="endpoints",
        names=[POSTGRES],
        variables={**_WRITER, "leader": _note("object", "leader")},
        expression="params.metadata.name != variables.leader || variables.writer != variables.leader"
        " || variables.pod == params.metadata.uid",
        message="another pod has the name of this leader now",
        failure_policy="Ignore",
        for_each_member=True,
    )
    status = rule(
        site,
        parent,
        "own-status",
        resource="pods",
        names=None,
        variables={**_WRITER, "was": _note("oldObject", "status"), "will": _note("object", "status")},
        # A witness takes the address out of another's status, and none puts one in.
        expression="variables.was == variables.will || !variables.will.contains('api_url')"
        " || variables.writer != object.metadata.name || variables.pod == object.metadata.uid",
        message="another pod has the name of this member now",
        failure_policy="Ignore",
    )
    return [*key, *status]
