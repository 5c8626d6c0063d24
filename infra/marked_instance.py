"""What a witness may write of a pod's status: of an instance of the service alone, and neither who nor where it is."""

import pulumi

from infra.admission import rule
from infra.names import APP, POSTGRES
from infra.site import Site

_NAME = "app.kubernetes.io/name"


def _addresses(of: str) -> str:
    return f"has({of}.status.podIPs) ? {of}.status.podIPs.map(one, one.ip) : []"


def marked_instance(site: Site, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """Return the rule and where it counts: Postgres' account changes the status of the app's pods, not of others."""
    account = f"system:serviceaccount:{site.spec.namespace}:{POSTGRES}"
    return rule(
        site,
        parent,
        "marked-instance",
        resource="pods/status",
        names=None,
        of_members=False,
        variables={"was_at": _addresses("oldObject"), "will_be_at": _addresses("object")},
        # Whoever else writes passes by the first condition; the others are then not looked at.
        expression=f"request.userInfo.username != '{account}' || (oldObject.metadata.labels['{_NAME}'] == '{APP}'"
        " && object.metadata.labels == oldObject.metadata.labels && variables.was_at == variables.will_be_at)",
        message="a witness marks instances of the service, and changes nothing else",
        failure_policy="Fail",
    )
